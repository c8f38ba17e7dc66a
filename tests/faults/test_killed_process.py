"""A process that dies in the middle of its work: what it acknowledged is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults.killing import appending, kill_again_and_again
from seawall.adapters.db.sqlcipher import FolderLock
from seawall.core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from postgres import Server


def test_what_a_killed_process_acknowledged_is_there(tmp_path: Path) -> None:
    """Over several lives of a process that is killed, no acknowledged entry is lost or moved."""
    killing = kill_again_and_again("sqlcipher", tmp_path, 4)
    assert (4, 1) == (killing.rounds, killing.proofs)
    assert killing.entries >= killing.acknowledged > 4


def test_what_killed_replicas_acknowledged_is_there(postgres_server: Server) -> None:
    """Two processes share a log on PostgreSQL, and are killed: nothing acknowledged is lost."""
    place = postgres_server.folder / postgres_server.new_database()
    killing = kill_again_and_again("postgres", place, 4)
    assert (4, 1) == (killing.rounds, killing.proofs)
    assert killing.entries >= killing.acknowledged > 4


def test_one_folder_is_for_one_process(tmp_path: Path) -> None:
    """While a process works on a folder another is refused; when it is killed, no more."""
    with appending("sqlcipher", tmp_path) as process:
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
