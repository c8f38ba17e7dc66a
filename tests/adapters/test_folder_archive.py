"""A folder as an archive: whole files, on another disk, never written over, never locked."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from fakes import FakeRandom
from seawall.adapters.archive.folder import FolderArchive
from seawall.core.errors import Missing, Refused, Tampered, Unavailable

LATER: Final = datetime(2032, 3, 2, 9, 30, tzinfo=UTC)
ELSEWHERE: Final = Path("/dev")
PATH: Final = "localhost/log/0123456789abcdef/tile/entries/000"


def folder_archive(folder: Path, apart_from: Path = ELSEWHERE) -> FolderArchive:
    """Return the archive of a folder."""
    return FolderArchive("shelf", folder, apart_from=apart_from, random=FakeRandom())


@pytest.mark.parametrize("below", ["", "archive"])
async def test_a_folder_on_the_databases_disk_is_refused(tmp_path: Path, below: str) -> None:
    """The data folder itself, one within it, and one beside it are all no second place."""
    data = tmp_path / "data"
    (data / "archive").mkdir(parents=True)
    for folder in (data / below, tmp_path):
        with pytest.raises(Refused) as caught:
            await folder_archive(folder, data).self_test()
        assert "archive-untrusted" == caught.value.code


async def test_a_folder_that_went_away_takes_nothing(tmp_path: Path) -> None:
    """An unmounted folder leaves a place on the database's own disk: nothing is put there."""
    archive = folder_archive(tmp_path / "mount", tmp_path)
    with pytest.raises(Unavailable):
        await archive.put(PATH, b"entries", LATER)
    (tmp_path / "mount").mkdir()
    with pytest.raises(Refused) as caught:
        await archive.put(PATH, b"entries", LATER)
    assert ("archive-untrusted", []) == (caught.value.code, list((tmp_path / "mount").iterdir()))


async def test_a_file_is_whole_and_read_only(tmp_path: Path) -> None:
    """Mode 0400, nothing half done beside it, and its retention in a file of its own."""
    await folder_archive(tmp_path).put(PATH, b"entries", LATER)
    known = json.loads((tmp_path / ".retention" / PATH).read_bytes())
    assert 0o400 == stat.S_IMODE((tmp_path / PATH).stat().st_mode)
    assert [] == list((tmp_path / ".incoming").iterdir())
    assert (LATER, False) == (datetime.fromisoformat(known["until"]), known["is_held"])


async def test_a_file_without_its_retention_gets_it_when_it_is_put_again(tmp_path: Path) -> None:
    """Ended between the two, the next run writes what is missing."""
    archive = folder_archive(tmp_path)
    version = await archive.put(PATH, b"entries", LATER)
    (tmp_path / ".retention" / PATH).unlink()
    assert version == await archive.put(PATH, b"entries", LATER)
    await archive.extend(PATH, version, LATER + timedelta(days=1))


async def test_a_file_without_its_retention_is_listed_by_its_digest(tmp_path: Path) -> None:
    """Ended between the two, the file is listed as what it is."""
    archive = folder_archive(tmp_path)
    version = await archive.put(PATH, b"entries", LATER)
    (tmp_path / ".retention" / PATH).unlink()
    assert [(PATH, version)] == [
        (one.path, one.version) async for one in archive.lying("localhost")
    ]


async def test_a_folder_that_went_away_is_no_empty_listing(tmp_path: Path) -> None:
    """An unmounted folder, and one that cannot be read, are errors: nothing would be held."""
    with pytest.raises(Unavailable):
        [one async for one in folder_archive(tmp_path / "mount").lying("localhost")]
    archive = folder_archive(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        [one async for one in archive.lying("file")]


async def test_changed_bytes_are_not_what_was_put(tmp_path: Path) -> None:
    """A file that its owner changed is told as altered, whoever asks by its version."""
    archive = folder_archive(tmp_path)
    version = await archive.put(PATH, b"entries", LATER)
    (tmp_path / PATH).chmod(0o600)
    (tmp_path / PATH).write_bytes(b"Entries")
    with pytest.raises(Tampered) as caught:
        await archive.get(PATH, version)
    assert "archive-altered" == caught.value.code


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"until": "soon", "version": "", "is_held": 0}'])
async def test_a_retention_that_cannot_be_read_is_an_incident(tmp_path: Path, text: str) -> None:
    """What lies beside a file is ours alone to write."""
    archive = folder_archive(tmp_path)
    version = await archive.put(PATH, b"entries", LATER)
    beside = tmp_path / ".retention" / PATH
    beside.chmod(0o600)
    beside.write_text(text)
    with pytest.raises(Tampered):
        await archive.extend(PATH, version, LATER)


async def test_nothing_is_held_that_is_not_there(tmp_path: Path) -> None:
    """A hold or a retention of an unknown object is told as missing."""
    archive = folder_archive(tmp_path)
    with pytest.raises(Missing):
        await archive.hold(PATH, "0" * 64, is_held=True)
    with pytest.raises(Missing):
        await archive.extend(PATH, "0" * 64, LATER)


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A file where a folder should be is told, and nothing counts as archived."""
    (tmp_path / "localhost").write_text("in the way")
    with pytest.raises(Unavailable) as caught:
        await folder_archive(tmp_path).put(PATH, b"entries", LATER)
    assert "archive-unavailable" == caught.value.code


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", ".retention/x", "a/.hidden", ""])
async def test_a_path_out_of_the_folder_is_a_mistake(tmp_path: Path, path: str) -> None:
    """Paths come from the program; one that leaves the folder is a bug and writes nothing."""
    with pytest.raises(RuntimeError):
        await folder_archive(tmp_path / "inner").put(path, b"entries", LATER)
    assert not (tmp_path / "inner").exists()


_PUTTING: Final = """
import asyncio, sys
from datetime import datetime, UTC
from pathlib import Path
from fakes import FakeRandom
from seawall.adapters.archive.folder import FolderArchive
archive = FolderArchive("shelf", Path(sys.argv[1]), apart_from=Path("/dev"), random=FakeRandom())
async def put():
    for at in range(10_000):
        await archive.put(f"a/{at}", str(at).encode() * 50_000, datetime(2032, 1, 1, tzinfo=UTC))
        print(at, flush=True)
asyncio.run(put())
"""


async def test_a_process_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    """Whenever it ends, a file is whole or not there, and what was acknowledged is there."""
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(  # noqa: ASYNC220, S603  the lines above
        [sys.executable, "-c", _PUTTING, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(5)][-1]
        process.kill()
    found = {int(file.name): file.read_bytes() for file in (tmp_path / "a").iterdir()}
    assert set(range(acknowledged + 1)) <= found.keys()
    assert [] == [at for at, content in found.items() if content != str(at).encode() * 50_000]
    for at, content in found.items():
        await folder_archive(tmp_path).put(f"a/{at}", content, LATER)


def test_a_folder_is_never_locked(tmp_path: Path) -> None:
    """Its owner can delete what lies in it."""
    assert not folder_archive(tmp_path).is_locked
