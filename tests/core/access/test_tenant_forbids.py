"""What a tenant adds can only narrow, whatever its text, and what cannot be read forbids all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from access_questions import SECRET, client, person, question, questions, shipped
from seawall.core.access.cedar import MOST_BRACKETS, MOST_BYTES, MOST_POLICIES
from seawall.core.access.vocabulary import Action, Role
from seawall.core.errors import Error, Invalid, Refused
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.policy import MOST_IN_FORCE, PolicySpec, check_count
from seawall.core.registers.register import Register, read_document
from seawall.core.registers.spec import Document

if TYPE_CHECKING:
    from seawall.core.access.question import Question

PLAIN = shipped().having({})
ALL = "forbid (principal, action, resource);"
PERMIT = "permit (principal, action, resource);"
TREATING = question(person(Role.CLINICIAN), Action.VIEW_PATIENT, purpose=Purpose.TREATMENT)
ERRING = """
forbid (principal, action, resource)
when { context has factorAgeMs && context.factorAgeMs + 9223372036854775807 > 0 };
"""
CONDITIONS = st.sampled_from(
    [
        "",
        "when { true }",
        "unless { true }",
        'unless { principal in Role::"clinician" }',
        'when { resource.name == "ben" }',
        'when { context has purpose && context.purpose == Purpose::"research" }',
        'when { context.elements.contains("names") }',
        'when { action in Action::"shows-phi" }',
    ]
)
SCOPES = st.sampled_from(
    [
        "principal, action, resource",
        'principal in Role::"auditor", action, resource',
        'principal is User, action == Action::"view-patient", resource',
        'principal, action in Action::"needs-reason", resource',
        'principal, action in [Action::"read-ledger", Action::"ask-model"], resource',
    ]
)


def applied(forbid: str, **more: Any) -> None:
    """Apply a Policy document."""
    fields = {"title": "a title", "reason": "why", "forbid": forbid, **more}
    kind, name, spec = read_document({"kind": "Policy", "name": "ours", "spec": fields})
    Register().next_version(kind, name, spec)


@settings(max_examples=120)
@given(questions(), st.lists(st.tuples(SCOPES, CONDITIONS), min_size=1, max_size=4))
def test_a_tenant_only_narrows(asked: Question, parts: list[tuple[str, str]]) -> None:
    """With any prohibitions, what is allowed was allowed without them, by the same policies."""
    text = "\n".join(f"forbid ({scope}) {condition};" for scope, condition in parts)
    before, after = PLAIN.decide(asked), shipped().having({"ours": text}).decide(asked)

    assert after.code != "policy-broken"
    assert not after.allowed or (True, before.policies) == (before.allowed, after.policies)


def test_what_a_tenant_forbids_is_refused_by_its_name() -> None:
    """The refusal names document and policy: by its @id, or by its place in the text."""
    text = f'@id("no-views") {ALL} {ALL}'
    answer = shipped().having({"night-shift": text}).decide(TREATING)

    assert (False, "access-refused") == (answer.allowed, answer.code)
    assert ("tenant.night-shift.2", "tenant.night-shift.no-views") == answer.policies


def test_an_id_of_a_shipped_policy_replaces_none() -> None:
    """A tenant's policy that is called as a shipped one is another policy."""
    named = '@id("always.within-tenant") forbid (principal, action, resource) when { false };'
    crossing = question(person(Role.CLINICIAN), Action.VIEW_PATIENT, tenant="riverside")

    assert "tenant-crossed" == shipped().having({"ours": named}).decide(crossing).code


@pytest.mark.parametrize(
    "widening",
    [
        PERMIT,
        f"{ALL} {PERMIT}",
        f'@id("forbid") {PERMIT}',
        f'@effect("forbid") @note("forbid (principal, action, resource);") {PERMIT}',
        f"// forbid (principal, action, resource);\n{PERMIT}",
        f"{ALL} // the end\r{PERMIT}",
        f"{ALL}//\n\n\t{PERMIT}",
        "permit(principal,action,resource)when{false}unless{false};",
        'permit (principal in Role::"clinician", action, resource) unless { false };',
    ],
)
def test_a_permission_is_refused(widening: str) -> None:
    """However it is dressed, a policy that permits is refused by a code of its own."""
    with pytest.raises(Refused) as raised:
        applied(widening)

    assert "policy-widens" == raised.value.code


