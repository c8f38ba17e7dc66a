"""Reading a log: entries, proofs, exports, and the check of our own copy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fakes import MemoryLedger, MemoryStore
from seawall.app.read_ledger import ReadLedger
from seawall.core.errors import Missing, Tampered
from seawall.core.ledger.proofs import verify_proof

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
    tiles[0, 0] = b"\x00" + tiles[0, 0][1:]

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
