"""Reviews and their grants: frozen when they are made, answered once, closed once."""

from __future__ import annotations

from typing import Any

import pytest

from seawall.core.errors import Refused
from seawall.core.registers.access_review import AccessReviewSpec, ReviewedGrantSpec

REVIEW = AccessReviewSpec.model_validate(
    {"scope": "all", "begun": "2026-03-02", "due": "2026-03-10", "grants": 1}
)
GRANT = ReviewedGrantSpec.model_validate(
    {
        "review": "q1",
        "holder": "person",
        "name": "dan",
        "grant": "role/clinician",
        "reviewer": "ben",
        "evidence": {"uses": 0},
    }
)


def test_an_open_review_is_closed() -> None:
    """The one change of a review is its end."""
    REVIEW.model_copy(update={"state": "closed"}).check_change(REVIEW)


@pytest.mark.parametrize("change", [{"due": "2027-03-10"}, {"grants": 0}, {"scope": "role"}])
def test_nothing_else_of_a_review_changes(change: dict[str, Any]) -> None:
    """Neither its last day nor what it is about."""
    with pytest.raises(Refused) as refused:
        REVIEW.model_copy(update={**change, "state": "closed"}).check_change(REVIEW)

    assert "review-answered" == refused.value.code


def test_a_closed_review_stays_closed() -> None:
    """It is not opened again, and not closed twice."""
    closed = REVIEW.model_copy(update={"state": "closed"})

    for later in (REVIEW, closed.model_copy(update={"grants": 2})):
        with pytest.raises(Refused):
            later.check_change(closed)


@pytest.mark.parametrize("change", [{"answer": "confirmed"}, {"reviewer": "ada"}])
def test_a_grant_is_answered_or_asked_of_somebody_else(change: dict[str, Any]) -> None:
    """While it is open, there may be an answer, or another reviewer."""
    GRANT.model_copy(update=change).check_change(GRANT)


@pytest.mark.parametrize(
    "change", [{"name": "cleo"}, {"grant": "role/auditor"}, {"evidence": None}, {"review": "q2"}]
)
def test_what_was_frozen_stays(change: dict[str, Any]) -> None:
    """Whose grant it is, which, and what the ledger said of it do not change."""
    with pytest.raises(Refused):
        GRANT.model_copy(update={**change, "answer": "confirmed"}).check_change(GRANT)


def test_an_answer_stays() -> None:
    """What was answered is not answered again."""
    answered = GRANT.model_copy(update={"answer": "confirmed"})

    with pytest.raises(Refused):
        answered.model_copy(update={"answer": "revoked"}).check_change(answered)


def test_a_document_is_no_change_of_another_kind() -> None:
    """A version follows one of its own kind."""
    for later, earlier in ((REVIEW, GRANT), (GRANT, REVIEW)):
        with pytest.raises(Refused):
            later.check_change(earlier)
