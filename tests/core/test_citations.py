"""Citations are found as people write them, and resolve only if the law has the paragraph."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.citations import Citation, Gaps, find_citations, resolve

RULES = files("seawall") / "rules"
SECTIONS: dict[str, Any] = {
    number: section
    for part in ("160", "164")
    for number, section in json.loads((RULES / f"cfr45-part{part}.json").read_text("utf-8"))[
        "sections"
    ].items()
}
GAPS = Gaps(**json.loads((RULES / "known-gaps.json").read_text("utf-8")))
BY_HAND = ["baa-required-terms", "safe-harbor-identifiers", "clocks", "security-rule-matrix"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45 CFR 164.514(b)(2)(i)(A).", ["164.514(b)(2)(i)(A)"]),
        ("see § 164.312(b), 160.103", ["164.312(b)", "160.103"]),
        ("164.514(b)(2)(i)(A)-(R)", ["164.514(b)(2)(i)(A)", "164.514(b)(2)(i)(R)"]),
        ("164.514(d)(1)-(2), (5)", ["164.514(d)(1)", "164.514(d)(2)", "164.514(d)(5)"]),
        ("164.524(a)(4),(d)(4)", ["164.524(a)(4)", "164.524(d)(4)"]),
        ("164.504(e)(2)(i)(A) and (B)", ["164.504(e)(2)(i)(A)", "164.504(e)(2)(i)(B)"]),
        ("164.308-316", ["164.308", "164.316"]),
        ("45 CFR 164.506/508/512", ["164.506", "164.508", "164.512"]),
        ("164.308-164.316", ["164.308", "164.316"]),
        ("45\n CFR 46.116", ["46.116"]),
    ],
)
def test_citations_are_found_as_written(text: str, expected: list[str]) -> None:
    """Single paragraphs, ranges, lists and line breaks all yield what they name."""
    assert expected == [str(citation) for citation in find_citations(text)]


@pytest.mark.parametrize(
    "text",
    ["45 CFR Parts 160 and 164", "10.164.312.1", "v164.5", "1164.312", "164.312.9", "164.3125"],
)
def test_what_is_no_citation_is_not_found(text: str) -> None:
    """Whole parts, addresses, versions and longer numbers are not citations."""
    assert [] == find_citations(text)


@pytest.mark.parametrize(
    "cited",
    [
        "164.514(b)(2)(i)(A)",
        "164.312(b)",
        "160.103",
        "164.402(1)(i)",  # a definition: paragraphs without a path from the section
        "164.512(e)(1)(ii)(A)",  # a known slip of the text
        "164.512(k)(7)",  # added later
        "164.524(a)(1)(i)",
    ],
)
def test_what_the_law_has_resolves(cited: str) -> None:
    """A paragraph of the text, of a definition or of the known gaps resolves."""
    assert [True] == [resolve(c, SECTIONS, GAPS) for c in find_citations(cited)]


@pytest.mark.parametrize(
    "cited",
    [
        "164.514(b)(2)(i)(S)",  # there are eighteen
        "164.312(f)",
        "164.999",
        "164.402(9)",
        "164.302(a)",  # one unnumbered paragraph
        "164.512(e)(ii)",  # in the text by a slip
        "164.514(i)(2)(iv)",  # below such a slip
        "164.524(a)(1)(iii)",  # removed in 2014
        "45 CFR 46.116",  # a part that is not shipped
    ],
)
def test_what_the_law_lacks_does_not_resolve(cited: str) -> None:
    """A paragraph that does not exist, or no longer does, does not resolve."""
    assert [False] == [resolve(c, SECTIONS, GAPS) for c in find_citations(cited)]


@pytest.mark.parametrize("name", BY_HAND)
def test_the_rules_written_by_hand_cite_the_law(name: str) -> None:
    """Every citation in the derived rule files resolves in the text beside them."""
    found = find_citations((RULES / f"{name}.json").read_text("utf-8"))

    assert found
    assert [] == [str(citation) for citation in found if not resolve(citation, SECTIONS, GAPS)]


def test_every_known_gap_is_a_gap() -> None:
    """A gap that the text does not have would hide nothing, and is not listed."""
    listed = [citation for text in GAPS.present for citation in find_citations(f"45 CFR {text}")]

    assert [*GAPS.present] == [str(citation) for citation in listed]
    assert [] == [str(citation) for citation in listed if resolve(citation, SECTIONS)]


PATHS = sorted(
    paragraph["cite"]
    for section in SECTIONS.values()
    for paragraph in section["paragraphs"]
    if paragraph["cite"]
)


@given(st.sampled_from(PATHS))
def test_every_paragraph_of_the_text_is_found_and_resolves(path: str) -> None:
    """What the text calls a paragraph, a sentence can cite."""
    found = find_citations(f"as 45 CFR {path} says")

    assert [path] == [str(citation) for citation in found]
    assert [True] == [resolve(citation, SECTIONS) for citation in found]


@given(st.text(max_size=200))
def test_any_text_can_be_searched(text: str) -> None:
    """Finding citations never fails, and only ever names a section with a part."""
    assert all("." in citation.section for citation in find_citations(text))


def test_a_citation_prints_as_the_law_writes_it() -> None:
    """Labels follow the section in parentheses."""
    assert "164.514(b)(2)" == str(Citation("164.514", ("b", "2")))
