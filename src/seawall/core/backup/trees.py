"""A log's tree, computed anew from what a backup holds of it, against its signed checkpoint."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from seawall.core.backup.rows import malformed
from seawall.core.errors import Tampered
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, open_checkpoint
from seawall.core.ledger.tree import (
    HASH_BYTES,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Edge,
    extend,
    leaf_hash,
    root_of,
    split_hashes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seawall.core.backup.manifest import LogAt

Tile = tuple[int, int, bytes]
"""A row of the tree: level, index, hashes."""


class Regrown:
    """A log that grows again from its entries, in order.

    Of a pruned log it begins where pruning ended, from the tiles above the leaves that
    were kept; `tiles` are those by level and index. `known` are roots by size, which it
    must have had: `Tampered` (`backup-forked`) when it grows past one and had another.
    Of sizes within what was pruned only multiples of 256 can be compared.
    """

    def __init__(
        self,
        at: LogAt,
        tiles: Mapping[tuple[int, int], bytes] | None = None,
        known: Mapping[int, bytes] | None = None,
    ) -> None:
        self.at = at
        stored = dict(tiles or {})
        self._edge = _edge_at(at.minimum, stored)
        self._pending = _below(at.minimum, stored)
        self._known = dict(known or {})
        for size in [size for size in self._known if size <= at.minimum]:
            root = self._known.pop(size)
            if size % TILE_WIDTH == 0 and _edge_at(size, stored).root() != root:
                raise forked()

    @property
    def size(self) -> int:
        """How many entries there are so far, pruned ones included."""
        return self._edge.size

    @property
    def edge(self) -> Edge:
        """The right edge: what the log continues from."""
        return self._edge

    def add(self, entries: Sequence[bytes]) -> list[Tile]:
        """Append entries; return the rows of the tree that are complete now."""
        rows: list[Tile] = []
        stops = sorted(at - self.size for at in self._known if at < self.size + len(entries))
        for start, stop in pairwise([0, *stops, len(entries)]):
            rows += self._grow(entries[start:stop])
            if self._known.pop(self.size, self._edge.root()) != self._edge.root():
                raise forked()
        return rows

    def _grow(self, entries: Sequence[bytes]) -> list[Tile]:
        extension = extend(self._edge, [leaf_hash(entry) for entry in entries])
        self._edge = extension.edge
        self._pending |= extension.tiles
        full = [place for place, hashes in self._pending.items() if len(hashes) == TILE_BYTES]
        return [(*place, self._pending.pop(place)) for place in full]

    def check(self, public_key: bytes) -> None:
        """Raise `Tampered` (`backup-log-differs`) unless the log is that of its checkpoint.

        The one that the backup holds: size and root, and `public_key` (32 bytes) signed it
        for this origin.
        """
        signed = open_checkpoint(self.at.checkpoint, format_vkey(self.at.origin, public_key))
        if signed != Checkpoint(self.at.origin, self._edge.size, self._edge.root()):
            raise Tampered(
                "backup-log-differs",
                "a log's entries in the backup are not those of its signed checkpoint",
                "use another snapshot, and treat it as an incident",
            )

    def rest(self) -> list[Tile]:
        """Return the rows of the tree that are not complete.

        Incomplete tiles of level 0 are none: the last entries are they.
        """
        return [(level, index, hashes) for (level, index), hashes in self._pending.items() if level]


def forked() -> Tampered:
    """Return what it is that two signed checkpoints contradict each other."""
    return Tampered(
        "backup-forked",
        "a log's checkpoint in the backup contradicts one that is known",
        "keep both, compare them with what witnesses have, and treat it as an incident",
    )


def _edge_at(size: int, tiles: Mapping[tuple[int, int], bytes]) -> Edge:
    """Return the edge of a tree at a size that pruning can have ended at."""
    if size % TILE_WIDTH:
        raise malformed()
    partial = []
    for level, height in enumerate(range(0, size.bit_length(), TILE_HEIGHT)):
        width = (size >> height) % TILE_WIDTH
        hashes = tiles.get((level, size >> height + TILE_HEIGHT), b"")[: width * HASH_BYTES]
        if len(hashes) != width * HASH_BYTES:
            raise malformed()
        partial.append(hashes)
    return Edge(size, tuple(partial))


def _below(size: int, tiles: Mapping[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
    """Return the tiles of a tree above its leaves, checked up to its edge; `Tampered` if not."""
    kept: dict[tuple[int, int], bytes] = {}
    for level, index, width in _tiles_above(size):
        hashes = tiles.get((level, index), b"")[: width * HASH_BYTES]
        if len(hashes) != width * HASH_BYTES:
            raise malformed()
        if width == TILE_WIDTH:
            above = tiles.get((level + 1, index >> TILE_HEIGHT), b"")
            at = index % TILE_WIDTH * HASH_BYTES
            if above[at : at + HASH_BYTES] != root_of(split_hashes(hashes)):
                raise malformed()
        kept[level, index] = hashes
    return kept


def _tiles_above(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, index, width) of the tiles of a tree that are not of its leaves."""
    for level, height in enumerate(range(0, size.bit_length(), TILE_HEIGHT)):
        full, width = divmod(size >> height, TILE_WIDTH)
        if level:
            yield from ((level, index, TILE_WIDTH) for index in range(full))
            if width:
                yield level, full, width
