"""Letting the oldest entries of a log go, when nothing asks for them any more.

C2SP tlog-tiles, "Pruning": entries and full tiles of level 0 below a minimum go,
the tiles above stay, so that everything at or above the minimum stays provable
and no checkpoint changes. What a plan asks, in this order:

1. At least two archives of the settings, one of them locked; each passes its own test,
   and none has a canary that another one took.
2. A time to believe: this machine's clock and every archive's agree within a day, and
   the newest entry is not later. The earliest of the clocks counts.
3. The whole log verifies: entries, tiles, root, signature.
4. Bundle by bundle, oldest first: in two archives, one of them locked; older than the
   retention, by its entries and by when a locked archive first took it; under no legal
   hold; no entry whose time cannot be read.
5. Each bundle that may go is read back from every archive that has it, by its version,
   and hashes to what was signed.

The intent is an entry of the system's log, durable before anything goes; the
database itself refuses without two archives. Nothing is pruned unless asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.keeping import keeping_fields, keeping_of, place, read_bundle
from seawall.app.ports import SYSTEM_LOG
from seawall.core.errors import Error, Missing, Refused, Tampered
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of
from seawall.core.ledger.retention import Pruning, Stop, Why, believed
from seawall.core.ledger.tiles import bundle_path, decode_bundle
from seawall.core.ledger.tree import HASH_BYTES, TILE_WIDTH, leaf_hash, root_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from seawall.app.ports import Archive, Archived, Clock, Head, Ledger, Pruner, Random, Store
    from seawall.app.read_ledger import ReadLedger
    from seawall.core.ledger.retention import Keeping
    from seawall.core.policy.principal import Principal

_COPIES: Final = 2
_CANARY_KEPT: Final = timedelta(hours=1)
_STEP: Final = 4 * TILE_WIDTH
"""How many entries go in one transaction: what a hold that comes at that very moment misses."""

Progress = Callable[[str, int, int], None]
"""Told what is done (`verify`, `read back`, `prune`), how far, and of how many entries."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What pruning would do to a log: entries below `upto` go, and `stop` says why no more."""

    head: Head
    upto: int
    stop: Stop | None
    keeping: Keeping
    archives: tuple[str, ...]
    """Which archives hold all that goes."""
    now: datetime
    """The time that was believed."""


