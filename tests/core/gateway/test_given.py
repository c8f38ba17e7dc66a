"""What the model was given: another form of it counts, a chance substring does not."""

from __future__ import annotations

import pytest

from seawall.core.gateway.given import Given
from seawall.core.phi.identifiers import Label

GIVEN = Given(
    ["Patient Wilhelmina Quack, PT55, call (555) 112-3045, visit on 2026-12-15 at noon"],
    [
        (Label.NAME, "Wilhelmina Quack"),
        (Label.ID, "PT55"),
        (Label.PHONE, "(555) 112-3045"),
        (Label.DATE, "2026-12-15"),
    ],
)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        (Label.NAME, "Wilhelmina"),
        (Label.NAME, "WILHELMINA QUACK"),
        (Label.PHONE, "555-112-3045"),
        (Label.PHONE, "5551123045"),
        (Label.DATE, "December 15, 2026"),
        (Label.DATE, "12/15/2026"),
        (Label.DATE, "December 15"),
        (Label.DATE, "15 Dec"),
    ],
)
def test_content_in_another_form_was_given(label: Label, value: str) -> None:
    """A part of a name, a number punctuated otherwise and a day written otherwise were given."""
    assert GIVEN.holds(label, value)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        (Label.ID, "PT5"),
        (Label.DATE, "11/2/30"),
        (Label.DATE, "December 16"),
        (Label.DATE, "12/15/2025"),
        (Label.NAME, "Quack Wilhelmina"),
        (Label.NAME, "Helm"),
        (Label.PHONE, "555-112-304"),
        (Label.ID, "5551123045"),
    ],
)
def test_a_chance_likeness_was_not_given(label: Label, value: str) -> None:
    """Characters that happen to stand inside something else were not given."""
    assert not GIVEN.holds(label, value)


def test_what_was_given_is_not_shown() -> None:
    """The text and identifiers of a request appear in no representation."""
    assert repr(GIVEN) == "<Given with 4 identifiers>"