@pytest.mark.parametrize(
    "widening", [PERMIT, f"{ALL} {PERMIT}", f'@id("x") {PERMIT}', "", "no policy", "(" * 400]
)
def test_what_was_stored_anyway_allows_nothing(widening: str) -> None:
    """If what is no prohibition gets past the register, its tenant is refused everything."""
    answer = shipped().having({"ours": widening}).decide(TREATING)

    assert (False, "policy-broken", ("tenant.ours",)) == (
        answer.allowed,
        answer.code,
        answer.policies,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "// nothing but a comment",
        "forbid",
        f"ﬁ{ALL}",
        "forbid (principal, action, resource) when { true }",
        "forbid (principal == ?principal, action, resource);",
        "FORBID (principal, action, resource);",
        "p\u0435rmit (principal, action, resource);",
        "permit\u200b (principal, action, resource);",
        "\u202e;)ecruoser ,noitca ,lapicnirp( timrep",
        f'{{"staticPolicies": "{PERMIT}"}}',
        ALL * (MOST_POLICIES + 1),
        f'@id("a") {ALL} @id("a") {ALL}',
        f'@id("") {ALL}',
        f'@id("A") {ALL}',
        f'@id("a.b") {ALL}',
        f'@id("2") {ALL}',
        f"// {'x' * MOST_BYTES}\n{ALL}",
        f"// {'é' * (MOST_BYTES // 2)}\n{ALL}",
    ],
)
def test_what_is_no_prohibition_is_refused(text: str) -> None:
    """Empty, unreadable, a template, too much or badly named: none is taken for a document."""
    with pytest.raises(Invalid) as raised:
        applied(text)

    assert "document-invalid" == raised.value.code


@pytest.mark.parametrize(
    "body",
    [
        "(" * 3000 + "true" + ")" * 3000,
        "[" * 2000 + "]" * 2000 + " == []",
        "{a:" * 1500 + "1" + "}" * 1500 + " == {}",
        "[1].contains(" * 500 + "1" + ")" * 500,
        "true && " * 1000 + "true",
        "!" * 4000 + "true",
        "if true then true else " * 300 + "true",
        "if true then true else " * 100 + "true",
        "// ))))))\n(" * 500 + "true" + ")" * 500,
        '")" == (' * 500 + "true" + ")" * 500,
    ],
)
def test_nesting_cannot_end_the_process(body: str) -> None:
    """Cedar's parser ends the process on deep nesting, so that such a text never reaches it."""
    with pytest.raises(Invalid) as raised:
        applied(f"forbid (principal, action, resource) when {{ {body} }};")

    assert "document-invalid" == raised.value.code


def test_the_deepest_nesting_that_is_let_through_is_survived() -> None:
    """What the bound on brackets leaves is read, prepared and decided."""
    depth = MOST_BRACKETS - 2
    text = f"forbid (principal, action, resource) when {{ {'(' * depth}true{')' * depth} }};"
    applied(text)

    assert "access-refused" == shipped().having({"ours": text}).decide(TREATING).code


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (f"principal.{SECRET.replace('-', '_')} == 1", "reads an attribute that there is not"),
        (
            "context.factorAgeMs > 1",
            "reads an attribute that may be absent without asking `has` first",
        ),
        (f'principal in Role::"{SECRET}"', "names a role or a purpose that there is not"),
        (f'action == Action::"{SECRET}"', "names an action that there is not"),
        ("resource is Zebra", "names a type of entity that there is not"),
        (f'resource.name > "{SECRET}"', "compares what cannot be compared"),
    ],
)
def test_what_does_not_fit_the_schema_is_told_without_its_words(condition: str, said: str) -> None:
    """A misspelt word would forbid nothing; it is refused, and no message repeats it."""
    with pytest.raises(Error) as raised:
        applied(f"{ALL} forbid (principal, action, resource) when {{ {condition} }};")

    error = raised.value
    assert ("policy-unfit", True) == (error.code, f"policy 2 {said}" in error.message)
    assert "zebra" not in f"{error.message} {error.help}".lower()


