"""Hashing a log's entries, 256 bundles at a time: the runs that one tile of level 1 covers.

A run needs no other: several processes may each read some.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from .content import Contents
from .folder import HASH, WIDTH, Copy, Row, rows_of
from .refusal import BUNDLES, TILES, Refusal
from .tree import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN: Final = WIDTH * WIDTH
"""So many entries are a run."""


@dataclass
class Run:
    """What a run came to."""

    roots: list[bytes] = field(default_factory=list)
    """The root of each full bundle."""
    tails: dict[int, bytes] = field(default_factory=dict)
    """For each size that was asked for, the root over its last bundle, if that is not full."""
    contents: Contents = field(default_factory=Contents)


class Bundles:
    """The entries of a copy, and the tiles of level 0 that must agree with them.

    `sizes` are those whose roots are wanted; none is larger than `size`.
    """

    def __init__(self, copy: Copy, size: int, sizes: frozenset[int], *, reads_all: bool) -> None:
        self._copy = copy
        self._size = size
        self._sizes = sizes
        self._reads_all = reads_all
        self._rows = rows_of(size)

    def read_run(self, first: int) -> Run:
        """Check the run that begins with the entry `first`; a refusal at what is wrong in it."""
        run = Run()
        sizes = {each for each in self._sizes if first < each <= first + RUN and each % WIDTH}
        start = max(first, min(self._copy.minimum, first + RUN))
        run.roots += self._kept_roots(first, start)
        for base in range(start, min(first + RUN, self._size), WIDTH):
            width = min(WIDTH, self._size - base)
            leaves = self._check_bundle(base // WIDTH, width, run.contents)
            if width == WIDTH:
                run.roots.append(root_of(leaves))
            for size in sizes:
                if base < size < base + WIDTH:
                    run.tails[size] = root_of(leaves[: size - base])
        return run

    def _kept_roots(self, first: int, stop: int) -> Iterator[bytes]:
        """Yield the roots of the run's pruned bundles, which the tile above them still holds."""
        if first < stop:
            row, index = self._rows[2], first // RUN
            tile = self._copy.read_row(TILES, row, index, row.width_at(index))
            for at in range((stop - first) // WIDTH):
                yield tile[at * HASH : (at + 1) * HASH]

    def _check_bundle(self, index: int, width: int, contents: Contents) -> list[bytes]:
        """Return the leaf hashes of a bundle that agrees with its tile."""
        bundles, tiles = self._rows[0], self._rows[1]
        raw = self._copy.read_row(BUNDLES, bundles, index, width)
        starts = _cut(raw, width)
        if starts is None:
            problem = f"is not exactly {width} entries, each behind its length"
            raise Refusal(BUNDLES, bundles.path(index, width), problem)
        sha256 = hashlib.sha256
        leaves = [
            sha256(b"\x00" + raw[start + 2 : stop]).digest() for start, stop in pairwise(starts)
        ]
        tile = self._copy.read_row(BUNDLES, tiles, index, width)
        if b"".join(leaves) != tile:
            at = next(i for i in range(width) if leaves[i] != tile[i * HASH : (i + 1) * HASH])
            problem = f"entry {index * WIDTH + at} is not what {tiles.path(index, width)} holds"
            raise Refusal(BUNDLES, bundles.path(index, width), problem)
        for file, stale, kept in self._copy.stale(BUNDLES, bundles, index):
            require_beginning(BUNDLES, file, kept, raw[: starts[stale]])
        check_stale_tiles(self._copy, BUNDLES, tiles, index, tile)
        for at in range(width if self._reads_all else 1):
            contents.count(raw[starts[at] + 2 : starts[at + 1]])
        return leaves


def check_stale_tiles(copy: Copy, step: int, row: Row, index: int, tile: bytes) -> None:
    """Check that the partial tiles that earlier sizes left are how a tile begins."""
    for file, width, kept in copy.stale(step, row, index):
        require_beginning(step, file, kept, tile[: width * HASH])


def require_beginning(step: int, file: str, kept: bytes, expected: bytes) -> None:
    """Refuse a file of an earlier size that is not what it was then."""
    if kept != expected:
        raise Refusal(step, file, "was kept from an earlier size, and is not how the log began")


def _cut(raw: bytes, width: int) -> list[int] | None:
    """Return where each entry of a bundle starts, and where the last one ends.

    None if it is not exactly `width` of them.
    """
    at, length = 0, len(raw)
    starts = [0]
    for _ in range(width):
        if at + 2 > length:
            return None
        at += 2 + (raw[at] << 8 | raw[at + 1])
        starts.append(at)
    return starts if at == length else None
