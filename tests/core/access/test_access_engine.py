"""The shipped policies decide as the prose of the roles says, and whatever fails refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Literal, cast

import cedarpy
import orjson
import pytest
from hypothesis import given, settings

from access_model import model
from access_questions import TENANT, client, person, question, questions, shipped
from seawall.core.access import engine
from seawall.core.access.engine import ShippedPolicies
from seawall.core.access.question import FRESH_MS, Asker, Question
from seawall.core.access.schema import schema_text
from seawall.core.access.vocabulary import ACTS, APPLYING, Action, On, Role
from seawall.core.citations import Gaps, find_citations, resolve
from seawall.core.errors import Invalid
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose

RULES = files("seawall") / "rules"
TEXT = (RULES / "access.cedar").read_text("utf-8")
PLAIN = shipped().having({})


@settings(max_examples=400)
@given(questions())
def test_the_policies_are_the_model(asked: Question) -> None:
    """On any question the policies allow what the plain model allows, and give its code."""
    answer = PLAIN.decide(asked)

    assert (not model(asked), model(asked)) == (answer.allowed, answer.code)
    assert PLAIN.allows(asked) == answer.allowed


@settings(max_examples=120)
@given(questions())
def test_what_is_lacking_is_all_that_is_lacking(asked: Question) -> None:
    """Whoever supplies what an answer says is lacking is allowed: no hint leads nowhere."""
    answer = PLAIN.decide(asked)
    if not answer.lacking:
        return
    supplied = replace(asked.asker, has_second_factor=True, factor_age_ms=0)
    named = [*answer.details.get("purposes", ()), None]
    purpose = asked.purpose or (Purpose(named[0]) if named[0] else None)
    again = replace(asked, asker=supplied, purpose=purpose, has_reason=True)

    assert PLAIN.decide(again).allowed is True


@settings(max_examples=120)
@given(questions())
def test_a_slice_decides_as_the_whole_set_under_the_schema(asked: Question) -> None:
    """What is asked of a few policies without the schema is what all say with it."""
    if ACTS[asked.action].on is not asked.resource.on or asked.asker.principal.kind not in (
        "user",
        "client",
    ):
        return
    uid = {"type": engine._KINDS[asked.asker.principal.kind], "id": asked.asker.principal.name}
    thing = {"type": asked.resource.on.value, "id": engine._id_of(asked)}
    request = {
        "principal": uid,
        "action": {"type": "Action", "id": asked.action.value},
        "resource": thing,
        "context": engine.context_of(asked),
    }
    entities = orjson.dumps(engine.entities_of(asked, uid, thing)).decode()
    whole = cedarpy.is_authorized(request, TEXT, entities, schema_text())

    assert ([], whole.allowed) == (whole.diagnostics.errors, PLAIN.decide(asked).allowed)


@pytest.mark.parametrize("action", Action)
def test_nothing_of_another_tenant(action: Action) -> None:
    """Whatever the roles and powers, an act on another tenant's things is refused as such."""
    asker = person(*(set(Role) - {Role.SERVICE, Role.ADMINISTRATOR, Role.AUDITOR, Role.DEVELOPER}))
    asked = question(asker, action, tenant="riverside", purpose=Purpose.TREATMENT)

    assert "tenant-crossed" == PLAIN.decide(asked).code


@pytest.mark.parametrize("action", Action)
def test_who_has_no_role_may_do_nothing(action: Action) -> None:
    """A person without a role, with two fresh factors, is not told to show more of them."""
    asked = question(person(), action, reviewer="ann", about="ben")
    assert {"access-refused"} == {
        PLAIN.decide(replace(asked, purpose=purpose)).code for purpose in (None, *Purpose)
    }


