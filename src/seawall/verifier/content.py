"""Telling Seawall's entries from others: a JSON object in its one canonical form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

_LARGEST: Final = 2**53 - 1
_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass
class Contents:
    """How many entries were looked at, and what they are."""

    read: int = 0
    canonical: int = 0
    other_objects: int = 0

    def count(self, entry: bytes) -> None:
        """Look at one entry."""
        self.read += 1
        try:
            value, is_canonical = _judge(entry)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            self.canonical += is_canonical
            self.other_objects += not is_canonical

    def add(self, other: Contents) -> None:
        """Add what was counted elsewhere."""
        self.read += other.read
        self.canonical += other.canonical
        self.other_objects += other.other_objects

    def sentence(self, size: int) -> str:
        """Say what was found, of how many."""
        parts = [f"{self.canonical:,} Seawall entries (canonical JSON objects)"]
        if self.other_objects:
            parts.append(f"{self.other_objects:,} JSON objects in another form")
        if rest := self.read - self.canonical - self.other_objects:
            parts.append(f"{rest:,} of another kind, which is not judged")
        looked = "every entry read" if self.read == size else f"{self.read:,} of {size:,} read"
        return f"{looked}: {', '.join(parts)}"


class _LargeError(ValueError):
    """An integer is beyond 2^53-1."""


def _judge(entry: bytes) -> tuple[Any, bool]:
    """Return an entry's value, and whether it is the canonical spelling of one that may be."""
    text = entry.decode()
    try:
        value = _parse(text)
    except _LargeError:
        return _parse_large(text), False
    return value, _write(value).encode() == entry and not (b"null" in entry and _has_null(value))


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    if isinstance(value, list):
        return any(map(_has_null, value))
    return value is None


def _integer(digits: str) -> int:
    if abs(value := int(digits)) > _LARGEST:
        raise _LargeError
    return value


def _no(_: str) -> Any:
    raise ValueError("not of Seawall's form")


_parse = json.JSONDecoder(parse_int=_integer, parse_float=_no, parse_constant=_no).decode
_parse_large = json.JSONDecoder(parse_float=_no, parse_constant=_no).decode
