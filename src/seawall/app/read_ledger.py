"""Reading a log: entries, proofs, an export for strangers, and a check of our own copy.

Nothing here opens PHI: entries hold ids, counts and digests.
45 CFR 164.312(b), 164.308(a)(1)(ii)(D).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from seawall.app.published_files import copied, files_of
from seawall.core.errors import Missing, Tampered
from seawall.core.ledger.checkpoint import open_checkpoint
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import matches
from seawall.core.ledger.proofs import inclusion_proof, proof_text
from seawall.core.ledger.tiles import bundle_path, encode_bundle, tile_path, tiles_of
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
    from collections.abc import AsyncIterator

    from seawall.app.ports import Head, Query, Store

_CHUNK: Final = 4_096
_PIECE: Final = 1_000


class ReadLedger:
    """Reads the logs of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def entries(self, log: str, start: int, stop: int) -> list[tuple[int, dict[str, Any]]]:
        """Return the decoded entries `start` to `stop` (exclusive) that are there, by index."""
        first = max(start, (await self._store.head(log)).minimum)
        raw = await self._store.entries(log, first, stop)
        return [(index, decode(item)) for index, item in enumerate(raw, first)]

    async def entry(self, log: str, index: int) -> dict[str, Any]:
        """Return one entry; `Missing` if the log does not reach so far, or was pruned there."""
        return decode(await self._raw(await self._store.head(log), index))

    async def _raw(self, head: Head, index: int) -> bytes:
        if 0 <= index < head.minimum:
            raise pruned()
        found = await self._store.entries(head.log, index, index + 1) if index >= 0 else []
        if not found:
            raise Missing(
                "entry-unknown", "the log has no entry of this index", "see `seawall ledger list`"
            )
        return found[0]

    async def following(
        self, log: str, query: Query, start: int
    ) -> AsyncIterator[tuple[int, list[tuple[int, dict[str, Any]]]]]:
        """Yield, a piece at a time, up to where was read and what matches from `start` on.

        It needs no index, and so misses nothing that is not indexed yet. `before` and
        `last` of the query are about what was there at first, and count for nothing.
        """
        head = await self._store.head(log)
        at = max(start, head.minimum)
        while at < head.size:
            stop = min(at + _PIECE, head.size)
            raw = await self._store.entries(log, at, stop)
            decoded = ((index, decode(item)) for index, item in enumerate(raw, at))
            at = stop
            yield (
                at,
                [
                    (index, entry)
                    for index, entry in decoded
                    if matches(entry, query.facets, query.since_ms, query.until_ms)
                ],
            )

    async def proof(self, log: str, index: int) -> str:
        """Return a proof, in C2SP's tlog-proof form, that an entry is in the signed log.

        It rests on the newest witnessed checkpoint that covers the entry, cosignatures
        included, and where there is none on the log's own newest.
        """
        head = await self._store.head(log)
        await self._raw(head, index)
        made = await self._store.newest_witnessed(log, index + 1)
        size, checkpoint = head.size, head.checkpoint
        if made is not None and made.size <= size:
            size, checkpoint = made.size, made.note
        places: set[tuple[int, int]] = set()

        def note(level: int, position: int) -> bytes:
            """Note that a tile is needed, and give a blank one."""
            places.add((level, position))
            return bytes(TILE_BYTES)

        # Making a proof is pure: a first pass over blank tiles tells which to read.
        inclusion_proof(index, size, note)
        tiles = {place: await self._store.tile(log, *place) for place in sorted(places)}
        hashes = inclusion_proof(index, size, lambda level, at: tiles[level, at])
        return proof_text(index, hashes, checkpoint)

    async def checkpoint(self, head: Head) -> str:
        """Return a log's newest checkpoint, with its cosignatures if it was witnessed."""
        made = await self._store.newest_witnessed(head.log, head.size)
        return made.note if made is not None and made.size == head.size else head.checkpoint

    async def bundle(self, head: Head, index: int, width: int) -> bytes:
        """Return an entry bundle of this width; `Missing` if it is not there, yet or any more."""
        first = index * TILE_WIDTH
        stop = first + width
        if stop > head.size:
            raise tile_unknown()
        if stop <= head.minimum:
            raise pruned()
        raw = await self._store.entries(head.log, first, stop)
        if len(raw) != width:
            raise await self._gone(head.log, stop)
        return encode_bundle(raw)

    async def tile(self, head: Head, level: int, index: int, width: int) -> bytes:
        """Return a tile of this width; `Missing` if it is not there, yet or any more."""
        if index * TILE_WIDTH + width > head.size >> TILE_HEIGHT * level:
            raise tile_unknown()
        if level == 0 and index * TILE_WIDTH + width <= head.minimum:
            raise pruned()
        tile = (await self._store.tile(head.log, level, index))[: width * HASH_BYTES]
        if len(tile) != width * HASH_BYTES:
            raise await self._gone(head.log, (index + 1) * TILE_WIDTH if level == 0 else 0)
        return tile

    async def _gone(self, log: str, stop: int) -> Missing | Tampered:
        """Return why what ends at `stop` is not there: pruned meanwhile, or lost."""
        head = await self._store.head(log)
        if 0 < stop <= head.minimum:
            return pruned()
        return _tampered("entries or hashes that the log's size demands are not there")

    async def export(self, log: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the files of a tlog-tiles folder: relative path and content.

        Of a pruned log what is there, and `minimum`: the first entry that is. Published
        checkpoints, with cosignatures and time stamps, lie under `published/SIZE/`: the
        newest of each day (UTC), the newest 100, and the newest that is witnessed.
        """
        head = await self._store.head(log)
        for position in range(head.minimum // TILE_WIDTH, -(-head.size // TILE_WIDTH)):
            width = min(TILE_WIDTH, head.size - position * TILE_WIDTH)
            yield bundle_path(position, width), await self.bundle(head, position, width)
        for level, position, width in tiles_of(head.size):
            if level or position >= head.minimum // TILE_WIDTH:
                tile = await self.tile(head, level, position, width)
                yield tile_path(level, position, width), tile
        async for made in copied(self._store, log, head.size):
            for file in files_of(made):
                yield file
        if head.minimum:
            yield "minimum", f"{head.minimum}\n".encode()
        yield "checkpoint", head.checkpoint.encode()
        yield "vkey", f"{head.vkey}\n".encode()

    async def verify(self, log: str) -> AsyncIterator[tuple[int, Head]]:
        """Recompute a log from its entries, yielding progress; `Tampered` where it differs.

        1. The checkpoint is signed by the log's key and is of this origin and size.
        2. Where the log was pruned, each tile that is left over what went is what the one above
           it says.
        3. Every entry is canonical.
        4. Every tile is what the entries make it.
        5. The root is the checkpoint's.
        """
        head = await self._store.head(log)
        checkpoint = open_checkpoint(head.checkpoint, head.vkey)  # 1
        if (checkpoint.origin, checkpoint.size) != (head.origin, head.size):
            raise _tampered("the checkpoint is not of this log and size")
        edge = await self._pruned_edge(head)  # 2
        while edge.size < head.size:
            raw = await self._store.entries(log, edge.size, min(edge.size + _CHUNK, head.size))
            if not raw:
                raise _tampered(f"the entries end at {edge.size}")
            for item in raw:
                decode(item)  # 3
            extension = extend(edge, [leaf_hash(item) for item in raw])
            edge = extension.edge
            for (level, position), tile in extension.tiles.items():  # 4
                kept = await self._store.tile(log, level, position)
                if kept[: len(tile)] != tile:
                    raise _tampered(f"tile {position} of level {level} differs from the entries")
            yield edge.size, head
        if edge.root() != checkpoint.root:  # 5
            raise _tampered("the root of the entries is not the checkpoint's")
        yield edge.size, head

    async def _pruned_edge(self, head: Head) -> Edge:
        """Return the edge of the tree at a log's minimum, which stands for what was pruned.

        Whether it is the right one, the root tells in the end: all that is kept of
        the pruned part is checked to lead to it.
        """
        partial = [b""] * bool(head.minimum)  # a minimum is a multiple of 256
        above = b""
        for level in range(-(-head.minimum.bit_length() // TILE_HEIGHT) - 1, 0, -1):
            count = head.minimum >> TILE_HEIGHT * level
            full, width = divmod(count, TILE_WIDTH)
            last = (await self._store.tile(head.log, level, full))[: width * HASH_BYTES]
            if len(last) != width * HASH_BYTES:
                raise _tampered(f"tile {full} of level {level} is not there")
            partial.insert(1, last)
            for index in range(full):
                tile = await self._store.tile(head.log, level, index)
                parent, place = divmod(index, TILE_WIDTH)
                if place == 0:
                    above = await self._store.tile(head.log, level + 1, parent)
                hashes = split_hashes(above[place * HASH_BYTES : (place + 1) * HASH_BYTES])
                if len(tile) != TILE_BYTES or [root_of(split_hashes(tile))] != hashes:
                    raise _tampered(f"tile {index} of level {level} differs from the one above it")
        return Edge(head.minimum, tuple(partial))


def pruned() -> Missing:
    """Return the error of what lay below a log's minimum."""
    return Missing(
        "entry-pruned",
        "the log was pruned here: the entry or tile is older than what is kept online",
        "the archives have it, and old proofs and checkpoints stay valid",
    )


def tile_unknown() -> Missing:
    """Return the error of a tile or a bundle that no checkpoint of the log needs yet."""
    return Missing(
        "tile-unknown",
        "the log has no tile or entry bundle of this path yet",
        "fetch the checkpoint, and only what a log of its size has",
    )


def _tampered(message: str) -> Tampered:
    return Tampered(
        "ledger-tampered",
        message,
        "keep the data folder as it is, restore a backup elsewhere, and treat it as an incident",
    )
