"""A process that dies in the middle of its work: what it acknowledged is there."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embedded import opened
from faults.faulty import whole
from seawall.adapters.db.sqlcipher import FolderLock
from seawall.core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent.parent


@contextmanager
def appending(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the appending program on a folder; kill it without warning at the end."""
    process = subprocess.Popen(  # noqa: S603  the interpreter that runs the tests, paths made here
        [sys.executable, str(TESTS / "faults" / "appending.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def acknowledged_until_killed(folder: Path, lines: int) -> dict[int, bytes]:
    """Return what was acknowledged, by index, by a program killed after so many lines."""
    with appending(folder) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        seen += process.stdout.readlines()
    parted = [line.rstrip(b"\n").partition(b" ") for line in seen if line.endswith(b"}\n")]
    return {int(index): entry for index, _, entry in parted}


async def test_what_a_killed_process_acknowledged_is_there(tmp_path: Path) -> None:
    """Over several lives of a process that is killed, no acknowledged entry is lost or moved."""
    acknowledged: dict[int, bytes] = {}
    for lines in (1, 60, 333):
        added = acknowledged_until_killed(tmp_path, lines)
        assert len(added) >= lines
        assert not acknowledged.keys() & added.keys()
        acknowledged |= added
        async with opened(tmp_path) as database:
            entries = await whole(database.store, "clinic")
        assert acknowledged == {index: entries[index] for index in acknowledged}


def test_one_folder_is_for_one_process(tmp_path: Path) -> None:
    """While a process works on a folder another is refused; when it is killed, no more."""
    with appending(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(Conflict) as caught:
            FolderLock(tmp_path / "lock")
        assert caught.value.code == "folder-in-use"
    FolderLock(tmp_path / "lock").release()


def test_a_released_folder_can_be_claimed_again(tmp_path: Path) -> None:
    """A claim holds until it is released."""
    first = FolderLock(tmp_path / "lock")
    with pytest.raises(Conflict):
        FolderLock(tmp_path / "lock")
    first.release()
    FolderLock(tmp_path / "lock").release()


def test_a_folder_that_does_not_exist_cannot_be_claimed(tmp_path: Path) -> None:
    """A missing folder is Unavailable, and nothing is made."""
    with pytest.raises(Unavailable) as caught:
        FolderLock(tmp_path / "nowhere" / "lock")
    assert caught.value.code == "folder-unusable"
    assert not (tmp_path / "nowhere").exists()
