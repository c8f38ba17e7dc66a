"""Searching one leaf: a short value is read with its key, and offsets stay the leaf's."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from seawall.core.gateway.leaf import context_of, find_in_leaf
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span
from seawall.core.phi.walking import KeyPath, leaves


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


def test_what_a_telling_key_holds_is_an_identifier_whole() -> None:
    """A name that no list knows is one under `family`, in a list too."""
    assert find_in_leaf(find, " Brandtner ", ("name", 0, "family", 0)) == [
        Span(1, 10, Label.NAME, "rule", 1.0)
    ]


def test_a_placeholder_under_a_telling_key_stays() -> None:
    """What was replaced before is not replaced again; what stands beside it is."""
    assert find_in_leaf(find, "[NAME-1]", ("family",)) == []
    assert find_in_leaf(find, "[NAME-1] Lee", ("family",)) == [Span(9, 12, Label.NAME, "rule", 1.0)]


def test_a_known_identifier_keeps_its_own_span() -> None:
    """What is known is told from the rest of the value, so that it matches its patient."""
    known = Span(0, 5, Label.NAME, "known", 1.0)

    assert find_in_leaf(
        lambda _: [replace(known, start=6 + 2, end=6 + 7)], "Koepp Lee", ("family",)
    ) == [known, Span(6, 9, Label.NAME, "rule", 1.0)]


def test_a_key_is_no_value_of_the_object_around_it() -> None:
    """Names of fields under `patient` are not names of patients."""
    paths = [path for _, path in leaves({"patient": {"smith": "x"}})]

    assert [isinstance(path, KeyPath) for path in paths] == [True, True, False]
    assert find_in_leaf(find, "allergies", paths[1]) == []


def test_positions_in_a_list_are_no_context() -> None:
    """The same text in two items of a list holds the same, and a key is told from a value."""
    assert context_of(("name", 0, "given", 0)) == context_of(("name", 1, "given", 2))
    assert context_of(("given",)) != context_of(KeyPath(("given",)))


@given(st.text(max_size=300), st.lists(st.text(max_size=20) | st.integers(), max_size=4))
def test_spans_lie_within_the_leaf(text: str, path: list[str | int]) -> None:
    """Whatever the key, every span is a range of the leaf."""
    for span in find_in_leaf(find, f"Quack {text} Quack", tuple(path)):
        assert 0 <= span.start < span.end <= len(text) + 12
