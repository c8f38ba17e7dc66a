"""The envelope of sealed PHI: AES-256-GCM under a data key that is handed in.

A sealed value is bytes that name everything needed to find its key and nothing
about its content:

    "SWS1" | header length (2 bytes, big-endian) | header | nonce (12) | ciphertext and tag

The header is canonical JSON with the tenant, the kind, the subject (a random
ledger id, never a name), the item's id and the data key's id and version. The
whole prefix is the associated data, so a ciphertext that is moved to another
tenant, kind, subject or item no longer opens. 45 CFR 164.312(a)(2)(iv),
164.312(c)(1); NIST SP 800-38D.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import decode, encode

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12

_MAGIC: Final = b"SWS1"
_HEADER_FIELDS: Final = {
    **dict.fromkeys(("tenant", "kind", "subject", "item", "key"), str),
    "version": int,
}


@dataclass(frozen=True, slots=True)
class Context:
    """What a sealed value is, apart from its content: bound to the ciphertext."""

    tenant: str
    kind: str
    """What sort of PHI, such as `exchange.request` or `patient.identifiers`."""
    subject: str
    """Whose: a patient's ledger id, or `unattributed`."""
    item: str
    """Which one: unique within tenant and kind."""


class Sealed:
    """Ciphertext with its context and key: shows nothing, compares by its bytes."""

    __slots__ = ("_raw", "context", "key_id", "key_version")

    context: Context
    key_id: str
    key_version: int
    _raw: bytes

    def __init__(self, raw: bytes) -> None:
        """Read an envelope; raise `Tampered` if it is not one."""
        header, _ = _split(raw)
        context = Context(header["tenant"], header["kind"], header["subject"], header["item"])
        _fill(self, raw, context, header["key"], header["version"])

    def __setattr__(self, _name: str, _value: object) -> NoReturn:
        """Refuse to change: a grant is checked against the ciphertext's own context."""
        raise AttributeError("a sealed value does not change")

    def __bytes__(self) -> bytes:
        return self._raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"<Sealed {self.context.kind}>"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: an envelope is stored by `bytes()`, knowingly."""
        raise TypeError("a sealed value is not pickled")

    def digest(self) -> str:
        """Return the SHA-256 of the ciphertext, which is how an entry names a payload."""
        return "sha256:" + hashlib.sha256(self._raw).hexdigest()


def seal(
    plaintext: bytes, *, key: bytes, key_id: str, key_version: int, nonce: bytes, context: Context
) -> Sealed:
    """Encrypt `plaintext` under a 32-byte data key; the caller never repeats a 12-byte nonce."""
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise RuntimeError("a data key has 32 bytes and a nonce 12")
    header = encode(
        {
            "tenant": context.tenant,
            "kind": context.kind,
            "subject": context.subject,
            "item": context.item,
            "key": key_id,
            "version": key_version,
        }
    )
    prefix = _MAGIC + len(header).to_bytes(2, "big") + header
    raw = b"".join((prefix, nonce, AESGCM(key).encrypt(nonce, plaintext, prefix)))
    # What was just written need not be read again: sealing is on the way of every exchange.
    made = object.__new__(Sealed)
    _fill(made, raw, context, key_id, key_version)
    return made


def unseal(sealed: Sealed, key: bytes) -> bytes:
    """Decrypt with the key that the envelope names; raise `Tampered` if one bit differs."""
    raw = bytes(sealed)
    _, start = _split(raw)
    nonce, ciphertext = raw[start : start + NONCE_BYTES], raw[start + NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, raw[:start])
    except InvalidTag:
        raise Tampered(
            "sealed-tampered",
            f"a sealed {sealed.context.kind} does not open under the key that it names",
            "restore this record from a backup, and treat the change as an incident",
        ) from None


def _fill(made: Sealed, raw: bytes, context: Context, key_id: str, key_version: int) -> None:
    """Give a new sealed value its parts, which never change after."""
    object.__setattr__(made, "_raw", raw)
    object.__setattr__(made, "context", context)
    object.__setattr__(made, "key_id", key_id)
    object.__setattr__(made, "key_version", key_version)


def _split(raw: bytes) -> tuple[dict[str, Any], int]:
    """Return the header of an envelope and where its nonce starts."""
    length = int.from_bytes(raw[4:6], "big")
    start = 6 + length
    header: dict[str, Any] = {}
    if raw[:4] == _MAGIC and len(raw) >= start + NONCE_BYTES + 16:
        header = decode(raw[6:start])
    if {name: type(value) for name, value in header.items()} != _HEADER_FIELDS:
        raise Tampered(
            "sealed-malformed",
            "a sealed value does not have the form of an envelope",
            "restore this record from a backup, and treat the change as an incident",
        )
    return header, start
