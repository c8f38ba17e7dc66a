"""Rows of a table as one piece of bytes, column by column, for any database.

    header length (4 bytes) | header, JSON | for each column: nulls | lengths | content

All numbers are big-endian. A column of text or bytes is the length of each value
(4 bytes each) and the values after each other; a column of integers is 8 bytes for
each. The header names the table, its columns and their kinds, and how many rows
there are; so a backup outlives a change of the columns.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from seawall.core.errors import Tampered

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["text", "bytes", "integer", "boolean"]
KINDS: Final = frozenset({"text", "bytes", "integer", "boolean"})

MOST_BYTES: Final = 1 << 30
"""No chunk is larger; it bounds what a file that is none can make us do."""
_HEADER: Final = 4
_LENGTH: Final = 4
_INTEGER: Final = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows of a table are: its name, and the name and kind of each column."""

    table: str
    columns: tuple[tuple[str, Kind], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were read from a chunk, with what its header says of them."""

    shape: Shape
    rows: list[tuple[Any, ...]]
    log: str = ""
    """Of entries: the origin of their log."""
    start: int = 0
    """Of entries: the index of the first."""


def encode_rows(
    shape: Shape, rows: Sequence[Sequence[Any]], *, log: str = "", start: int = 0
) -> bytes:
    """Write rows; equal rows in the same order give equal bytes."""
    header = orjson.dumps(
        {
            "table": shape.table,
            "columns": shape.columns,
            "rows": len(rows),
            "log": log,
            "start": start,
        }
    )
    parts = [len(header).to_bytes(_HEADER, "big"), header]
    columns = zip(*rows, strict=True) if rows else ((),) * len(shape.columns)
    for (_, kind), values in zip(shape.columns, columns, strict=True):
        parts += _column(kind, values)
    return b"".join(parts)


def _column(kind: Kind, values: Sequence[Any]) -> list[bytes]:
    """Return what stands for one column."""
    parts = [b"\0"]
    if None in values:
        parts = [b"\1", bytes(value is None for value in values)]
        values = [_EMPTY[kind] if value is None else value for value in values]
    if kind == "text":
        values = [value.encode() for value in values]
    if kind in {"text", "bytes"}:
        return [*parts, struct.pack(f">{len(values)}I", *map(len, values)), *values]
    return [*parts, struct.pack(f">{len(values)}q", *map(int, values))]


_EMPTY: Final[dict[str, Any]] = {"text": "", "bytes": b"", "integer": 0, "boolean": False}


def decode_rows(raw: bytes) -> Rows:
    """Read what `encode_rows` wrote; `Tampered` unless it is exactly that."""
    try:
        start = _HEADER + int.from_bytes(raw[:_HEADER], "big")
        header = orjson.loads(raw[_HEADER:start])
        shape = Shape(header["table"], tuple((name, kind) for name, kind in header["columns"]))
        count = header["rows"]
        is_sound = all(kind in KINDS for _, kind in shape.columns) and count <= len(raw)
        if not is_sound or type(count) is not int or count < 0:
            raise malformed()
        reading = _Reading(raw, start)
        columns = [reading.column(kind, count) for _, kind in shape.columns]
        if reading.at != len(raw):
            raise malformed()
        rows = list(zip(*columns, strict=True))
        return Rows(shape, rows, header["log"], header["start"])
    except (ValueError, KeyError, TypeError, struct.error):
        raise malformed() from None


class _Reading:
    """Where the reading of a chunk has come to."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self.at = at

    def column(self, kind: Kind, count: int) -> Sequence[Any]:
        """Read one column."""
        marks = self._take(1)
        if marks not in {b"\0", b"\1"}:
            raise malformed()
        nulls = self._take(count) if marks == b"\1" else b""
        if kind in {"text", "bytes"}:
            values: Sequence[Any] = self._values(kind, count)
        else:
            values = struct.unpack(f">{count}q", self._take(count * _INTEGER))
            if kind == "boolean":
                values = [bool(value) for value in values]
        if not nulls:
            return values
        return [None if null else value for null, value in zip(nulls, values, strict=True)]

    def _values(self, kind: Kind, count: int) -> list[Any]:
        lengths = struct.unpack(f">{count}I", self._take(count * _LENGTH))
        raw, ends = self._raw, list(accumulate(lengths, initial=self.at))
        if ends[-1] > len(raw):
            raise malformed()
        self.at = ends[-1]
        if kind == "text":
            return [raw[begin:end].decode() for begin, end in pairwise(ends)]
        return [raw[begin:end] for begin, end in pairwise(ends)]

    def _take(self, count: int) -> bytes:
        taken = self._raw[self.at : self.at + count]
        if len(taken) != count:
            raise malformed()
        self.at += count
        return taken


def malformed() -> Tampered:
    """Return what it is to find something else than a backup holds."""
    return Tampered(
        "backup-tampered",
        "a part of the backup is not as Seawall wrote it",
        "`seawall backup verify` names the file; use another snapshot, or another copy",
    )
