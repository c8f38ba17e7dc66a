"""A log, its publishing, and three witnesses in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fake_witnesses import FakeWitness
from fakes import PUBLIC_KEY, FakeClock, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.app.ports import SYSTEM_LOG
from seawall.app.publish_checkpoints import PublishCheckpoints
from seawall.core.ledger.checkpoint import format_vkey
from seawall.core.ledger.witness import read_submission

LOG, ORIGIN = "clinic", "ledger.example/log/clinic"
SYSTEM = "ledger.example/log/system"
VKEY = format_vkey(ORIGIN, PUBLIC_KEY)


class FakeStamps:
    """The TimeStamps port: a stamp that quotes what it is of."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.is_hanging = False
        self.stamped: list[bytes] = []

    async def stamp(self, signed: bytes) -> bytes:
        """Return a stamp, or raise the fault."""
        if self.fault is not None:
            raise self.fault
        self.stamped.append(signed)
        if self.is_hanging:
            await asyncio.Event().wait()
        return b"stamp of " + signed


@dataclass
class Scene:
    """A clinic's log and the system's, three witnesses of whom two are required."""

    ledger: MemoryLedger
    store: MemoryStore
    clock: FakeClock
    notifier: RecordingNotifier
    witnesses: list[FakeWitness]
    stamps: FakeStamps | None = None
    publish: PublishCheckpoints = field(init=False)

    def __post_init__(self) -> None:
        """Begin with three witnesses, two of whom are required."""
        self.restart()

    async def grow(self, count: int = 1, log: str = LOG, text: str = "entry") -> None:
        """Append entries."""
        for _ in range(count):
            number = len(self.ledger.logs[log].entries)
            await self.ledger.append(log, {"action": "test", "text": f"{text} {number}"})

    def codes(self) -> list[str]:
        """Return the codes of the alarms."""
        return [code for code, _, _ in self.notifier.alarms]

    def restart(self, *, required: int = 2, count: int = 3, patience: float = 8.0) -> None:
        """Begin with an empty memory, as a new process does."""
        self.publish = PublishCheckpoints(
            store=self.store,
            ledger=self.ledger,
            clock=self.clock,
            notifier=self.notifier,
            witnesses=[one.outside() for one in self.witnesses[:count]],
            required=required,
            stamps=self.stamps,
            patience=patience,
        )


async def begun() -> Scene:
    """Return a log of 3 entries that nobody has seen yet; the system's log has none."""
    ledger, clock, notifier = MemoryLedger(), FakeClock(), RecordingNotifier()
    await ledger.open_log(LOG, ORIGIN)
    await ledger.open_log(SYSTEM_LOG, SYSTEM)
    vkeys = (VKEY, format_vkey(SYSTEM, PUBLIC_KEY))
    witnesses = [FakeWitness(f"w{number}.example", clock, *vkeys) for number in (1, 2, 3)]
    made = Scene(ledger, MemoryStore(ledger), clock, notifier, witnesses)
    await made.grow(3)
    return made


def olds(witness: FakeWitness) -> list[int]:
    """Return from which sizes a witness was asked."""
    return [read_submission(body).old for body in witness.bodies]
