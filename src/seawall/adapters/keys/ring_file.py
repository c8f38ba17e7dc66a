"""The embedded key ring's file: a root key under a passphrase, and what it wraps.

    passphrase --argon2id--> wrapping key -> root key -> named keys

The file holds only wrapped keys. Each is AES-256-GCM with its name as
associated data, so wrapped keys cannot be swapped. Argon2id with 64 MiB, three
passes and four lanes follows RFC 9106, section 4 (second recommendation).
Writes replace the file whole, durably, with mode 0600.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import TYPE_CHECKING, Any, Final

import orjson
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.core.errors import Conflict, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seawall.app.ports import Random

_FORM: Final = "seawall-key-ring-1"
_KDF: Final = {"name": "argon2id", "passes": 3, "memory_kib": 65_536, "lanes": 4}
_SALT: Final = 16
_NONCE: Final = 12
_TAG: Final = 16


class RingFile:
    """The unlocked key ring: named 32-byte keys, made on first use and kept wrapped."""

    def __init__(self, path: Path, state: dict[str, Any], root: bytes, random: Random) -> None:
        self._path = path
        self._state = state
        self._root = root
        self._random = random

    def __repr__(self) -> str:
        return f"<RingFile with {len(self._state['keys'])} keys>"

    @classmethod
    def create(
        cls, path: Path, passphrase: bytes, random: Random, names: Sequence[str] = ()
    ) -> RingFile:
        """Make a new ring with the keys of `names`, all in one write.

        `Conflict` if the file exists, since its keys may be in use.
        """
        if path.exists():
            raise Conflict(
                "ring-exists",
                "this data folder already has a key ring",
                "use the data folder as it is, or choose an empty one",
            )
        salt, root = random.bytes(_SALT), random.bytes(32)
        state: dict[str, Any] = {
            "form": _FORM,
            "kdf": {**_KDF, "salt": _encode(salt)},
            "root": "",
            "keys": {},
        }
        state["root"] = _wrap(_derive(passphrase, salt), root, b"root", random)
        state["keys"] = {
            name: _wrap(root, random.bytes(32), name.encode(), random) for name in names
        }
        ring = cls(path, state, root, random)
        ring._write()
        return ring

    @classmethod
    def unlock(cls, path: Path, passphrase: bytes, random: Random) -> RingFile:
        """Open a ring; `Refused` (`wrong-passphrase`) when the passphrase does not open it."""
        state = _read(path)
        wrapping = _derive(passphrase, _decode(state["kdf"]["salt"]))
        try:
            root = _unwrap(wrapping, state["root"], b"root")
        except InvalidTag:
            raise Refused(
                "wrong-passphrase",
                "the passphrase does not open the key ring",
                "check SEAWALL_PASSPHRASE or the passphrase file; nothing was changed",
            ) from None
        return cls(path, state, root, random)

    def key(self, name: str) -> bytes:
        """Return the key of this name; `Missing` if there is none."""
        wrapped = self._state["keys"].get(name)
        if wrapped is None:
            raise Missing(
                "key-missing", f"the key ring has no key '{name}'", "restore the key ring's backup"
            )
        try:
            return _unwrap(self._root, wrapped, name.encode())
        except InvalidTag:
            raise _tampered() from None

    def ensure(self, name: str) -> bytes:
        """Return the key of this name, making and writing it first if there is none."""
        if name not in self._state["keys"]:
            key = self._random.bytes(32)
            self._state["keys"][name] = _wrap(self._root, key, name.encode(), self._random)
            self._write()
        return self.key(name)

    def names(self) -> list[str]:
        """Return the names of all keys."""
        return sorted(self._state["keys"])

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        try:
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
        except OSError as error:
            raise Unavailable(
                "ring-unwritable",
                f"the key ring cannot be written ({error.strerror})",
                "free space on the disk, and check the folder's permissions",
            ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        state = orjson.loads(path.read_bytes())
        sound = (
            state["form"] == _FORM
            and state["kdf"].items() >= _KDF.items()
            and isinstance(state["root"], str)
            and all(isinstance(wrapped, str) for wrapped in state["keys"].values())
        )
        sound = sound and len(_decode(state["kdf"]["salt"])) == _SALT
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
            "check permissions",
        ) from None
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, AttributeError):
        raise _tampered() from None
    if not sound:
        raise _tampered()
    return dict(state)


def _derive(passphrase: bytes, salt: bytes) -> bytes:
    return hash_secret_raw(
        passphrase,
        salt,
        time_cost=3,
        memory_cost=65_536,
        parallelism=4,
        hash_len=32,
        type=Type.ID,
    )


def _wrap(key: bytes, secret: bytes, name: bytes, random: Random) -> str:
    nonce = random.bytes(_NONCE)
    return _encode(nonce + AESGCM(key).encrypt(nonce, secret, name))


def _unwrap(key: bytes, wrapped: str, name: bytes) -> bytes:
    raw = _decode(wrapped)
    if len(raw) < _NONCE + _TAG:
        raise _tampered()
    return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], name)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _tampered() from None


def _tampered() -> Tampered:
    return Tampered(
        "ring-tampered",
        "the key ring's file is not as Seawall wrote it",
        "restore it from a backup, and treat the change as an incident",
    )
