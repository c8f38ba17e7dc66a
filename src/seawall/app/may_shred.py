"""Whether somebody's data may be shredded now: legal holds, and what accounting still needs.

The HIPAA rules give nobody a right to erasure, and name no time for which health
records are kept; state law does. What they do ask is that disclosures of six
years can be accounted for (45 CFR 164.528(a)(1)), and after a shredding nobody
can tell any more whose ledger id it was. So a patient about whom something was
sent within the retention is shredded only because the relationship ended, which
is when a business associate destroys or returns everything
(45 CFR 164.504(e)(2)(ii)(J)). That this is checked is practice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from seawall.app.keeping import keeping_of
from seawall.core.errors import Invalid, Refused
from seawall.core.ledger.retention import years_later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.key_history import KeyHistory
    from seawall.app.ports import Clock, Store

Reason = Literal["patient-request", "retention-ended", "relationship-ended", "error", "other"]
"""Why something is shredded: a code, because free text would need a key that outlives it."""

REASONS: Final[tuple[str, ...]] = get_args(Reason)

_SENT: Final = ("action", "exchange.intent")


class MayShred:
    """Says no, or nothing."""

    def __init__(self, *, store: Store, history: KeyHistory, clock: Clock) -> None:
        self._store = store
        self._history = history
        self._clock = clock

    async def check(self, tenant: str, patients: Sequence[str] | None, reason: str) -> None:
        """Raise `Refused` unless these patients, or with None the whole tenant, may be shredded."""
        if reason not in REASONS:
            raise Invalid(
                "reason-unknown",
                "the reason is none that a shredding has",
                f"use one of {', '.join(REASONS)}",
            )
        keeping = await keeping_of(self._store, tenant, self._clock.today())
        for hold in keeping.holds:
            if patients is None or hold.patient is None or hold.patient in patients:
                raise Refused(
                    "legal-hold",
                    f"{hold.reference} is in force, and keeps what was to be shredded",
                    "ask counsel; release the hold with `released` in its document first",
                )
        if reason == "relationship-ended":
            return
        since = years_later(self._clock.now(), -keeping.years)
        since_ms = max(0, int(since.timestamp() * 1000))
        for facet in [()] if patients is None else [(("patient", one),) for one in patients]:
            if await self._history.has_since(tenant, since_ms, *facet, _SENT):
                raise Refused(
                    "retention-floor",
                    f"something about them was sent within the last {keeping.years} years, "
                    "and must be accounted for",
                    "wait until then; only reason relationship-ended goes before "
                    "(45 CFR 164.504(e)(2)(ii)(J))",
                )