class PlanPruning:
    """Finds how far a log may be pruned; writes nothing."""

    def __init__(
        self,
        *,
        store: Store,
        read_ledger: ReadLedger,
        archives: Sequence[Archive],
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._read_ledger = read_ledger
        self._archives = {archive.name: archive for archive in archives}
        self._clock = clock
        self._random = random

    async def plan(self, log: str, progress: Progress | None = None) -> Plan:
        """Return how far a log may be pruned; changes nothing.

        `Refused` where the settings or the clocks allow no pruning at all, `Tampered` where
        the log or a copy is not what was signed.
        """
        head = await self._store.head(log)
        await self._trust_archives()  # 1
        now = await self._time(head)  # 2
        keeping = await keeping_of(self._store, log, now.date())
        async for size, _ in self._read_ledger.verify(log):  # 3
            _tell(progress, "verify", size, head.size)
        rows = await self._copies(log)
        walk = Pruning(keeping, now, head.minimum)
        stop: Stop | None = None
        while stop is None and walk.minimum + TILE_WIDTH <= head.size:  # 4
            bundle = walk.minimum // TILE_WIDTH
            stop = self._unarchived(bundle, rows.get(bundle, {}))
            if stop is None:
                raw = await read_bundle(self._store, head, bundle)
                archived_ms = self._first_archived(rows[bundle])
                stop = walk.pass_bundle(raw, archived_ms=archived_ms)
        for bundle in range(head.minimum // TILE_WIDTH, walk.minimum // TILE_WIDTH):  # 5
            await self._check_copies(head, bundle, rows[bundle])
            _tell(progress, "read back", (bundle + 1) * TILE_WIDTH, walk.minimum)
        if stop is None and walk.minimum < head.size:
            stop = Stop(walk.minimum, Why.INCOMPLETE)
        going = range(head.minimum // TILE_WIDTH, walk.minimum // TILE_WIDTH)
        holding = (name for name in self._archives if all(name in rows[at] for at in going))
        return Plan(head, walk.minimum, stop, keeping, tuple(sorted(holding)), now)

    async def _trust_archives(self) -> None:
        locked = [archive for archive in self._archives.values() if archive.is_locked]
        if len(self._archives) < _COPIES or not locked:
            raise Refused(
                "prune-archives",
                "a log is pruned only where two archives hold it, one of them locked",
                "add [[archives]] to seawall.toml, at least one of them a bucket",
            )
        for archive in self._archives.values():
            await archive.self_test()
        await self._tell_apart()

    async def _tell_apart(self) -> None:
        """Refuse two archives that are one place: each gets a canary, which no other may have.

        It finds what names do not show: two endpoints of one bucket, a folder and a link to it.
        Two places of one store it cannot tell from two stores.
        """
        canaries = {name: f"self-test/{self._random.bytes(16).hex()}" for name in self._archives}
        for name, path in canaries.items():
            archive = self._archives[name]
            now = await archive.now() or self._clock.now()
            await archive.put(f"{path}/apart", name.encode(), now + _CANARY_KEPT)
        for name, archive in self._archives.items():
            for owner, path in canaries.items():
                found = [lying async for lying in archive.lying(path)]
                if bool(found) is not (owner == name):
                    raise Refused(
                        "prune-archives",
                        "two archives are one place, or one does not list what it took",
                        "give each [[archives]] of seawall.toml a bucket or a folder of its own",
                    )

    async def _time(self, head: Head) -> datetime:
        """Return the time that counts; `Refused` unless the clocks agree about it."""
        said = [await archive.now() for archive in self._archives.values()]
        theirs = [at for at in said if at is not None]
        ours = self._clock.now()
        now = believed(ours, theirs) if theirs else None
        newest = 0
        if head.size > head.minimum:
            raw = await self._store.entries(head.log, head.size - 1, head.size)
            newest = max((moment_of(decode(item)) for item in raw), default=0)
        if now is None or newest > self._clock.now_ms():
            raise Refused(
                "clock-implausible",
                "this machine's clock, an archive's clock and the newest entry do not agree",
                "set the clock by a time server; nothing is pruned by a time that is in doubt",
            )
        return now

    async def _copies(self, log: str) -> dict[int, dict[str, Archived]]:
        """Return, by bundle, what archives of the settings hold."""
        found: dict[int, dict[str, Archived]] = {}
        for row in await self._store.archived(log):
            if row.archive in self._archives:
                found.setdefault(row.bundle, {})[row.archive] = row
        return found

    def _unarchived(self, bundle: int, rows: Mapping[str, Archived]) -> Stop | None:
        """Return a stop unless two archives hold a bundle, one of them locked."""
        has_locked = any(self._archives[name].is_locked for name in rows)
        if len(rows) >= _COPIES and has_locked:
            return None
        return Stop(bundle * TILE_WIDTH, Why.UNARCHIVED)

    def _first_archived(self, rows: Mapping[str, Archived]) -> int:
        """Return when a bundle first came to an archive whose own clock says so.

        A folder has this machine's clock, and so says nothing of an entry's age that the
        entry does not say itself.
        """
        return min(row.at_ms for name, row in rows.items() if self._archives[name].is_locked)

    async def _check_copies(self, head: Head, bundle: int, rows: Mapping[str, Archived]) -> None:
        """Read a bundle back from every archive that has it, and compare it with the tree."""
        above = await self._store.tile(head.log, 1, bundle // TILE_WIDTH)
        signed = above[bundle % TILE_WIDTH * HASH_BYTES :][:HASH_BYTES]
        for name, row in rows.items():
            try:
                raw = await self._archives[name].get(place(head, bundle_path(bundle)), row.version)
                digest = "sha256:" + hashlib.sha256(raw).hexdigest()
                leaves = [leaf_hash(item) for item in decode_bundle(raw, TILE_WIDTH)]
            except (Missing, Tampered):
                raise _altered(name) from None
            if digest != row.digest or root_of(leaves) != signed:
                raise _altered(name)


class PruneLedger:
    """Prunes a log as far as a plan allows."""

    def __init__(
        self,
        *,
        planning: PlanPruning,
        store: Store,
        ledger: Ledger,
        pruner: Pruner,
        clock: Clock,
    ) -> None:
        self._planning = planning
        self._store = store
        self._ledger = ledger
        self._pruner = pruner
        self._clock = clock

    async def prune(self, principal: Principal, log: str, progress: Progress | None = None) -> Plan:
        """Prune a log as far as a plan allows, recorded before and after; return the plan.

        Where nothing may go, nothing is recorded. An error after the intent is recorded as
        its outcome, with how far it came, and raised.
        """
        plan = await self._planning.plan(log, progress)
        if plan.upto == plan.head.minimum:
            if plan.head.minimum:
                # What a pruning that was ended midway left below its minimum, which it recorded.
                await self._pruner.prune(log, plan.head.minimum)
            return plan
        said: dict[str, Any] = {
            "log": plan.head.origin,
            "size": plan.head.size,
            "from": plan.head.minimum,
            "to": plan.upto,
            "archives": list(plan.archives),
            **keeping_fields(plan.keeping),
        }
        receipt = await self._ledger.append(
            SYSTEM_LOG, entry("ledger.prune", principal, self._clock, **said)
        )
        outcome: dict[str, Any] = {"outcome": "pruned"}
        try:
            await self._go(plan, progress)
        except Error as error:
            outcome = {"outcome": "failed", "code": error.code}
            raise
        finally:
            reached = (await self._store.head(log)).minimum
            fields = {"log": plan.head.origin, "intent": receipt.index, "minimum": reached}
            await self._ledger.append(
                SYSTEM_LOG, entry("ledger.pruned", principal, self._clock, **fields, **outcome)
            )
        return plan

    async def _go(self, plan: Plan, progress: Progress | None) -> None:
        """Move the minimum step by step, as long as the documents stay as they were.

        They are read right before each step, and once more after the last. A hold that
        becomes durable between that and the step's own transaction misses that step's
        entries here, which archives have; the outcome says that it was so.
        """
        at, log = plan.head.minimum, plan.head.log
        while True:
            keeping = await keeping_of(self._store, log, plan.now.date())
            if keeping != plan.keeping:
                raise Refused(
                    "prune-overtaken",
                    "retention or a legal hold changed while the log was pruned",
                    "prune again: what may go is found anew",
                )
            if at == plan.upto:
                return
            at = min(at + _STEP, plan.upto)
            await self._pruner.prune(log, at)
            _tell(progress, "prune", at, plan.upto)


def _altered(archive: str) -> Tampered:
    return Tampered(
        "archive-altered",
        f"the archive {archive} holds something else than the log",
        "nothing was pruned; keep the archive as it is, and treat it as an incident",
    )


def _tell(progress: Progress | None, what: str, at: int, of: int) -> None:
    if progress is not None:
        progress(what, at, of)
