"""No intent stays open: slow ledgers, mistakes of the program, streams that nobody reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fakes import ScriptedAnswer
from practice import TENANT, opened, says, streams
from seawall.app.answer import StreamedAnswer
from seawall.core.errors import Unavailable
from unruly import disturbed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from practice import Practice
    from seawall.core.phi.detection import Detector

SLOW = Unavailable("ledger-slow", "the ledger did not answer in time", "try again")


async def settled(practice: Practice) -> list[tuple[str, str]]:
    """Let what is closed later be closed; return each outcome with its exchange's item."""
    for _ in range(50):
        await asyncio.sleep(0)
    return [(entry["outcome"], entry["item"]) for entry in practice.entries("exchange.outcome")]


async def test_intent_that_was_not_acknowledged_is_closed_as_not_sent(detector: Detector) -> None:
    """An intent that became durable although the ledger said no is closed: nothing left."""
    practice, ledger = await disturbed(detector)
    ledger.unacknowledged["exchange.intent"] = SLOW

    with pytest.raises(Unavailable):
        await practice.ask()
    (intent,) = practice.entries("exchange.intent")

    assert [("not-sent", intent["item"])] == await settled(practice)
    assert ([], []) == (await practice.store.open_exchanges(TENANT), practice.model.sent)


async def test_intent_that_was_not_recorded_needs_no_outcome(detector: Detector) -> None:
    """Where the intent is not in the ledger, no outcome is added for it."""
    practice, ledger = await disturbed(detector)
    ledger.failing_once["exchange.intent"] = SLOW

    with pytest.raises(Unavailable):
        await practice.ask()

    assert [] == await settled(practice)


async def test_outcome_that_failed_once_is_recorded_later(detector: Detector) -> None:
    """The caller hears outcome-unrecorded; once the ledger answers again, an entry says so."""
    practice, ledger = await disturbed(detector, says("hello"))
    ledger.failing_once["exchange.outcome"] = SLOW

    with pytest.raises(Unavailable) as caught:
        await practice.ask()
    (intent,) = practice.entries("exchange.intent")

    assert "outcome-unrecorded" == caught.value.code
    assert [("unrecorded", intent["item"])] == await settled(practice)


async def test_closing_goes_on_until_the_ledger_answers(detector: Detector) -> None:
    """A ledger that is still down when closing is tried is tried again."""
    practice, ledger = await disturbed(detector, says("hello"))
    ledger.failing["exchange.outcome"] = SLOW
    with pytest.raises(Unavailable):
        await practice.ask()
    assert [] == await settled(practice)

    ledger.failing.clear()

    assert ["unrecorded"] == [outcome for outcome, _ in await settled(practice)]


async def test_stop_leaves_it_to_the_next_start(detector: Detector) -> None:
    """What was to be closed later stays open when the process stops; the next start closes it."""
    practice, ledger = await disturbed(detector, says("hello"))
    ledger.failing_once["exchange.outcome"] = SLOW
    with pytest.raises(Unavailable):
        await practice.ask()

    practice.close_exchanges.stop()
    left = await settled(practice)
    practice.begin()

    assert ([], 1) == (left, await practice.close_exchanges.close_open())
    assert ["unknown"] == [outcome for outcome, _ in await settled(practice)]


async def test_mistake_of_the_program_closes_the_exchange(detector: Detector) -> None:
    """A bug is raised on, and the exchange has failed with the code `internal`."""

    def mistaken(_body: bytes) -> ScriptedAnswer:
        """Fail as a mistake of the program does."""
        raise RuntimeError("a mistake")

    practice = await opened(detector, mistaken)

    with pytest.raises(RuntimeError, match="a mistake"):
        await practice.ask()
    (outcome,) = practice.entries("exchange.outcome")

    assert ("failed", "internal") == (outcome["outcome"], outcome["code"])
    assert [] == await practice.store.open_exchanges(TENANT)


class Mistaken(ScriptedAnswer):
    """An answer whose second piece is a mistake of the program."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces, then raise what is none of our errors."""
        for piece in self.pieces:
            yield piece
        raise RuntimeError("a mistake")


async def test_mistake_within_a_stream_closes_the_exchange(detector: Detector) -> None:
    """A bug in the middle of a stream is raised on, recorded, and lets go of the upstream."""
    practice = await opened(detector, Mistaken(streams("some text").pieces[:1]))
    answer = await practice.ask(stream=True)
    assert isinstance(answer, StreamedAnswer)

    with pytest.raises(RuntimeError, match="a mistake"):
        _ = [event async for event in answer.events()]
    (outcome,) = practice.entries("exchange.outcome")

    assert ("failed", "internal") == (outcome["outcome"], outcome["code"])
    assert 1 == practice.model.closed


async def test_stream_that_nobody_reads_is_abandoned(detector: Detector) -> None:
    """A stream that is closed before its first event is abandoned, and its upstream let go."""
    practice = await opened(detector, streams("hello"))
    answer = await practice.ask(stream=True)
    assert isinstance(answer, StreamedAnswer)

    await answer.close()
    await answer.close()
    (outcome,) = practice.entries("exchange.outcome")

    assert ("abandoned", "client-gone") == (outcome["outcome"], outcome["code"])
    assert (1, []) == (practice.model.closed, await practice.store.open_exchanges(TENANT))
