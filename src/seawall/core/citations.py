"""Citations of 45 CFR as people write them, and whether the rule text holds them.

A citation is a section and a path of labels: `164.514(b)(2)(i)(A)` is section
164.514, labels b, 2, i, A. The rule text arrives as the mapping that
`rules/cfr45-part164.json` holds under "sections"; reading that file is the
caller's. What the text gets wrong (later amendments, slips of parsing) arrives
as `Gaps`, each citation with its reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LABEL: Final = r"\((?:[A-Za-z]|[ivx]{2,5}|\d{1,2})\)"
# A section of the two parts by itself, or any section that is called "45 CFR".
_CITED: Final = re.compile(
    rf"(?<![\d.])(?:45\s+CFR\s+(?:§+\s*)?(?P<named>\d+\.\d+)|(?P<bare>16[04]\.\d{{3}}))(?![\d.]*\d)"
    rf"(?P<more>(?:[-/]\d{{3}}(?!\.?\d))*)(?P<labels>(?:{_LABEL})*)"
)
# "-(R)", ", (R)", " and (B)", ",(d)(4)": as many labels as are given replace the last ones.
_CONTINUED: Final = re.compile(
    rf"\s*(?:-|–|,|to\b|through\b|and\b|or\b|,\s*(?:and|or)\b)\s*(?P<labels>(?:{_LABEL})+)"  # noqa: RUF001  typeset ranges have it
)


@dataclass(frozen=True)
class Citation:
    """One paragraph, or one whole section when there are no labels."""

    section: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.section + "".join(f"({label})" for label in self.labels)


@dataclass(frozen=True)
class Gaps:
    """What the rule text gets wrong: citation -> reason."""

    present: Mapping[str, str] = field(default_factory=dict)
    """The law has these, the text does not."""

    absent: Mapping[str, str] = field(default_factory=dict)
    """The text has these and what is below them, the law does not."""


def find_citations(text: str) -> list[Citation]:
    """Return every citation of Part 160 or 164, and of other parts when called "45 CFR".

    Ranges and lists of sections ("164.308-316", "164.506/508") and of labels
    ("(A)-(R)", "(A) and (B)") yield what they name; of a range, its two ends.
    Parts and subparts as a whole are not citations.
    """
    return [citation for match in _CITED.finditer(text) for citation in _named(match, text)]


def _named(match: re.Match[str], text: str) -> Iterator[Citation]:
    """Yield what one match names, and what the text right after it continues."""
    first = match["named"] or match["bare"]
    part = first.partition(".")[0]
    *others, last = [first, *(f"{part}.{number}" for number in re.findall(r"\d{3}", match["more"]))]
    yield from (Citation(section) for section in others)
    labels = _labels(match["labels"])
    yield Citation(last, labels)
    end = match.end()
    while labels and (continued := _CONTINUED.match(text, end)):
        given = _labels(continued["labels"])
        labels = (*labels[: max(0, len(labels) - len(given))], *given)
        yield Citation(last, labels)
        end = continued.end()


def _labels(written: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\((\w+)\)", written))


def resolve(
    citation: Citation, sections: Mapping[str, Mapping[str, Any]], gaps: Gaps | None = None
) -> bool:
    """Say whether the law has this paragraph, so far as the text and its known gaps tell.

    Sections of definitions number their paragraphs by term, without a path
    from the section: there, the section and each label must occur.
    """
    gaps = gaps or Gaps()
    if str(citation) in gaps.present:
        return True
    above = (Citation(citation.section, citation.labels[:n]) for n in range(1, 9))
    if any(str(stem) in gaps.absent for stem in above) or citation.section not in sections:
        return False
    if not citation.labels:
        return True
    paragraphs = sections[citation.section]["paragraphs"]
    paths = {paragraph["cite"] for paragraph in paragraphs} - {None}
    if paths:
        return str(citation) in paths
    known = {label for paragraph in paragraphs for label in paragraph["labels"] or ()}
    return known.issuperset(citation.labels)
