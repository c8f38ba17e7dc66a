"""Replacing: numbers by first appearance, forms, intervals, look-alikes, sealing."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Invalid
from seawall.core.phi.identifiers import Label
from seawall.core.phi.replacement import Placeholders
from seawall.core.phi.restoration import restore
from seawall.core.phi.spans import Span

VECTORS = Path(__file__).parents[2] / "vectors" / "placeholders"
CONVERSATIONS: dict[str, list[list[str]]] = json.loads(
    (VECTORS / "conversations.json").read_text("utf-8")
)["conversations"]
ORDERS: list[dict[str, Any]] = json.loads((VECTORS / "orders.json").read_text("utf-8"))["cases"]
_WRITTEN = re.compile(r"\d+[-/]\d+[-/]\d+")
LOOKALIKES: dict[str, list[str]] = json.loads((VECTORS / "lookalikes.json").read_text("utf-8"))

PIECES = st.sampled_from(
    [
        "[",
        "]",
        "NAME",
        "NAME-",
        "1",
        "b",
        "[NAME-1]",
        "[name-1]",
        "[DATE-2]",
        "[LITERAL-1]",
        "[DATE-2 = DATE-1 + 12 days]",
        "2023-04-12",
        "April 24th, 2023",
        "12/04/2023",
        "13/04/2023",
        "3 Aug 1956",
        "Koepp",
        "KOEPP",
        " ",
        '"',
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """Return a text and spans over it, ordered and apart."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    labels = st.sampled_from(Label)
    kept = [pair for pair in pairwise(cuts) if draw(st.booleans())]
    return text, [Span(start, end, draw(labels), "rule", 1.0) for start, end in kept]


@pytest.mark.parametrize("steps", CONVERSATIONS.values(), ids=list(CONVERSATIONS))
def test_conversation_hands_out(steps: list[list[str]]) -> None:
    """A conversation hands out the placeholders that the vector file gives, in order."""
    placeholders = Placeholders()

    for label, surface, expected in steps:
        assert expected == placeholders.placeholder_for(Label(label), surface)


@pytest.mark.parametrize("text", LOOKALIKES["replaced"])
def test_lookalike_is_replaced(text: str) -> None:
    """What the client wrote like a placeholder becomes a literal, and is restored as it was."""
    placeholders = Placeholders()

    assert placeholders.replace(f"see {text}!", []) == "see [LITERAL-1]!"
    assert placeholders.handed_out() == {"LITERAL-1": text}


@pytest.mark.parametrize("text", LOOKALIKES["kept"])
def test_other_brackets_stay(text: str) -> None:
    """What could never be restored as a placeholder stays as the client wrote it."""
    assert text == Placeholders().replace(text, [])


@given(texts_with_spans())
def test_restoring_undoes_replacing(case: tuple[str, list[Span]]) -> None:
    """Any text with any spans comes back exactly, whatever it holds."""
    text, spans = case
    placeholders = Placeholders()

    assert text == restore(placeholders.replace(text, spans), placeholders)


@given(st.lists(texts_with_spans(), max_size=4))
def test_turns_are_stable(cases: list[tuple[str, list[Span]]]) -> None:
    """A turn that is sent again gets the same placeholders, and all turns are restored."""
    placeholders = Placeholders()
    first = [placeholders.replace(*case) for case in cases]

    assert first == [placeholders.replace(*case) for case in cases]
    assert [text for text, _ in cases] == [restore(sent, placeholders) for sent in first]


@given(st.lists(texts_with_spans(), max_size=4))
def test_whatever_is_restorable_is_a_lookalike(cases: list[tuple[str, list[Span]]]) -> None:
    """Every text that restoring accepts is replaced when a client writes it."""
    placeholders = Placeholders()
    for case in cases:
        placeholders.replace(*case)

    for text in placeholders.restorable():
        assert Placeholders().replace(text, []) == "[LITERAL-1]"


@given(st.lists(texts_with_spans(), max_size=3), texts_with_spans())
def test_sealed_map_goes_on(
    cases: list[tuple[str, list[Span]]], later: tuple[str, list[Span]]
) -> None:
    """A map that was sealed and opened again numbers the next turn as the first one would."""
    placeholders = Placeholders()
    for case in cases:
        placeholders.replace(*case)
    opened = Placeholders.from_json(placeholders.to_json())

    assert placeholders.replace(*later) == opened.replace(*later)
    assert placeholders.to_json() == opened.to_json()
    assert dict(placeholders.restorable()) == dict(opened.restorable())


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: case["why"])
def test_no_interval_rests_on_a_doubtful_order(case: dict[str, Any]) -> None:
    """Beside a date with the day first, one that reads both ways tells no distance."""
    placeholders = Placeholders()

    for text, expected in case["turns"]:
        dates = [(match.start(), match.end()) for match in _WRITTEN.finditer(text)]
        spans = [Span(*date, Label.DATE, "rule", 1.0) for date in dates]
        assert expected == placeholders.replace(text, spans)
        placeholders = Placeholders.from_json(placeholders.to_json())


def test_entity_joins_what_spelling_does_not() -> None:
    """Two spellings that the caller knows to be one person are forms of one entity."""
    placeholders = Placeholders()

    assert placeholders.placeholder_for(Label.NAME, "Bill", "patient") == "[NAME-1]"
    assert placeholders.placeholder_for(Label.NAME, "William", "patient") == "[NAME-1b]"
    assert placeholders.placeholder_for(Label.NAME, "Bill") == "[NAME-1]"


