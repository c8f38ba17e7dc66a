"""To what minimum necessary does not apply, case by case."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.policy.exceptions import (
    BY_PARTY,
    PARAGRAPHS,
    Act,
    Circumstances,
    Exempt,
    Party,
    exception_of,
)
from seawall.core.policy.purpose import Purpose

TREATMENT = Purpose.TREATMENT
CASES: dict[str, tuple[Circumstances, Exempt | None]] = {
    "a use for treatment inside the entity": (
        Circumstances(Act.USE, Party.WORKFORCE, TREATMENT),
        None,
    ),
    "a disclosure to a model's vendor for treatment": (
        Circumstances(Act.DISCLOSURE, Party.BUSINESS_ASSOCIATE, TREATMENT),
        None,
    ),
    "a disclosure to a provider for treatment": (
        Circumstances(Act.DISCLOSURE, Party.PROVIDER, TREATMENT),
        Exempt.PROVIDER_TREATMENT,
    ),
    "a request by a provider for treatment": (
        Circumstances(Act.REQUEST, Party.PROVIDER, TREATMENT),
        Exempt.PROVIDER_TREATMENT,
    ),
    "a disclosure to a provider for payment": (
        Circumstances(Act.DISCLOSURE, Party.PROVIDER, Purpose.PAYMENT),
        None,
    ),
    "a disclosure to a provider for no purpose that is said": (
        Circumstances(Act.DISCLOSURE, Party.PROVIDER),
        None,
    ),
    "a request by a health plan for treatment": (
        Circumstances(Act.REQUEST, Party.OTHER, TREATMENT),
        None,
    ),
    "a disclosure to the individual": (
        Circumstances(Act.DISCLOSURE, Party.INDIVIDUAL, Purpose.PATIENT_REQUEST),
        Exempt.INDIVIDUAL,
    ),
    "a vendor that works at an individual's request": (
        Circumstances(Act.DISCLOSURE, Party.BUSINESS_ASSOCIATE, Purpose.PATIENT_REQUEST),
        None,
    ),
    "a disclosure by authorization": (
        Circumstances(Act.DISCLOSURE, Party.OTHER, Purpose.RESEARCH, is_authorized=True),
        Exempt.AUTHORIZATION,
    ),
    "a use by authorization": (
        Circumstances(Act.USE, Party.WORKFORCE, Purpose.RESEARCH, is_authorized=True),
        Exempt.AUTHORIZATION,
    ),
    "a request by authorization": (
        Circumstances(Act.REQUEST, Party.OTHER, is_authorized=True),
        None,
    ),
    "research without an authorization": (
        Circumstances(Act.USE, Party.WORKFORCE, Purpose.RESEARCH),
        None,
    ),
    "a disclosure to the Secretary": (
        Circumstances(Act.DISCLOSURE, Party.SECRETARY),
        Exempt.SECRETARY,
    ),
    "a disclosure that the law requires": (
        Circumstances(Act.DISCLOSURE, Party.OTHER, is_required_by_law=True),
        Exempt.REQUIRED_BY_LAW,
    ),
    "a use that compliance requires": (
        Circumstances(Act.USE, Party.WORKFORCE, is_for_compliance=True),
        Exempt.COMPLIANCE,
    ),
}
ANY = st.builds(
    Circumstances,
    st.sampled_from(Act),
    st.sampled_from(Party),
    st.sampled_from(Purpose) | st.none(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def law(cited: str) -> str:
    """Return the text of a paragraph of the Privacy Rule."""
    raw = (files("seawall") / "rules" / "cfr45-part164.json").read_text("utf-8")
    section: dict[str, Any] = json.loads(raw)["sections"]["164.502"]
    return next(str(part["text"]) for part in section["paragraphs"] if part["cite"] == cited)


@pytest.mark.parametrize("named", CASES)
def test_each_case(named: str) -> None:
    """The table holds: an exception is the paragraph's, and nothing else is one."""
    case, expected = CASES[named]

    assert expected == exception_of(case)


@given(st.sampled_from(Party), st.sampled_from(Purpose) | st.none())
def test_use_alone_is_excepted_only_for_the_individual(
    party: Party, purpose: Purpose | None
) -> None:
    """Without an authorization or a law, no use is excepted, for treatment neither."""
    expected = Exempt.INDIVIDUAL if party is Party.INDIVIDUAL else None

    assert expected == exception_of(Circumstances(Act.USE, party, purpose))


@given(ANY)
def test_first_paragraph_is_named(case: Circumstances) -> None:
    """What hangs on the party comes first, in the order of the paragraphs; the rest follows."""
    found = exception_of(case)
    grounds = (case.is_authorized, case.is_required_by_law, case.is_for_compliance)

    assert found is not None or case.act is Act.REQUEST or not any(grounds)
    assert found in (None, *Exempt)
    assert found not in BY_PARTY or case.party in (
        Party.PROVIDER,
        Party.INDIVIDUAL,
        Party.SECRETARY,
    )


@given(ANY)
def test_vendor_of_a_model_is_excepted_by_no_party(case: Circumstances) -> None:
    """No exception that hangs on who receives applies to a business associate."""
    vendor = Circumstances(
        case.act,
        Party.BUSINESS_ASSOCIATE,
        case.purpose,
        case.is_authorized,
        case.is_required_by_law,
        case.is_for_compliance,
    )

    assert exception_of(vendor) not in BY_PARTY


@pytest.mark.parametrize(
    ("exempt", "words"),
    [
        (Exempt.PROVIDER_TREATMENT, "requests by a health care provider for treatment"),
        (Exempt.INDIVIDUAL, "made to the individual"),
        (Exempt.AUTHORIZATION, "pursuant to an authorization"),
        (Exempt.SECRETARY, "made to the Secretary"),
        (Exempt.REQUIRED_BY_LAW, "required by law"),
        (Exempt.COMPLIANCE, "required for compliance"),
    ],
)
def test_each_paragraph_says_what_we_take_from_it(exempt: Exempt, words: str) -> None:
    """The paragraph that an exception cites is the one that says so."""
    assert words in law(PARAGRAPHS[exempt].removeprefix("45 CFR "))
