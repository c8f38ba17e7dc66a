"""The life of an exchange, step by step, over fakes."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import TYPE_CHECKING

import pytest

from fakes import ScriptedAnswer
from practice import TENANT, call, completion, opened, says, streams
from seawall.app.answer import PlainAnswer, StreamedAnswer
from seawall.app.trip import Trip
from seawall.core.errors import Error, Invalid, Refused, Tampered, Unavailable
from seawall.core.gateway.openai_chat import ChatRequest
from seawall.core.policy.decision import Question, decide
from seawall.core.registers.register import Register

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector

DOWN = Unavailable("ledger-unavailable", "the ledger cannot record", "try again")
GONE = Unavailable("upstream-unreachable", "the connection broke", "try again")


async def refused(practice: Practice, said: str = "hi", **named: str) -> Error:
    """Ask, and return the error in which that ends."""
    with pytest.raises(Error) as caught:
        await practice.ask(said, **named)
    return caught.value


async def drained(answer: PlainAnswer | StreamedAnswer) -> str:
    """Read a stream to its end."""
    assert isinstance(answer, StreamedAnswer)
    return b"".join([event async for event in answer.events()]).decode()


async def test_nothing_is_sent_before_the_intent_is_durable(detector: Detector) -> None:
    """Opening, intent, sending, outcome: in this order."""
    practice = await opened(detector, says("hello"))

    await practice.ask("About Abdul Koepp", patient="abdul")

    assert [
        "append phi.open",
        "append exchange.intent",
        "send",
        "append exchange.outcome",
    ] == practice.actions()


async def test_model_sees_placeholders_and_the_caller_values(detector: Detector) -> None:
    """The model is sent the endpoint's own model name and placeholders; the caller gets values."""
    practice = await opened(detector, says("I read about [NAME-1]."))

    answer = await practice.ask("About Abdul Koepp", patient="abdul")
    sent = json.loads(practice.model.sent[0].body)

    assert "model-1" == sent["model"]
    assert "About [NAME-1]" == sent["messages"][0]["content"]
    assert isinstance(answer, PlainAnswer)
    assert completion("I read about Abdul Koepp.") == json.dumps(json.loads(answer.body)).encode()


async def test_ledger_down_at_the_intent_sends_nothing(detector: Detector) -> None:
    """If the intent cannot be recorded, nothing is sent, and no exchange is awaited."""
    practice = await opened(detector)
    practice.ledger.failing["exchange.intent"] = DOWN

    error = await refused(practice)

    assert ("ledger-unavailable", None) == (error.code, error.entry)
    assert [] == practice.model.sent
    assert [] == await practice.store.open_exchanges(TENANT)


async def test_ledger_down_at_the_opening_sends_nothing(detector: Detector) -> None:
    """If opening the patient's identifiers cannot be recorded, nothing is opened or sent."""
    practice = await opened(detector)
    practice.ledger.failing["phi.open"] = DOWN

    error = await refused(practice, patient="abdul")

    assert "ledger-unavailable" == error.code
    assert ([], []) == (practice.model.sent, practice.keys.opened)


async def test_ledger_down_at_the_outcome_withholds_a_plain_answer(detector: Detector) -> None:
    """If the outcome cannot be recorded, the answer is withheld, and the open intent alarms."""
    practice = await opened(detector, says("hello"))
    practice.ledger.failing["exchange.outcome"] = DOWN

    error = await refused(practice)
    intent = len(practice.entries()) - 1

    assert ("outcome-unrecorded", intent) == (error.code, error.entry)
    assert [("outcome-unrecorded", TENANT, intent)] == practice.notifier.alarms
    assert 1 == len(await practice.store.open_exchanges(TENANT))


async def test_ledger_down_at_the_outcome_ends_a_stream_in_an_error(detector: Detector) -> None:
    """If the outcome cannot be recorded, a stream ends in the dialect's error, not in [DONE]."""
    practice = await opened(detector, streams("hel", "lo"))
    practice.ledger.failing["exchange.outcome"] = DOWN

    text = await drained(await practice.ask(stream=True))

    assert '"code":"outcome-unrecorded"' in text
    assert ("[DONE]" in text, '"finish_reason":"stop"' in text) == (False, False)
    assert ["outcome-unrecorded"] == [alarm[0] for alarm in practice.notifier.alarms]


async def test_ledger_down_at_a_refusal_still_refuses(detector: Detector) -> None:
    """A refusal that cannot be recorded is a refusal all the same, with an alarm."""
    practice = await opened(detector)
    practice.ledger.failing["exchange.refuse"] = DOWN

    error = await refused(practice, use_case="nothing")

    assert ("use-case-not-granted", None) == (error.code, error.entry)
    assert [("refusal-unrecorded", TENANT, None)] == practice.notifier.alarms


async def test_failed_exchange_whose_outcome_is_not_recorded_alarms(detector: Detector) -> None:
    """If the model fails and then the ledger, the caller hears of the model and people of both."""
    practice = await opened(detector, GONE)
    practice.ledger.failing["exchange.outcome"] = DOWN

    assert "upstream-unreachable" == (await refused(practice)).code
    assert ["outcome-unrecorded"] == [alarm[0] for alarm in practice.notifier.alarms]


