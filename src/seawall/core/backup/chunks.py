"""Chunks under keys: what names them, what seals them.

    the ring's key `backup` --HKDF-SHA-256--> id key, chunk key, manifest key

A chunk's id is the HMAC-SHA-256 of its content, so that the same content is kept
once and its name tells nothing. It is sealed by AES-256-GCM under a key of its own,
derived from the chunk key and the id; the form and the id are the associated data,
so a chunk under another's name does not open. 45 CFR 164.312(a)(2)(iv),
164.312(c)(1); RFC 5869.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from seawall.core.backup.rows import malformed

FORM: Final = "seawall-backup-1"
NONCE: Final = 12
OVERHEAD: Final = NONCE + 16
"""By how much a sealed chunk is longer than its content."""


@dataclass(frozen=True, slots=True)
class BackupKeys:
    """The keys of one repository; shows none."""

    ids: bytes = field(repr=False)
    chunks: bytes = field(repr=False)
    manifests: bytes = field(repr=False)

    @classmethod
    def derive(cls, key: bytes) -> BackupKeys:
        """Derive them from the ring's key of 32 bytes."""
        return cls(*(_hkdf(key, f"{FORM} {use}") for use in ("ids", "chunks", "manifests")))

    def chunk_id(self, content: bytes) -> str:
        """Return a chunk's name."""
        return hmac.digest(self.ids, content, hashlib.sha256).hex()

    def name_of(self, tenant: str) -> str:
        """Return under which name a tenant's key part is kept: it tells nobody whose it is."""
        return hmac.digest(self.ids, b"tenant\n" + tenant.encode(), hashlib.sha256).hex()[:32]

    def seal_chunk(self, chunk_id: str, content: bytes, nonce: bytes) -> bytes:
        """Seal a chunk; the caller never repeats a nonce of 12 bytes."""
        key = _hkdf(self.chunks, chunk_id)
        return nonce + AESGCM(key).encrypt(nonce, content, _bound(chunk_id))

    def open_chunk(self, chunk_id: str, sealed: bytes) -> bytes:
        """Open a chunk; `Tampered` unless it is the one of this id."""
        return _open(_hkdf(self.chunks, chunk_id), sealed, chunk_id)

    def seal_manifest(self, name: str, content: bytes, nonce: bytes) -> bytes:
        """Seal what is kept under a name: a manifest, or the key part of a tenant."""
        key = _hkdf(self.manifests, name)
        return nonce + AESGCM(key).encrypt(nonce, content, _bound(name))

    def open_manifest(self, name: str, sealed: bytes) -> bytes:
        """Open it; `Tampered` unless it is what was kept under this name."""
        return _open(_hkdf(self.manifests, name), sealed, name)


def _hkdf(key: bytes, info: str) -> bytes:
    return HKDF(SHA256(), 32, None, info.encode()).derive(key)


def _bound(name: str) -> bytes:
    return f"{FORM}\n{name}".encode()


def _open(key: bytes, sealed: bytes, name: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], _bound(name))
    except (InvalidTag, ValueError):
        raise malformed() from None
