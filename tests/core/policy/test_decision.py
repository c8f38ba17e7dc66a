"""The decision: a table that a privacy officer can read, and an independent model."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.core.policy import decision as deciding
from seawall.core.policy.decision import Question, Refusal, decide
from seawall.core.policy.purpose import HL7_CODES, PARAGRAPHS, Purpose
from seawall.core.registers.agreement import OPTIONAL_TERMS, REQUIRED_TERMS, AgreementSpec
from seawall.core.registers.register import KINDS, Register
from seawall.core.registers.spec import Document
from seawall.core.registers.use_case import UseCaseSpec
from seawall.core.registers.user import UserSpec

CASES = yaml.safe_load(
    (Path(__file__).parents[2] / "vectors" / "decisions" / "cases.yaml").read_text()
)
ASKED = Question(
    client="scheduler",
    use_case="reminders",
    endpoint="chat",
    features=frozenset({"chat-completions"}),
    today=date(2026, 3, 1),
)


def code(question: Question, register: Register) -> str:
    """Return what is decided, as the table of cases says it."""
    refusal = decide(question, register).refusal
    return refusal.code if refusal else "allowed"


def changed(register: Register, **fields: Any) -> Register:
    """Return the register with the agreement in force changed, as a next version."""
    held = register.find(AgreementSpec, "standing")
    assert held is not None
    spec = AgreementSpec.model_validate({**held.spec.model_dump(), **fields})
    return register.having([Document("Agreement", "standing", 2, spec)])


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_each_case_is_decided_as_written(case: list[Any], register: Register) -> None:
    """The table of cases holds, line by line."""
    _, client, use_case, endpoint, features, today, expected = case
    question = Question(client, use_case, endpoint, frozenset(features), today)

    assert expected == code(question, register)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_empty_register_refuses_everything(case: list[Any]) -> None:
    """Without documents nothing is allowed."""
    _, client, use_case, endpoint, features, today, _ = case

    assert not decide(
        Question(client, use_case, endpoint, frozenset(features), today), Register()
    ).allowed


@pytest.mark.parametrize("term", REQUIRED_TERMS)
def test_each_required_term_is_required(term: str, register: Register) -> None:
    """An agreement that lacks any one of the fifteen required terms refuses."""
    lacking = changed(register, terms=frozenset(REQUIRED_TERMS) - {term})

    assert code(ASKED, lacking) == "agreement-incomplete"


@pytest.mark.parametrize("term", OPTIONAL_TERMS)
def test_optional_terms_replace_no_required_one(term: str, register: Register) -> None:
    """The two permissions change nothing: neither missing nor present do they matter here."""
    held = changed(register, terms={*REQUIRED_TERMS, term})
    alone = changed(register, terms={term})

    assert ["allowed", "agreement-incomplete"] == [code(ASKED, held), code(ASKED, alone)]


@pytest.mark.parametrize("missing", ["Client", "UseCase", "Endpoint", "Agreement"])
def test_each_kind_of_document_is_needed(missing: str, register: Register) -> None:
    """A register that lacks all documents of one kind refuses what it allowed."""
    fewer = Register(document for document in register if document.kind != missing)

    assert "allowed" == code(ASKED, register) != code(ASKED, fewer)


@pytest.mark.parametrize(
    ("covers", "reason"),
    [
        ({"endpoints": [], "features": ["chat-completions"], "countries": ["US"]}, "this endpoint"),
        (
            {"endpoints": ["chat"], "features": [], "countries": ["US"]},
            "the feature chat-completions",
        ),
        (
            {"endpoints": ["chat"], "features": ["chat-completions"], "countries": []},
            "the endpoint's country",
        ),
    ],
)
def test_refusal_says_what_is_not_covered(
    covers: dict[str, list[str]], reason: str, register: Register
) -> None:
    """What the agreement does not cover is named in the reason, and nothing else is."""
    refusal = decide(ASKED, changed(register, covers=covers)).refusal

    assert refusal is not None
    assert refusal.reason.endswith(f"does not cover {reason}")


def test_every_refusal_says_what_to_do_next(register: Register) -> None:
    """Each refusal of the table has a reason and a help, in words."""
    refusals = [
        decide(Question(client, use_case, endpoint, frozenset(features), today), register).refusal
        for _, client, use_case, endpoint, features, today, _ in CASES
    ]

    assert all(refusal.reason and refusal.help for refusal in refusals if refusal)


def test_allowed_decision_names_what_determined_it(register: Register) -> None:
    """An allowed decision names the very versions of its four documents, and its reasons."""
    decision = decide(ASKED, changed(register))

    assert decision.determined_by == (
        "Client/scheduler@1",
        "UseCase/reminders@1",
        "Endpoint/chat@1",
        "Agreement/standing@2",
    )
    assert decision.reasons == (
        "the client may act under the use case",
        "purpose operations under 45 CFR 164.506(c)(1)",
        "an agreement in force covers endpoint, features and country",
    )


def test_refused_decision_names_what_it_read(register: Register) -> None:
    """A refusal names the documents that were read until then, and no later ones."""
    decision = decide(replace(ASKED, endpoint="gpt"), register)

    assert decision.determined_by == ("Client/scheduler@1", "UseCase/reminders@1")
    assert (decision.endpoint, decision.agreement) == (None, None)


def test_allowed_decision_as_recorded(register: Register) -> None:
    """An entry holds the purpose with its HL7 code and the model's version and country."""
    assert decide(ASKED, register).fields() == {
        "allowed": True,
        "reasons": [
            "the client may act under the use case",
            "purpose operations under 45 CFR 164.506(c)(1)",
            "an agreement in force covers endpoint, features and country",
        ],
        "documents": [
            "Client/scheduler@1",
            "UseCase/reminders@1",
            "Endpoint/chat@1",
            "Agreement/standing@1",
        ],
        "purpose": {"name": "operations", "hl7": "HOPERAT"},
        "model": {"name": "large", "version": "2026-01", "country": "US"},
    }