async def test_refusal_is_an_entry_with_its_reasons(detector: Detector) -> None:
    """A refusal's entry says who, what code, and on which documents the decision rests."""
    practice = await opened(detector)

    error = await refused(practice, model="other")
    (entry,) = practice.entries("exchange.refuse")

    assert ("endpoint-unknown", error.code) == (entry["code"], entry["decision"]["code"])
    assert {"kind": "client", "name": "app"} == entry["actor"]
    assert ["Client/app@1", "UseCase/summary@1"] == entry["decision"]["documents"]
    assert error.entry == len(practice.entries()) - 1


async def test_invalid_request_is_no_entry(detector: Detector) -> None:
    """What cannot be understood is no exchange: it leaves no entry and sends nothing."""
    practice = await opened(detector)
    before = len(practice.entries())

    assert isinstance(await refused(practice, unknown="1"), Invalid)
    assert (before, []) == (len(practice.entries()), practice.model.sent)


async def test_agreement_ends_on_its_day(detector: Detector) -> None:
    """An agreement that stood yesterday and has expired today refuses today."""
    practice = await opened(detector, says("hello"))
    await practice.ask()

    practice.clock.advance(365 * 86_400)

    assert "agreement-expired" == (await refused(practice)).code
    assert 1 == len(practice.model.sent)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Unavailable, "upstream-credentials"),
        (403, Unavailable, "upstream-credentials"),
        (429, Unavailable, "upstream-busy"),
        (400, Invalid, "upstream-rejected"),
        (307, Invalid, "upstream-rejected"),
        (204, Invalid, "upstream-rejected"),
        (500, Unavailable, "upstream-failed"),
        (503, Unavailable, "upstream-failed"),
    ],
)
async def test_status_of_the_upstream_has_its_error(
    status: int, kind: type[Error], code: str, detector: Detector
) -> None:
    """Each status other than 200 has its error; the model's own words are never passed on."""
    practice = await opened(detector, ScriptedAnswer((b'{"error":"Abdul Koepp"}',), status))

    error = await refused(practice)

    assert (kind, code) == (type(error), error.code)
    assert "Koepp" not in f"{error.message}{error.help}"
    assert ["failed"] == [entry["outcome"] for entry in practice.entries("exchange.outcome")]


async def test_model_that_repeats_an_identifier_is_masked(detector: Detector) -> None:
    """An identifier that was not in the request is masked in the answer, and counted."""
    practice = await opened(detector, says("Dr. Walter Brandt, SSN 123-45-6789, says hello."))

    answer = await practice.ask()

    assert isinstance(answer, PlainAnswer)
    assert b"123-45-6789" not in answer.body
    assert 1 == practice.entries("exchange.outcome")[0]["new"]["SSN"]


async def test_blocking_use_case_refuses_the_answer(detector: Detector) -> None:
    """Under `block` such an answer is refused, its exchange ends as `blocked`."""
    practice = await opened(detector, says("His SSN is 123-45-6789."))

    error = await refused(practice, use_case="blocking")
    (outcome,) = practice.entries("exchange.outcome")

    assert (Refused, "answer-blocked") == (type(error), error.code)
    assert ("blocked", {"SSN": 1}) == (outcome["outcome"], outcome["new"])


async def test_blocking_use_case_ends_a_stream(detector: Detector) -> None:
    """Under `block` a stream ends in the error before the identifier was handed over."""
    practice = await opened(detector, streams("His SSN is 123-", "45-6789. ", "More. " * 60))

    text = await drained(await practice.ask(stream=True, use_case="blocking"))

    assert ('"code":"answer-blocked"' in text, "6789" in text) == (True, False)
    assert ["blocked"] == [entry["outcome"] for entry in practice.entries("exchange.outcome")]


async def test_flagging_use_case_passes_and_counts(detector: Detector) -> None:
    """Under `flag` the answer passes, and the outcome counts what was new."""
    practice = await opened(detector, says("His SSN is 123-45-6789."))

    answer = await practice.ask(use_case="flagging")

    assert isinstance(answer, PlainAnswer)
    assert b"123-45-6789" in answer.body
    assert {"SSN": 1} == practice.entries("exchange.outcome")[0]["new"]


async def test_stream_is_restored_and_recorded_before_its_end(detector: Detector) -> None:
    """A stream is restored across its pieces, and its outcome is recorded before [DONE]."""
    practice = await opened(detector, streams("Hello [NA", "ME-1], ", "goodbye."))
    answer = await practice.ask("I am Abdul Koepp", patient="abdul", stream=True)
    assert isinstance(answer, StreamedAnswer)

    seen = [(event, practice.journal[-1]) async for event in answer.events()]

    assert b"Abdul Koepp" in b"".join(event for event, _ in seen)
    assert (b"data: [DONE]\n\n", "append exchange.outcome") == seen[-1]
    assert 1 == practice.model.closed


