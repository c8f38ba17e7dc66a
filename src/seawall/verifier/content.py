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
            value = json.loads(entry.decode(), parse_float=_no, parse_constant=_no)
            is_canonical = _write(value).encode() == entry and _is_plain(value)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            self.canonical += is_canonical
            self.other_objects += not is_canonical

    def sentence(self, size: int) -> str:
        """Say what was found, of how many."""
        parts = [f"{self.canonical:,} Seawall entries (canonical JSON objects)"]
        if self.other_objects:
            parts.append(f"{self.other_objects:,} JSON objects in another form")
        if rest := self.read - self.canonical - self.other_objects:
            parts.append(f"{rest:,} of another kind, which is not judged")
        looked = "every entry read" if self.read == size else f"{self.read:,} of {size:,} read"
        return f"{looked}: {', '.join(parts)}"


def _is_plain(value: Any) -> bool:
    """Whether a value holds neither null nor an integer beyond 2^53-1."""
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is not None and (isinstance(value, str) or -_LARGEST <= value <= _LARGEST)


def _no(_: str) -> Any:
    raise ValueError("not of Seawall's form")
