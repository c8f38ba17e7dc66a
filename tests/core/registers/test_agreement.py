"""Whether an agreement stands, day by day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.registers.agreement import (
    OPTIONAL_TERMS,
    REQUIRED_TERMS,
    AgreementSpec,
    Standing,
)

BEGIN, END = date(2026, 1, 1), date(2027, 1, 1)
SIGNED = {"by": ["A", "B"], "dated": BEGIN, "digest": "sha256:" + "0" * 64}
ANY_DAY = st.dates(BEGIN - timedelta(days=400), END + timedelta(days=400))


def agreement(**changes: Any) -> AgreementSpec:
    """Return an agreement that stands from its first day, but for the changes."""
    return AgreementSpec.model_validate(
        {
            "parties": {"covered_entity": "C", "business_associate": "B"},
            "effective": BEGIN,
            "expires": END,
            "terms": list(REQUIRED_TERMS),
            "covers": {},
            "signed": SIGNED,
            **changes,
        }
    )


@given(ANY_DAY)
def test_agreement_stands_between_its_days(today: date) -> None:
    """A signed, complete agreement stands from its first day until the day it expires."""
    assert (BEGIN <= today < END) == (agreement().standing(today) is Standing.ACTIVE)


@given(ANY_DAY, ANY_DAY)
def test_termination_ends_it_for_good(terminated: date, today: date) -> None:
    """From the day of its termination on, an agreement is terminated, whatever else holds."""
    standing = agreement(terminated=terminated).standing(today)

    assert (terminated <= today) == (standing is Standing.TERMINATED)


@given(ANY_DAY, st.sets(st.sampled_from(list(REQUIRED_TERMS)), min_size=1))
def test_lacking_terms_it_never_stands(today: date, lacking: set[str]) -> None:
    """An agreement that lacks required terms is incomplete on every day, and names them."""
    short = agreement(terms=set(REQUIRED_TERMS) - lacking)

    assert short.standing(today) is Standing.INCOMPLETE
    assert short.missing_terms() == tuple(term for term in REQUIRED_TERMS if term in lacking)


@given(ANY_DAY)
def test_unsigned_it_never_stands(today: date) -> None:
    """An agreement that nobody signed stands on no day."""
    assert agreement(signed=None).standing(today) is Standing.UNSIGNED


@pytest.mark.parametrize(
    ("changes", "today", "expected"),
    [
        ({}, BEGIN - timedelta(days=1), "not-yet-effective"),
        ({}, BEGIN, "active"),
        ({}, END - timedelta(days=1), "active"),
        ({}, END, "expired"),
        ({"terms": [], "signed": None, "terminated": BEGIN}, END, "terminated"),
        ({"terms": [], "signed": None}, END, "unsigned"),
        ({"terms": []}, END, "incomplete"),
        ({"terms": [*REQUIRED_TERMS, *OPTIONAL_TERMS]}, BEGIN, "active"),
    ],
)
def test_first_reason_wins(changes: dict[str, Any], today: date, expected: str) -> None:
    """Of several reasons why an agreement does not stand, the gravest is told."""
    assert expected == agreement(**changes).standing(today).value


def test_fifteen_terms_cannot_be_waived() -> None:
    """Of the seventeen terms fifteen are required and two are permissions."""
    assert (15, 2) == (len(REQUIRED_TERMS), len(OPTIONAL_TERMS))
    assert not REQUIRED_TERMS.keys() & OPTIONAL_TERMS.keys()


def test_nothing_says_active() -> None:
    """No field of an agreement states that it stands."""
    assert not [name for name in AgreementSpec.model_fields if "active" in name or "status" in name]
