"""The key ring's file: a root key that something else keeps, and the keys that it wraps.

    passphrase, mounted secret or key manager -> root key -> named keys

The file holds only wrapped keys. Each is AES-256-GCM with its name and the
time it was made as associated data, so wrapped keys cannot be swapped. Writes
replace the file whole, durably, with mode 0600, one process at a time; what
another process wrote is read before.
"""

from __future__ import annotations

import copy
import fcntl
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.adapters.keys.root_locks import (
    PassphraseLock,
    RootLock,
    decode,
    encode,
    tampered,
)
from seawall.adapters.keys.wrapping import decrypt, encrypt
from seawall.core.errors import Conflict, Missing, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from seawall.app.ports import Random

_FORM: Final = "seawall-key-ring-1"


class RingFile:
    """The unlocked key ring: named 32-byte keys, made on first use and kept wrapped."""

    def __init__(
        self, path: Path, state: dict[str, Any], root: bytes, random: Random, lock: RootLock
    ) -> None:
        self._path = path
        self._state = state
        self._root = root
        self._random = random
        self._lock = lock
        self._seen: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<RingFile with {len(self._state['keys'])} keys>"

    @classmethod
    def create(
        cls, path: Path, lock: bytes | RootLock, random: Random, names: Sequence[str] = ()
    ) -> RingFile:
        """Make a new ring with the keys of `names`, all in one write; bytes are a passphrase.

        `Conflict` if the file exists, since its keys may be in use.
        """
        if path.exists():
            raise Conflict(
                "ring-exists",
                "this data folder already has a key ring",
                "use the data folder as it is, or choose an empty one",
            )
        keeper = PassphraseLock(lock, random) if isinstance(lock, bytes) else lock
        root = random.bytes(32)
        how, wrapped = keeper.lock(root)
        state: dict[str, Any] = {"form": _FORM, "kdf": how, "root": wrapped, "keys": {}, "made": {}}
        ring = cls(path, state, root, random, keeper)
        for name in names:
            ring._put(name, random.bytes(32))
        ring._write()
        return ring

    @classmethod
    def unlock(cls, path: Path, lock: bytes | RootLock, random: Random) -> RingFile:
        """Open a ring; `Refused` (`wrong-passphrase`) when the passphrase does not open it."""
        keeper = PassphraseLock(lock, random) if isinstance(lock, bytes) else lock
        seen, state = _stat(path), _read(path)
        ring = cls(path, state, keeper.unlock(state["kdf"], state["root"]), random, keeper)
        ring._seen = seen
        return ring

    def key(self, name: str) -> bytes:
        """Return the key of this name; `Missing` if there is none."""
        wrapped = self._state["keys"].get(name)
        if wrapped is None:
            raise Missing(
                "key-missing", f"the key ring has no key '{name}'", "restore the key ring's backup"
            )
        opened = decrypt(self._root, decode(wrapped), self._bound(name))
        if opened is None:
            raise tampered()
        return opened

    def made(self, name: str) -> datetime | None:
        """Return when the key of this name was made, if that is known."""
        text = self._state["made"].get(name)
        return datetime.fromisoformat(text) if text else None

    def ensure(self, name: str) -> bytes:
        """Return the key of this name, making and writing it first if there is none."""
        if name not in self._state["keys"]:
            with self._changing():
                if name not in self._state["keys"]:
                    self._put(name, self._random.bytes(32))
                    self._write()
        return self.key(name)

    def remove(self, names: Sequence[str]) -> None:
        """Take keys out of the file for good; nothing changes for those that are not there."""
        with self._changing():
            for name in names:
                self._state["keys"].pop(name, None)
                self._state["made"].pop(name, None)
            self._write()

    def rotate_root(self, lock: RootLock | None = None) -> None:
        """Wrap every key under a new root key, which `lock` keeps, or what keeps it now."""
        with self._changing():
            held = {name: self.key(name) for name in self._state["keys"]}
            root, keeper = self._random.bytes(32), lock or self._lock
            how, kept = keeper.lock(root)
            self._root, self._lock = root, keeper
            self._state["kdf"], self._state["root"] = how, kept
            for name, secret in held.items():
                wrapped = encrypt(self._root, secret, self._bound(name), self._random)
                self._state["keys"][name] = encode(wrapped)
            self._write()

    def names(self) -> list[str]:
        """Return the names of all keys."""
        return sorted(self._state["keys"])

    def refresh(self) -> None:
        """Read what another process wrote since; nothing is read where none did."""
        seen = _stat(self._path)
        if seen == self._seen:
            return
        state = _read(self._path)
        if state["root"] != self._state["root"]:
            self._root = self._lock.unlock(state["kdf"], state["root"])
        self._state, self._seen = state, seen

    def _put(self, name: str, secret: bytes) -> None:
        self._state["made"][name] = datetime.now(UTC).isoformat(timespec="seconds")
        wrapped = encrypt(self._root, secret, self._bound(name), self._random)
        self._state["keys"][name] = encode(wrapped)

    def _bound(self, name: str) -> bytes:
        made = self._state["made"].get(name)
        return (f"{name}\n{made}" if made else name).encode()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the file's folder against other processes, and know what they wrote."""
        with _writing():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.refresh()
            before = (copy.deepcopy(self._state), self._root, self._lock)
            try:
                yield
            except BaseException:
                # A key that is in memory alone would wrap what no later process can open.
                self._state, self._root, self._lock = before
                raise
        finally:
            os.close(held)

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        with _writing():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(orjson.dumps(self._state, option=orjson.OPT_INDENT_2))
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._seen = _stat(self._path)


def _stat(path: Path) -> tuple[int, ...]:
    with _reading():
        found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> dict[str, Any]:
    with _reading():
        raw = path.read_bytes()
    try:
        state = orjson.loads(raw)
        state.setdefault("made", {})
        sound = (
            state["form"] == _FORM
            and isinstance(state["kdf"], dict)
            and isinstance(state["root"], str)
            and all(isinstance(wrapped, str) for wrapped in state["keys"].values())
            and all(datetime.fromisoformat(made) for made in state["made"].values())
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        raise tampered() from None
    if not sound:
        raise tampered()
    return dict(state)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the disk's errors into ours."""
    try:
        yield
    except FileNotFoundError:
        raise Missing(
            "ring-missing",
            "there is no key ring in this data folder",
            "name the right folder with --data-dir, or make one with `seawall init`",
        ) from None
    except OSError as error:
        raise Unavailable(
            "ring-unreadable",
            f"the key ring cannot be read ({error.strerror})",
            "check the folder's permissions, and the disk",
        ) from None


@contextmanager
def _writing() -> Iterator[None]:
    """Turn the disk's errors into ours."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "ring-unwritable",
            f"the key ring cannot be written ({error.strerror})",
            "free space on the disk, and check the folder's permissions",
        ) from None
