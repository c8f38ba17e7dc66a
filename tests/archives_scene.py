"""A clinic's logs with archives, in memory: for tests of archiving and pruning."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fake_archives import MemoryArchive
from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.app.archive_ledger import ArchiveLedger
from seawall.app.documents import Documents
from seawall.app.entries import entry
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import SYSTEM_LOG
from seawall.app.prune_ledger import PlanPruning, PruneLedger
from seawall.app.read_ledger import ReadLedger
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Pruner

LOG: Final = "clinic"
ORIGIN: Final = "localhost/log/0123456789abcdef"
OPERATOR: Final = Principal("operator", "operator", LOG)
PATIENT: Final = "a" * 24
LONG_AGO: Final = datetime(2019, 5, 4, 9, 30, tzinfo=UTC)
"""When entries are made: seven years before the clock of other tests."""


@dataclass
class Scene:
    """A clinic with a log, two archives, one of them locked, and what archives and prunes."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(LONG_AGO))
    archives: Sequence[MemoryArchive] = ()

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger()
        self.store = MemoryStore(self.ledger)
        self.vault = MemoryArchive("vault", self.clock)
        self.shelf = MemoryArchive("shelf", self.clock, is_locked=False)
        self.archives = self.archives or (self.vault, self.shelf)
        self.indexing = IndexLedger(store=self.store, ledger=self.ledger)
        self.begin()

    def begin(self) -> None:
        """Begin as a process does, with nothing in memory but what the store holds."""
        parts: dict[str, Any] = {"store": self.store, "ledger": self.ledger, "clock": self.clock}
        self.documents = Documents(**parts)
        self.archiving = ArchiveLedger(**parts, archives=self.archives, indexing=self.indexing)
        self.planning = PlanPruning(
            store=self.store,
            read_ledger=ReadLedger(self.store),
            archives=self.archives,
            clock=self.clock,
            random=FakeRandom(),
        )
        self.pruning = self.pruned_by(self.ledger)

    def pruned_by(self, pruner: Pruner) -> PruneLedger:
        """Return what prunes by a pruner of the test's."""
        return PruneLedger(
            planning=self.planning,
            store=self.store,
            ledger=self.ledger,
            pruner=pruner,
            clock=self.clock,
        )

    async def open(self) -> Scene:
        """Open the logs."""
        await self.ledger.open_log(SYSTEM_LOG, "localhost/log/fedcba9876543210")
        await self.ledger.open_log(LOG, ORIGIN)
        await self.documents.load()
        return self

    async def record(self, count: int, **fields: Any) -> None:
        """Append entries of the clinic, each at the clock's time."""
        said = {"patients": [], **fields}
        for _ in range(count):
            await self.ledger.append(LOG, entry("exchange.intent", OPERATOR, self.clock, **said))

    async def apply(self, kind: str, name: str = "it", **spec: Any) -> None:
        """Apply one document of the clinic."""
        document = {"kind": kind, "name": name, "spec": spec}
        await self.documents.apply(OPERATOR, [document])

    async def hold(self, **spec: Any) -> None:
        """Place a legal hold, or change it."""
        await self.apply("LegalHold", matter="Docket 1", placed="2019-05-04", **spec)

    def seven_years_on(self) -> None:
        """Let seven years pass, for the clock that everybody reads."""
        self.clock.at = self.clock.at.replace(year=self.clock.at.year + 7)

    async def archived(self, archive: str = "vault") -> list[int]:
        """Return which bundles of the clinic's log count as held by an archive."""
        return [row.bundle for row in await self.store.archived(LOG) if row.archive == archive]

    def system(self, action: str) -> list[dict[str, Any]]:
        """Return the system's entries of one action."""
        return [one for one in self.ledger.bodies(SYSTEM_LOG) if one["action"] == action]


async def opened(count: int = 0, **fields: Any) -> Scene:
    """Return a scene whose clinic has so many entries."""
    scene = await Scene().open()
    await scene.record(count, **fields)
    return scene
