"""Proofs for many entries of one log, which all rest on one checkpoint (C2SP tlog-proof)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.core.ledger.proofs import inclusion_proof, proof_text
from seawall.core.ledger.tree import TILE_BYTES

if TYPE_CHECKING:
    from seawall.app.ports import Head, Store

TILES: Final = 256
"""So many tiles are kept in memory: two megabytes."""


class ProveEntries:
    """Proves entries below `size` under one checkpoint."""

    def __init__(
        self, store: Store, log: str, size: int, checkpoint: str, tiles: int = TILES
    ) -> None:
        self._store = store
        self._log = log
        self._most = tiles
        self._tiles: dict[tuple[int, int], bytes] = {}
        self.size = size
        self.checkpoint = checkpoint

    @classmethod
    async def covering(cls, store: Store, head: Head, size: int) -> ProveEntries:
        """Return proofs under the newest witnessed checkpoint of at least this size.

        Where there is none, under the log's own newest, as it was when `head` was read.
        """
        made = await store.newest_witnessed(head.log, size)
        if made is not None and made.size <= head.size:
            return cls(store, head.log, made.size, made.note)
        return cls(store, head.log, head.size, head.checkpoint)

    async def proof(self, index: int) -> str:
        """Return the proof that an entry is in the signed log."""
        places: set[tuple[int, int]] = set()

        def note(level: int, position: int) -> bytes:
            """Note that a tile is needed, and give a blank one."""
            places.add((level, position))
            return bytes(TILE_BYTES)

        inclusion_proof(index, self.size, note)
        tiles = {place: await self._tile(place) for place in sorted(places)}
        hashes = inclusion_proof(index, self.size, lambda level, at: tiles[level, at])
        return proof_text(index, hashes, self.checkpoint)

    async def _tile(self, place: tuple[int, int]) -> bytes:
        held = self._tiles.pop(place, None)
        if held is None:
            held = await self._store.tile(self._log, *place)
        self._tiles[place] = held  # the latest used is last
        if len(self._tiles) > self._most:
            del self._tiles[next(iter(self._tiles))]
        return held
