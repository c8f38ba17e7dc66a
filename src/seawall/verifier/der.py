"""Reading DER without trust (X.690): definite lengths in their one spelling, nothing left over.

Only what time stamps are made of: tags of one byte, and no element longer than
what holds it. Whatever is wrong is raised as `FormError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .refusal import FormError

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

TRUE: Final = b"\xff"

_CHILDREN: Final = 1_000
"""No element of a time stamp has more parts."""

_OID_BYTES: Final = 32
"""No object identifier that we know is longer."""


def context(number: int) -> int:
    """Return the tag `[number]` of something that has parts."""
    return 0xA0 | number


@dataclass(frozen=True)
class Element:
    """A tag, what it holds, and the bytes of both."""

    tag: int
    content: bytes
    raw: bytes

    def parts(self, tag: int = SEQUENCE) -> Parts:
        """Return what this element holds, which must have this tag."""
        self.require(tag)
        return Parts(self.content)

    def require(self, tag: int) -> bytes:
        """Return the content of an element that must have this tag."""
        if self.tag != tag:
            raise FormError(f"its part with tag {self.tag:#04x} should be one with {tag:#04x}")
        return self.content

    def number(self) -> int:
        """Return a non-negative integer in its shortest form."""
        content = self.require(INTEGER)
        is_padded = len(content) > 1 and content[0] == 0 and content[1] < 0x80  # noqa: PLR2004  the sign bit
        if not content or content[0] >= 0x80 or is_padded:  # noqa: PLR2004  the sign bit
            raise FormError("it holds a number that is negative or malformed")
        return int.from_bytes(content, "big")

    def oid(self) -> str:
        """Return an object identifier in dotted form."""
        content = self.require(OID)
        if not 0 < len(content) <= _OID_BYTES or content[-1] & 0x80:
            raise FormError("it holds a malformed object identifier")
        arcs, value = [], 0
        for before, byte in pairwise(b"\0" + content):
            if byte == 0x80 and not before & 0x80:  # noqa: PLR2004  an arc begins with no zeros
                raise FormError("it holds a malformed object identifier")
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


class Parts:
    """The elements in a row, taken one after the other."""

    def __init__(self, raw: bytes) -> None:
        self._elements = _split(raw)

    def take(self, tag: int | None = None) -> Element:
        """Return the next element, which must have this tag if one is given."""
        if not self._elements:
            raise FormError("it ends too early")
        element = self._elements.pop(0)
        if tag is not None:
            element.require(tag)
        return element

    def maybe(self, tag: int) -> Element | None:
        """Return the next element if it has this tag."""
        is_next = bool(self._elements) and self._elements[0].tag == tag
        return self._elements.pop(0) if is_next else None

    def rest(self) -> list[Element]:
        """Return all that was not taken."""
        rest, self._elements = self._elements, []
        return rest

    def end(self) -> None:
        """Check that everything was taken."""
        if self._elements:
            raise FormError("it has a part too many")


def read(raw: bytes, tag: int = SEQUENCE) -> Element:
    """Return the one element that these bytes are."""
    parts = Parts(raw)
    element = parts.take(tag)
    parts.end()
    return element


def _split(raw: bytes) -> list[Element]:
    elements: list[Element] = []
    at = 0
    while at < len(raw):
        if len(elements) == _CHILDREN:
            raise FormError("it has too many parts")
        start, (length, content) = at, _length(raw, at)
        if raw[start] & 0x1F == 0x1F:  # noqa: PLR2004  a tag of more than one byte
            raise FormError("it has a part of an unknown kind")
        at = content + length
        if at > len(raw):
            raise FormError("it is cut off")
        elements.append(Element(raw[start], raw[content:at], raw[start:at]))
    return elements


def _length(raw: bytes, at: int) -> tuple[int, int]:
    """Return an element's length and where its content begins."""
    if at + 2 > len(raw):
        raise FormError("it is cut off")
    first = raw[at + 1]
    if first < 0x80:  # noqa: PLR2004  the short form
        return first, at + 2
    stop = at + 2 + (first & 0x7F)
    length = int.from_bytes(raw[at + 2 : stop], "big")
    if first == 0x80 or stop > len(raw) or first > 0x84 or length < 0x80 or raw[at + 2] == 0:  # noqa: PLR2004  indefinite, cut off, huge, or not the shortest form
        raise FormError("it has a length that is not DER")
    return length, stop
