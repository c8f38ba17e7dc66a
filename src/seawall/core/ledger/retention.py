"""Which entries of a log may go, and how long an archive must keep what it holds.

A log is pruned from its beginning, in full bundles (C2SP tlog-tiles, "Pruning").
A bundle may go only if all before it may, if each of its entries is older than
the retention, and if no legal hold concerns one. An entry counts as no older
than the newest before it, and than the bundle's coming to an archive with a
clock of its own, so a clock that was set back ages nothing; an entry whose time
cannot be read is kept for ever.

Six years is practice; 45 CFR 164.316(b)(2)(i) and 164.530(j)(2) ask for them for
documentation.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of
from seawall.core.ledger.tree import TILE_WIDTH
from seawall.core.registers.legal_hold import LegalHoldSpec
from seawall.core.registers.retention import FLOOR_YEARS, RetentionSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from seawall.core.registers.register import Register

DISAGREEMENT: Final = timedelta(days=1)
"""By how much two clocks may differ before none of them is believed."""

_SYSTEM: Final = "system"
"""What entries say for a tenant that are about no tenant in particular."""

_ABOUT_SOMEBODY: Final = ("exchange.", "phi.")
"""How actions begin that concern a patient, also where their entry names none."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)
_AFTER_FEBRUARY: Final = (3, 1)


class Why(StrEnum):
    """Why an entry stays."""

    YOUNG = "younger-than-retention"
    HELD = "legal-hold"
    TIMELESS = "time-unreadable"
    INCOMPLETE = "bundle-incomplete"
    UNARCHIVED = "not-in-two-archives"


@dataclass(frozen=True, slots=True)
class Stop:
    """The first entry that stays, and why."""

    index: int
    why: Why
    detail: str = ""
    """From which day it may go, or which LegalHold keeps it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold in force: which document, whose entries."""

    reference: str
    tenant: str
    patient: str | None = None

    def covers(self, entry: Mapping[str, Any], *, in_system_log: bool) -> bool:
        """Return whether the hold keeps an entry; where that is not plain, it does.

        In the system's log it keeps what names its tenant, and what is about the system:
        alarms, and whatever else may be about any tenant. In the tenant's own, a hold of
        one patient also keeps what may be about that patient: identifiers that matched
        nobody, and exchanges and PHI that name no patient.
        """
        if in_system_log:
            return entry.get("tenant", self.tenant) in (self.tenant, _SYSTEM)
        if self.patient is None or entry.get("unattributed"):
            return True
        patients = entry.get("patients")
        if not isinstance(patients, list) or not patients:
            return str(entry.get("action", "")).startswith(_ABOUT_SOMEBODY)
        return self.patient in patients


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a log is kept by: years, and the legal holds in force, in the order of their names."""

    years: int = FLOOR_YEARS
    holds: tuple[Hold, ...] = ()
    is_system: bool = False

    @classmethod
    def of(cls, registers: Mapping[str, Register], today: date, *, is_system: bool) -> Keeping:
        """Return what the documents of one tenant say, or for the system's log of all tenants.

        Of several the longest retention counts, and none is below the floor.
        """
        years, holds = FLOOR_YEARS, []
        for tenant, register in sorted(registers.items()):
            for document in register:
                spec = document.spec
                if isinstance(spec, RetentionSpec):
                    years = max(years, spec.years)
                elif isinstance(spec, LegalHoldSpec) and spec.is_in_force(today):
                    holds.append(Hold(document.reference, tenant, spec.patient))
        holds.sort(key=lambda hold: (hold.tenant, hold.reference))
        return cls(years, tuple(holds), is_system)

    def digest(self) -> str:
        """Return a digest that changes with the years and with every hold."""
        said = [str(self.years), *(f"{hold.tenant}/{hold.reference}" for hold in self.holds)]
        return "sha256:" + hashlib.sha256("\n".join(said).encode()).hexdigest()

    def hold_on(self, entries: Iterable[Mapping[str, Any]]) -> Hold | None:
        """Return the first hold that keeps one of these entries, or None."""
        if not self.holds:
            return None
        return next(
            (
                hold
                for entry in entries
                for hold in self.holds
                if hold.covers(entry, in_system_log=self.is_system)
            ),
            None,
        )

    def archive_until(self, latest: datetime | None, archived: datetime) -> datetime:
        """Return until when an archive must keep what it took at `archived`, by its own clock.

        Counted from when it was archived, which no honest entry is later than, or by up to
        a day from the `latest` of the entries: so entries of a clock that was set back are
        locked as long, and those of one that was set forward not for ever.
        """
        start = archived if latest is None else min(latest, archived + DISAGREEMENT)
        return years_later(max(start, archived), self.years)


@dataclass(slots=True)
class Pruning:
    """A walk over a log's bundles, oldest first: how far it may be pruned at `now`."""

    keeping: Keeping
    now: datetime
    minimum: int = 0
    """The first entry that stays, so far: a multiple of 256."""
    _latest_ms: int = field(default=0, repr=False)

    def pass_bundle(self, bundle: Sequence[bytes], *, archived_ms: int = 0) -> Stop | None:
        """Pass the next bundle and return None, or say which entry stays first.

        `archived_ms` says when it first came to an archive, by that archive's own clock; 0
        asks nothing of that. `Tampered` if an entry is not in its canonical form. After a
        stop the walk is over.
        """
        if len(bundle) < TILE_WIDTH:
            return Stop(self.minimum, Why.INCOMPLETE)
        entries = [decode(raw) for raw in bundle]
        for index, entry in enumerate(entries, self.minimum):
            moment = moment_of(entry)
            if moment <= 0:
                return Stop(index, Why.TIMELESS)
            self._latest_ms = max(self._latest_ms, moment, archived_ms)
            until = years_later(_datetime(self._latest_ms), self.keeping.years)
            if until > self.now:
                return Stop(index, Why.YOUNG, until.date().isoformat())
            hold = self.keeping.hold_on((entry,))
            if hold is not None:
                return Stop(index, Why.HELD, hold.reference)
        self.minimum += TILE_WIDTH
        return None


def first_kept(bundles: Iterable[Sequence[bytes]], keeping: Keeping, now: datetime) -> int:
    """Return the first entry of a log that must stay: a multiple of 256.

    Asks nothing about archives, and does not ask whether `now` can be believed.
    """
    walk = Pruning(keeping, now)
    for bundle in bundles:
        if walk.pass_bundle(bundle) is not None:
            break
    return walk.minimum


def latest_of(bundle: Iterable[bytes]) -> datetime | None:
    """Return the latest time that entries say; None if none of them can be read."""
    moments = [moment_of(decode(raw)) for raw in bundle]
    latest = max(moments, default=0)
    return _datetime(latest) if latest > 0 else None


def years_later(at: datetime, years: int) -> datetime:
    """Return the same moment of the same calendar day so many years later.

    The 29th of February becomes the 1st of March: a day more, never one less.
    """
    if at.year + years > _LAST.year:
        return _LAST
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        month, day = _AFTER_FEBRUARY
        return at.replace(year=at.year + years, month=month, day=day)


def believed(ours: datetime, others: Iterable[datetime]) -> datetime | None:
    """Return the earliest of the clocks if all agree within a day; None if they do not."""
    clocks = [ours, *others]
    earliest = min(clocks)
    return earliest if max(clocks) - earliest <= DISAGREEMENT else None


def _datetime(moment_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=moment_ms)
