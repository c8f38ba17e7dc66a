"""Numbers that name a person, a plan, a licence or a device: 164.514(b)(2)(i)(H)-(M), (R).

Found by the word before them, by the resource or path that they stand in, or by
their shape. A medical code after the name of its system (ICD-10, CPT, LOINC)
stays if it is one, as do trials' registry numbers and quantities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.core.phi.codes import is_code_of_system_before
from seawall.core.phi.dates import UNIT_FOLLOWS
from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.rules_numbers import EMERGENCY_NUMBERS
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_CERTAIN: Final = 0.9
_LIKELY: Final = 0.7

# Words that say by themselves that a number follows.
_STRONG: Final = (
    r"mrn|m\.r\.n\.?|mr ?#|medical records?(?: (?:number|num|no|id))?|health records?(?: number)?|"
    r"chart (?:number|no|id)|record (?:number|no|id|locator)|"
    r"(?:patient|pt|member|subscriber|beneficiary|employee|student|badge|case|claim|visit|"
    r"encounter|site|study|subject|participant|specimen|order|requisition|user|customer|client|"
    r"group|plan|policy|insurance|ins|health plan|payer|provider|device|facility|unique|national|"
    r"state|school|card|confirmation|reference|registration|authorization|auth|referral|prior auth|"
    r"tax|tracking|invoice|serial|model|lot|batch|identity)"
    r"'?s? ?(?:id(?:entifier|entification)?(?: (?:number|num|no))?|numbers?|num|no|#)|"
    r"account|acct|accession|npi|dea|hicn|mbi|medicare|medicaid|vin|imei|udi|serial|s/n|sn|"
    r"passport|licen[sc]e plate|licen[sc]e|lic|driver'?s licen[sc]e|plate|tag|certificate|"
    r"identification|id|uid|guid|ein|tin|itin|rx ?#|rx number|prescription (?:number|no)|"
    r"policy|claim|encounter|ref|fin|csn|har|ticket"
)
# Words that need a colon, a sign or a number's shape to mean an identifier.
_WEAK: Final = (
    r"insurance|ins|plan|health plan|group|case|member|chart|record|visit|order|site|device"
)
_VALUE: Final = (
    r"([A-Za-z]{0,8}[-/ ]?\d[A-Za-z0-9]*(?:[-/.][A-Za-z0-9]+)*|"
    r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\d[A-Za-z0-9-]*)"
)
_JOIN: Final = r"(?:[\s:=#(]|\bis\b|\bwas\b|\bnumber\b|\bnum\b|\bno\b\.?|\bid\b|\bof\b|-|\.){0,8}?"
_STRONG_CONTEXT: Final = Expression(rf"(?i)\b(?:{_STRONG})(?:[\s:=#._/(\"-])(?:{_JOIN}){_VALUE}")
_WEAK_CONTEXT: Final = Expression(rf"(?i)\b(?:{_WEAK})\s?(?:is\s|:|=|#|-)\s?#?{_VALUE}")
_SHAPES: Final = Expression(
    r"\b(?:[A-Z]{1,6}-\d{2,}(?:-\d+)*-?[A-Z0-9]*"
    r"|[A-Z]{1,5}\d{5,}[A-Z]{0,2}"
    r"|\d{4,}-?[A-Z]{2,4}"
    r"|\d{2,5}-\d{2,5}-\d{2,6}"
    r"|(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"
    r"|[1-9][A-Z][A-Z0-9]\d-[A-Z][A-Z0-9]\d-[A-Z]{2}\d{2}"
    r"|[A-Z0-9]{11,17})\b"
)
_NEVER_A_WORD: Final = Expression(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|\d{9,}"
)
"""A UUID or a long number names somebody in a path or a file name as well as in prose."""
_REFERENCE: Final = Expression(
    r"\b(?:Patient|RelatedPerson|Person|Encounter|Coverage|Account|EpisodeOfCare|Claim|Group)/"
    r"([A-Za-z0-9.-]{0,63}[A-Za-z0-9])"
    r"|(?i:/(?:charts?|patients?|members?|subscribers?|records?|encounters?|visits?|persons?|"
    r"users?|u|accounts?|claims?|mrn|cases?)/)([A-Za-z0-9][A-Za-z0-9-]{0,63})"
)
_PERSONS_NUMBER: Final = Expression(
    r"(?i)(?:mrn|m\.r\.n|mr ?#|medical record|health record|chart|patient|pt|member|subscriber|"
    r"beneficiary|medicare|medicaid|passport|social)"
)
"""Words that no quantity follows, whatever stands after the number."""
_CARD: Final = Expression(r"\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}\b")
_SHAPE_STAYS: Final = Expression(
    r"^(?:NCT\d{8}|COVID-\d+|SARS-.*|ICD-.*|HLA-.*|CA-\d+|PHQ-\d|GAD-\d+|HIV-\d|HSV-\d|HTLV-\d|"
    r"IL-\d+|DSM-\d.*|COX-\d|CD-\d+|BRCA-\d|PD-L?\d|GLP-\d|SGLT-?\d.*|HER-\d|T\d-T?\d+|"
    r"[CTLS]\d-[CTLS]?\d|(?:19|20)\d{2}-[A-Z]+|\d{4,8}(?:MG|MCG|ML|IU|UNITS?|KG|CC|MM|CM))$"
)
_MINIMUM: Final = 4
_LONG: Final = 9
_DASHED: Final = 7
_SHORTEST_IN_PATH: Final = 3


def find_ids(text: bytes) -> Iterator[Span]:
    """Yield identifying numbers, by context and by shape."""
    for match in _STRONG_CONTEXT.finditer(text):
        named = _PERSONS_NUMBER.match_at(text, match.span()[0]) is not None
        yield from _in_context(text, *match.span(1), is_never_a_quantity=named)
    for match in _WEAK_CONTEXT.finditer(text):
        yield from _in_context(text, *match.span(1))
    for match in _NEVER_A_WORD.finditer(text):
        start, end = match.span()
        if _is_whole(text, start, end) and _is_long_identifier(text, start, end):
            yield Span(start, end, Label.ID, "rule", _LIKELY)
    if b"/" in text:
        yield from _find_references(text)
    for match in _SHAPES.finditer(text):
        start, end = match.span()
        if _is_identifying_shape(text, start, end):
            yield Span(start, end, Label.ID, "rule", _LIKELY)
    for match in _CARD.finditer(text):
        yield Span(*match.span(), Label.ID, "rule", _LIKELY)


def _find_references(text: bytes) -> Iterator[Span]:
    """Yield the number in "Patient/123" of FHIR and in "/charts/448812/notes"."""
    for match in _REFERENCE.finditer(text):
        for group, minimum in ((1, 1), (2, _SHORTEST_IN_PATH)):
            start, end = match.span(group)
            if start >= 0 and sum(map(bytes.isdigit, _letters(text[start:end]))) >= minimum:
                yield Span(start, end, Label.ID, "rule", _CERTAIN)


def _in_context(
    text: bytes, start: int, end: int, *, is_never_a_quantity: bool = False
) -> Iterator[Span]:
    value = text[start:end]
    bare = value.replace(b"-", b"").replace(b".", b"").replace(b"/", b"")
    if len(bare) < _MINIMUM or sum(map(bytes.isdigit, _letters(bare))) < 3:  # noqa: PLR2004
        return
    is_year = len(bare) == 4 and bare[:2] in (b"19", b"20")  # noqa: PLR2004
    if is_year or is_code_of_system_before(text, start, end):
        return
    if not (is_never_a_quantity or len(bare) >= _LONG) and UNIT_FOLLOWS.match_at(text, end):
        return
    if _DATE_LIKE.match_at(value, 0) or _SHAPE_STAYS.search(value):
        return
    head = value.split(b" ")[0]
    if head.isalpha() and head.islower():
        start += len(head) + 1  # "account ending 12345": the word is no part of the number
    while not text[start : start + 1].isalnum():
        start += 1
    yield Span(start, end, Label.ID, "rule", _CERTAIN)


_DATE_LIKE: Final = Expression(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}$")


def _letters(value: bytes) -> list[bytes]:
    return [value[i : i + 1] for i in range(len(value))]


def _is_whole(text: bytes, start: int, end: int) -> bool:
    """Whether neither a letter, a digit nor a decimal point makes a match part of more."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before[-1:].isalnum() or after[:1].isalnum():
        return False
    return not (
        (before[-1:] == b"." and before[:1].isdigit())
        or (after[:1] in (b".", b"-") and after[1:].isdigit())
    )


def _is_long_identifier(text: bytes, start: int, end: int) -> bool:
    value = text[start:end].decode()
    if not value.isdigit():
        return True
    is_emergency = value.removeprefix("1") in EMERGENCY_NUMBERS
    return not is_emergency and not is_code_of_system_before(text, start, end)


def _is_identifying_shape(text: bytes, start: int, end: int) -> bool:
    value = text[start:end]
    digits = sum(map(bytes.isdigit, _letters(value)))
    bare = value.replace(b"-", b"").decode()
    if digits < _MINIMUM or not _stands_apart(text, start, end):
        return False
    if UNIT_FOLLOWS.match_at(text, end) or is_code_of_system_before(text, start, end):
        return False
    if _DATE_LIKE.match_at(value, 0) or _SHAPE_STAYS.search(value):
        return False
    if bare.isdigit():
        return digits >= _DASHED and bare.removeprefix("1") not in EMERGENCY_NUMBERS
    return True


def _stands_apart(text: bytes, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    if before in (b".", b"/", b"_") or after[:1] in (b"/", b"_"):
        return False
    return not (after[:1] in (b".", b"-") and after[1:].isalnum())
