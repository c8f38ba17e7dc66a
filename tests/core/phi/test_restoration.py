"""Restoring: whole texts, streams cut anywhere, and JSON at every level."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.core.phi.identifiers import Label
from seawall.core.phi.replacement import Placeholders
from seawall.core.phi.restoration import (
    StreamRestorer,
    json_string,
    plain,
    restore,
    restore_json_text,
)

AWKWARD = 'Köpp "the\\cat"\n\t[NAME-2] \u2028\U0001f600'
LONGEST = len("[DATE-2 = DATE-1 + 12 days]")


def _map(*names: str) -> Placeholders:
    placeholders = Placeholders()
    for name in names:
        placeholders.placeholder_for(Label.NAME, name)
    for day in ("2023-04-12", "April 24th, 2023"):
        placeholders.placeholder_for(Label.DATE, day)
    return placeholders


PLACEHOLDERS = _map("Koepp", AWKWARD, "KOEPP")
PIECES = st.sampled_from(
    [
        *PLACEHOLDERS.restorable(),
        "[",
        "]",
        "NAME-1",
        "[NAME-",
        "b]",
        "[NAME-9]",
        "[DATE-2 =",
        "[DATE-2 = DATE-1 + 13 days]",
        "\uff3bNAME-1\uff3d",
        "[name-1]",
        " and ",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[NAME-1] is here", "Koepp is here"),
        ("[NAME-1][NAME-1b]", "KoeppKOEPP"),
        ("[[NAME-1]]", "[Koepp]"),
        ("[DATE-2] or [DATE-2 = DATE-1 + 12 days]", "April 24th, 2023 or April 24th, 2023"),
        ("[DATE-2 = DATE-1 + 13 days]", "[DATE-2 = DATE-1 + 13 days]"),
        ("[DATE-1 = DATE-2 - 12 days]", "[DATE-1 = DATE-2 - 12 days]"),
        ("[NAME-3] [NAME-01] [name-1] NAME-1", "[NAME-3] [NAME-01] [name-1] NAME-1"),
        ("\uff3bNAME-1\uff3d", "\uff3bNAME-1\uff3d"),
        ("nothing", "nothing"),
    ],
)
def test_only_what_was_handed_out_is_restored(written: str, expected: str) -> None:
    """A placeholder that the map handed out is restored; anything else stays as it is."""
    assert expected == restore(written, _map("Koepp", "KOEPP"))


def test_restored_value_is_not_restored_again() -> None:
    """A value that itself reads like a placeholder stays as the client wrote it."""
    assert restore("[NAME-2] [NAME-1]", _map("Koepp", "[NAME-1]")) == "[NAME-1] Koepp"


@given(TEXTS, st.lists(st.integers(0, 200)), st.sampled_from([plain, json_string]))
def test_cutting_changes_nothing(text: str, cuts: list[int], escape: Any) -> None:
    """However a stream is cut, it is restored like the whole text."""
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    stream = StreamRestorer(PLACEHOLDERS, escape)
    pieces = [stream.feed(text[start:end]) for start, end in pairwise(places)]

    assert restore(text, PLACEHOLDERS, escape) == "".join(pieces) + stream.finish()


@given(TEXTS)
def test_single_characters_change_nothing(text: str) -> None:
    """A stream of single characters is restored like the whole, and little is held back."""
    stream = StreamRestorer(PLACEHOLDERS)
    released = ""
    for position, char in enumerate(text, 1):
        released += stream.feed(char)
        held = restore(text[:position], PLACEHOLDERS).removeprefix(released)
        assert len(held) < LONGEST

    assert restore(text, PLACEHOLDERS) == released + stream.finish()


@given(TEXTS)
def test_every_single_cut_changes_nothing(text: str) -> None:
    """A text cut into two at any place is restored like the whole."""
    expected = restore(text, PLACEHOLDERS)
    for cut in range(len(text) + 1):
        stream = StreamRestorer(PLACEHOLDERS)
        assert expected == stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish()


@pytest.mark.parametrize(
    ("fed", "expected"),
    [
        ("see [NAME-1", "see "),
        ("see [DATE-2 = DATE-1", "see "),
        ("see [NAME-12", "see [NAME-12"),
        ("see [note", "see [note"),
        ("see [", "see "),
        ("see [NAME-1]", "see Koepp"),
    ],
)
def test_only_a_possible_placeholder_is_held(fed: str, expected: str) -> None:
    """A stream holds back only an end that may become a placeholder of this map."""
    assert expected == StreamRestorer(PLACEHOLDERS).feed(fed)


def test_end_of_stream_gives_the_rest_once() -> None:
    """What was held back at the end comes out as it stands, and only once."""
    stream = StreamRestorer(PLACEHOLDERS)
    stream.feed("see [NAME-1")

    assert stream.finish() == "[NAME-1"
    assert stream.finish() == ""


def test_stream_keeps_the_map_that_it_began_with() -> None:
    """A placeholder handed out later is none of this stream's."""
    placeholders = Placeholders()
    stream = StreamRestorer(placeholders)
    placeholders.placeholder_for(Label.NAME, "Koepp")

    assert stream.feed("[NAME-1]") + stream.finish() == "[NAME-1]"