@pytest.mark.parametrize("kind", ["operator", "system"])
def test_only_persons_and_clients_ask(kind: Literal["operator", "system"]) -> None:
    """An operator's name, which a terminal made, opens nothing over the API."""
    principal = Principal(kind, "operator", TENANT)
    asker = replace(person(Role.ADMINISTRATOR), principal=principal)

    assert "access-refused" == PLAIN.decide(question(asker, Action.OPERATE)).code


def test_a_step_up_is_not_asked_of_who_may_not_anyway() -> None:
    """A developer with an old factor is refused, and not sent to show a factor for nothing."""
    asker = person(Role.DEVELOPER, factor_age_ms=FRESH_MS + 1)
    answer = PLAIN.decide(question(asker, Action.OPEN_PAYLOAD, purpose=Purpose.OPERATIONS))

    assert ("access-refused", ()) == (answer.code, answer.lacking)


def test_a_step_up_is_asked_when_it_is_all_that_is_lacking() -> None:
    """A privacy officer with an old factor is asked for a fresh one, by the policy's name."""
    asker = person(Role.PRIVACY_OFFICER, factor_age_ms=FRESH_MS + 1)
    answer = PLAIN.decide(question(asker, Action.OPEN_PAYLOAD, purpose=Purpose.OPERATIONS))

    assert ("step-up-needed", ("always.fresh-factor",)) == (answer.code, answer.policies)


def test_which_purposes_would_do_is_told() -> None:
    """Who named no purpose learns for which of them the act is allowed."""
    answer = PLAIN.decide(question(person(Role.PRIVACY_OFFICER), Action.OPEN_PAYLOAD))

    assert ("purpose-needed", {"purposes": ["operations", "patient-request"]}) == (
        answer.code,
        answer.details,
    )


@pytest.mark.parametrize(
    ("kind", "action"), [(kind, action) for kind, action in APPLYING.items() if kind != "User"]
)
def test_may_apply_applies_every_kind_but_persons(kind: str, action: Action) -> None:
    """A client with may_apply applies each kind of document, as it could before policies were."""
    asked = question(client("may_apply"), action, "a-name", kind=kind)

    assert PLAIN.decide(asked).policies == ("service.applies",)


def test_persons_are_not_managed_by_may_apply() -> None:
    """A client that may apply documents cannot make a person, and so not a privacy officer."""
    refused = PLAIN.decide(question(client("may_apply"), Action.MANAGE_PERSONS, "ann"))
    allowed = PLAIN.decide(question(client("may_provision"), Action.MANAGE_PERSONS, "ann"))

    assert ("access-refused", True) == (refused.code, allowed.allowed)


def test_a_name_like_cedar_is_only_a_name() -> None:
    """Names with quotes and braces are values, and no part of a policy or a request."""
    odd = '"}, principal: User::"root" || {"__entity": 1} \n //'
    asker = person(Role.CLINICIAN, name=odd, emergency_patient=odd)
    asked = question(asker, Action.VIEW_PATIENT, odd, purpose=Purpose.TREATMENT)

    assert ("clinician.treats", "emergency.opens-the-patient") == PLAIN.decide(asked).policies


def test_a_question_that_makes_no_sense_is_refused_and_not_raised() -> None:
    """Whatever comes in, what comes out is an answer that says no."""
    broken = Question(
        person(Role.CLINICIAN),
        Action.VIEW_PATIENT,
        question(person(), Action.VIEW_PATIENT).resource,
        cast("Purpose", "treatment"),
    )
    assert (False, "policy-broken") == (PLAIN.decide(broken).allowed, PLAIN.decide(broken).code)
    assert PLAIN.allows(broken) is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "are empty"),
        ("// nothing here", "are empty"),
        ("permit(", "cannot be read"),
        ("permit(principal == ?principal, action, resource);", "cannot be read"),
        ("permit(principal, action, resource);", "a name of their own"),
        ('@id("") permit(principal, action, resource);', "a name of their own"),
        (2 * '@id("a") forbid(principal, action, resource);', "a name of their own"),
        ('@id("a") permit(principal in Role::"boss", action, resource);', "do not fit"),
        ('@id("a") permit(principal, action == Action::"fly", resource);', "do not fit"),
    ],
)
def test_unsound_shipped_policies_are_refused_whole(text: str, said: str) -> None:
    """An installation whose policies are empty, broken or nameless does not begin to decide."""
    with pytest.raises(Invalid) as raised:
        ShippedPolicies.read(schema_text(), text)

    assert ("policies-broken", True) == (raised.value.code, said in raised.value.message)


