"""A log grows again from a backup to the very tree that it had, pruned or not."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import pytest

from fakes import PUBLIC_KEY, SIGNING_KEY
from seawall.core.backup.manifest import LogAt
from seawall.core.backup.trees import Regrown
from seawall.core.errors import Tampered
from seawall.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from seawall.core.ledger.tree import Edge, extend, leaf_hash

ORIGIN: Final = "localhost/log/0123456789abcdef"
SIZE: Final = 66_000
"""More than a full tile of the second level."""


@lru_cache(maxsize=1)
def the_log() -> tuple[list[bytes], dict[tuple[int, int], bytes], LogAt]:
    """Return entries, the tiles of their tree, and where the log stands."""
    entries = [b"%d" % at for at in range(SIZE)]
    edge = Edge(0, ())
    tiles: dict[tuple[int, int], bytes] = {}
    for start in range(0, SIZE, 256):
        grown = extend(edge, [leaf_hash(entry) for entry in entries[start : start + 256]])
        edge, tiles = grown.edge, {**tiles, **grown.tiles}
    checkpoint = Checkpoint(ORIGIN, SIZE, edge.root())
    note = sign_checkpoint(checkpoint, ORIGIN, SIGNING_KEY.sign, PUBLIC_KEY)
    return entries, tiles, LogAt("clinic", ORIGIN, SIZE, note)


def above(tiles: dict[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
    """Return the tiles that a pruned log's backup has."""
    return {place: hashes for place, hashes in tiles.items() if place[0]}


@pytest.mark.parametrize("minimum", [0, 256, 512, 65_280, 65_536, 65_792])
def test_a_log_grows_again_from_where_it_was_pruned(minimum: int) -> None:
    """Tiles and root are those that it had, wherever its first entry is."""
    entries, tiles, at = the_log()
    log = Regrown(replace(at, minimum=minimum), above(tiles))
    rows = log.add(entries[minimum:40_000]) if minimum < 40_000 else []
    rows += log.add(entries[max(minimum, 40_000) :])
    log.check(PUBLIC_KEY)
    rows += log.rest()

    expected = {
        (level, index): hashes
        for (level, index), hashes in tiles.items()
        if level or (minimum <= index * 256 and len(hashes) == 8_192)
    }
    assert expected == {(level, index): hashes for level, index, hashes in rows}


def test_another_entry_is_another_log() -> None:
    """One byte of one entry, and the checkpoint is not the log's."""
    entries, _, at = the_log()
    log = Regrown(at)
    log.add([*entries[:-1], b"other"])

    with pytest.raises(Tampered) as caught:
        log.check(PUBLIC_KEY)

    assert "backup-log-differs" == caught.value.code


def test_a_missing_entry_is_noticed() -> None:
    """A log that ends too early is not that of its checkpoint."""
    entries, _, at = the_log()
    log = Regrown(at)
    log.add(entries[:-1])

    with pytest.raises(Tampered):
        log.check(PUBLIC_KEY)


def test_another_tile_of_a_pruned_log_is_noticed() -> None:
    """Where entries are gone the tiles above them must agree among each other."""
    _, tiles, at = the_log()
    changed = above(tiles)
    changed[1, 0] = bytes([changed[1, 0][0] ^ 1]) + changed[1, 0][1:]

    with pytest.raises(Tampered):
        Regrown(replace(at, minimum=65_536), changed)


def test_a_checkpoint_of_another_key_is_no_checkpoint() -> None:
    """The key that signs must be the installation's."""
    entries, _, at = the_log()
    log = Regrown(at)
    log.add(entries)

    with pytest.raises(Tampered):
        log.check(bytes(31) + b"\2")
