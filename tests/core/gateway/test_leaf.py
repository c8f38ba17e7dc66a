"""Searching one leaf: a short value is read with its key, and offsets stay the leaf's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from seawall.core.gateway.leaf import find_in_leaf
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span


def find(text: str) -> list[Span]:
    """Find numbers after the word mrn, and the word Quack anywhere."""
    matches = [*re.finditer(r"(?<=mrn: )\d+", text), *re.finditer("Quack", text)]
    return [Span(match.start(), match.end(), Label.ID, "rule", 1.0) for match in matches]


def test_a_short_value_is_read_with_its_key() -> None:
    """A bare number under a telling key is found, at its own place."""
    assert find_in_leaf(find, "12345", ("rows", 0, "mrn")) == [Span(0, 5, Label.ID, "rule", 1.0)]


def test_a_key_of_the_dialect_tells_nothing() -> None:
    """Under `content` a text is searched as it stands."""
    assert find_in_leaf(find, "12345", ("messages", 0, "content")) == []


def test_what_stands_in_the_key_alone_is_not_in_the_value() -> None:
    """A find inside the key is not reported for the value."""
    assert find_in_leaf(find, "x", ("Quack",)) == []


@given(st.text(max_size=300), st.lists(st.text(max_size=20) | st.integers(), max_size=4))
def test_spans_lie_within_the_leaf(text: str, path: list[str | int]) -> None:
    """Whatever the key, every span is a range of the leaf."""
    for span in find_in_leaf(find, f"Quack {text} Quack", tuple(path)):
        assert 0 <= span.start < span.end <= len(text) + 12