def test_policies_that_permit_nothing_refuse() -> None:
    """A set of prohibitions alone, none of which applies, refuses: empty means no."""
    text = '@id("a") forbid(principal, action, resource) when { context.emergencyMode };'
    prepared = ShippedPolicies.read(schema_text(), text).having({})

    assert "access-refused" == prepared.decide(question(person(*Role), Action.OPERATE)).code


def test_a_shipped_policy_that_errs_refuses_everything_it_could_meet() -> None:
    """Cedar skips a policy that errs; here its erring is a refusal that names it."""
    text = """
    @id("yes") permit(principal, action, resource);
    @id("errs") forbid(principal, action, resource)
    when { context has factorAgeMs && context.factorAgeMs + 9223372036854775807 > 0 };
    """
    prepared = ShippedPolicies.read(schema_text(), text).having({})
    answer = prepared.decide(question(person(Role.AUDITOR, factor_age_ms=1), Action.OPERATE))

    assert (False, "policy-broken", ("errs",)) == (answer.allowed, answer.code, answer.policies)


def test_the_schema_file_is_what_the_vocabulary_says() -> None:
    """The packaged schema and the one that documents are checked against are one."""
    assert (RULES / "access.cedarschema").read_text("utf-8") == schema_text()


def test_the_fresh_factor_of_the_policies_is_that_of_the_vocabulary() -> None:
    """The five minutes are written in two places, and are the same."""
    assert f"factorAgeMs <= {FRESH_MS}" in TEXT


def test_every_shipped_policy_says_what_it_is_for_and_by_which_paragraph() -> None:
    """Each has a title, and cites one paragraph that exists."""
    sections = {
        number: section
        for part in ("160", "164")
        for number, section in json.loads((RULES / f"cfr45-part{part}.json").read_text("utf-8"))[
            "sections"
        ].items()
    }
    gaps = Gaps(**json.loads((RULES / "known-gaps.json").read_text("utf-8")))
    wanting = [
        rule.name
        for rule in shipped().rules
        if not rule.title
        or not (cited := find_citations(rule.law))
        or not all(resolve(citation, sections, gaps) for citation in cited)
    ]
    assert [] == wanting


def test_every_permission_names_its_principal_and_its_actions() -> None:
    """No shipped policy permits whoever asks, or whatever is asked."""
    broad = [
        rule.name
        for rule in shipped().rules
        if rule.policy.effect == "permit"
        and (rule.policy.actions is None or rule.policy.body["principal"]["op"] == "All")
    ]
    assert [] == broad


def test_an_action_on_another_kind_of_thing_is_refused() -> None:
    """Shredding keys is asked of keys; asked of a log, nothing permits it."""
    asked = question(person(Role.SECURITY_OFFICER), Action.SHRED_KEYS)
    crossed = replace(asked, resource=replace(asked.resource, on=On.LOG))

    assert (True, "access-refused") == (PLAIN.decide(asked).allowed, PLAIN.decide(crossed).code)


def test_an_unknown_asker_is_refused() -> None:
    """Of whom the registers know nothing, nothing is permitted, and nothing broke."""
    askers = [Asker(Principal(kind, "ghost", TENANT)) for kind in ("user", "client")]
    asked = [question(asker, Action.READ_LEDGER) for asker in askers]

    assert ["access-refused"] * 2 == [PLAIN.decide(one).code for one in asked]
