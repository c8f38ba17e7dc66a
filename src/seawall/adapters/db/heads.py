"""What a head row says, and how a log's edge follows from it and from what lies beside it.

The row holds the peaks alone, because it is written with every batch. The
incomplete tile of level 0 follows from the last entries; those above are rows
of `tiles`, written once in 256 entries. A row from before that holds all
incomplete tiles itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.core.ledger.tree import (
    TILE_BYTES,
    TILE_HEIGHT,
    CompactRange,
    Edge,
    leaf_hash,
    partial_tiles,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from seawall.core.ledger.tree import Extension


def stored_range(raw: bytes) -> CompactRange:
    """Return the size and the peaks that a head row's `edge` says."""
    old = partial_tiles(raw)
    if old is None:
        return CompactRange.from_bytes(raw)
    edge = Edge(int.from_bytes(raw[:8], "big"), old)
    return CompactRange(edge.size, edge.peaks)


def older_tiles(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (level, index, hashes) that an older head row holds and `tiles` may lack."""
    size = int.from_bytes(raw[:8], "big")
    for level, hashes in enumerate(partial_tiles(raw) or ()):
        if level and hashes:
            yield level, size >> TILE_HEIGHT * (level + 1), hashes


def load_edge(
    raw: bytes, entries: Callable[[int], Iterable[bytes]], tile: Callable[[int, int], bytes]
) -> Edge:
    """Return a log's edge from its head row.

    `entries` gives the log's entries from an index on, `tile` the row of (level, index)
    or nothing. `Tampered` unless they are what the row's peaks demand.
    """
    old = partial_tiles(raw)
    if old is not None:
        return Edge(int.from_bytes(raw[:8], "big"), old)

    def partial(level: int, index: int) -> bytes:
        """Return an incomplete tile."""
        return tile(level, index) if level else b"".join(map(leaf_hash, entries(index << 8)))

    return Edge.restore(CompactRange.from_bytes(raw), partial)


def rows_to_keep(extension: Extension) -> Iterator[tuple[int, int, bytes]]:
    """Yield (level, index, hashes) of the tiles that a batch makes rows of.

    Incomplete ones of level 0 are none: writing them would cost more than the entries.
    """
    for (level, index), hashes in extension.tiles.items():
        if level or len(hashes) == TILE_BYTES:
            yield level, index, hashes
