"""Wrapping one key under another: AES-256-GCM with everything that names the key bound to it.

NIST SP 800-38D; a nonce is random, and each wrapping key wraps far fewer keys
than 2^32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from seawall.core.errors import Tampered

if TYPE_CHECKING:
    from seawall.app.ports import Random, WrappedKey

_NONCE: Final = 12


def encrypt(key: bytes, plaintext: bytes, name: bytes, random: Random) -> bytes:
    """Return nonce, ciphertext and tag of `plaintext`, bound to `name`."""
    nonce = random.bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, name)


def decrypt(key: bytes, wrapped: bytes, name: bytes) -> bytes | None:
    """Return what was encrypted, or None if it, its name or the key is another."""
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], name)
    except (InvalidTag, ValueError):
        return None


def wrap_data_key(tenant_key: bytes, secret: bytes, key: WrappedKey, random: Random) -> bytes:
    """Wrap a data key for the row that `key` describes; its `wrapped` is not looked at."""
    return encrypt(tenant_key, secret, _name(key), random)


def unwrap_data_key(tenant_key: bytes, key: WrappedKey) -> bytes:
    """Return a data key; `Tampered` if the row, or what is wrapped in it, was changed."""
    secret = decrypt(tenant_key, key.wrapped, _name(key))
    if secret is None:
        raise Tampered(
            "data-key-tampered",
            "a wrapped data key does not open under its tenant's key",
            "restore the database from a backup, and treat the change as an incident",
        )
    return secret


def derive(key: bytes, purpose: bytes) -> bytes:
    """Return another key of 32 bytes for one purpose (HKDF-SHA-256, RFC 5869)."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(key)


def _name(key: WrappedKey) -> bytes:
    parts = (
        key.tenant,
        key.subject,
        key.kind,
        key.key_id,
        str(key.version),
        str(key.tenant_key_version),
    )
    return "\n".join(parts).encode()
