"""A backup is restored as it was, on both databases and across, and made while others write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from backup_scenes import PASSPHRASE, Scene, append, rows_of, scene
from postgres import OWNER
from seawall.compose import Installation
from seawall.config import Settings
from seawall.core.errors import Conflict, Error, Refused
from seawall.core.ledger.encoding import decode

if TYPE_CHECKING:
    from pathlib import Path

    from postgres import Server

ENGINES = ("sqlcipher", "postgres")


async def a_scene(engine: str, place: Path, server: Server) -> Scene:
    """Make an installation on this database."""
    database = server.url(server.new_database()) if engine == "postgres" else ""
    return await scene(place, database=database)


async def restored_on(engine: str, made: Scene, server: Server) -> Installation:
    """Restore on this database."""
    if engine == "sqlcipher":
        return await made.restored()
    url = server.url(server.new_empty_database())
    await made.restore("new", database=url, owner=OWNER)
    return Installation.open(Settings(made.place / "new", port=0, database=url), PASSPHRASE)


@pytest.mark.parametrize("source", ENGINES)
@pytest.mark.parametrize("target", ENGINES)
async def test_what_is_restored_is_what_was_there(
    source: str, target: str, tmp_path: Path, postgres_server: Server
) -> None:
    """Every row comes back, on either database; that it was restored is an entry."""
    made = await a_scene(source, tmp_path, postgres_server)
    before = rows_of(made.installation)
    await made.back_up()

    installation = await restored_on(target, made, postgres_server)

    after = rows_of(installation)
    began = after.pop("log system")[1:]
    after["log system"] = after.pop("log system~1")
    assert ["log.successor", "backup.restore"] == [decode(entry)["action"] for entry in began]
    assert before == after


async def test_a_restored_installation_goes_on(tmp_path: Path) -> None:
    """Its logs can be appended to, and what was sealed is sealed under keys that are there."""
    made = await scene(tmp_path)
    await append(made.installation, 300)
    await made.back_up()

    installation = await made.restored()
    await append(installation, 300)

    head = await installation.store.head("hillside")
    assert 602 == head.size
    assert 602 == len(await installation.store.entries("hillside", 0, 1_000))


async def test_a_backup_is_made_while_64_clients_write(tmp_path: Path) -> None:
    """What was acknowledged before is in it, its logs are whole, and a drill restores it."""
    made = await scene(tmp_path)
    async with made.installation.write() as writer:
        is_over = asyncio.Event()

        async def client(number: int) -> None:
            """Append until it is over."""
            while not is_over.is_set():
                await writer.ledger.append("hillside", {"v": 1, "client": number})

        clients = [asyncio.create_task(client(number)) for number in range(64)]
        await asyncio.sleep(0.3)
        before = (await made.installation.store.head("hillside")).size
        await made.back_up()
        is_over.set()
        await asyncio.gather(*clients)
    drilled = await made.drilled()
    restored = await made.restored()

    held = (await restored.store.head("hillside")).size
    assert before <= held <= (await made.installation.store.head("hillside")).size
    assert 3 == drilled.logs


async def test_the_next_backup_writes_only_what_is_new(tmp_path: Path) -> None:
    """Full chunks of entries are not even read again; the rest is recognised by its content."""
    made = await scene(tmp_path)
    await append(made.installation, 256, size=20_000)
    first = await made.back_up()
    again = await made.back_up()
    await append(made.installation, 8, size=20_000)
    third = await made.back_up()

    assert 0 == again.written
    assert first.written > 5_000_000
    assert third.written < 3_000_000


async def test_only_the_newest_snapshots_stay(tmp_path: Path) -> None:
    """What is beyond the number that is kept goes, with what it alone needed."""
    made = await scene(tmp_path)
    names = []
    for _ in range(3):
        await append(made.installation, 3, size=1_000)
        names.append((await made.back_up(keep=2)).snapshot)

    found = made.verify()

    assert names[1:] == found.snapshots
    assert (True, []) == (found.is_sound, found.extra)


async def test_a_folder_with_an_installation_is_not_restored_into(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    made = await scene(tmp_path)
    await made.back_up()

    with pytest.raises(Conflict) as caught:
        await made.restore("data")

    assert "target-not-empty" == caught.value.code


async def test_a_database_with_rows_is_not_restored_into(
    tmp_path: Path, postgres_server: Server
) -> None:
    """A PostgreSQL database that holds something is left as it is."""
    url = postgres_server.url(postgres_server.new_database())
    made = await scene(tmp_path, database=url)
    await made.back_up()

    with pytest.raises(Conflict) as caught:
        await made.restore("new", database=url, owner=OWNER)

    assert "target-not-empty" == caught.value.code


async def test_another_installations_backup_is_refused(tmp_path: Path) -> None:
    """Two installations do not share a repository."""
    made, other = await scene(tmp_path / "one"), await scene(tmp_path / "two")
    await made.back_up()

    with pytest.raises(Error) as caught:
        await Scene(other.installation, made.place).back_up()

    assert "backup-of-another" == caught.value.code


async def test_a_folder_with_other_files_is_no_place_for_a_backup(tmp_path: Path) -> None:
    """A backup does not sweep somebody's folder."""
    made = await scene(tmp_path)
    made.repository.mkdir()
    (made.repository / "letter").write_text("dear", encoding="ascii")

    with pytest.raises(Refused) as caught:
        await made.back_up()

    assert "backup-folder-not-empty" == caught.value.code
    assert (made.repository / "letter").exists()


async def test_a_drill_leaves_nothing_behind(tmp_path: Path) -> None:
    """The scratch place is removed, and the installation is as it was."""
    made = await scene(tmp_path)
    await made.back_up()
    before = sorted(path.name for path in (tmp_path / "data").iterdir())

    drilled = await made.drilled()

    assert before == sorted(path.name for path in (tmp_path / "data").iterdir())
    assert drilled.opened >= 2
