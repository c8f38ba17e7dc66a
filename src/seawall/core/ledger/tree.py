"""The Merkle tree of RFC 6962 section 2.1, grown at its right edge.

A log keeps no tree in memory: it keeps the edge, which is the incomplete tile
of each level, and `extend` turns an edge and new leaves into the next edge and
the tiles that changed. A tile of level L holds up to 256 hashes of complete
subtrees of 256^L leaves (C2SP tlog-tiles, "Merkle Tree").
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Tampered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES

MAX_SIZE: Final = 2**63 - 1
"""No log grows beyond this; it bounds what hostile numbers can make us do."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves: RFC 6962 section 2.1."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry into a leaf: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children into their parent: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_hashes(raw: bytes) -> list[bytes]:
    """Cut concatenated hashes apart; the length is a multiple of 32."""
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over one or more adjacent subtrees of equal size.

    The last may be a smaller one: pairing from the left and carrying an odd
    last one up gives the same tree as splitting at the largest power of two.
    """
    row = list(hashes)
    while len(row) > 1:
        paired = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        row = paired + row[2 * len(paired) :]
    return row[0]


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree of `size` leaves: all that growing it takes.

    `partial[level]` are the concatenated hashes of the incomplete tile of that
    level, empty where the level's last tile is full; there are as many levels
    as the tree has tiles of.
    """

    size: int
    partial: tuple[bytes, ...]
    peaks: tuple[bytes, ...] = field(default=(), repr=False, compare=False)
    """Roots of the complete subtrees, largest first, one for each bit of `size`."""

    def __post_init__(self) -> None:
        if tuple(map(len, self.partial)) != _partial_lengths(self.size):
            raise RuntimeError("an edge does not have the shape of its size")
        if len(self.peaks) != self.size.bit_count():
            object.__setattr__(self, "peaks", tuple(_peaks(self.partial)))

    @property
    def range(self) -> CompactRange:
        """What a log's head row keeps of this edge."""
        return CompactRange(self.size, self.peaks)

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        return self.range.root()

    @classmethod
    def restore(cls, stored: CompactRange, tile: Callable[[int, int], bytes]) -> Edge:
        """Return the edge of a stored range; `tile` reads the incomplete tile of (level, index).

        `Tampered` unless the tiles are those of the range.
        """
        partial = tuple(
            tile(level, stored.size >> TILE_HEIGHT * (level + 1)) if length else b""
            for level, length in enumerate(_partial_lengths(stored.size))
        )
        if tuple(map(len, partial)) != _partial_lengths(stored.size):
            raise _malformed()
        if tuple(_peaks(partial)) != stored.peaks:
            raise _malformed()
        return cls(stored.size, partial, stored.peaks)


@dataclass(frozen=True, slots=True)
class CompactRange:
    """A tree of `size` leaves as the roots of its complete subtrees, largest first.

    There is one for each bit of `size`: what a log's head row keeps, since the
    incomplete tiles follow from the last entries and from the tiles above them.
    """

    size: int
    peaks: tuple[bytes, ...]

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        if not self.peaks:
            return EMPTY_ROOT
        return reduce(lambda right, left: node_hash(left, right), reversed(self.peaks))

    def to_bytes(self) -> bytes:
        """Return the size (8 bytes, big-endian) and the peaks, smallest first."""
        return struct.pack(">Q", self.size) + b"".join(reversed(self.peaks))

    @classmethod
    def from_bytes(cls, raw: bytes) -> CompactRange:
        """Read what `to_bytes` wrote; `Tampered` if it can be nothing of the kind."""
        size = int.from_bytes(raw[:8], "big")
        if len(raw) != 8 + HASH_BYTES * size.bit_count() or size > MAX_SIZE:
            raise _malformed()
        return cls(size, tuple(reversed(split_hashes(raw[8:]))))


def partial_tiles(raw: bytes) -> tuple[bytes, ...] | None:
    """Return the incomplete tiles that head rows held before they held peaks, or None.

    Such a row is the size and the incomplete tile of each level, lowest first. Where
    both forms have the same length they are the same.
    """
    size = int.from_bytes(raw[:8], "big")
    lengths = _partial_lengths(size)
    if size > MAX_SIZE or len(raw) != 8 + sum(lengths):
        return None
    partial, at = [], 8
    for length in lengths:
        partial.append(raw[at : at + length])
        at += length
    return tuple(partial)


def _malformed() -> Tampered:
    return Tampered(
        "edge-malformed",
        "the stored edge of a log is not what its size and its tiles demand",
        "restore a backup elsewhere, and compare it with the last known checkpoint",
    )


@dataclass(frozen=True, slots=True)
class Extension:
    """What growing a log changed: its new edge and every tile that was touched.

    `tiles[level, index]` is the whole present content of a tile, full or partial.
    """

    edge: Edge
    tiles: Mapping[tuple[int, int], bytes]


def extend(edge: Edge, leaf_hashes: Sequence[bytes]) -> Extension:
    """Append leaves to a tree. Costs about one node hash for each leaf, at any size."""
    if any(len(leaf) != HASH_BYTES for leaf in leaf_hashes):
        raise RuntimeError("a leaf hash has 32 bytes")
    peaks = list(edge.peaks)
    size = edge.size + len(leaf_hashes)
    joining: list[list[bytes]] = [[] for _ in _partial_lengths(size)]
    for at, leaf in enumerate(leaf_hashes, edge.size):
        joining[0].append(leaf)
        node, height, bits = leaf, 0, at
        while bits & 1:  # each set bit is a complete subtree that the new one completes
            node, height, bits = node_hash(peaks.pop(), node), height + 1, bits >> 1
            if height % TILE_HEIGHT == 0:
                joining[height // TILE_HEIGHT].append(node)
        peaks.append(node)
    tiles: dict[tuple[int, int], bytes] = {}
    partial = []
    for level, hashes in enumerate(joining):
        content = (edge.partial[level] if level < len(edge.partial) else b"") + b"".join(hashes)
        if hashes:
            first = edge.size >> TILE_HEIGHT * (level + 1)
            cuts = range(0, len(content), TILE_BYTES)
            tiles |= {
                (level, first + i): content[at : at + TILE_BYTES] for i, at in enumerate(cuts)
            }
        partial.append(content[len(content) // TILE_BYTES * TILE_BYTES :])
    return Extension(Edge(size, tuple(partial), tuple(peaks)), tiles)


def _partial_lengths(size: int) -> tuple[int, ...]:
    """Return the byte length of each level's partial tile in a tree of `size` leaves."""
    levels = range(0, size.bit_length(), TILE_HEIGHT)
    return tuple((size >> height) % TILE_WIDTH * HASH_BYTES for height in levels)


def _peaks(partial: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the roots of the complete subtrees that partial tiles make, largest first."""
    for raw in reversed(partial):
        hashes, at = split_hashes(raw), 0
        for height in reversed(range(TILE_HEIGHT)):
            if len(hashes) & 1 << height:
                yield root_of(hashes[at : at + (1 << height)])
                at += 1 << height
