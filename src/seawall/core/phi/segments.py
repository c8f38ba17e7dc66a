"""Fields of identity in HL7 version 2 segments: 45 CFR 164.514(b)(2)(i)(A)-(M).

A segment's fields have fixed numbers (HL7 v2.5.1, chapters 3 and 6: PID, NK1,
PV1, GT1, IN1), so what stands in them needs no other sign: a family name in
capitals that is on no list is one by its place. States, sexes and the codes
beside an identifier stay.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_DataType = Literal["id", "name", "date", "address", "phone", "ssn", "person", "place"]

_FIELDS: Final[dict[str, dict[int, _DataType]]] = {
    "PID": {
        2: "id", 3: "id", 4: "id", 5: "name", 6: "name", 7: "date", 9: "name", 11: "address",
        12: "place", 13: "phone", 14: "phone", 18: "id", 19: "ssn", 20: "id", 21: "id",
        23: "place", 29: "date",
    },
    "NK1": {
        2: "name", 4: "address", 5: "phone", 6: "phone", 12: "id", 16: "date", 30: "name",
        31: "phone", 32: "address", 33: "id", 37: "ssn",
    },
    "PV1": {5: "id", 7: "person", 8: "person", 9: "person", 17: "person", 19: "id", 50: "id"},
    "GT1": {
        2: "id", 3: "name", 4: "name", 5: "address", 6: "phone", 7: "phone", 8: "date", 12: "ssn",
        19: "id",
    },
    "IN1": {8: "id", 16: "name", 18: "date", 19: "address", 36: "id", 49: "id"},
}  # fmt: skip
_SEGMENT: Final = Expression(r"\b(?:PID|NK1|PV1|GT1|IN1)\|")
_LINE: Final = Expression(r"[^\r\n]*")
_ADDRESS_PARTS: Final = (0, 1, 2, 4, 8)
"""Street, other designation, city, postal code and county of an XAD; the state is the fourth."""
_SHORTEST_PHONE: Final = 4
_LABELS: Final[dict[str, Label]] = {
    "id": Label.ID,
    "date": Label.DATE,
    "ssn": Label.SSN,
    "place": Label.LOCATION,
}


def find_segments(text: bytes) -> Iterator[Span]:
    """Yield what fields of identity hold, in every segment of a text."""
    starts = [match.span()[0] for match in _SEGMENT.finditer(text)]
    for start, following in pairwise([*starts, len(text)]):
        line = _LINE.match_at(text, start)
        end = min(following, line.span()[1]) if line is not None else following
        kinds = _FIELDS[text[start : start + 3].decode()]
        for number, (at, until) in enumerate(_split(text, start, end, b"|")):
            if number in kinds:
                for repetition in _split(text, at, until, b"~"):
                    yield from _in_field(text, *repetition, kinds[number])


def _split(text: bytes, start: int, end: int, mark: bytes) -> Iterator[tuple[int, int]]:
    for part in text[start:end].split(mark):
        yield start, start + len(part)
        start += len(part) + 1


def _in_field(text: bytes, start: int, end: int, kind: _DataType) -> Iterator[Span]:
    parts = list(_split(text, start, end, b"^"))
    if kind == "name":
        yield from _name(text, parts[:3])
    elif kind == "person":
        yield from _certain(text, *parts[0], Label.ID)
        yield from _name(text, parts[1:4])
    elif kind == "address":
        for number in _ADDRESS_PARTS:
            if number < len(parts):
                yield from _certain(text, *parts[number], Label.LOCATION)
    elif kind == "phone":
        for at, until in parts:
            value = text[at:until]
            if b"@" in value:
                yield from _certain(text, at, until, Label.EMAIL)
            elif sum(value.count(b"%d" % digit) for digit in range(10)) >= _SHORTEST_PHONE:
                yield from _certain(text, at, until, Label.PHONE)
    else:
        yield from _certain(text, *parts[0], _LABELS[kind])


def _name(text: bytes, parts: list[tuple[int, int]]) -> Iterator[Span]:
    """Yield family, given and middle name as one span: it is one person's."""
    held = [part for part in parts if text[part[0] : part[1]].strip()]
    if held:
        yield from _certain(text, held[0][0], held[-1][1], Label.NAME)


def _certain(text: bytes, start: int, end: int, label: Label) -> Iterator[Span]:
    """Yield a value, unless it is empty, HL7's explicit null or a placeholder."""
    value = text[start:end]
    if any(value[i : i + 1].isalnum() for i in range(len(value))) and value[:1] != b"[":
        yield Span(start, end, label, "rule", 1.0)
