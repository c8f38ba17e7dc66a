"""What is restored into is empty and is one process's; what is half is never taken for whole."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from backup_scenes import PASSPHRASE, Scene, append, restoring_by, rows_of, scene
from seawall.adapters.db.load import FileTarget
from seawall.adapters.db.sqlcipher import FolderLock, connect
from seawall.app.backup.filling import TILES
from seawall.app.backup.restore import Wanted
from seawall.compose import Installation, drill_backup, restore_folder
from seawall.config import Passphrase, PayloadFolder, Settings
from seawall.core.backup.manifest import Manifest
from seawall.core.backup.rows import Rows
from seawall.core.errors import Conflict, Error, Tampered, Unavailable

TESTS: Final = Path(__file__).parent.parent
KEY: Final = bytes(32)


def target(place: Path) -> FileTarget:
    """Return a database file to fill."""
    return FileTarget(place / "seawall.db", lambda path: connect(path, KEY))


def tile(log: str) -> Rows:
    """Return a row."""
    return Rows(TILES, [(b"x" * 32, 1, log, 0)])


def test_two_at_once_share_no_file(tmp_path: Path) -> None:
    """The first to end is what is there, whole; the other one says that there is something."""
    first, second = target(tmp_path).begin(), target(tmp_path).begin()
    second.load(tile("second"))
    first.load(tile("first"))
    first.finish()

    with pytest.raises(Conflict) as caught:
        second.finish()
    second.abandon()

    opened = connect(tmp_path / "seawall.db", KEY)
    found = opened.execute("select log from tiles").fetchall()
    opened.close()
    assert ("target-not-empty", [("first",)]) == (caught.value.code, found)
    assert ["seawall.db"] == [path.name for path in tmp_path.iterdir()]


async def test_a_folder_is_restored_into_by_one_process(tmp_path: Path) -> None:
    """Another one that holds it is told, and left alone."""
    made = await scene(tmp_path)
    await made.back_up()
    (tmp_path / "new").mkdir()
    lock = FolderLock(tmp_path / "new" / "lock")

    with pytest.raises(Conflict) as caught:
        await made.restore()
    lock.release()

    assert "folder-in-use" == caught.value.code
    assert ["lock"] == [path.name for path in (tmp_path / "new").iterdir()]


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_what_lies_beside_a_database_is_no_empty_place(tmp_path: Path, end: str) -> None:
    """SQLite would read it as part of what was restored."""
    (tmp_path / f"seawall.db{end}").write_bytes(b"stale" * 2_000)

    with pytest.raises(Conflict) as caught:
        target(tmp_path).begin()

    assert "target-not-empty" == caught.value.code


def test_what_does_not_open_under_its_name_is_not_restored(tmp_path: Path) -> None:
    """The file is opened before it counts, and goes if it does not."""

    def opening(path: Path) -> Any:
        """Open under another key once the file has its name."""
        return connect(path, KEY if path.name != "seawall.db" else b"\1" * 32)

    loading = FileTarget(tmp_path / "seawall.db", opening).begin()

    with pytest.raises((Tampered, Unavailable)):
        loading.finish()

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["letter", "seawall.db-wal", "keys/ring.json", "tls/key.pem"])
async def test_a_folder_that_holds_anything_is_not_restored_into(tmp_path: Path, name: str) -> None:
    """It is left as it was."""
    made = await scene(tmp_path)
    await made.back_up()
    (tmp_path / "new" / name).parent.mkdir(parents=True)
    (tmp_path / "new" / name).write_text("dear", encoding="ascii")

    with pytest.raises(Conflict) as caught:
        await made.restore()

    assert "target-not-empty" == caught.value.code
    assert "dear" == (tmp_path / "new" / name).read_text("ascii")
    assert not (tmp_path / "new" / "lock").exists()


async def test_settings_secrets_and_payloads_may_be_there(tmp_path: Path) -> None:
    """That is what an operator prepares; the settings that are there stay."""
    made = await scene(tmp_path)
    await made.back_up()
    new = tmp_path / "new"
    for name in ("secrets/token", "payloads/ab"):
        (new / name).parent.mkdir(parents=True)
        (new / name).touch()
    (new / "seawall.toml").write_text("# mine\n", encoding="ascii")
    settings = Settings(new, port=0, payloads=PayloadFolder("payloads"))

    await restore_folder(made.repository, settings, PASSPHRASE, Wanted())

    assert "# mine\n" == (new / "seawall.toml").read_text("ascii")


async def test_what_an_ended_restoring_left_is_thrown_away(tmp_path: Path) -> None:
    """A marked folder begins anew, stale files of a database included."""
    made = await scene(tmp_path)
    await made.back_up()
    (tmp_path / "new").mkdir()
    for name in ("restoring", "seawall.db", "seawall.db-wal", "seawall.db.0a1b.restoring"):
        (tmp_path / "new" / name).write_bytes(b"half" * 2_000)

    restored = await made.restored()

    assert 4 == len(rows_of(restored)["sealed"])
    assert not [path for path in (tmp_path / "new").iterdir() if "restoring" in path.name]


async def test_a_newer_programs_snapshot_is_told(tmp_path: Path) -> None:
    """It is no tampering: who can restore it is said."""
    made = await scene(tmp_path)
    await made.back_up()

    with pytest.raises(Conflict) as caught:
        await restoring_by(made.installation, made.repository, "0001").restore(
            Wanted(), target(tmp_path)
        )

    assert "backup-newer" == caught.value.code


def test_what_a_newer_program_says_besides_is_left_out() -> None:
    """Its revision can be read, and says that it is newer."""
    manifest = Manifest("r", "s", "m", "p", "9999", (), ())
    raw = orjson.dumps({**orjson.loads(manifest.to_bytes()), "later": 1})

    assert manifest == Manifest.from_bytes(raw)


PROGRAM: Final = """
import asyncio, sys
from pathlib import Path
from seawall.compose import Installation, drill_backup, restore_folder
from seawall.app.backup.restore import Wanted
from seawall.cli.backup import _until_ended
from seawall.config import Passphrase, Settings
place, passphrase = Path(sys.argv[2]), Passphrase(b"correct horse battery staple")
def told(what, size):
    print("filling", flush=True)
