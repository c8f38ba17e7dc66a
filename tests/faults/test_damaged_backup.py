"""Whatever is changed in a backup, its file is named; what is ended leaves nothing half."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from backup_scenes import PASSPHRASE, Scene, append, copied, rows_of, scene
from seawall.compose import Installation
from seawall.config import Settings
from seawall.core.errors import Conflict, Error

TESTS: Final = Path(__file__).parent.parent
SMALL: Final = 600
"""Every byte of smaller files is changed; of larger ones so many."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return an installation with a backup of two snapshots."""

    async def make() -> Scene:
        """Make it."""
        found = await scene(tmp_path_factory.mktemp("backed-up"))
        await found.back_up()
        await append(found.installation, 20)
        await found.back_up()
        return found

    return asyncio.run(make())


def files_of(made: Scene) -> list[Path]:
    """Return the files of a backup, but for the empty one that is its claim."""
    return sorted(
        path for path in made.repository.rglob("*") if path.is_file() and path.name != "lock"
    )


@pytest.mark.parametrize("keyless", [True, False])
def test_a_flipped_byte_of_any_file_is_named(made: Scene, tmp_path: Path, *, keyless: bool) -> None:
    """With keys and without: the file that was changed is the one that is named."""
    scene_ = copied(made, tmp_path)
    assert len(files_of(scene_)) > 12
    for path in files_of(scene_):
        raw, name = path.read_bytes(), path.relative_to(scene_.repository).as_posix()
        step = 1 if len(raw) <= SMALL and keyless else max(1, len(raw) // 7)
        for at in {*range(0, len(raw), step), len(raw) - 1}:
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x20]) + raw[at + 1 :])
            found = scene_.verify(keyless=keyless) if name != "seawall-backup.json" else None
            if found is None:
                found = scene_.verify(keyless=True)
            assert name in found.damaged, (name, at, found.damaged)
        path.write_bytes(raw)
    assert scene_.verify(keyless=keyless).is_sound


def test_a_missing_file_is_named(made: Scene, tmp_path: Path) -> None:
    """Each file that goes is missed by its name."""
    scene_ = copied(made, tmp_path)
    for path in files_of(scene_):
        raw, name = path.read_bytes(), path.relative_to(scene_.repository).as_posix()
        path.unlink()
        assert "missing" == scene_.verify(keyless=True).damaged.get(name)
        path.write_bytes(raw)


def test_a_shortened_and_a_lengthened_file_are_named(made: Scene, tmp_path: Path) -> None:
    """Not a byte may be lost or come."""
    scene_ = copied(made, tmp_path)
    for path in files_of(scene_):
        raw, name = path.read_bytes(), path.relative_to(scene_.repository).as_posix()
        for other in (raw[:-1], raw + b"\n", b""):
            path.write_bytes(other)
            assert "changed" == scene_.verify(keyless=True).damaged.get(name)
        path.write_bytes(raw)


def test_swapped_files_are_named(made: Scene, tmp_path: Path) -> None:
    """Two files that trade places, both whole, are both named."""
    scene_ = copied(made, tmp_path)
    chunks = [path for path in files_of(scene_) if "chunks" in path.parts][:2]
    raw = [path.read_bytes() for path in chunks]
    for path, other in zip(chunks, reversed(raw), strict=True):
        path.write_bytes(other)

    found = scene_.verify()

    assert {path.relative_to(scene_.repository).as_posix() for path in chunks} == set(found.damaged)


def test_an_extra_file_is_named(made: Scene, tmp_path: Path) -> None:
    """What nothing names is told, and harms nothing."""
    scene_ = copied(made, tmp_path)
    (scene_.repository / "chunks" / "stranger").write_bytes(b"?")

    found = scene_.verify()

    assert (True, ["chunks/stranger"]) == (found.is_sound, found.extra)


def test_an_older_index_is_no_way_back(made: Scene, tmp_path: Path) -> None:
    """An index from another moment does not fit the key part that lies there."""
    scene_ = copied(made, tmp_path)
    index = (scene_.repository / "index").read_bytes()
    asyncio.run(scene_.back_up())
    (scene_.repository / "index").write_bytes(index)

    assert any(name.startswith("keys/") for name in scene_.verify().damaged)


