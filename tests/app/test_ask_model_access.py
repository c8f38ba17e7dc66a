"""An exchange is asked of the policies too, within its token's limits, and for a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from practice import CLIENT, OPERATOR, TENANT, call, document, documents, opened, says
from seawall.adapters.policies import load_policies
from seawall.app.caller import BoundPatient, Caller
from seawall.core.access.question import Answer
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from unruly import disturbed

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.access.engine import Prepared
    from seawall.core.access.question import Question
    from seawall.core.phi.detection import Detector

PERMITTED = Answer(allowed=True, policies=("services-ask",))
FORBIDDEN = Answer(allowed=False, policies=("no-ai-on-sundays",), code="access-refused")
JUSTIFIED = "because the board of Quackenbush said so"


@dataclass
class Decides:
    """Policies that answer as a test says, and remember what they were asked."""

    answer: Answer
    asked: list[Question]

    def decide(self, question: Question) -> Answer:
        """Return the answer."""
        self.asked.append(question)
        return self.answer


class Told:
    """The Policies port: the policies that a test put in force."""

    def __init__(self, answer: Answer = PERMITTED) -> None:
        self.asked: list[Question] = []
        self.put(answer)

    def put(self, answer: Answer) -> None:
        """Put other policies in force."""
        self.decides = Decides(answer, self.asked)

    def of(self, tenant: str) -> Decides:
        """Return the tenant's policies."""
        assert tenant == TENANT
        return self.decides


class Shipped:
    """The Policies port: the shipped policies, and nothing that a tenant forbids."""

    def __init__(self) -> None:
        self._prepared = load_policies().having({})

    def of(self, tenant: str) -> Prepared:
        """Return the tenant's policies."""
        assert tenant == TENANT
        return self._prepared


async def apply(practice: Practice, name: str = "summary", **changed: Any) -> None:
    """Apply a use case, and what it sees, with changes."""
    held = next(one for one in documents() if one["name"] == name)
    sees = {**held["spec"]["sees"], **changed.pop("sees", {})}
    spec = {**held["spec"], **changed, "sees": sees}
    ana = document("User", "ana", title="Ana", roles=["clinician"])
    await practice.documents.apply(OPERATOR, [{**held, "spec": spec}, ana])


async def code(practice: Practice, caller: Caller, **named: Any) -> str:
    """Ask as a caller; return the code of the refusal, which is that of its one entry."""
    try:
        await practice.ask_model.ask(call(caller=caller, **named))
    except Refused as error:
        refused = error
    else:
        return "answered"
    assert refused.entry == len(practice.entries()) - 1
    assert [refused.code] == [one["code"] for one in practice.entries("exchange.refuse")]
    assert [] == practice.model.sent
    return refused.code


def bound(to: str) -> Caller:
    """Return the client by a token that is bound to a patient."""
    return Caller(CLIENT, patient=BoundPatient(to[::-1], lambda reference: reference[::-1]))


async def test_policies_are_asked_with_what_they_look_at(detector: Detector) -> None:
    """The question names the use case, its purpose, and every class and element it may see."""
    policies = Told()
    practice = await opened(detector, says("hello"), policies=policies)
    await apply(practice, sees={"identifiers": ["DATE"], "elements": ["Condition.*"]})

    await practice.ask()
    (asked,) = policies.asked

    assert (Action.ASK_MODEL, On.EXCHANGE, TENANT, "summary") == (
        asked.action,
        asked.resource.on,
        asked.resource.tenant,
        asked.resource.name,
    )
    assert (CLIENT, Purpose.TREATMENT) == (asked.asker.principal, asked.purpose)
    assert frozenset({"DATE", "Condition.*"}) == asked.elements


async def test_policies_that_permit_are_in_the_intent(detector: Detector) -> None:
    """The intent names the policies that permitted the exchange."""
    practice = await opened(detector, says("hello"), policies=Told())

    await practice.ask()
    (intent,) = practice.entries("exchange.intent")

    assert (["services-ask"], True) == (
        intent["decision"]["policies"],
        intent["decision"]["allowed"],
    )


