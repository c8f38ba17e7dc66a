"""The shadow of a text: escapes and look-alikes undone, with the way back."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.phi.known import KnownIdentifiers, PersonName
from seawall.core.phi.shadow import Shadow, fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.core.phi.detection import Detector

LI = KnownIdentifiers(names=(PersonName(("李",), "王"), PersonName(("Natalie",), "Li")))


def as_json(text: str) -> str:
    """Return a text as it stands within a JSON string."""
    return json.dumps(text)[1:-1]


def as_html(text: str) -> str:
    """Return a text with every character beyond ASCII, and markup, as an entity."""
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


ESCAPING = pytest.mark.parametrize(
    "escape",
    [as_json, lambda text: as_json(as_json(text)), lambda text: quote(text, safe=""), as_html],
    ids=["json", "json-in-json", "url", "html"],
)
WRITTEN = st.text(st.characters(codec="utf-8", exclude_characters="\\%&<\b\f\x7f"), max_size=30)


@ESCAPING
@given(
    text=WRITTEN.filter(lambda text: all(char.isprintable() or char in "\n\r\t" for char in text))
)
def test_escaped_text_has_the_shadow_of_the_text(escape: Callable[[str], str], text: str) -> None:
    """However a text is escaped, finders read what was meant."""
    assert fold(text) == Shadow.of(escape(text)).text


@given(before=WRITTEN, after=WRITTEN)
@ESCAPING
def test_an_escape_goes_back_as_a_whole(
    escape: Callable[[str], str], before: str, after: str
) -> None:
    """A span that ends in an escaped character covers the whole escape in the original."""
    written = escape("<é>")
    shadow = Shadow.of(f"{escape(before)} {written} {escape(after)}")
    start, end = shadow.to_original(at := shadow.text.index("<"), at + len("<e>"))

    assert written == shadow.original[start:end]


@given(st.text(st.sampled_from("\\nu0041%2C7&#;amp'é\ud800 "), max_size=60))
def test_offsets_of_any_shadow_are_in_order_and_in_range(text: str) -> None:
    """Whatever only looks like an escape, each letter of the shadow came from somewhere."""
    shadow = Shadow.of(text)
    ranges = [shadow.to_original(at, at + 1) for at in range(len(shadow.ascii))]

    assert sorted(ranges) == ranges
    assert all(0 <= start < end <= len(text) for start, end in ranges)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (r"caf\xc3\xa9 \xe9", "cafe e"),
        (r"\U0001d400nna", "Anna"),
        (r"MR\-4\_2", "MR-4_2"),
        ("a &foo; 98% of it", "a &foo; 98% of it"),
        ("&amp;amp;", "&"),
    ],
)
def test_an_escape_is_read_as(written: str, expected: str) -> None:
    """Python's escapes and those of Markdown are read; what is no escape stays."""
    assert expected == Shadow.of(written).text


@pytest.mark.parametrize(
    "written",
    ["李", r"\u674e", r"\\u674E", "%E6%9D%8E", "&#26446;", "&#x674e;", r"C:\natalie"],
)
def test_a_known_name_is_found_however_it_is_escaped(detector: Detector, written: str) -> None:
    """Names of another script, and names after what only looks like an escape, are found."""
    text = f"see {written} today"
    [span] = detector.find(text, [LI])

    assert written.removeprefix("C:") == text[span.start : span.end]


@pytest.mark.parametrize("unit", ["\\", "%25", "&amp;", "\\u", "\\x4", "&amp;amp;amp;", "%2"])
def test_a_run_of_half_escapes_is_read_once(unit: str) -> None:
    """Text made to keep the search for escapes going has a shadow, and soon."""
    assert Shadow.of(unit * 100_000).original == unit * 100_000
