"""The key part of a tenant with many patients is several files, none of them large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backup_scenes import Scene, rows_of, scene
from seawall.app.backup.key_part import key_pieces
from seawall.compose import backup_maker
from seawall.compose.backup import RepositoryCopies

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.backup.make import Made

KEYS = ("tenant_keys", "data_keys", "patients")


async def in_pieces(place: Path) -> Scene:
    """Make an installation, and a backup whose key part has as many files as there are rows."""
    made = await scene(place, patients=3)

    async def record(_: Made) -> None:
        """Record nothing."""

    await backup_maker(made.installation, made.repository, piece=1).make(record)
    return made


async def test_all_rows_of_all_pieces_come_back(tmp_path: Path) -> None:
    """Nothing is lost at a cut, whatever table it is in."""
    made = await in_pieces(tmp_path)
    assert len(list((made.repository / "keys").iterdir())) > 6

    before, after = rows_of(made.installation), rows_of(await made.restored())

    assert [before[table] for table in KEYS] == [after[table] for table in KEYS]
    assert made.verify().is_sound


async def test_all_pieces_of_a_tenant_are_replaced(tmp_path: Path) -> None:
    """A shredding leaves no older file of its keys; those of another tenant stay."""
    made = await in_pieces(tmp_path)
    name = made.verify().repository
    before = {path.name for path in (made.repository / "keys").iterdir()}

    copies = await RepositoryCopies(made.installation, made.repository).rewrite("hillside")

    left = {path.name for path in (made.repository / "keys").iterdir()}
    gone = {one.partition("-")[0] for one in before - left}
    assert (1, name) == (copies, made.verify().repository)
    assert 1 == len(gone - {"ring"})
    assert not {one for one in left & before if one.partition("-")[0] in gone - {"ring"}}


async def test_no_piece_is_larger_than_a_row_more(tmp_path: Path) -> None:
    """What is held at once has a bound, however many patients there are."""
    made = await scene(tmp_path, patients=3)
    with made.installation.database.dump_source().reading() as dump:
        pieces = list(key_pieces(dump, "hillside", 2_000))

    def size(rows: list[Any]) -> int:
        """Return how much rows hold."""
        return sum(len(value) for row in rows for value in row if isinstance(value, str | bytes))

    assert len(pieces) > 1
    assert all(sum(size(rows) for _, rows in piece[1:]) < 3_000 for piece in pieces)
