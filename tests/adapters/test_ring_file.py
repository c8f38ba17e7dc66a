"""The key ring's file: who opens it, what is beside it, and what another process wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fake_keys import MemoryProvider
from fakes import FakeRandom
from seawall.adapters.keys.ring_file import RingFile
from seawall.adapters.keys.root_locks import ManagerLock, SecretLock
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seawall.adapters.keys.root_locks import RootLock

PASSPHRASE = b"correct horse battery staple"
SECRET = bytes(range(200, 240))


@pytest.fixture
def ring_file(tmp_path: Path) -> RingFile:
    """Make a ring file."""
    return RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom())


def test_a_ring_is_never_made_over_another(ring_file: RingFile, tmp_path: Path) -> None:
    """Making a ring where one is conflicts, and the old one stays."""
    before = ring_file.ensure("database")
    with pytest.raises(Conflict):
        RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    unlocked = RingFile.unlock(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    assert before == unlocked.key("database")


def test_a_missing_ring_is_missing(tmp_path: Path) -> None:
    """Without a ring file there is nothing to unlock."""
    with pytest.raises(Missing) as caught:
        RingFile.unlock(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    assert caught.value.code == "ring-missing"


def test_the_ring_file_is_for_its_owner_alone(ring_file: RingFile, tmp_path: Path) -> None:
    """The file has mode 0600, and no half-written one stays beside it."""
    ring_file.ensure("database")
    assert ["ring.json"] == [path.name for path in tmp_path.iterdir()]
    assert (tmp_path / "ring.json").stat().st_mode & 0o777 == 0o600


def test_a_ring_that_cannot_be_written_or_read_is_unavailable(tmp_path: Path) -> None:
    """A file where the folder should be is an error with a code, not the system's own."""
    (tmp_path / "keys").write_bytes(b"")
    for act in (RingFile.create, RingFile.unlock):
        with pytest.raises(Unavailable):
            act(tmp_path / "keys" / "ring.json", PASSPHRASE, FakeRandom())


def locks() -> dict[str, RootLock]:
    """Return the kinds of locks other than a passphrase."""
    provider = MemoryProvider()
    return {
        "mounted secret": SecretLock(SECRET, FakeRandom()),
        "key manager": ManagerLock(provider, FakeRandom(), provider),
    }


@pytest.mark.parametrize("kind", ["mounted secret", "key manager"])
def test_a_ring_opens_by_what_keeps_it(tmp_path: Path, kind: str) -> None:
    """A ring under a secret or a key manager opens by it, and by nothing of another kind."""
    path, lock = tmp_path / "ring.json", locks()[kind]
    made = RingFile.create(path, lock, FakeRandom(), ["database"])
    assert made.key("database") == RingFile.unlock(path, lock, FakeRandom()).key("database")
    with pytest.raises(Refused) as caught:
        RingFile.unlock(path, PASSPHRASE, FakeRandom())
    assert "wrong-root-lock" == caught.value.code


def test_another_secret_opens_nothing(tmp_path: Path) -> None:
    """A mounted secret that differs in one byte is refused; one that is short, invalid."""
    path = tmp_path / "ring.json"
    RingFile.create(path, SecretLock(SECRET, FakeRandom()), FakeRandom())
    with pytest.raises(Refused) as caught:
        RingFile.unlock(path, SecretLock(SECRET[:-1] + b"x", FakeRandom()), FakeRandom())
    assert "wrong-root-secret" == caught.value.code
    with pytest.raises(Invalid):
        SecretLock(SECRET[:31], FakeRandom())


def test_a_ring_does_not_open_once_its_root_key_is_destroyed(tmp_path: Path) -> None:
    """Without the key manager's key nothing on this machine opens the ring."""
    path, provider = tmp_path / "ring.json", MemoryProvider()
    lock = ManagerLock(provider, FakeRandom(), provider)
    RingFile.create(path, lock, FakeRandom(), ["database"])
    provider.destroy("root")
    with pytest.raises(Missing):
        RingFile.unlock(path, lock, FakeRandom())