def test_early_refusal_as_recorded(register: Register) -> None:
    """A refusal before any document was found records its code, and invents nothing."""
    assert decide(replace(ASKED, client="stranger"), register).fields() == {
        "allowed": False,
        "reasons": [],
        "documents": [],
        "code": "client-unknown",
    }


def personal(register: Register, **fields: Any) -> Register:
    """Return the register with the use case changed, and with two people."""
    held = register.find(UseCaseSpec, ASKED.use_case)
    assert held is not None
    spec = UseCaseSpec.model_validate({**held.spec.model_dump(), **fields})
    people = {
        "ana": {"title": "Ana", "roles": ["clinician"]},
        "bo": {"title": "Bo", "roles": ["clinician"], "standing": "left"},
        "cy": {"title": "Cy", "roles": ["clinician"], "until": "2026-02-28"},
        "di": {"title": "Di"},
    }
    return register.having(
        [
            Document("UseCase", ASKED.use_case, 2, spec),
            *(Document("User", name, 1, UserSpec.model_validate(p)) for name, p in people.items()),
        ]
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"granted_use_cases": None}, "allowed"),
        ({"granted_use_cases": frozenset({"reminders"})}, "allowed"),
        ({"granted_use_cases": frozenset({"other"})}, "use-case-not-granted"),
        ({"granted_use_cases": frozenset()}, "use-case-not-granted"),
        ({"is_patient_granted": True}, "allowed"),
        ({"is_patient_granted": False}, "patient-not-granted"),
        ({"user": "ana"}, "allowed"),
        ({"user": "bo"}, "user-without-role"),
        ({"user": "cy"}, "user-without-role"),
        ({"user": "di"}, "user-without-role"),
        ({"user": "stranger"}, "user-without-role"),
    ],
)
def test_token_allows_no_more_than_it_says(
    asked: dict[str, Any], expected: str, register: Register
) -> None:
    """A token for use cases, for a patient or for a person is good for these alone."""
    assert expected == code(replace(ASKED, **asked), personal(register))


@pytest.mark.parametrize(
    ("needed", "asked", "expected"),
    [
        ({"requires_user": True}, {}, "user-needed"),
        ({"requires_user": True}, {"user": "bo"}, "user-without-role"),
        ({"requires_user": True}, {"user": "ana"}, "allowed"),
        ({"requires_patient_grant": True}, {}, "patient-grant-needed"),
        ({"requires_patient_grant": True}, {"is_patient_granted": False}, "patient-not-granted"),
        ({"requires_patient_grant": True}, {"is_patient_granted": True}, "allowed"),
        ({"requires_user": True, "requires_patient_grant": True}, {}, "user-needed"),
    ],
)
def test_use_case_may_need_a_person_and_a_patient(
    needed: dict[str, Any], asked: dict[str, Any], expected: str, register: Register
) -> None:
    """What a use case needs besides the client is needed, and what is there has to fit."""
    assert expected == code(replace(ASKED, **asked), personal(register, **needed))