@given(st.text())
def test_json_string_fits_between_quotes(value: str) -> None:
    """An escaped value reads back as itself, and twice escaped at two levels."""
    assert value == json.loads(f'"{json_string(value)}"')
    assert value == json.loads(json.loads(f'"{json_string(json_string(value))}"').join('""'))


def _nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = {"inside": json.dumps(value), "n": 1}
    return value


@given(st.text(min_size=1), st.integers(0, 3), st.booleans())
@example(AWKWARD, 3, False)
@example('"', 2, True)
@example("[1]", 1, False)
def test_json_is_restored_at_every_level(surface: str, levels: int, ascii_only: bool) -> None:  # noqa: FBT001
    """A value inside JSON in strings three levels deep is escaped for where it stands."""
    placeholders = _map(surface)
    written = _nested({"[NAME-1]": ["to [NAME-1]", 1.50]}, levels)
    expected = _nested({surface: ["to " + surface, 1.50]}, levels)

    restored = restore_json_text(json.dumps(written, ensure_ascii=ascii_only), placeholders)

    assert _opened(expected, levels) == _opened(json.loads(restored), levels)


def _opened(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = json.loads(value["inside"])
    return value


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('{ "a" : 1.50,\n "b": "[NAME-1]" }', '{ "a" : 1.50,\n "b": "Koepp" }'),
        ('{"a": "\\u005bNAME-1\\u005d"}', '{"a": "Koepp"}'),
        ('{"a": "\\u00e9", "b": "[NAME-9]"}', '{"a": "\\u00e9", "b": "[NAME-9]"}'),
        ('{"a": "[NAME-1] \\ud800"}', '{"a": "Koepp \\ud800"}'),
        ('{"a": "[1, 2]", "a": NaN}', '{"a": "[1, 2]", "a": NaN}'),
        ('"[NAME-1]"', '"Koepp"'),
        ("[NAME-1]", "Koepp"),
        ('{"a": "say [NAME-2', '{"a": "say [NAME-2'),
        ('{"a": "[NAME-2]", "b', '{"a": "Anna \\"A\\"", "b'),
        ("9" * 5000, "9" * 5000),
        ("[" * 100_000 + "[NAME-1]", "[" * 100_000 + "Koepp"),
    ],
)
def test_json_text_is_restored(written: str, expected: str) -> None:
    """Strings are restored; what holds no placeholder, and what is cut off, keeps its bytes."""
    assert expected == restore_json_text(written, _map("Koepp", 'Anna "A"'))


@given(TEXTS | st.text(alphabet='{}[]",:\\ a1'))
def test_any_text_is_restored_without_an_error(text: str) -> None:
    """Restoring never raises, whatever a model writes where JSON was asked for."""
    assert isinstance(restore_json_text(text, PLACEHOLDERS), str)