async def test_policies_that_refuse_are_one_refusal_of_the_exchange(detector: Detector) -> None:
    """What policies refuse is refused once, as the exchange's own entry, and nothing is sent."""
    practice = await opened(detector, policies=Told(FORBIDDEN))

    assert "access-refused" == await code(practice, Caller(CLIENT))
    assert [] == practice.entries("access.refused")
    (refusal,) = practice.entries("exchange.refuse")
    assert (False, "access-refused", ["no-ai-on-sundays"]) == tuple(
        refusal["decision"][name] for name in ("allowed", "code", "policies")
    )


async def test_documents_refuse_before_policies_are_asked(detector: Detector) -> None:
    """Where agreement, use case or endpoint refuse, there is nothing to ask the policies."""
    policies = Told()
    practice = await opened(detector, policies=policies)

    assert "use-case-not-granted" == await code(practice, Caller(CLIENT), use_case="other")
    assert [] == policies.asked


async def test_shipped_policies_let_a_service_ask_under_its_use_case(detector: Detector) -> None:
    """With the policies as shipped, a client asks under its use case; one permit says so."""
    practice = await opened(detector, says("hello"), policies=Shipped())

    await practice.ask()
    (intent,) = practice.entries("exchange.intent")

    assert ["service.asks-models"] == intent["decision"]["policies"]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_prohibition_that_is_applied_meanwhile_counts(
    moment: str, detector: Detector
) -> None:
    """Policies are asked again if any document changed, before the intent and before sending."""
    policies = Told()
    practice, ledger = await disturbed(detector, policies=policies)

    async def forbid() -> None:
        """Apply some document, with which the policies refuse."""
        policies.put(FORBIDDEN)
        await apply(practice, "flagging", title="Another function")

    getattr(ledger, moment)["phi.open" if moment == "before" else "exchange.intent"] = forbid
    with pytest.raises(Refused) as caught:
        await practice.ask(patient="abdul")

    assert ("access-refused", []) == (caught.value.code, practice.model.sent)


async def test_policies_that_changed_are_asked_about_the_same_again(detector: Detector) -> None:
    """What policies permitted is kept for these policies alone, and what they refuse is not."""
    policies = Told()
    practice = await opened(detector, says("hello"), says("hello"), policies=policies)

    await practice.ask()
    await practice.ask()
    policies.put(FORBIDDEN)
    for _ in range(2):
        with pytest.raises(Refused):
            await practice.ask()

    assert 3 == len(policies.asked)


async def test_policies_are_asked_once_where_nothing_changes(detector: Detector) -> None:
    """While no document changes, one question serves the whole exchange."""
    policies = Told()
    practice = await opened(detector, says("hello"), policies=policies)

    await practice.ask(patient="abdul")

    assert 1 == len(policies.asked)


@pytest.mark.parametrize(
    ("caller", "named", "expected"),
    [
        (Caller(CLIENT, use_cases=frozenset({"summary"})), {}, "answered"),
        (Caller(CLIENT, use_cases=frozenset({"blocking"})), {}, "use-case-not-granted"),
        (Caller(CLIENT, use_cases=frozenset()), {}, "use-case-not-granted"),
        (bound("abdul"), {"patient": "abdul"}, "answered"),
        (bound("abdul"), {"patient": "andy"}, "patient-not-granted"),
        (bound("abdul"), {}, "patient-not-granted"),
        (Caller(CLIENT, acting_user="ana"), {}, "answered"),
        (Caller(CLIENT, acting_user="nobody"), {}, "user-without-role"),
        (Caller(Principal("user", "app", TENANT)), {}, "client-unknown"),
    ],
    ids=[
        "the token's use case",
        "another use case",
        "a token for no use case",
        "the token's patient",
        "another patient",
        "no patient",
        "for a person",
        "for somebody unknown",
        "a person who is named like a client",
    ],
)
async def test_token_is_good_for_what_it_says(
    caller: Caller, named: dict[str, Any], expected: str, detector: Detector
) -> None:
    """Use cases, patient and person of a token limit an exchange, and a refusal is its entry."""
    practice = await opened(detector, says("hello"))
    await apply(practice)

    assert expected == await code(practice, caller, **named)