def test_person_for_whom_a_client_acts_is_part_of_the_decision(register: Register) -> None:
    """The version of the person's document is named, so that a change of it is noticed."""
    decision = decide(replace(ASKED, user="ana"), personal(register))

    assert ("UseCase/reminders@2", "User/ana@1") == decision.determined_by[1:3]
    assert "the person for whom the client acts has a role" in decision.reasons


def test_policies_are_recorded_where_they_were_asked(register: Register) -> None:
    """What policies of access determined stands in the decision, as does that they refuse."""
    allowed = replace(decide(ASKED, register), policies=("services-ask",))
    refused = allowed.refused(Refusal("access-refused", "no", ""))

    assert (["services-ask"], True) == (allowed.fields()["policies"], allowed.allowed)
    assert (False, "access-refused", ["services-ask"]) == tuple(
        refused.fields()[name] for name in ("allowed", "code", "policies")
    )


def test_only_so_many_policies_are_recorded(register: Register) -> None:
    """However many policies determined it, an entry names the first of them and stays small."""
    names = tuple(f"tenant.forbids.{number:03}" for number in range(500))

    assert list(names[:32]) == replace(decide(ASKED, register), policies=names).fields()["policies"]


def test_agreement_before_endpoint_is_a_bug(register: Register) -> None:
    """The steps have one order: the agreement cannot be looked at first."""
    with pytest.raises(RuntimeError):
        deciding._agreement(deciding._Trail(ASKED, register))


def test_every_purpose_has_code_and_paragraph() -> None:
    """Each purpose has an HL7 code of its own and a paragraph that permits it."""
    assert set(Purpose) == set(HL7_CODES) == set(PARAGRAPHS)
    assert len(Purpose) == len(set(HL7_CODES.values()))


# A small model of the decision, written from the law and not from the code:
# it lists every objection there is, in no order.

