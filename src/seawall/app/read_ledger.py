"""Reading a log: entries, proofs, an export for strangers, and a check of our own copy.

Nothing here opens PHI: entries hold ids, counts and digests.
45 CFR 164.312(b), 164.308(a)(1)(ii)(D).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Missing, Tampered
from seawall.core.ledger.checkpoint import open_checkpoint
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.proofs import inclusion_proof, proof_text
from seawall.core.ledger.tiles import bundle_path, encode_bundle, tile_path, tiles_of
from seawall.core.ledger.tree import HASH_BYTES, TILE_BYTES, TILE_WIDTH, Edge, extend, leaf_hash

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.ports import Head, Store

_CHUNK: Final = 4_096


class ReadLedger:
    """Reads the logs of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def entries(self, log: str, start: int, stop: int) -> list[tuple[int, dict[str, Any]]]:
        """Return the decoded entries `start` to `stop` (exclusive) with their indexes."""
        raw = await self._store.entries(log, start, stop)
        return [(index, decode(item)) for index, item in enumerate(raw, start)]

    async def entry(self, log: str, index: int) -> dict[str, Any]:
        """Return one entry; `Missing` if the log does not reach so far."""
        found = await self.entries(log, index, index + 1) if index >= 0 else []
        if not found:
            raise Missing(
                "entry-unknown", "the log has no entry of this index", "see `seawall ledger list`"
            )
        return found[0][1]

    async def proof(self, log: str, index: int) -> str:
        """Return a proof, in C2SP's tlog-proof form, that an entry is in the signed log."""
        await self.entry(log, index)
        head = await self._store.head(log)
        places: set[tuple[int, int]] = set()

        def note(level: int, position: int) -> bytes:
            """Note that a tile is needed, and give a blank one."""
            places.add((level, position))
            return bytes(TILE_BYTES)

        # Making a proof is pure: a first pass over blank tiles tells which to read.
        inclusion_proof(index, head.size, note)
        tiles = {place: await self._store.tile(log, *place) for place in sorted(places)}
        hashes = inclusion_proof(index, head.size, lambda level, at: tiles[level, at])
        return proof_text(index, hashes, head.checkpoint)

    async def export(self, log: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the files of a tlog-tiles folder: relative path and content."""
        head = await self._store.head(log)
        for position in range(-(-head.size // TILE_WIDTH)):
            first = position * TILE_WIDTH
            stop = min(first + TILE_WIDTH, head.size)
            raw = await self._store.entries(log, first, stop)
            yield bundle_path(position, len(raw)), encode_bundle(raw)
        for level, position, width in tiles_of(head.size):
            tile = await self._store.tile(log, level, position)
            yield tile_path(level, position, width), tile[: width * HASH_BYTES]
        yield "checkpoint", head.checkpoint.encode()
        yield "vkey", f"{head.vkey}\n".encode()

    async def verify(self, log: str) -> AsyncIterator[tuple[int, Head]]:
        """Recompute a log from its entries, yielding progress; `Tampered` where it differs.

        1. The checkpoint is signed by the log's key and is of this origin and size.
        2. Every entry is canonical.
        3. Every tile is what the entries make it.
        4. The root is the checkpoint's.
        """
        head = await self._store.head(log)
        checkpoint = open_checkpoint(head.checkpoint, head.vkey)  # 1
        if (checkpoint.origin, checkpoint.size) != (head.origin, head.size):
            raise _tampered("the checkpoint is not of this log and size")
        edge = Edge(0, ())
        while edge.size < head.size:
            raw = await self._store.entries(log, edge.size, min(edge.size + _CHUNK, head.size))
            if not raw:
                raise _tampered(f"the entries end at {edge.size}")
            for item in raw:
                decode(item)  # 2
            extension = extend(edge, [leaf_hash(item) for item in raw])
            edge = extension.edge
            for (level, position), tile in extension.tiles.items():  # 3
                kept = await self._store.tile(log, level, position)
                if kept[: len(tile)] != tile:
                    raise _tampered(f"tile {position} of level {level} differs from the entries")
            yield edge.size, head
        if edge.root() != checkpoint.root:  # 4
            raise _tampered("the root of the entries is not the checkpoint's")
        yield edge.size, head


def _tampered(message: str) -> Tampered:
    return Tampered(
        "ledger-tampered",
        message,
        "keep the data folder as it is, restore a backup elsewhere, and treat it as an incident",
    )