async def test_stream_that_breaks_off_ends_in_an_error(detector: Detector) -> None:
    """A stream whose upstream breaks off hands over what came, then the error; it has failed."""
    practice = await opened(detector, streams("some text " * 60, fault=GONE))

    text = await drained(await practice.ask(stream=True))

    assert "some text" in text
    assert '"code":"upstream-unreachable"' in text
    assert ["failed"] == [entry["outcome"] for entry in practice.entries("exchange.outcome")]


async def test_stream_that_the_caller_leaves_is_abandoned(detector: Detector) -> None:
    """When the caller leaves a stream, the upstream is let go and the outcome is `abandoned`."""
    practice = await opened(detector, streams(*["some text " * 40] * 4))
    answer = await practice.ask(stream=True)
    assert isinstance(answer, StreamedAnswer)
    events = answer.events()
    await anext(events)

    await events.aclose()

    assert ["abandoned"] == [entry["outcome"] for entry in practice.entries("exchange.outcome")]
    assert 1 == practice.model.closed


async def test_plain_exchange_that_the_caller_leaves_is_abandoned(detector: Detector) -> None:
    """When the caller of a plain exchange goes away, that is its outcome."""
    practice = await opened(detector, says("late"))
    waiting = asyncio.Event()

    def turn(_body: bytes) -> ScriptedAnswer:
        """Take one turn that the caller leaves."""
        waiting.set()
        return Silent()

    practice.model._script = [turn]
    asking = asyncio.create_task(practice.ask())
    await waiting.wait()
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert ["abandoned"] == [entry["outcome"] for entry in practice.entries("exchange.outcome")]
    assert [] == await practice.store.open_exchanges(TENANT)


class Silent(ScriptedAnswer):
    """An answer that never comes."""

    async def read(self) -> bytes:
        """Wait for ever."""
        await asyncio.Event().wait()
        return b""


async def test_changed_data_alarms(detector: Detector) -> None:
    """Integrity that breaks on the way is an alarm that names the intent."""
    practice = await opened(detector, Tampered("database-tampered", "it was changed", "look"))

    await refused(practice)

    assert ["database-tampered"] == [alarm[0] for alarm in practice.notifier.alarms]


async def test_breaker_opens_and_lets_one_trial_through(detector: Detector) -> None:
    """Five failures open the breaker; after its rest one call goes out and closes it."""
    practice = await opened(detector, *[GONE] * 5, says("back"))
    for _ in range(5):
        await refused(practice)

    open_code = (await refused(practice)).code
    sent = len(practice.model.sent)
    practice.clock.advance(15)
    await practice.ask()

    assert ("circuit-open", 5, 6) == (open_code, sent, len(practice.model.sent))


async def test_open_breaker_is_an_outcome(detector: Detector) -> None:
    """An exchange that the breaker stops has its intent and its outcome in the ledger."""
    practice = await opened(detector, GONE)
    for _ in range(6):
        error = await refused(practice)

    assert "circuit-open" == practice.entries("exchange.outcome")[-1]["code"]
    assert error.entry == len(practice.entries()) - 2


async def test_rejected_request_does_not_count_for_the_breaker(detector: Detector) -> None:
    """A request that the model rejects says nothing about the endpoint's health."""
    practice = await opened(detector, ScriptedAnswer((), 400))

    codes = {(await refused(practice)).code for _ in range(8)}

    assert {"upstream-rejected"} == codes


async def test_large_body_is_walked_all_the_same(detector: Detector) -> None:
    """A body that leaves the event loop for walking is masked and restored like any other."""
    practice = await opened(detector, says("[NAME-1]"))

    answer = await practice.ask("Abdul Koepp. " + "Nothing here. " * 2_000, patient="abdul")

    assert b"Koepp" not in practice.model.sent[0].body
    assert isinstance(answer, PlainAnswer)
    assert b"Abdul Koepp" in answer.body


def test_call_shows_nothing_of_its_body() -> None:
    """The repr of a call holds nothing of the request."""
    assert "Koepp" not in repr(call("Koepp"))


async def test_changed_data_before_sending_alarms_and_sends_nothing(detector: Detector) -> None:
    """Integrity that is broken before the intent is an alarm without an entry; nothing is sent."""
    practice = await opened(detector)
    practice.ledger.failing["exchange.intent"] = Tampered("database-tampered", "changed", "look")

    await refused(practice)

    assert [("database-tampered", TENANT, None)] == practice.notifier.alarms
    assert [] == practice.model.sent


def test_refused_trip_has_no_use_case_and_no_endpoint() -> None:
    """Asking a refused exchange for its use case or endpoint is a programmer's mistake."""
    question = Question("app", "summary", "model", frozenset(), date(2026, 3, 2))
    request = ChatRequest("model", {}, is_stream=False, writes_json=False, features=frozenset())
    register = Register()
    trip = Trip(call(), request, question, decide(question, register), register, "item")

    for part in ("use_case", "endpoint"):
        with pytest.raises(RuntimeError):
            getattr(trip, part)
