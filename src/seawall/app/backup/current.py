"""Whether a repository is as the ledger knows it: a copy from before is signed as well.

Its own statements cannot tell, since all of them are of one moment. The ledger can:
it says which snapshot was made last, and every log of a snapshot must be a prefix of
the log as it stands.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from seawall.app.backup.recording import last_made
from seawall.app.backup.repository import INDEX
from seawall.app.ports import SUCCEEDED
from seawall.core.errors import Error, Tampered
from seawall.core.ledger.checkpoint import open_checkpoint
from seawall.core.ledger.proofs import consistency_proof, verify_consistency
from seawall.core.ledger.tree import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.backup.repository import Repository
    from seawall.app.ports import Head, Store
    from seawall.core.backup.manifest import LogAt

OLDER: Final = "older than the ledger"
FOREIGN: Final = "not of this ledger"
_LOOKS: Final = 3
_PAUSE_SECONDS: Final = 1.0
"""So often, and after such pauses: a backup that is recorded counts a moment later."""


async def differing(store: Store, repository: Repository) -> dict[str, str]:
    """Return by file what of a repository is not as the ledger knows it.

    The index if the snapshot recorded last is not in it: it is a copy from before, or that
    backup was ended before it counted. A manifest if one of its logs is no prefix of the
    log here: the snapshot is of another history, or the ledger itself is an older copy.
    What cannot be read is left to a verification.
    """
    found: dict[str, str] = {}
    if await is_older(store, repository):
        found[INDEX] = OLDER
    heads = {head.origin: head for head in await store.logs()}
    seen: dict[LogAt, bool] = {}
    for name, _ in (await asyncio.to_thread(repository.index)).snapshots:
        try:
            manifest = await asyncio.to_thread(repository.manifest, name)
        except Error:
            continue
        for at in manifest.logs:
            if at not in seen:
                seen[at] = await _is_prefix(store, heads, at)
            if not seen[at]:
                found[f"snapshots/{name}/manifest"] = FOREIGN
    return found


async def is_older(store: Store, repository: Repository) -> bool:
    """Whether the index lacks the snapshot that the ledger says was made last."""
    for look in range(_LOOKS):
        index = await asyncio.to_thread(repository.index)
        made = await last_made(store, index.repository)
        if made is None:
            return False
        if (made["snapshot"], made["note"].removeprefix("sha256:")) in index.snapshots:
            return False
        if look < _LOOKS - 1:
            await asyncio.sleep(_PAUSE_SECONDS)
    return True


def require_current(found: Mapping[str, str]) -> None:
    """Raise `Tampered` (`backup-replayed`) if something differs from what the ledger knows."""
    if found:
        path, what = next(iter(found.items()))
        raise Tampered(
            "backup-replayed",
            f"{path} of the backup is {what}",
            "if the last backup was ended midway, make another; else somebody put an older copy "
            "there, or the ledger is one: treat it as an incident",
        )


async def _is_prefix(store: Store, heads: Mapping[str, Head], at: LogAt) -> bool:
    head = heads.get(at.origin)
    if head is None:
        return False
    if at.size > head.size:
        # Of a log that was succeeded the gap is recorded: what is beyond it was given up.
        return SUCCEEDED in head.log
    if at.size == 0 or (at.size < head.minimum and at.size % TILE_WIDTH):
        return True  # Nothing to compare, or pruned.
    try:
        root = open_checkpoint(at.checkpoint, head.vkey).root
        proof = await _proof(store, head, at.size)
        verify_consistency(at.size, head.size, root, head.root, proof)
    except Tampered:
        return False
    return True


async def _proof(store: Store, head: Head, old: int) -> list[bytes]:
    """Return the proof that a log began with its first `old` entries, from its tiles."""
    wanted: set[tuple[int, int]] = set()

    def note(level: int, index: int) -> bytes:
        """Note which tile is needed."""
        wanted.add((level, index))
        return bytes(TILE_WIDTH * HASH_BYTES)

    consistency_proof(old, head.size, note)
    tiles = {place: await store.tile(head.log, *place) for place in wanted}
    return consistency_proof(old, head.size, lambda level, index: tiles[level, index])