@pytest.mark.parametrize("what", ["chunks", "keys", "snapshots"])
async def test_a_damaged_backup_is_not_restored(made: Scene, tmp_path: Path, what: str) -> None:
    """Nothing is left that could be served."""
    scene_ = copied(made, tmp_path)
    for path in files_of(scene_):
        if what in path.parts:
            raw = path.read_bytes()
            path.write_bytes(raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:])

    with pytest.raises(Error):
        await scene_.restore()

    assert not (tmp_path / "new" / "seawall.db").exists()
    assert not (tmp_path / "new" / "keys" / "ring.json").exists()


PROGRAM: Final = """
import asyncio, sys
from pathlib import Path
from backup_scenes import PASSPHRASE, Scene
from seawall.compose import Installation
from seawall.config import Settings
place = Path(sys.argv[2])
installation = None
if sys.argv[1] == "backup":
    installation = Installation.open(Settings(place / "data", port=0), PASSPHRASE)
scene = Scene(installation, place)
print("begun", flush=True)
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    asyncio.run(scene.back_up() if sys.argv[1] == "backup" else scene.restore())
except Exception as error:
    print("code", getattr(error, "code", repr(error)), flush=True)
    sys.exit(1)
print("ended", flush=True)
"""


def killed(what: str, place: Path, seconds: float) -> bool:
    """Run a backup or a restoring, and kill it; return whether it had ended by itself."""
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", PROGRAM, what, str(place)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return b"ended" in process.communicate()[0]


def on_a_full_disk(what: str, place: Path, size: int) -> str:
    """Run a backup or a restoring where no file grows beyond a size; return the error's code."""
    ended = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", PROGRAM, what, str(place), str(size)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.split()[-1]


async def test_a_backup_on_a_full_disk_leaves_the_earlier_one(tmp_path: Path) -> None:
    """It says so, and what was there verifies."""
    made = await scene(tmp_path)
    await made.back_up()
    await append(made.installation, 256, size=30_000)

    code = await asyncio.to_thread(on_a_full_disk, "backup", tmp_path, 1_000_000)

    assert "backup-unavailable" == code
    assert (True, 1) == ((found := made.verify()).is_sound, len(found.snapshots))


async def test_a_restoring_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """It says so, and no database is there that could be taken for a whole one."""
    made = await scene(tmp_path)
    await append(made.installation, 256, size=30_000)
    await made.back_up()

    code = await asyncio.to_thread(on_a_full_disk, "restore", tmp_path, 1_000_000)

    assert code.startswith("database-")
    left = {path.name for path in (tmp_path / "new").iterdir()}
    assert (True, []) == ("restoring" in left, [name for name in left if "seawall.db" in name])


async def test_a_folder_that_is_being_restored_is_not_served(tmp_path: Path) -> None:
    """Its mark says so, whatever else lies there."""
    made = await scene(tmp_path)
    (tmp_path / "data" / "restoring").touch()

    with pytest.raises(Conflict) as caught:
        Installation.open(made.installation.settings, PASSPHRASE)

    assert "restore-incomplete" == caught.value.code


async def test_a_killed_backup_leaves_the_earlier_one(tmp_path: Path) -> None:
    """Whenever it is ended, what was there verifies, and the next one goes on and cleans up."""
    made = await scene(tmp_path)
    await append(made.installation, 512, size=30_000)
    await made.back_up()
    await append(made.installation, 512, size=30_000)
    for seconds in (0.05, 0.15, 0.3):
        await asyncio.to_thread(killed, "backup", tmp_path, seconds)
        found = await asyncio.to_thread(made.verify)
        assert (True, True) == (found.is_sound, len(found.snapshots) >= 1)

    await made.back_up()

    assert (True, []) == ((found := made.verify()).is_sound, found.extra)


async def test_a_killed_restoring_is_not_served_and_begins_anew(tmp_path: Path) -> None:
    """A folder that is half restored says so; restoring again harms nothing."""
    made = await scene(tmp_path)
    await append(made.installation, 512, size=30_000)
    await made.back_up()
    for seconds in (0.02, 0.1, 0.25):
        if await asyncio.to_thread(killed, "restore", tmp_path, seconds):
            shutil.rmtree(tmp_path / "new")
            continue
        with pytest.raises(Error) as caught:
            Installation.open(Settings(tmp_path / "new", port=0), PASSPHRASE)
        # Before the first file is written there is nothing yet that could be half.
        assert caught.value.code in {"restore-incomplete", "ring-missing"}

    after = rows_of(await made.restored())

    after["log system"] = after.pop("log system~1")
    assert rows_of(made.installation) == after
