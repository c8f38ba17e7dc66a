"""A folder of backups: what may lie there that is no file of one, and when it is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from seawall.adapters.backup.folder import FolderPlace
from seawall.core.errors import Missing, Tampered, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pipe_is_waited_for_by_nobody(tmp_path: Path) -> None:
    """It is no file, and has no size."""
    os.mkfifo(tmp_path / "index")

    with pytest.raises(Tampered):
        FolderPlace(tmp_path).read("index")

    assert FolderPlace(tmp_path).size("index") is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever can write there chooses no other file of the machine."""
    (tmp_path / "other").write_bytes(b"secret")
    (tmp_path / "index").symlink_to(tmp_path / "other")

    with pytest.raises(Tampered):
        FolderPlace(tmp_path).read("index")


def test_a_file_larger_than_it_can_be_is_not_read(tmp_path: Path) -> None:
    """A sparse one of 60 GB takes no memory."""
    with (tmp_path / "index").open("wb") as file:
        file.truncate(60 << 30)

    for most in ((1 << 20,), ()):
        with pytest.raises(Tampered):
            FolderPlace(tmp_path).read("index", *most)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    """A file may be as long as it was said to be."""
    place = FolderPlace(tmp_path)
    place.write("chunks/ab", b"content")
    assert (b"content", 7) == (place.read("chunks/ab", 7), place.size("chunks/ab"))
    with pytest.raises(Missing):
        place.read("chunks/cd")


def test_a_claim_makes_a_folder_only_to_begin(tmp_path: Path) -> None:
    """A mount that is absent is not begun anew beneath it."""
    place = FolderPlace(tmp_path / "mount")
    with pytest.raises(Unavailable), place.claim():
        pass
    assert not (tmp_path / "mount").exists()
    with place.claim(begin=True):
        assert (tmp_path / "mount" / "lock").exists()
