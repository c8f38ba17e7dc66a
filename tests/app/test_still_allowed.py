"""Documents that are applied while an exchange is under way count for it at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from practice import OPERATOR, documents, says
from seawall.core.errors import Refused
from unruly import disturbed

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "agreement-terminated": ("Agreement", {"terminated": "2026-03-01"}),
    "documents-changed": ("UseCase", {"title": "Another function"}),
}


async def change(practice: Practice, code: str) -> None:
    """Apply the change after which an exchange under way is refused with `code`."""
    kind, fields = CHANGES[code]
    document = next(document for document in documents() if document["kind"] == kind)
    changed = {**document, "spec": {**document["spec"], **fields}}
    await practice.documents.apply(OPERATOR, [changed])


@pytest.mark.parametrize("code", CHANGES)
async def test_change_before_the_intent_refuses(code: str, detector: Detector) -> None:
    """What changes before the intent refuses the exchange by an entry, and nothing is sent."""
    practice, ledger = await disturbed(detector)
    ledger.before["phi.open"] = lambda: change(practice, code)

    with pytest.raises(Refused) as caught:
        await practice.ask(patient="abdul")
    (refusal,) = practice.entries("exchange.refuse")

    assert (code, code) == (caught.value.code, refusal["code"])
    assert ([], []) == (practice.entries("exchange.intent"), practice.model.sent)


@pytest.mark.parametrize("code", CHANGES)
async def test_change_between_intent_and_sending_blocks(code: str, detector: Detector) -> None:
    """What changes after the intent is durable sends nothing either; the outcome is `blocked`."""
    practice, ledger = await disturbed(detector)
    ledger.after["exchange.intent"] = lambda: change(practice, code)

    with pytest.raises(Refused) as caught:
        await practice.ask()
    (outcome,) = practice.entries("exchange.outcome")

    assert code == caught.value.code
    assert ("blocked", code) == (outcome["outcome"], outcome["code"])
    assert [] == practice.model.sent


@pytest.mark.parametrize("code", CHANGES)
async def test_turn_that_waited_for_its_conversation_is_decided_again(
    code: str, detector: Detector
) -> None:
    """A turn that waits for the turn before it is refused if documents changed meanwhile."""
    practice, ledger = await disturbed(detector, says("hello"))
    turns: list[asyncio.Task[Any]] = []

    async def second_turn_and_change() -> None:
        """Ask again while documents change."""
        turns.append(asyncio.create_task(practice.ask("second", conversation="talk")))
        for _ in range(10):
            await asyncio.sleep(0)
        await change(practice, code)

    ledger.before["exchange.intent"] = second_turn_and_change
    with pytest.raises(Refused):
        await practice.ask("first", conversation="talk")
    (second,) = await asyncio.gather(*turns, return_exceptions=True)

    assert [code] == [entry["code"] for entry in practice.entries("exchange.refuse")]
    assert (code, []) == (getattr(second, "code", None), practice.model.sent)


async def test_change_that_decides_nothing_disturbs_nothing(detector: Detector) -> None:
    """A document that the decision does not rest on may change while the exchange goes on."""
    practice, ledger = await disturbed(detector, says("hello"))
    other = next(one for one in documents() if one["name"] == "flagging")
    changed = {**other, "spec": {**other["spec"], "title": "Another function"}}
    ledger.after["exchange.intent"] = lambda: practice.documents.apply(OPERATOR, [changed])

    await practice.ask()

    assert ["answered"] == [entry["outcome"] for entry in practice.entries("exchange.outcome")]
