"""Payloads outside: durable before their entry, read by reference, swept when nothing refers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from embedded import ORIGIN
from examples import an_entry
from fake_payloads import MemoryPayloads, a_payload
from fakes import FakeClock, MemoryLedger, MemoryStore
from seawall.app.payloads import PayloadLedger, PayloadStore, SweepPayloads
from seawall.app.ports import KeepReference, KeepSealed, OpenExchange, Write
from seawall.core.errors import Missing, Tampered, Unavailable
from seawall.core.seal.envelope import Context, Sealed, seal


class Scene:
    """A ledger with its payloads outside, all in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal: list[str] = []
        self.inner = MemoryLedger(self.journal)
        self.payloads = MemoryPayloads(self.clock, self.journal)
        self.ledger = PayloadLedger(self.inner, self.payloads, limit_seconds=5)
        self.store = MemoryStore(self.inner)
        self.reading = PayloadStore(self.store, self.payloads)
        self.sweeping = SweepPayloads(payloads=self.payloads, store=self.store, clock=self.clock)

    async def keep(self, sealed: Sealed) -> None:
        """Record an entry with a sealed value."""
        await self.ledger.append("clinic", an_entry(), [KeepSealed(sealed)])


@pytest.fixture
async def scene() -> Scene:
    """Return a scene whose log `clinic` is open."""
    made = Scene()
    await made.ledger.open_log("clinic", ORIGIN)
    return made


def a_small(kind: str = "patient.identifiers") -> Sealed:
    """Return a sealed value of a kind that stays in the database."""
    context = Context("clinic", kind, "p1", "p1")
    return seal(b"x", key=bytes(32), key_id="k", key_version=1, nonce=bytes(12), context=context)


async def test_a_payload_is_put_before_its_entry_is_recorded(scene: Scene) -> None:
    """The store has it first, and the database a reference instead of the ciphertext."""
    sealed = a_payload()
    await scene.keep(sealed)
    assert ["put", f"append {an_entry()['action']}"] == scene.journal
    kept = KeepReference("clinic", "exchange.request", "x1", "p1", sealed.digest())
    assert ([kept], {}) == ([*scene.inner.references.values()], scene.inner.kept)


async def test_a_payload_is_read_through_its_reference(scene: Scene) -> None:
    """Wherever a value is, reading it is the same; what is not there is None."""
    for sealed in (a_payload(), a_small()):
        await scene.keep(sealed)
        context = sealed.context
        assert sealed == await scene.reading.sealed(context.tenant, context.kind, context.item)
    assert await scene.reading.sealed("clinic", "exchange.request", "x9") is None


async def test_payloads_from_before_the_setting_are_read_from_the_database(scene: Scene) -> None:
    """What was kept in the database stays there, and is found there."""
    await scene.inner.append("clinic", an_entry(), [KeepSealed(a_payload())])
    assert a_payload() == await scene.reading.sealed("clinic", "exchange.request", "x1")


async def test_other_writes_and_small_values_stay_in_the_database(scene: Scene) -> None:
    """Only whole requests and answers go outside; what replaces something never does."""
    replacing = KeepSealed(a_payload("x2"), replaces="")
    writes: list[Write] = [KeepSealed(a_small()), replacing, OpenExchange("clinic", "x1", "r")]
    await scene.ledger.append("clinic", an_entry(), writes)
    assert ({}, 2, 1) == (scene.payloads.kept, len(scene.inner.kept), len(scene.inner.awaited))


async def test_a_store_that_is_down_stops_the_entry(scene: Scene) -> None:
    """Nothing is recorded, so nothing may move."""
    scene.payloads.down = Unavailable("payloads-unavailable", "it is down", "wait")
    with pytest.raises(Unavailable):
        await scene.keep(a_payload())
    assert [] == scene.inner.bodies("clinic")


async def test_a_store_that_says_nothing_stops_the_entry_in_time(scene: Scene) -> None:
    """The time limit is the ledger's own."""

    class Silent(MemoryPayloads):
        """A store that never answers."""

        async def put(self, sealed: Sealed) -> None:  # noqa: ARG002  the port's
            """Wait for ever."""
            await asyncio.Event().wait()

    ledger = PayloadLedger(scene.inner, Silent(scene.clock), limit_seconds=0.01)
    with pytest.raises(Unavailable) as caught:
        await ledger.append("clinic", an_entry(), [KeepSealed(a_payload())])
    assert ("payloads-unavailable", []) == (caught.value.code, scene.inner.bodies("clinic"))


async def test_a_payload_that_vanished_is_missing_and_not_none(scene: Scene) -> None:
    """A reference to nothing is said, and never taken for an exchange without a payload."""
    await scene.keep(a_payload())
    await scene.payloads.delete([a_payload().digest()])
    with pytest.raises(Missing):
        await scene.reading.sealed("clinic", "exchange.request", "x1")


async def test_a_reference_to_anothers_payload_is_tampered(scene: Scene) -> None:
    """Who can write to the database cannot show one exchange's payload as another's."""
    for item in ("x1", "x2"):
        await scene.keep(a_payload(item))
    held = scene.inner.references
    first, second = held
    held[first] = replace(held[first], digest=held[second].digest)
    with pytest.raises(Tampered):
        await scene.reading.sealed(*first)


async def test_a_sweep_deletes_what_nothing_refers_to(scene: Scene) -> None:
    """What was put for an entry that failed goes after an hour; what a row names stays."""
    await scene.keep(a_payload("kept"))
    await scene.payloads.put(a_payload("orphan"))
    scene.clock.advance(3601)
    assert 1 == await scene.sweeping.sweep()
    assert [a_payload("kept").digest()] == [*scene.payloads.kept]


@pytest.mark.parametrize("older_than", [timedelta(hours=1), timedelta(0)])
async def test_a_sweep_spares_what_may_be_being_written(
    scene: Scene, older_than: timedelta
) -> None:
    """Younger than an hour stays, whatever was asked for."""
    await scene.payloads.put(a_payload())
    scene.clock.advance(3599)
    assert 0 == await scene.sweeping.sweep(older_than)
    assert 1 == len(scene.payloads.kept)


async def test_what_is_forgotten_unasked_is_a_week_old(scene: Scene) -> None:
    """What the daily sweep deletes was put before that, and never a younger one."""
    await scene.payloads.put(a_payload())
    scene.clock.advance(6 * 86_400)
    await scene.sweeping.forget()
    assert 1 == len(scene.payloads.kept)
    scene.clock.advance(86_401)
    await scene.sweeping.forget()
    assert {} == scene.payloads.kept


async def test_a_sweep_of_thousands_goes_page_by_page(scene: Scene) -> None:
    """More than a page is swept whole."""
    await scene.keep(a_payload("kept"))
    for item in range(2_100):
        await scene.payloads.put(a_payload(str(item)))
    scene.clock.advance(3601)
    assert (2_100, 1) == (await scene.sweeping.sweep(), len(scene.payloads.kept))


async def test_a_sweep_that_was_ended_goes_on(scene: Scene) -> None:
    """Nothing but the store itself remembers how far it came."""
    for item in range(3):
        await scene.payloads.put(a_payload(str(item)))
    scene.clock.advance(3601)
    await scene.payloads.delete([a_payload("0").digest()])
    assert (2, 0) == (await scene.sweeping.sweep(), await scene.sweeping.sweep())