def test_what_does_not_fit_forbids_everything_until_it_is_withdrawn() -> None:
    """A version of an earlier schema is read, and its tenant is refused everything."""
    unfit = 'forbid (principal in Role::"gone", action, resource);'
    assert "policy-broken" == shipped().having({"ours": unfit}).decide(TREATING).code
    applied(unfit, withdrawn=True)


def test_a_prohibition_that_errs_refuses() -> None:
    """Cedar would skip it, and so allow; here nothing is allowed that it could have met."""
    asked = question(person(Role.AUDITOR, factor_age_ms=1), Action.READ_LEDGER)
    answer = shipped().having({"ours": ERRING}).decide(asked)

    assert ("policy-broken", ("tenant.ours.1",)) == (answer.code, answer.policies)


def test_one_tenants_prohibitions_are_no_other_tenants() -> None:
    """Policies that were prepared for one tenant decide nothing elsewhere."""
    forbidden = shipped().having({"ours": ALL})

    assert (False, True) == (forbidden.decide(TREATING).allowed, PLAIN.decide(TREATING).allowed)


def test_deciding_from_many_threads_is_deciding() -> None:
    """Sets that are parsed as they are first asked for give the same answers to all at once."""
    text = 'forbid (principal, action, resource) when { resource.name == "ben" };'
    asked = [
        question(person(*Role, name=name), action, "ben", reviewer=name, purpose=Purpose.RESEARCH)
        for action in Action
        for name in ("ann", "ben")
    ]
    expected = [shipped().having({"ours": text}).decide(one) for one in asked]
    prepared = shipped().having({"ours": text})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(prepared.decide, asked * 4))

    assert expected * 4 == found


def test_the_example_of_the_page_forbids_as_it_says() -> None:
    """The document that the page shows is applied, and stops an auditor but no officer."""
    page = Path(__file__).parents[3] / "docs" / "reference" / "access-policies.md"
    fence = page.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    kind, name, spec = read_document(yaml.safe_load(fence))
    Register().next_version(kind, name, spec)
    prepared = shipped().having({name: spec.model_dump()["forbid"]})
    answers = [
        prepared.decide(question(person(role), Action.EXPORT_LEDGER))
        for role in (Role.AUDITOR, Role.PRIVACY_OFFICER)
    ]

    assert [False, True] == [answer.allowed for answer in answers]
    assert ("tenant.no-exports.exports",) == answers[0].policies


@pytest.mark.parametrize(
    "computing",
    [
        "context has factorAgeMs && context.factorAgeMs * 9223372036854775807 > 1",
        "context has factorAgeMs && context.factorAgeMs + 1 > 1",
        "context has factorAgeMs && 1 - context.factorAgeMs > 1",
        "context has factorAgeMs && -context.factorAgeMs > 1",
        'if principal is User then (ip("10.0.0.1").isIpv4()) else false',
        "[1, 2 + 3].contains(4) || !({a: 1 * 2}.a == 2)",
    ],
)
def test_what_computes_is_not_applied(computing: str) -> None:
    """A sum can be too large for some question, and then nothing of the tenant would be allowed."""
    with pytest.raises(Invalid) as raised:
        applied(f"forbid (principal, action, resource) when {{ {computing} }};")

    assert ("policy-unfit", True) == (raised.value.code, "compute" in raised.value.message)


def test_what_only_compares_is_applied() -> None:
    """Every way of comparing that cannot fail, with negative numbers too."""
    applied(
        """forbid (principal is User in Role::"auditor", action, resource) when {
          (if context.hasReason then context has factorAgeMs && context.factorAgeMs <= -5 else
           resource.name like "a*" && ["a", "b"].contains(resource["kind"])) ||
          !(principal has name && principal.name != "x") || {a: [1]}.a.isEmpty() ||
          context.elements.containsAny(["names"]) || principal in [Role::"clinician"]
        };"""
    )


