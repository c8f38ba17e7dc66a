"""Numbers that name a person, a plan, a licence or a device: 164.514(b)(2)(i)(H)-(M), (R).

Found by the word before them, or by their shape. A medical code after the name
of its system (ICD-10, CPT, LOINC, NDC, SNOMED, RxNorm) stays, as do trials'
registry numbers and quantities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
_STRONG_CONTEXT: Final = Expression(rf"(?i)\b(?:{_STRONG})(?:[\s:=#.(\"-])(?:{_JOIN}){_VALUE}")
_WEAK_CONTEXT: Final = Expression(rf"(?i)\b(?:{_WEAK})\s?(?:is\s|:|=|#|-)\s?#?{_VALUE}")
_CODE_SYSTEM: Final = Expression(
    r"(?i)\b(?:icd|icd-?(?:9|10|11)(?:-?(?:cm|pcs))?|cpt|hcpcs|loinc|ndc|snomed(?:[- ]?ct)?|rxnorm|"
    r"rxcui|cvx|atc|drg|ms-drg|pmid|doi|nct|isbn|umls|cui|dsm)\b(?: ?codes?)?[\s:#=()-]{0,4}$"
)
_CODE_LENGTH: Final = 24
_SHAPES: Final = Expression(
    r"\b(?:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|[A-Z]{1,6}-\d{2,}(?:-\d+)*-?[A-Z0-9]*"
    r"|[A-Z]{1,5}\d{5,}[A-Z]{0,2}"
    r"|\d{4,}-?[A-Z]{2,4}"
    r"|\d{2,5}-\d{2,5}-\d{2,6}"
    r"|\d{9,}"
    r"|(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"
    r"|[1-9][A-Z][A-Z0-9]\d-[A-Z][A-Z0-9]\d-[A-Z]{2}\d{2}"
    r"|[A-Z0-9]{11,17})\b"
)
_CARD: Final = Expression(r"\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}\b")
_SHAPE_STAYS: Final = Expression(
    r"^(?:NCT\d{8}|COVID-\d+|SARS-.*|ICD-.*|HLA-.*|CA-\d+|PHQ-\d|GAD-\d+|HIV-\d|HSV-\d|HTLV-\d|"
    r"IL-\d+|DSM-\d.*|COX-\d|CD-\d+|BRCA-\d|PD-L?\d|GLP-\d|SGLT-?\d.*|HER-\d|T\d-T?\d+|"
    r"[CTLS]\d-[CTLS]?\d|(?:19|20)\d{2}-[A-Z]+|\d{4,}(?:MG|MCG|ML|IU|UNITS?|KG|CC|MM|CM))$"
)
_MINIMUM: Final = 4
_LONG: Final = 9
_DASHED: Final = 7


def find_ids(text: bytes) -> Iterator[Span]:
    """Yield identifying numbers, by context and by shape."""
    for match in _STRONG_CONTEXT.finditer(text):
        yield from _in_context(text, *match.span(1))
    for match in _WEAK_CONTEXT.finditer(text):
        yield from _in_context(text, *match.span(1))
    for match in _SHAPES.finditer(text):
        start, end = match.span()
        if _is_identifying_shape(text, start, end):
            yield Span(start, end, Label.ID, "rule", _LIKELY)
    for match in _CARD.finditer(text):
        yield Span(*match.span(), Label.ID, "rule", _LIKELY)


def _in_context(text: bytes, start: int, end: int) -> Iterator[Span]:
    value = text[start:end]
    bare = value.replace(b"-", b"").replace(b".", b"").replace(b"/", b"")
    if len(bare) < _MINIMUM or sum(map(bytes.isdigit, _letters(bare))) < 3:  # noqa: PLR2004
        return
    is_year = len(bare) == 4 and bare[:2] in (b"19", b"20")  # noqa: PLR2004
    if is_year or UNIT_FOLLOWS.match_at(text, end) or _follows_code_system(text, start):
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


def _follows_code_system(text: bytes, start: int) -> bool:
    return _CODE_SYSTEM.search(text[max(0, start - _CODE_LENGTH) : start]) is not None


def _is_identifying_shape(text: bytes, start: int, end: int) -> bool:
    value = text[start:end]
    digits = sum(map(bytes.isdigit, _letters(value)))
    bare = value.replace(b"-", b"").decode()
    if digits < _MINIMUM or not _stands_apart(text, start, end):
        return False
    if UNIT_FOLLOWS.match_at(text, end) or _follows_code_system(text, start):
        return False
    if _DATE_LIKE.match_at(value, 0) or _SHAPE_STAYS.search(value):
        return False
    if bare.isdigit():
        minimum = _DASHED if b"-" in value else _LONG
        return digits >= minimum and bare.removeprefix("1") not in EMERGENCY_NUMBERS
    return True


def _stands_apart(text: bytes, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    if before in (b".", b"/", b"_") or after[:1] in (b"/", b"_"):
        return False
    return not (after[:1] in (b".", b"-") and after[1:].isalnum())