def test_forms_are_lettered_without_end() -> None:
    """After the form z come aa and ab."""
    placeholders = Placeholders()
    handed = [placeholders.placeholder_for(Label.ID, f"form {n}", "one") for n in range(28)]

    assert handed[:2] == ["[ID-1]", "[ID-1b]"]
    assert handed[25:] == ["[ID-1z]", "[ID-1aa]", "[ID-1ab]"]


def test_surface_inside_another_label_is_apart() -> None:
    """A surface form that begins like another label's does not take its placeholder."""
    placeholders = Placeholders()
    placeholders.placeholder_for(Label.NAME, "ID Koepp")

    assert placeholders.placeholder_for(Label.ID, "Koepp") == "[ID-1]"


@pytest.mark.parametrize("places", [[(0, 9)], [(2, 3), (0, 1)], [(0, 2), (1, 3)]])
def test_wrong_spans_are_a_mistake(places: list[tuple[int, int]]) -> None:
    """Spans out of order, overlapping or beyond the text never let text through."""
    spans = [Span(start, end, Label.NAME, "rule", 1.0) for start, end in places]

    with pytest.raises(RuntimeError):
        Placeholders().replace("Anna", spans)


@given(st.lists(st.tuples(st.sampled_from(Label), st.text(min_size=1)), min_size=1))
def test_printing_shows_only_counts(surfaces: list[tuple[Label, str]]) -> None:
    """Printed in any way, a map is its labels and how many entities each has."""
    placeholders = Placeholders()
    for label, surface in surfaces:
        placeholders.placeholder_for(label, surface)
    counts = " ".join(f"{label}={count}" for label, count in placeholders.counts().items())

    assert repr(placeholders) == str(placeholders) == f"<Placeholders {counts}>"


def test_counts_are_of_entities() -> None:
    """Forms of one entity count once, and a fresh map says that it is empty."""
    placeholders = Placeholders()
    placeholders.replace("Koepp KOEPP [x-1]", [Span(0, 5, Label.NAME, "rule", 1.0)])
    placeholders.placeholder_for(Label.NAME, "KOEPP")

    assert placeholders.counts() == {"NAME": 1}
    assert repr(Placeholders()) == "<Placeholders empty>"


def _broken(**changes: Any) -> bytes:
    rows = [["DATE-1", "", "2023-04-12", "written 2023-04-12"]]
    content = {"version": 1, "anchor": [1, "2023-04-12"], "rows": rows} | changes
    return json.dumps(content, separators=(",", ":")).encode()


def test_written_map_is_read() -> None:
    """The map that the broken ones below differ from is itself read."""
    assert Placeholders.from_json(_broken()).handed_out() == {"DATE-1": "2023-04-12"}


ROW = ["NAME-1", "", "Koepp", "spelled koepp"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"version":1}',
        _broken() + b" ",
        _broken(version=2),
        _broken(anchor=[2, "2023-04-12"]),
        _broken(anchor=["1", "2023-04-12"]),
        _broken(anchor=[1, "20230412"]),
        _broken(anchor=[1, "yesterday"]),
        _broken(rows=[]),
        _broken(rows=[[]]),
        _broken(rows=[ROW]),
        _broken(anchor=None, rows=[["NAME-2", *ROW[1:]]]),
        _broken(anchor=None, rows=[["NAME-1b", *ROW[1:]]]),
        _broken(anchor=None, rows=[["PATIENT-1", *ROW[1:]]]),
        _broken(anchor=None, rows=[["NAME-1", " = DATE-1 + 1 day", *ROW[2:]]]),
        _broken(anchor=None, rows=[["DATE-1", " = DATE-1 + 1 day", *ROW[2:]]]),
        _broken(anchor=None, rows=[["NAME-1", "", 5, "x"]]),
        _broken(anchor=None, rows=[ROW, ["NAME-1b", *ROW[1:]]]),
    ],
)
def test_garbage_is_no_map(raw: bytes) -> None:
    """What sealing cannot have written is refused, and the error quotes nothing of it."""
    with pytest.raises(Invalid) as caught:
        Placeholders.from_json(raw)

    assert caught.value.code == "replacement-map-broken"
    assert caught.value.__context__ is None


def test_map_keeps_half_a_surrogate_pair() -> None:
    """A surface form that is no Unicode text is sealed and opened like any other."""
    placeholders = Placeholders()
    placeholders.placeholder_for(Label.NAME, "\ud800")

    opened = Placeholders.from_json(placeholders.to_json())

    assert opened.handed_out() == {"NAME-1": "\ud800"}


@pytest.mark.parametrize(
    "start", ["[", "\\", "[NAME", "[NAME-", "[NAME-1", "[NAME-1a", "[DATE-2 ="]
)
@pytest.mark.parametrize("rest", [" ", "1", "a", "[", "\\", "[NAME-1 "])
def test_hostile_text_is_read_once(start: str, rest: str) -> None:
    """Text made to keep the search for look-alikes going comes back as it was, and soon."""
    text = start + rest * 200_000

    assert text == Placeholders().replace(text, [])
