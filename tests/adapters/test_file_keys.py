"""Root keys in the ring's file: what is special about a file; the rest is the contract's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import FakeClock, FakeRandom
from seawall.adapters.keys.file import FileKeys
from seawall.adapters.keys.ring_file import RingFile
from seawall.core.errors import Missing, Refused

if TYPE_CHECKING:
    from pathlib import Path

NAME = "tenant/clinic"


def keys(ring: RingFile, *, is_shared: bool = False) -> FileKeys:
    """Return the key manager over a ring."""
    return FileKeys(ring, FakeClock(), FakeRandom("file"), is_shared=is_shared)


@pytest.fixture
def ring(tmp_path: Path) -> RingFile:
    """Make a ring file."""
    return RingFile.create(tmp_path / "ring.json", b"passphrase", FakeRandom())


def test_replicas_copies_of_the_file_are_not_left_behind(ring: RingFile) -> None:
    """On a shared database a root key is made and used, and neither rotated nor destroyed."""
    shared = keys(ring, is_shared=True)
    shared.make(NAME)
    wrapped = shared.wrap(NAME, bytes(32), "x")
    for act in (lambda: shared.rotate(NAME), lambda: shared.destroy(NAME)):
        with pytest.raises(Refused) as caught:
            act()
        assert "key-file-shared" == caught.value.code
    assert bytes(32) == shared.unwrap(NAME, wrapped, "x")


def test_what_another_process_destroyed_opens_no_more(ring: RingFile, tmp_path: Path) -> None:
    """A process that has the file open follows it, whoever changed it."""
    ours = keys(ring)
    ours.make(NAME)
    wrapped = ours.wrap(NAME, bytes(32), "x")
    theirs = keys(RingFile.unlock(tmp_path / "ring.json", b"passphrase", FakeRandom()))
    theirs.destroy(NAME)
    with pytest.raises(Missing):
        ours.unwrap(NAME, wrapped, "x")


def test_destroyed_keys_are_in_the_file_no_more(ring: RingFile, tmp_path: Path) -> None:
    """After a destruction the file does not even name the version."""
    ours = keys(ring)
    ours.make(NAME)
    ours.rotate(NAME)
    ours.destroy(NAME, 2)
    text = (tmp_path / "ring.json").read_text("utf-8")
    assert (True, False) == (f"root-keys/{NAME}/2" in text, f"root-keys/{NAME}/1" in text)


def test_names_that_begin_alike_are_told_apart(ring: RingFile) -> None:
    """Destroying one tenant's key leaves that of a tenant whose name goes on from it."""
    ours = keys(ring)
    for name in (NAME, f"{NAME}/1", f"{NAME}1", "tenant/clin.c"):
        ours.make(name)
    ours.destroy("tenant/clin.c")
    ours.destroy(NAME)
    assert [1] == [root.version for root in ours.versions(f"{NAME}1")]
    assert [1] == [root.version for root in ours.versions(f"{NAME}/1")]
