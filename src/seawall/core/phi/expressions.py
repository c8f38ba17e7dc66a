"""Regular expressions that take linear time, whatever a hostile text holds.

The one module that touches `re2`, which ships no types. Expressions read the
ASCII bytes of a `Shadow`, so that offsets of bytes are offsets of its letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import re2

if TYPE_CHECKING:
    from collections.abc import Iterator


class Match(Protocol):
    """Where an expression and its groups matched."""

    def span(self, group: int = 0) -> tuple[int, int]:
        """Return start and end of a group, or (-1, -1) where it took no part."""
        ...

    def group(self, group: int = 0) -> bytes | None:
        """Return the bytes of a group, or nothing where it took no part."""
        ...


class Expression:
    """A compiled expression; written as text, matched over ASCII bytes."""

    __slots__ = ("_compiled",)

    def __init__(self, pattern: str) -> None:
        self._compiled = re2.compile(pattern.encode("ascii"))

    def finditer(self, text: bytes) -> Iterator[Match]:
        """Yield the matches that do not overlap, from left to right."""
        return cast("Iterator[Match]", self._compiled.finditer(text))

    def search(self, text: bytes, start: int = 0, end: int | None = None) -> Match | None:
        """Return the first match within `text[start:end]`."""
        return cast("Match | None", self._compiled.search(text, start, end))

    def match_at(self, text: bytes, start: int) -> Match | None:
        """Return the match that begins at `start`."""
        return cast("Match | None", self._compiled.match(text, start))


def escape(literal: str) -> str:
    """Return an expression that matches an ASCII literal and nothing else."""
    return "".join(char if char.isalnum() else f"\\x{ord(char):02x}" for char in literal)