def test_a_new_root_wraps_the_same_keys(tmp_path: Path) -> None:
    """After the root was rotated the keys are the same, and the old passphrase opens nothing."""
    path = tmp_path / "ring.json"
    ring = RingFile.create(path, PASSPHRASE, FakeRandom(), ["database"])
    before = ring.key("database")
    lock = SecretLock(SECRET, FakeRandom())
    ring.rotate_root(lock)
    assert (
        before == ring.key("database") == RingFile.unlock(path, lock, FakeRandom()).key("database")
    )
    with pytest.raises(Error):
        RingFile.unlock(path, PASSPHRASE, FakeRandom())


def test_a_root_that_cannot_be_kept_changes_nothing(tmp_path: Path) -> None:
    """A key manager that is down while the root is rotated leaves the ring as it was."""
    path, provider = tmp_path / "ring.json", MemoryProvider()
    ring = RingFile.create(path, PASSPHRASE, FakeRandom(), ["database"])
    before, raw = ring.key("database"), path.read_bytes()
    provider.down = Unavailable("key-manager-unavailable", "no answer", "try again")
    with pytest.raises(Unavailable):
        ring.rotate_root(ManagerLock(provider, FakeRandom(), provider))
    assert (before, raw) == (ring.key("database"), path.read_bytes())


@pytest.mark.parametrize("change", ["ensure", "remove", "rotate_root"])
def test_a_change_that_cannot_be_written_is_no_change(tmp_path: Path, change: str) -> None:
    """A full or broken disk leaves the ring in memory as it is on the disk."""
    path = tmp_path / "ring.json"
    ring = RingFile.create(path, PASSPHRASE, FakeRandom(), ["a"])
    before, raw = ring.key("a"), path.read_bytes()
    (tmp_path / "ring.new").mkdir()
    acts: dict[str, Callable[[], object]] = {
        "ensure": lambda: ring.ensure("b"),
        "remove": lambda: ring.remove(["a"]),
        "rotate_root": ring.rotate_root,
    }
    with pytest.raises(Unavailable):
        acts[change]()
    assert (["a"], before, raw) == (ring.names(), ring.key("a"), path.read_bytes())
    (tmp_path / "ring.new").rmdir()
    ring.ensure("c")
    unlocked = RingFile.unlock(path, PASSPHRASE, FakeRandom())
    assert (["a", "c"], before) == (unlocked.names(), unlocked.key("a"))


def test_what_another_process_wrote_is_kept(tmp_path: Path) -> None:
    """Two processes that make keys in turn lose none, and see each other's."""
    path = tmp_path / "ring.json"
    first = RingFile.create(path, PASSPHRASE, FakeRandom("one"))
    second = RingFile.unlock(path, PASSPHRASE, FakeRandom("two"))
    one, two = first.ensure("a"), second.ensure("b")
    assert second.ensure("a") == one
    first.refresh()
    assert (["a", "b"], two) == (first.names(), first.key("b"))


def test_a_root_that_another_process_rotated_is_followed(tmp_path: Path) -> None:
    """A ring that is open goes on after another process made a new root."""
    path = tmp_path / "ring.json"
    first = RingFile.create(path, PASSPHRASE, FakeRandom(), ["a"])
    RingFile.unlock(path, PASSPHRASE, FakeRandom("other")).rotate_root()
    first.ensure("b")
    assert ["a", "b"] == RingFile.unlock(path, PASSPHRASE, FakeRandom()).names()


def test_a_removed_key_is_in_the_file_no_more(tmp_path: Path) -> None:
    """What was removed is Missing, for other processes too, once they look."""
    path = tmp_path / "ring.json"
    ring = RingFile.create(path, PASSPHRASE, FakeRandom(), ["a", "b"])
    other = RingFile.unlock(path, PASSPHRASE, FakeRandom())
    ring.remove(["a", "never"])
    other.refresh()
    for each in (ring, other):
        assert ["b"] == each.names()
        with pytest.raises(Missing):
            each.key("a")


def test_a_changed_time_of_making_is_noticed(tmp_path: Path) -> None:
    """The time is bound to the key: a key cannot be made to look younger."""
    path = tmp_path / "ring.json"
    made = RingFile.create(path, PASSPHRASE, FakeRandom(), ["a"]).made("a")
    assert made is not None
    raw = path.read_bytes()
    path.write_bytes(raw.replace(str(made.year).encode(), b"1999"))
    assert raw != path.read_bytes()
    with pytest.raises(Tampered):
        RingFile.unlock(path, PASSPHRASE, FakeRandom()).key("a")
