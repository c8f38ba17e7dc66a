"""A client acts for a person: both must be let, and what is said stays that person's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from practice import CLIENT, OPERATOR, TENANT, call, document, documents, opened, says
from seawall.adapters.policies import load_policies
from seawall.app.answer import PlainAnswer
from seawall.app.caller import Caller
from seawall.core.errors import Refused
from seawall.core.identity.session import Session

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.access.engine import Prepared
    from seawall.core.phi.detection import Detector

TWO_FACTORS = ("hwk", "mfa", "user")
NO_PERSON = 'forbid(principal is User, action == Action::"ask-model", resource);'
LATE = """forbid(principal is User, action, resource)
when { context has factorAgeMs && context.factorAgeMs > 60000 };"""


class InForce:
    """The Policies port: the shipped policies, and what the tenant forbids."""

    def __init__(self, **forbids: str) -> None:
        self._prepared = load_policies().having(forbids)

    def of(self, tenant: str) -> Prepared:
        """Return the tenant's policies."""
        assert tenant == TENANT
        return self._prepared


async def practice_of(
    detector: Detector,
    role: str = "clinician",
    purpose: str = "treatment",
    **forbids: str,
) -> Practice:
    """Return a practice whose use case needs a person, with Ana in a role."""
    practice = await opened(detector, says("hello"), says("hello"), policies=InForce(**forbids))
    held = next(one for one in documents() if one["name"] == "summary")
    spec = {**held["spec"], "requires_user": True, "purpose": purpose}
    ana = document("User", "ana", title="Ana", roles=[role])
    await practice.documents.apply(OPERATOR, [{**held, "spec": spec}, ana])
    return practice


def for_ana(practice: Practice, methods: tuple[str, ...] = TWO_FACTORS, age: int = 0) -> Caller:
    """Return the client as it acts for Ana, who showed a factor so many milliseconds ago."""
    now = practice.clock.now_ms()
    session = Session("d" * 64, TENANT, "ana", methods, now, now, now - age, "net")
    return Caller(CLIENT, acting_user="ana", acting_session=session)


async def refused(practice: Practice, caller: Caller) -> str:
    """Ask as a caller; return the code of the refusal, after which nothing was sent."""
    with pytest.raises(Refused) as caught:
        await practice.ask_model.ask(call(caller=caller))
    assert [] == practice.model.sent
    assert caught.value.code == practice.entries("exchange.refuse")[0]["code"]
    return caught.value.code


async def test_a_clinician_is_acted_for_and_both_permits_are_named(detector: Detector) -> None:
    """The intent names the policy that lets the client ask, and the one that lets the person."""
    practice = await practice_of(detector)

    await practice.ask_model.ask(call(caller=for_ana(practice)))
    (intent,) = practice.entries("exchange.intent")

    assert ["service.asks-models", "clinician.treats"] == intent["decision"]["policies"]


@pytest.mark.parametrize(
    "role",
    [
        *("administrator", "auditor", "developer", "data-scientist"),
        *("privacy-officer", "security-officer"),
    ],
)
async def test_who_may_not_ask_models_is_not_acted_for(role: str, detector: Detector) -> None:
    """Another role than a clinician's asks no model, through a client either."""
    practice = await practice_of(detector, role)

    assert "access-refused" == await refused(practice, for_ana(practice))


async def test_the_purpose_must_be_the_persons_too(detector: Detector) -> None:
    """A clinician asks for treatment; a use case for another purpose is not theirs."""
    practice = await practice_of(detector, purpose="operations")

    assert "access-refused" == await refused(practice, for_ana(practice))


async def test_what_a_tenant_forbids_to_persons_counts(detector: Detector) -> None:
    """A prohibition on persons reaches whom a client acts for, and is named in the entry."""
    practice = await practice_of(detector, nobody=NO_PERSON)

    assert "access-refused" == await refused(practice, for_ana(practice))
    (entry,) = practice.entries("exchange.refuse")
    assert ["tenant.nobody.1"] == entry["decision"]["policies"]
    assert False is entry["decision"]["allowed"]


async def test_a_client_for_nobody_is_not_asked_as_a_person(detector: Detector) -> None:
    """The same prohibition leaves a client alone that acts for itself."""
    practice = await opened(detector, says("hello"), policies=InForce(nobody=NO_PERSON))

    await practice.ask()

    assert 1 == len(practice.entries("exchange.intent"))


@pytest.mark.parametrize("methods", [("pwd",), ()])
async def test_a_person_of_one_factor_is_not_acted_for(
    methods: tuple[str, ...], detector: Detector
) -> None:
    """The session in which the person said so was begun with two factors."""
    practice = await practice_of(detector)

    assert "second-factor-needed" == await refused(practice, for_ana(practice, methods))


async def test_without_a_session_nobody_is_acted_for(detector: Detector) -> None:
    """A person of whom no session is known has shown nothing."""
    practice = await practice_of(detector)

    assert "access-refused" == await refused(practice, Caller(CLIENT, acting_user="ana"))


@pytest.mark.parametrize(("age", "expected"), [(60_000, "answered"), (60_001, "access-refused")])
async def test_the_factors_age_is_that_of_the_persons_session(
    age: int, expected: str, detector: Detector
) -> None:
    """Policies see how long ago the person showed a factor, and not that a client just came."""
    practice = await practice_of(detector, late=LATE)
    caller = for_ana(practice, age=age)

    if expected == "answered":
        await practice.ask_model.ask(call(caller=caller))
    else:
        assert expected == await refused(practice, caller)


async def test_the_refusal_says_that_the_person_is_meant(detector: Detector) -> None:
    """Whoever operates the client can tell who lacks what."""
    practice = await practice_of(detector, "auditor")

    with pytest.raises(Refused) as caught:
        await practice.ask_model.ask(call(caller=for_ana(practice)))

    assert caught.value.message.startswith("for the person for whom the client acts: ")


async def two_persons(detector: Detector) -> Practice:
    """Return a practice in which a number was replaced in Ann's conversation 1."""
    practice = await opened(detector, says("Noted."), says("The number is [PHONE-1]"))
    roles: dict[str, Any] = {"roles": ["clinician"]}
    persons = [document("User", name, title=name, **roles) for name in ("ann", "bob")]
    await practice.documents.apply(OPERATOR, persons)
    ann = Caller(CLIENT, acting_user="ann")
    await practice.ask_model.ask(call("Call 555-210-3001", conversation="1", caller=ann))
    assert b"[PHONE-1]" in practice.model.sent[0].body
    return practice


@pytest.mark.parametrize("where", ["held in memory", "kept in the store"])
@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (Caller(CLIENT, acting_user="ann"), "555-210-3001"),
        (Caller(CLIENT, acting_user="bob"), "[PHONE-1]"),
        (Caller(CLIENT), "[PHONE-1]"),
    ],
    ids=["the same person", "another person", "nobody"],
)
async def test_a_conversation_is_the_persons_it_began_with(
    caller: Caller, expected: str, where: str, detector: Detector
) -> None:
    """Another's conversation of the same name has a map of its own, in memory and in the store."""
    practice = await two_persons(detector)
    if where == "kept in the store":
        practice.begin()
        await practice.documents.load()

    answer = await practice.ask_model.ask(call("Which?", conversation="1", caller=caller))

    assert isinstance(answer, PlainAnswer)
    assert f"The number is {expected}" in answer.body.decode()
