"""One conversation at two replicas, and documents that the other one applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from practice import OPERATOR, TENANT, Practice, documents, says
from seawall.app.documents import Documents
from seawall.core.errors import Error, Refused, Unavailable
from seawall.core.registers.endpoint import EndpointSpec

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


async def two_replicas(detector: Detector) -> tuple[Practice, Any, Any]:
    """Return a practice with two replicas of what asks the model."""
    practice = Practice(detector, says("Noted."))
    await practice.open()
    one = practice.ask_model
    practice.begin()
    await practice.documents.load()
    return practice, one, practice.ask_model


async def test_a_turn_with_a_stale_map_is_refused_and_then_works(detector: Detector) -> None:
    """What another replica kept meanwhile is never overwritten: the turn is refused, once."""
    practice, one, other = await two_replicas(detector)
    for replica in (one, other):
        practice.ask_model = replica
        await practice.ask("Call 555-210-3001", conversation="c")
    practice.ask_model = one
    with pytest.raises(Refused) as caught:
        await practice.ask("Call 555-210-3002", conversation="c")
    assert caught.value.code == "conversation-changed"
    assert "conversation-changed" == practice.entries("exchange.refuse")[-1]["code"]
    await practice.ask("Call 555-210-3002", conversation="c")
    assert 3 == len(practice.entries("exchange.intent"))


async def test_an_unacknowledged_turn_forgets_the_map(detector: Detector) -> None:
    """When nobody knows whether the map was kept, the next turn reads what is there."""
    practice, _, _ = await two_replicas(detector)
    await practice.ask("Call 555-210-3001", conversation="c")
    practice.ledger.failing["exchange.intent"] = Unavailable("gone", "gone")
    with pytest.raises(Unavailable):
        await practice.ask("Call 555-210-3002", conversation="c")
    practice.ledger.failing.clear()
    opened = len(practice.entries("phi.open"))
    await practice.ask("Call 555-210-3002", conversation="c")
    assert opened + 1 == len(practice.entries("phi.open"))
    practice.close_exchanges.stop()


class Counting:
    """The store of a practice, which counts what it is asked, or answers nothing."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.loaded = 0
        self.down: Error | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def document_counts(self) -> dict[str, int]:
        """Return how many versions there are, unless it is down."""
        if self.down is not None:
            raise self.down
        counted: dict[str, int] = await self._store.document_counts()
        return counted

    async def documents(self, tenant: str) -> Any:
        """Return the documents, and count."""
        self.loaded += 1
        return await self._store.documents(tenant)


async def test_registers_are_read_again_where_they_changed_and_only_then(
    detector: Detector,
) -> None:
    """A version that another replica applied is in force after the next question."""
    practice, _, _ = await two_replicas(detector)
    store = Counting(practice.store)
    shared = Documents(store=store, ledger=practice.ledger, clock=practice.clock, is_shared=True)
    await shared.load()
    await shared.refresh()
    assert 1 == store.loaded
    changed = [one | {"spec": one["spec"] | {"country": "CA"}} for one in documents()[1:2]]
    await practice.documents.apply(OPERATOR, changed)
    await shared.refresh()
    found = shared.register(TENANT).find(EndpointSpec, "model")
    assert found is not None
    assert ("CA", 2) == (found.spec.country, store.loaded)


async def test_nothing_is_decided_where_registers_may_be_stale(detector: Detector) -> None:
    """While the store does not answer an exchange is refused, and nothing leaves."""
    practice, _, _ = await two_replicas(detector)
    store = Counting(practice.store)
    shared = Documents(store=store, ledger=practice.ledger, clock=practice.clock, is_shared=True)
    await shared.load()
    practice.ask_model._documents = shared
    store.down = Unavailable("database-unavailable", "gone", "wait")
    with pytest.raises(Unavailable):
        await practice.ask()
    assert [] == practice.model.sent