DAYS = st.dates(date(2025, 12, 30), date(2026, 1, 6))
# Skewed towards what allows, or the model would seldom be asked about a request that may go.
NAMES = st.sampled_from([{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a"}, set()])
FEATURES = st.sampled_from([{"chat-completions", "tools"}] * 3 + [{"chat-completions"}, set()])
SELDOM = st.sampled_from([False, False, False, True])
COUNTRIES = st.sampled_from([{"US", "DE"}, {"US", "DE"}, {"US"}, set()])
TERMS = st.sampled_from(
    [[*REQUIRED_TERMS], [*REQUIRED_TERMS, *OPTIONAL_TERMS], ["164.504(e)(2)(i)"]]
)
SIGNED = {"by": ["One", "Other"], "dated": date(2025, 1, 1), "digest": "sha256:" + "0" * 64}
SPECS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "Client": st.fixed_dictionaries(
        {"title": st.just("T"), "public_key": st.just({"x": "A" * 43}), "use_cases": NAMES}
    ),
    "UseCase": st.fixed_dictionaries(
        {
            "title": st.just("T"),
            "purpose": st.sampled_from(list(Purpose)),
            "justification": st.just("J"),
            "endpoints": NAMES,
            "requires_user": SELDOM,
            "requires_patient_grant": SELDOM,
        }
    ),
    "Endpoint": st.fixed_dictionaries(
        {
            "dialect": st.just("openai"),
            "url": st.just("https://m.example"),
            "model": st.just("m"),
            "model_version": st.just("1"),
            "retention": st.just("none"),
            "country": st.sampled_from(["US", "DE"]),
            "features": FEATURES,
            "agreement": st.sampled_from(["a", "a", "b", None]),
        }
    ),
    "Agreement": st.fixed_dictionaries(
        {
            "parties": st.just({"covered_entity": "C", "business_associate": "B"}),
            "effective": st.dates(date(2025, 12, 30), date(2026, 1, 1)),
            "expires": st.dates(date(2026, 1, 2), date(2026, 1, 6)),
            "terms": TERMS,
            "covers": st.fixed_dictionaries(
                {
                    "endpoints": NAMES,
                    "features": FEATURES,
                    "countries": COUNTRIES,
                }
            ),
            "signed": st.sampled_from([SIGNED, SIGNED, None]),
            "terminated": st.none() | st.none() | DAYS,
        }
    ),
    "User": st.fixed_dictionaries(
        {
            "title": st.just("U"),
            "roles": st.sampled_from([{"clinician"}, {"clinician"}, set()]),
            "standing": st.sampled_from(["active", "active", "active", "suspended", "left"]),
            "until": st.none() | DAYS,
        }
    ),
}
FULL = st.fixed_dictionaries(
    {kind: st.fixed_dictionaries({"a": spec, "b": spec}) for kind, spec in SPECS.items()}
)
LOST = st.sets(st.tuples(st.sampled_from([*SPECS]), st.sampled_from(["a", "b"])), max_size=2)


def keep(papers: dict[str, dict[str, Any]], lost: set[tuple[str, str]]) -> dict[str, Any]:
    """Return the papers without the lost ones."""
    return {
        kind: {name: spec for name, spec in named.items() if (kind, name) not in lost}
        for kind, named in papers.items()
    }


PAPERS = st.builds(keep, FULL, LOST)
QUESTIONS = st.builds(
    Question,
    client=st.sampled_from(["a", "b"]),
    use_case=st.sampled_from(["a", "b"]),
    endpoint=st.sampled_from(["a", "b"]),
    features=st.frozensets(st.sampled_from(["chat-completions", "tools"]), min_size=1),
    today=DAYS,
    user=st.sampled_from([None, None, "a", "b"]),
    granted_use_cases=st.sampled_from([None, None, frozenset("ab"), frozenset("a")]),
    is_patient_granted=st.sampled_from([None, None, True, True, False]),
)


def objections(asked: Question, papers: dict[str, dict[str, Any]]) -> set[str]:
    """Return everything that stands against a request, by the plain papers."""
    client, use_case = papers["Client"].get(asked.client), papers["UseCase"].get(asked.use_case)
    endpoint = papers["Endpoint"].get(asked.endpoint)
    agreement = papers["Agreement"].get(endpoint["agreement"]) if endpoint else None
    found = {
        "client-unknown": client is None,
        "use-case-not-granted": client
        and asked.use_case not in client["use_cases"] & (asked.granted_use_cases or {"a", "b"}),
        "use-case-unknown": use_case is None,
        "endpoint-not-allowed": use_case and asked.endpoint not in use_case["endpoints"],
        "user-needed": use_case and use_case["requires_user"] and asked.user is None,
        "user-without-role": asked.user is not None and not _has_role(asked, papers["User"]),
        "patient-grant-needed": use_case
        and use_case["requires_patient_grant"]
        and asked.is_patient_granted is None,
        "patient-not-granted": asked.is_patient_granted is False,
        "endpoint-unknown": endpoint is None,
        "feature-unsupported": endpoint and asked.features - endpoint["features"],
        "no-agreement": agreement is None,
    }
    if agreement and endpoint:
        covers, ended = agreement["covers"], agreement["terminated"]
        found |= {
            "agreement-unsigned": not agreement["signed"],
            "agreement-incomplete": len(agreement["terms"]) < 15,
            "agreement-not-yet-effective": asked.today < agreement["effective"],
            "agreement-expired": agreement["expires"] <= asked.today,
            "agreement-terminated": ended and ended <= asked.today,
            "agreement-does-not-cover": not (
                asked.endpoint in covers["endpoints"]
                and asked.features <= covers["features"]
                and endpoint["country"] in covers["countries"]
            ),
        }
    return {objection for objection, holds in found.items() if holds}


def _has_role(asked: Question, people: dict[str, Any]) -> bool:
    """Say whether the person for whom a client acts is somebody with a role."""
    person = people.get(asked.user or "")
    if person is None or person["standing"] != "active":
        return False
    return bool(person["roles"]) and not (person["until"] and person["until"] < asked.today)


def register_of(papers: dict[str, dict[str, Any]]) -> Register:
    """Return the register that holds some plain papers."""
    return Register(
        Document(kind, name, 1, KINDS[kind].model_validate(spec))
        for kind, named in papers.items()
        for name, spec in named.items()
    )


@settings(max_examples=300)
@given(QUESTIONS, PAPERS)
def test_decision_agrees_with_the_model(asked: Question, papers: dict[str, Any]) -> None:
    """A request is allowed exactly if nothing stands against it; else one objection is its code."""
    against = objections(asked, papers)
    decided = code(asked, register_of(papers))

    assert decided in (against or {"allowed"})
