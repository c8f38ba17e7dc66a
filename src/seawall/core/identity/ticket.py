"""A ceremony that is under way: sealed by the server, carried by the browser, used once.

So a sign-in that was begun costs no memory, and any replica can end it. The
browser cannot read it, and whether a password was right cannot be told by its length.
That it is used once is kept by whoever ends it, in the transaction of the entry.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.core.errors import Invalid, Refused, Tampered
from seawall.core.ledger.encoding import decode, encode

NONCE_BYTES: Final = 12
LONGEST: Final = 4096
"""The most characters that a ticket has."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ceremony remembers: of which kind, until when, and what it is about."""

    kind: str
    until_ms: int
    about: dict[str, Any]
    digest: str = ""
    """By which it is marked as used; of one that was read."""

    def text(self, key: bytes, nonce: bytes) -> str:
        """Return it for the browser, sealed under a 32-byte key; a nonce is never repeated."""
        raw = encode({"until": self.until_ms, "about": self.about})
        sealed = AESGCM(key).encrypt(nonce, raw, self.kind.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")


def read_ticket(text: str, kind: str, key: bytes, now_ms: int) -> Ticket:
    """Read a ticket of a kind; `Refused` in the same words if it is not ours, or too old."""
    try:
        if len(text) > LONGEST:
            raise _over()
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        read = decode(AESGCM(key).decrypt(nonce, ciphertext, kind.encode()))
        ticket = Ticket(kind, int(read["until"]), dict(read["about"]), _digest(sealed))
    except (binascii.Error, InvalidTag, Tampered, Invalid, KeyError, TypeError, ValueError):
        raise _over() from None
    if now_ms >= ticket.until_ms:
        raise _over()
    return ticket


def _digest(sealed: bytes) -> str:
    # Of the bytes: base64 may spell the same bytes in more than one way.
    return hashlib.sha256(b"ticket\n" + sealed).hexdigest()


def _over() -> Refused:
    return Refused(
        "ceremony-over", "this was begun too long ago, or is used already", "begin again"
    )
