"""What keeps a key ring's root key: a passphrase, a mounted secret, or the key manager.

Argon2id with 64 MiB, three passes and four lanes follows RFC 9106, section 4
(second recommendation). A mounted secret is random already and needs no such
work. Under a key manager nothing on this machine opens the ring by itself.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, Protocol

from argon2.low_level import Type, hash_secret_raw

from seawall.adapters.keys.wrapping import decrypt, derive, encrypt
from seawall.app.ports import ROOT_NAME, Secret
from seawall.core.errors import Invalid, Refused, Tampered

if TYPE_CHECKING:
    from seawall.adapters.keys.provider import Operator, Provider
    from seawall.app.ports import Random

_ARGON: Final = {"name": "argon2id", "passes": 3, "memory_kib": 65_536, "lanes": 4}
_SALT: Final = 16
_SECRET: Final = 32
_WRAPPED: Final = 12 + 32 + 16
_ROOT: Final = b"root"


class RootLock(Protocol):
    """Keeps a root key of 32 bytes in a ring's file, so that only its own kind opens it."""

    def lock(self, root: bytes) -> tuple[dict[str, Any], str]:
        """Return how the root is kept, and the root, wrapped, in base64."""
        ...

    def unlock(self, how: dict[str, Any], wrapped: str) -> bytes:
        """Return the root; `Refused` if this does not open it, `Tampered` if it is malformed."""
        ...


class PassphraseLock:
    """A passphrase that a person or a file holds."""

    def __init__(self, passphrase: bytes, random: Random) -> None:
        self._passphrase = passphrase
        self._random = random

    def lock(self, root: bytes) -> tuple[dict[str, Any], str]:
        """Wrap under a key derived from the passphrase and a new salt."""
        salt = self._random.bytes(_SALT)
        wrapped = encrypt(self._derive(salt), root, _ROOT, self._random)
        return {**_ARGON, "salt": encode(salt)}, encode(wrapped)

    def unlock(self, how: dict[str, Any], wrapped: str) -> bytes:
        """Open; `Refused` (`wrong-passphrase`) when the passphrase does not."""
        if how.get("name") != _ARGON["name"]:
            raise wrong_lock()
        if not how.items() >= _ARGON.items() or len(decode(how["salt"])) != _SALT:
            raise tampered()
        root = _opened(self._derive(decode(how["salt"])), wrapped)
        if root is None:
            raise Refused(
                "wrong-passphrase",
                "the passphrase does not open the key ring",
                "check SEAWALL_PASSPHRASE or the passphrase file; nothing was changed",
            )
        return root

    def _derive(self, salt: bytes) -> bytes:
        return hash_secret_raw(
            self._passphrase,
            salt,
            time_cost=3,
            memory_cost=65_536,
            parallelism=4,
            hash_len=32,
            type=Type.ID,
        )


class SecretLock:
    """A mounted secret of at least 32 random bytes, such as an orchestrator's."""

    def __init__(self, secret: bytes, random: Random) -> None:
        if len(secret) < _SECRET:
            raise Invalid(
                "root-secret-short",
                "the mounted secret has fewer than 32 bytes",
                "make one by `head -c 32 /dev/urandom`, and mount it as a file",
            )
        self._secret = secret
        self._random = random

    def lock(self, root: bytes) -> tuple[dict[str, Any], str]:
        """Wrap under a key derived from the secret and a new salt."""
        salt = self._random.bytes(_SALT)
        key = derive(self._secret + salt, b"seawall root")
        return {"name": "hkdf-sha256", "salt": encode(salt)}, encode(
            encrypt(key, root, _ROOT, self._random)
        )

    def unlock(self, how: dict[str, Any], wrapped: str) -> bytes:
        """Open; `Refused` (`wrong-root-secret`) when the secret does not."""
        if how.get("name") != "hkdf-sha256":
            raise wrong_lock()
        key = derive(self._secret + decode(how["salt"]), b"seawall root")
        root = _opened(key, wrapped)
        if root is None:
            raise Refused(
                "wrong-root-secret",
                "the mounted secret does not open the key ring",
                "check SEAWALL_ROOT_SECRET_FILE; nothing was changed",
            )
        return root


class ManagerLock:
    """The key manager's own root key: without an answer of it, nothing opens."""

    def __init__(self, provider: Provider, random: Random, operator: Operator | None) -> None:
        self._provider = provider
        self._random = random
        self._operator = operator

    def lock(self, root: bytes) -> tuple[dict[str, Any], str]:
        """Have it wrapped by the key manager; an operator's credentials make its key if need be."""
        ring = self._random.bytes(_SALT).hex()
        if self._operator is not None:
            self._operator.make(ROOT_NAME)
        made = self._provider.wrap(ROOT_NAME, root, f"ring\n{ring}")
        how = {
            "name": "key-manager",
            "provider": self._provider.provider,
            "version": made.version,
            "ring": ring,
        }
        return how, encode(made.blob)

    def unlock(self, how: dict[str, Any], wrapped: str) -> bytes:
        """Have it unwrapped by the key manager, whose errors these are."""
        if how.get("name") != "key-manager" or how.get("provider") != self._provider.provider:
            raise wrong_lock()
        if not isinstance(how.get("version"), int) or not isinstance(how.get("ring"), str):
            raise tampered()
        secret = Secret(how["version"], decode(wrapped))
        return self._provider.unwrap(ROOT_NAME, secret, f"ring\n{how['ring']}")


def _opened(key: bytes, wrapped: str) -> bytes | None:
    raw = decode(wrapped)
    if len(raw) != _WRAPPED:
        raise tampered()
    return decrypt(key, raw, _ROOT)


def encode(raw: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(raw).decode()


def decode(text: Any) -> bytes:
    """Return the bytes of base64; `Tampered` if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise tampered() from None


def tampered() -> Tampered:
    """Return what a ring's file is that is not as it was written."""
    return Tampered(
        "ring-tampered",
        "the key ring's file is not as Seawall wrote it",
        "restore it from a backup, and treat the change as an incident",
    )


def wrong_lock() -> Refused:
    """Return what it is to open a ring by something of another kind than keeps it."""
    return Refused(
        "wrong-root-lock",
        "the key ring is kept by something else than these settings name",
        "use the [keys] settings, and the passphrase or secret, that the ring was made with",
    )
