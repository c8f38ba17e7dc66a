"""A practice whose ledger is disturbed: something happens beside an append, or it goes wrong once.

"Once" means once: the next append of the same action is an ordinary one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes import MemoryLedger, MemoryStore
from practice import ABDUL, OPERATOR, Practice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from seawall.app.access import Policies
    from seawall.app.ports import Write
    from seawall.core.errors import Error
    from seawall.core.phi.detection import Detector
    from seawall.core.policy.grant import Receipt

    Act = Callable[[], Awaitable[Any]]


class UnrulyLedger(MemoryLedger):
    """The Ledger port in memory, with what a test wants to happen by an entry's action."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__(journal)
        self.before: dict[str, Act] = {}
        """What happens once before such an entry is recorded."""
        self.after: dict[str, Act] = {}
        """What happens once after such an entry was recorded."""
        self.failing_once: dict[str, Error] = {}
        """What is raised once, recording nothing."""
        self.unacknowledged: dict[str, Error] = {}
        """What is raised once although the entry was recorded."""

    async def append(
        self, log: str, entry: Mapping[str, Any], writes: Sequence[Write] = ()
    ) -> Receipt:
        """Record an entry, with the disturbance that a test asked for."""
        action = str(entry["action"])
        if action in self.before:
            await self.before.pop(action)()
        if action in self.failing_once:
            raise self.failing_once.pop(action)
        receipt = await super().append(log, entry, writes)
        if action in self.after:
            await self.after.pop(action)()
        if action in self.unacknowledged:
            raise self.unacknowledged.pop(action)
        return receipt


async def disturbed(
    detector: Detector, *script: Any, policies: Policies | None = None
) -> tuple[Practice, UnrulyLedger]:
    """Return a practice with one patient over such a ledger; late closing is tried at once."""
    practice = Practice(detector, *script, policies=policies)
    ledger = UnrulyLedger(practice.journal)
    practice.ledger, practice.store = ledger, MemoryStore(ledger)
    practice.begin()
    practice.close_exchanges.first_seconds = 0.0
    await practice.open()
    await practice.import_patient.import_patient(OPERATOR, ABDUL)
    return practice, ledger