@pytest.mark.parametrize(
    ("needed", "caller", "expected"),
    [
        ("requires_user", Caller(CLIENT), "user-needed"),
        ("requires_user", Caller(CLIENT, acting_user="ana"), "answered"),
        ("requires_patient_grant", Caller(CLIENT), "patient-grant-needed"),
        ("requires_patient_grant", bound("abdul"), "answered"),
    ],
)
async def test_use_case_may_need_more_than_a_client(
    needed: str, caller: Caller, expected: str, detector: Detector
) -> None:
    """A use case may need a person, or a token that is bound to the patient of the request."""
    practice = await opened(detector, says("hello"))
    changed: dict[str, Any] = {needed: True}
    await apply(practice, **changed)

    assert expected == await code(practice, caller, patient="abdul")


async def test_entries_name_the_client_and_the_person(detector: Detector) -> None:
    """Opening and intent name the client as actor, and the person for whom it acts."""
    practice = await opened(detector, says("hello"))
    await apply(practice)

    await practice.ask_model.ask(call(caller=Caller(CLIENT, acting_user="ana"), patient="abdul"))
    named = [*practice.entries("phi.open"), *practice.entries("exchange.intent")]

    assert [(CLIENT.fields(), "ana")] * 2 == [(one["actor"], one["for_user"]) for one in named]
    assert "User/ana@1" in named[-1]["decision"]["documents"]


async def test_refusal_names_the_person_too(detector: Detector) -> None:
    """A refused exchange names for whom it was asked; one for nobody names nobody."""
    practice = await opened(detector)

    for caller in (Caller(CLIENT, acting_user="zoe"), Caller(CLIENT, use_cases=frozenset())):
        with pytest.raises(Refused):
            await practice.ask_model.ask(call(caller=caller))

    named = [one.get("for_user") for one in practice.entries("exchange.refuse")]
    assert ["zoe", None] == named


async def test_intent_records_the_scope_that_applied(detector: Detector) -> None:
    """The intent names classes, elements, the exception, and who justifies the entire record."""
    practice = await opened(detector, says("hello"))
    whole = {"elements": ["entire-record"], "entire_record_justification": JUSTIFIED}
    await apply(practice, sees={"identifiers": ["DATE"], "exception": "authorization", **whole})

    await practice.ask()
    (intent,) = practice.entries("exchange.intent")

    assert intent["decision"]["scope"] == {
        "identifiers": ["DATE"],
        "elements": ["entire-record"],
        "clinical_text": True,
        "entire_record": True,
        "justified_in": "UseCase/summary@2",
        "exception": {"name": "authorization", "paragraph": "45 CFR 164.502(b)(2)(iii)"},
    }
    assert "Quackenbush" not in str(practice.entries())


async def test_entire_record_leaves_no_name_in_a_request(detector: Detector) -> None:
    """The entire record unmasks nothing: a class that is not named is replaced all the same."""
    practice = await opened(detector, says("hello"))
    whole = {"elements": ["entire-record"], "entire_record_justification": JUSTIFIED}
    await apply(practice, sees=whole)

    await practice.ask("About Abdul Koepp", patient="abdul")

    assert b"Koepp" not in practice.model.sent[0].body
    assert {} == practice.entries("exchange.intent")[0]["left"]


async def test_treatment_alone_records_no_exception(detector: Detector) -> None:
    """A use case for treatment is within minimum necessary like any other."""
    practice = await opened(detector, says("hello"))

    await practice.ask()
    scope = practice.entries("exchange.intent")[0]["decision"]["scope"]

    assert scope == {
        "identifiers": [],
        "elements": [],
        "clinical_text": True,
        "entire_record": False,
    }


async def test_largest_scope_keeps_the_intent_small(detector: Detector) -> None:
    """The largest document makes an intent of a few kilobytes."""
    practice = await opened(detector, says("hello"))
    await apply(practice, sees={"elements": [f"Patient.{'a' * 30}{n:03}" for n in range(128)]})

    await practice.ask()

    assert len(practice.ledger.logs[TENANT].entries[-2]) < 5000


def test_caller_is_kept_whole() -> None:
    """A call's principal is its caller's."""
    made = call(caller=Caller(replace(CLIENT, name="other")))

    assert "other" == made.principal.name
