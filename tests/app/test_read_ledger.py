"""Reading a log: entries, proofs, exports, and the check of our own copy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fakes import PUBLIC_KEY, SIGNING_KEY, MemoryLedger, MemoryStore
from seawall.app.ports import KeepPublished, Published, Query
from seawall.app.read_ledger import ReadLedger
from seawall.core.errors import Missing, Tampered
from seawall.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from seawall.core.ledger.proofs import parse_proof, verify_proof
from seawall.core.ledger.tiles import decode_bundle
from seawall.core.ledger.tree import Edge, extend, leaf_hash

if TYPE_CHECKING:
    from seawall.app.ports import Head

LOG = "clinic"
SIZES = [1, 2, 255, 256, 257, 600]


async def filled(size: int) -> tuple[MemoryLedger, ReadLedger]:
    """Return a log of `size` entries, and what reads it."""
    ledger = MemoryLedger()
    await ledger.open_log(LOG, "localhost/log/clinic")
    for number in range(size):
        await ledger.append(LOG, {"v": 1, "action": "test", "number": number})
    return ledger, ReadLedger(MemoryStore(ledger))


async def checked(reader: ReadLedger) -> list[int]:
    """Verify the log; return the sizes that were told on the way."""
    return [size async for size, _ in reader.verify(LOG)]


@pytest.mark.parametrize("size", SIZES)
async def test_every_sort_of_size_verifies(size: int) -> None:
    """A log verifies at sizes around those of tiles, and the last size told is its own."""
    _, reader = await filled(size)

    assert size == (await checked(reader))[-1]


@pytest.mark.parametrize("size", SIZES)
async def test_proof_of_any_entry_verifies(size: int) -> None:
    """The proof of the first, the middle and the last entry verifies under the log's key."""
    ledger, reader = await filled(size)
    vkey = (await MemoryStore(ledger).head(LOG)).vkey

    for index in {0, size // 2, size - 1}:
        proof = await reader.proof(LOG, index)
        assert size == verify_proof(proof, ledger.logs[LOG].entries[index], vkey).size


async def test_proof_does_not_fit_another_entry() -> None:
    """The proof of one entry proves no other."""
    ledger, reader = await filled(5)
    vkey = (await MemoryStore(ledger).head(LOG)).vkey

    with pytest.raises(Tampered):
        verify_proof(await reader.proof(LOG, 3), ledger.logs[LOG].entries[2], vkey)


@pytest.mark.parametrize("index", [-1, 3, 10**6])
async def test_entry_beyond_the_log_is_missing(index: int) -> None:
    """There is no entry and no proof before the first and after the last."""
    _, reader = await filled(3)

    for read in (reader.entry, reader.proof):
        with pytest.raises(Missing) as missing:
            await read(LOG, index)
        assert "entry-unknown" == missing.value.code


async def test_export_is_a_tiles_folder_with_its_key() -> None:
    """An export holds entry bundles, tiles of each level, the checkpoint and the vkey."""
    _, reader = await filled(300)

    names = [name async for name, _ in reader.export(LOG)]

    assert ["checkpoint", "vkey"] == names[-2:]
    assert {
        "tile/entries/000",
        "tile/entries/001.p/44",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
    } == set(names[:-2])


async def test_changed_entry_is_found() -> None:
    """A changed entry does not fit its tile."""
    ledger, reader = await filled(10)
    ledger.logs[LOG].entries[4] = ledger.logs[LOG].entries[5]

    with pytest.raises(Tampered) as tampered:
        await checked(reader)

    assert "ledger-tampered" == tampered.value.code


async def test_changed_tile_is_found() -> None:
    """A changed tile does not fit the entries."""
    ledger, reader = await filled(10)
    tiles = ledger.logs[LOG].tiles
    tiles[0, 0] = bytes([tiles[0, 0][0] ^ 1]) + tiles[0, 0][1:]

    with pytest.raises(Tampered):
        await checked(reader)


async def test_lost_entries_are_found() -> None:
    """Entries that are not there any more are an alarm, not a shorter log."""
    ledger, reader = await filled(10)
    del ledger.logs[LOG].entries[7:]

    with pytest.raises(Tampered):
        await checked(reader)


async def test_checkpoint_of_another_log_is_found() -> None:
    """A signed checkpoint that is of another size than the log's head is an alarm."""
    ledger, _ = await filled(3)

    class Lying(MemoryStore):
        """A store that tells of another log."""

        async def head(self, log: str) -> Head:
            """Return another log's head."""
            return replace(await super().head(log), size=2)

    with pytest.raises(Tampered) as tampered:
        await checked(ReadLedger(Lying(ledger)))

    assert "ledger-tampered" == tampered.value.code


# --- a log that was pruned -----------------------------------------------------

PRUNED = [
    *((256, 256), (300, 256), (600, 512), (1_000, 256)),
    *((66_000, 65_536), (66_000, 65_792), (131_400, 131_328)),
]


async def pruned(size: int, minimum: int) -> tuple[MemoryLedger, ReadLedger]:
    """Return a log of `size` entries whose beginning is gone, tiles of level 0 included."""
    ledger = MemoryLedger()
    await ledger.open_log(LOG, "localhost/log/clinic")
    held = ledger.logs[LOG]
    held.entries = [b'{"number":%d}' % number for number in range(size)]
    for first in range(0, size, 4_096):
        grown = extend(held.edge, [leaf_hash(raw) for raw in held.entries[first : first + 4_096]])
        held.edge = grown.edge
        held.tiles.update(grown.tiles)
    held.minimum = minimum
    held.entries[:minimum] = [b"gone"] * minimum
    for position in range(minimum // 256):
        del held.tiles[0, position]
    return ledger, ReadLedger(MemoryStore(ledger))


@pytest.mark.parametrize(("size", "minimum"), PRUNED)
async def test_what_is_left_of_a_pruned_log_verifies(size: int, minimum: int) -> None:
    """The kept tiles stand for what went: the root is still that of the signed checkpoint."""
    _, reader = await pruned(size, minimum)

    assert size == (await checked(reader))[-1]


@pytest.mark.parametrize(("size", "minimum"), PRUNED[1:])
async def test_entries_that_are_left_are_proved(size: int, minimum: int) -> None:
    """The first and the last entry that are there have proofs that hold."""
    ledger, reader = await pruned(size, minimum)
    vkey = (await MemoryStore(ledger).head(LOG)).vkey

    for index in {minimum, size - 1}:
        proof = await reader.proof(LOG, index)
        assert size == verify_proof(proof, ledger.logs[LOG].entries[index], vkey).size


async def test_what_was_pruned_is_told_as_such() -> None:
    """Neither an entry nor a proof, a bundle or a tile of what went: it was, and is archived."""
    ledger, reader = await pruned(600, 512)
    head = await MemoryStore(ledger).head(LOG)

    for asked in (
        reader.entry(LOG, 511),
        reader.proof(LOG, 0),
        reader.bundle(head, 1, 256),
        reader.tile(head, 0, 1, 256),
        reader.tile(head, 0, 0, 7),
    ):
        with pytest.raises(Missing) as missing:
            await asked
        assert "entry-pruned" == missing.value.code
    assert [512, 513] == [index for index, _ in await reader.entries(LOG, 500, 514)]


async def test_export_of_a_pruned_log_says_where_it_begins() -> None:
    """The files below the minimum are left out, those above are there, and it is named."""
    _, reader = await pruned(600, 512)

    files = {name: content async for name, content in reader.export(LOG)}

    assert b"512\n" == files["minimum"]
    assert {"tile/entries/002.p/88", "tile/0/002.p/88", "tile/1/000.p/2"} == {
        name for name in files if name.startswith("tile/")
    }


@pytest.mark.parametrize("place", [(1, 0), (2, 0)])
async def test_changed_tile_over_what_was_pruned_is_found(place: tuple[int, int]) -> None:
    """A tile that stands for pruned entries is checked, whichever level it is of."""
    ledger, reader = await pruned(66_000, 65_792)
    tiles = ledger.logs[LOG].tiles
    tiles[place] = bytes([tiles[place][0] ^ 1]) + tiles[place][1:]

    with pytest.raises(Tampered):
        await checked(reader)


@pytest.mark.parametrize("place", [(1, 0), (1, 1), (2, 0)])
async def test_lost_tile_over_what_was_pruned_is_found(place: tuple[int, int]) -> None:
    """Without the tiles that stand for them, pruned entries cannot be verified."""
    ledger, reader = await pruned(66_000, 65_792)
    del ledger.logs[LOG].tiles[place]

    with pytest.raises(Tampered) as tampered:
        await checked(reader)
    assert "ledger-tampered" == tampered.value.code


# --- checkpoints that were published -------------------------------------------


def publication(entries: list[bytes], *, witnessed: bool, stamp: bytes | None = None) -> Published:
    """Return the publication of the log as it was with these entries."""
    edge = extend(Edge(0, ()), [leaf_hash(raw) for raw in entries]).edge
    origin = "localhost/log/clinic"
    checkpoint = Checkpoint(origin, edge.size, edge.root())
    note = sign_checkpoint(checkpoint, origin, SIGNING_KEY.sign, PUBLIC_KEY)
    cosigned = f"{note}\N{EM DASH} witness.example AAAAAAAA\n" if witnessed else note
    return Published(LOG, edge.size, 1, cosigned, is_witnessed=witnessed, stamp=stamp)


async def published(*sizes: tuple[int, bool]) -> tuple[MemoryLedger, ReadLedger]:
    """Return a log of 10 entries with publications of (size, is witnessed)."""
    ledger, reader = await filled(10)
    for size, witnessed in sizes:
        made = publication(
            ledger.logs[LOG].entries[:size], witnessed=witnessed, stamp=b"t" if size == 7 else None
        )
        await ledger.remember([KeepPublished(made)])
    return ledger, reader


@pytest.mark.parametrize(("index", "expected"), [(0, 7), (6, 7), (7, 10), (9, 10)])
async def test_proof_rests_on_the_newest_witnessed_checkpoint(index: int, expected: int) -> None:
    """Cosignatures come along where a witnessed checkpoint covers the entry."""
    ledger, reader = await published((3, True), (7, True), (8, False))
    vkey = (await MemoryStore(ledger).head(LOG)).vkey

    proof = await reader.proof(LOG, index)

    assert expected == verify_proof(proof, ledger.logs[LOG].entries[index], vkey).size
    assert (expected == 7) == ("witness.example" in parse_proof(proof).checkpoint)


async def test_checkpoint_brings_its_cosignatures() -> None:
    """The newest checkpoint is served as it was witnessed, and else as the log signed it."""
    ledger, reader = await published((10, True))
    head = await MemoryStore(ledger).head(LOG)
    assert "witness.example" in await reader.checkpoint(head)

    await ledger.append(LOG, {"v": 1})
    head = await MemoryStore(ledger).head(LOG)
    assert head.checkpoint == await reader.checkpoint(head)


async def test_export_brings_what_was_published() -> None:
    """Published checkpoints and their time stamps lie beside the log, by size."""
    _, reader = await published((3, False), (7, True))

    files = {name: content async for name, content in reader.export(LOG)}

    assert b"t" == files["published/7/stamp.tsr"]
    assert b"witness.example" in files["published/7/checkpoint"]
    assert ("published/3/checkpoint" in files, "published/3/stamp.tsr" in files) == (True, False)


# --- tiles and following ---------------------------------------------------------


async def test_tiles_and_bundles_of_any_width_up_to_the_size_are_there() -> None:
    """Content of a width never changes, so a narrower one is served too; a wider one is not."""
    ledger, reader = await filled(300)
    head = await MemoryStore(ledger).head(LOG)

    assert 7 * 32 == len(await reader.tile(head, 0, 1, 7))
    assert ledger.logs[LOG].entries[256:300] == decode_bundle(await reader.bundle(head, 1, 44), 44)
    for asked in (
        reader.tile(head, 0, 1, 45),
        reader.tile(head, 1, 0, 2),
        reader.tile(head, 63, 0, 1),
        reader.bundle(head, 1, 45),
        reader.bundle(head, 1, 256),
        reader.bundle(head, 10**15, 256),
    ):
        with pytest.raises(Missing) as missing:
            await asked
        assert "tile-unknown" == missing.value.code


@pytest.mark.parametrize("minimum", [0, 256])
async def test_what_went_while_it_was_read_is_pruned_or_an_alarm(minimum: int) -> None:
    """Entries and tiles that are not there are told as pruned only if the log was pruned."""
    ledger, reader = await filled(300)
    head = await MemoryStore(ledger).head(LOG)
    ledger.logs[LOG].minimum = minimum
    ledger.logs[LOG].entries[:256] = []
    del ledger.logs[LOG].tiles[0, 0]

    for asked in (reader.bundle(head, 0, 256), reader.tile(head, 0, 0, 256)):
        with pytest.raises(Missing if minimum else Tampered):
            await asked
    del ledger.logs[LOG].tiles[1, 0]
    with pytest.raises(Tampered):
        await reader.tile(head, 1, 0, 1)


async def test_what_is_published_beyond_the_head_is_left_out() -> None:
    """A publication that is newer than the head that was read belongs to no copy of it."""
    ledger, reader = await published((7, True))
    beyond = replace((await MemoryStore(ledger).published(LOG))[0], size=11)
    await ledger.remember([KeepPublished(beyond)])

    names = [name async for name, _ in reader.export(LOG)]

    assert [7] == [int(name.split("/")[1]) for name in names if name.endswith("stamp.tsr")]
    assert (
        10
        == verify_proof(
            await reader.proof(LOG, 9),
            ledger.logs[LOG].entries[9],
            (await MemoryStore(ledger).head(LOG)).vkey,
        ).size
    )


async def test_root_of_another_checkpoint_is_found() -> None:
    """Entries and tiles that fit each other, and not the signed root, are an alarm."""
    ledger, _ = await filled(3)
    other = publication([b"x", b"y", b"z"], witnessed=False)

    class Forked(MemoryStore):
        """A store whose checkpoint is of another history."""

        async def head(self, log: str) -> Head:
            """Return the log's head with that checkpoint."""
            return replace(await super().head(log), checkpoint=other.note)

    with pytest.raises(Tampered) as tampered:
        await checked(ReadLedger(Forked(ledger)))
    assert "root" in tampered.value.message


async def test_following_yields_what_matches_from_there_on() -> None:
    """New entries that match come in order, and how far was read is told."""
    ledger, reader = await filled(3)
    for action in ("x.y", "test", "x.y"):
        await ledger.append(LOG, {"v": 1, "action": action})

    query = Query((("action", "x.y"),), before=1, last=1)
    pieces = [piece async for piece in reader.following(LOG, query, 4)]

    assert [(6, [(5, {"v": 1, "action": "x.y"})])] == pieces
    assert [] == [piece async for piece in reader.following(LOG, query, 6)]
