"""How both payload stores name what they keep, and what they say when something is wrong.

<2 hex digits>/<64 hex digits>     a sealed value under the SHA-256 of its ciphertext
owner                              whose installation's the store is
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from seawall.core.errors import Invalid, Missing, Refused, Tampered, Unavailable
from seawall.core.seal.envelope import Sealed

PAYLOAD_BYTES: Final = 32 << 20
"""Most bytes of one payload: far more than any exchange may have."""
OWNER: Final = "owner"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_PATH: Final = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})")


def path_of(digest: str) -> str:
    """Return under which path a digest's value lies."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise RuntimeError("a payload is named by a SHA-256 in hex")
    return f"{found[1][:2]}/{found[1]}"


def digest_at(path: str) -> str | None:
    """Return the digest that a path stands for; None if nothing of ours lies there."""
    found = _PATH.fullmatch(path)
    return f"sha256:{found[2]}" if found else None


def fitting(sealed: Sealed) -> bytes:
    """Return a sealed value's bytes; `Invalid` if there are too many."""
    raw = bytes(sealed)
    if len(raw) > PAYLOAD_BYTES:
        raise Invalid(
            "payload-too-large",
            "a request or an answer is larger than a payload may be",
            "send less at once",
        )
    return raw


def verified(raw: bytes, digest: str) -> Sealed:
    """Return a sealed value from its bytes; `Tampered` unless they have the digest."""
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
        raise altered()
    return Sealed(raw)


def altered() -> Tampered:
    """Return what is said where something else lies than was put."""
    return Tampered(
        "payload-tampered",
        "the payload store holds something else than it took",
        "keep it as it is, restore the payload from a backup, and treat it as an incident",
    )


def missing() -> Missing:
    """Return what is said where nothing lies."""
    return Missing(
        "payload-missing",
        "the payload store does not hold a payload that it took",
        "restore the payload from a backup, and treat it as an incident",
    )


def untrusted(why: str) -> Refused:
    """Return what is said of a store that does not do what it should."""
    return Refused(
        "payloads-untrusted",
        f"the payload store {why}",
        "use a folder or a bucket of this installation's alone; see "
        "docs/how-to/keep-payloads-outside.md",
    )


def unavailable(what: str) -> Unavailable:
    """Return what is said of a store that does not answer."""
    return Unavailable(
        "payloads-unavailable",
        f"the payload store {what}",
        "check its mount or address, its space and its permissions; nothing was sent",
    )
