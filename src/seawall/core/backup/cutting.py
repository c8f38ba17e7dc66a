"""Where a table is cut into chunks, so that few chunks change when few rows do.

A row ends a chunk by what it is itself, and not by its place: rows that come or go
move no other cut. 1 MiB on average, at least 256 KiB, at most about 4 MiB.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LEAST: Final = 1 << 18
MOST: Final = 1 << 22
ENTRIES: Final = 1 << 21
"""So many bytes of entries make a chunk, which never changes again."""
_SHIFT: Final = 32 - 20
"""A CRC-32 is below a row's size shifted by this once in 2^20 bytes."""


def cut_rows(batches: Iterable[Sequence[Sequence[Any]]], by: int) -> Iterator[list[Sequence[Any]]]:
    """Yield the rows of each chunk; `by` is the column whose value decides about a cut."""
    held: list[Sequence[Any]] = []
    size = 0
    for batch in batches:
        for row in batch:
            length = 16
            for value in row:
                if type(value) is bytes or type(value) is str:
                    length += len(value)
            held.append(row)
            size += length
            is_cut = size >= LEAST and zlib.crc32(str(row[by]).encode()) < length << _SHIFT
            if is_cut or size >= MOST:
                yield held
                held, size = [], 0
    if held:
        yield held


def cut_entries(batches: Iterable[Sequence[bytes]]) -> Iterator[tuple[list[bytes], bool]]:
    """Yield the entries of each chunk, and whether it is full: the same in the next backup."""
    held: list[bytes] = []
    size = 0
    for batch in batches:
        for entry in batch:
            held.append(entry)
            size += len(entry)
            if size >= ENTRIES:
                yield held, True
                held, size = [], 0
    if held:
        yield held, False