if sys.argv[1] == "drill":
    installation = Installation.open(Settings(place / "data", port=0), passphrase)
    drill = drill_backup(installation, place / "backup", passphrase, progress=told)
    asyncio.run(_until_ended(drill))
else:
    settings = Settings(place / "new", port=0)
    asyncio.run(restore_folder(place / "backup", settings, passphrase, Wanted(), progress=told))
"""


def ended(what: str, place: Path, number: signal.Signals) -> int:
    """Begin a drill or a restoring, end it as it fills the database; return its status."""
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", PROGRAM, what, str(place)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert b"filling\n" == process.stdout.readline()
    process.send_signal(number)
    process.communicate()
    return process.returncode


def drills(made: Scene) -> list[str]:
    """Return the scratch places that there are."""
    return [path.name for path in (made.place / "data").glob("drill-*")]


async def large(place: Path) -> Scene:
    """Make a backup that takes a while to restore."""
    made = await scene(place)
    await append(made.installation, 512, size=30_000)
    await made.back_up()
    return made


async def test_a_drill_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM removes the scratch place, and the status says that it was ended."""
    made = await large(tmp_path)

    status = await asyncio.to_thread(ended, "drill", tmp_path, signal.SIGTERM)

    assert (143, []) == (status, drills(made))


async def test_a_killed_drill_goes_with_the_next(tmp_path: Path) -> None:
    """What a drill could not remove is removed; one that is running is left alone."""
    made = await large(tmp_path)
    status = await asyncio.to_thread(ended, "drill", tmp_path, signal.SIGKILL)
    assert (-9, 1) == (status, len(drills(made)))
    running = tmp_path / "data" / "drill-running"
    running.mkdir()
    lock = FolderLock(running / "lock")

    await made.drilled()
    lock.release()

    assert ["drill-running"] == drills(made)


async def test_a_restoring_that_is_killed_as_it_fills_is_not_served(tmp_path: Path) -> None:
    """The mark is there, and what is half has no name that anybody opens."""
    made = await large(tmp_path)

    status = await asyncio.to_thread(ended, "restore", tmp_path, signal.SIGKILL)

    left = [path.name for path in (tmp_path / "new").iterdir()]
    assert (-9, True, False) == (status, "restoring" in left, "seawall.db" in left)
    with pytest.raises(Conflict) as caught:
        Installation.open(Settings(tmp_path / "new", port=0), PASSPHRASE)
    assert "restore-incomplete" == caught.value.code
    assert 514 == (await (await made.restored()).store.head("hillside")).size


async def test_a_drill_opens_the_key_ring_that_the_backup_holds(tmp_path: Path) -> None:
    """The installation's own, which is open already, is of no use when it is lost."""
    made = await scene(tmp_path)
    await made.back_up()

    with pytest.raises(Error) as caught:
        await drill_backup(made.installation, made.repository, Passphrase(b"another"))

    assert "wrong-passphrase" == caught.value.code


async def test_a_drill_restores_the_snapshot_that_is_named(tmp_path: Path) -> None:
    """Whatever else is ordered counts as it does for a restoring."""
    made = await scene(tmp_path)
    older = (await made.back_up()).snapshot
    await append(made.installation, 3)
    await made.back_up()

    with pytest.raises(Conflict):
        await made.drilled(snapshot=older)

    assert older == (await made.drilled(snapshot=older, is_successor=True)).snapshot