SPARED = [
    question(
        person(Role.CLINICIAN, factor_age_ms=1), Action.BREAK_GLASS, purpose=Purpose.TREATMENT
    ),
    question(person(Role.SECURITY_OFFICER, factor_age_ms=1), Action.APPLY_POLICIES, kind="Policy"),
    question(
        person(Role.CLINICIAN, emergency_patient="p1", factor_age_ms=1),
        Action.VIEW_PATIENT,
        name="p1",
        purpose=Purpose.TREATMENT,
    ),
]
NOT_SPARED = [
    question(
        person(Role.CLINICIAN, factor_age_ms=1), Action.VIEW_PATIENT, purpose=Purpose.TREATMENT
    ),
    question(person(Role.CLINICIAN, factor_age_ms=1), Action.APPLY_POLICIES, kind="Policy"),
    question(client("may_apply"), Action.APPLY_POLICIES, kind="Policy"),
    question(
        person(Role.CLINICIAN, emergency_patient="p1", factor_age_ms=1),
        Action.VIEW_PATIENT,
        name="p2",
        purpose=Purpose.TREATMENT,
    ),
]


@pytest.mark.parametrize("broken", ["no policy", PERMIT, ERRING])
@pytest.mark.parametrize("asked", SPARED)
def test_care_and_the_way_back_go_on_without_a_broken_policy(asked: Question, broken: str) -> None:
    """The shipped policies alone decide; the answer says which policy was left out."""
    answer, plain = shipped().having({"ours": broken}).decide(asked), PLAIN.decide(asked)

    assert (True, plain.policies) == (answer.allowed, answer.policies)
    assert ["tenant.ours"] == [name[:11] for name in answer.broken]


@pytest.mark.parametrize("broken", ["no policy", PERMIT, ERRING])
@pytest.mark.parametrize("asked", NOT_SPARED[:2])
def test_nothing_else_goes_on_without_it(asked: Question, broken: str) -> None:
    """Nor do the shipped policies let anybody do more than they did."""
    answer = shipped().having({"ours": broken}).decide(asked)

    assert (False, "policy-broken") == (answer.allowed, answer.code)


@pytest.mark.parametrize("asked", NOT_SPARED[2:])
def test_a_service_and_another_patient_are_not_spared(asked: Question) -> None:
    """What is spared is a person's, and of an emergency its one patient."""
    assert PLAIN.decide(asked).allowed
    assert "policy-broken" == shipped().having({"ours": "no policy"}).decide(asked).code


def test_a_spared_act_still_needs_what_it_needs() -> None:
    """A factor that is too old, a reason that is missing: the shipped policies say so."""
    stale = question(
        person(Role.CLINICIAN, factor_age_ms=300_001), Action.BREAK_GLASS, purpose=Purpose.TREATMENT
    )

    assert "step-up-needed" == shipped().having({"ours": "no policy"}).decide(stale).code


def test_so_many_documents_are_in_force_and_no_more() -> None:
    """One that is changed or withdrawn is none more."""
    fields: dict[str, Any] = {"title": "a title", "reason": "why", "forbid": ALL}
    spec = PolicySpec(**fields)
    register = Register([Document("Policy", f"p{at}", 1, spec) for at in range(MOST_IN_FORCE)])
    withdrawn = PolicySpec(**fields, withdrawn=True)
    for name, next_spec in (("p1", spec), ("more", withdrawn)):
        check_count(register, Document("Policy", name, 2, next_spec))
    with pytest.raises(Refused) as raised:
        check_count(register, Document("Policy", "more", 1, spec))

    assert "policies-many" == raised.value.code
    left = register.having([Document("Policy", "p1", 2, withdrawn)])
    check_count(left, Document("Policy", "more", 1, spec))
