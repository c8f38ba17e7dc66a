"""The right to open sealed PHI: a ledger entry's terms, and the proof that it was recorded.

A grant is not a token that somebody may mint. It *is* a recorded entry: the
ledger returns a `Receipt` with a MAC that only the ledger and the key ring can
compute, and the terms of the grant are read out of the entry's own bytes by
the key ring, each time. So there is no grant without an entry, and a grant
cannot say more than the ledger does (docs/decisions/0005).
45 CFR 164.312(a)(1), 164.312(b).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from seawall.core.errors import Refused
from seawall.core.ledger.encoding import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.core.seal.envelope import Context


@dataclass(frozen=True, slots=True)
class Receipt:
    """The ledger's authenticated word that an entry is durable at this place."""

    origin: str
    index: int
    entry: bytes
    mac: bytes = field(repr=False)

    def body(self) -> dict[str, Any]:
        """Return the recorded entry."""
        return decode(self.entry)


def receipt_mac(key: bytes, origin: str, index: int, entry: bytes) -> bytes:
    """Compute the MAC of a receipt: HMAC-SHA-256 over place and content, length-prefixed."""
    place = f"{origin}\n{index}\n{len(entry)}\n".encode()
    return hmac.digest(key, place + entry, hashlib.sha256)


def terms(*, kinds: tuple[str, ...], subjects: tuple[str, ...], until_ms: int) -> dict[str, Any]:
    """Return the `grant` field of an entry: which kinds of whose PHI, until when.

    `until_ms` is in milliseconds since 1970. An empty list grants nothing.
    """
    return {"kinds": sorted(kinds), "subjects": sorted(subjects), "until": until_ms}


class Grant:
    """One unit of work's right to open PHI; made from a receipt and from nothing else."""

    __slots__ = ("receipt",)

    receipt: Receipt

    def __init__(self, receipt: Receipt) -> None:
        # Not even a subclass: it could tell other terms than those that the MAC covers.
        if type(receipt) is not Receipt:
            raise TypeError("a grant is made from a ledger receipt")
        self.receipt = receipt

    def __repr__(self) -> str:
        return f"<Grant of entry {self.receipt.index}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a grant lives within one unit of work."""
        raise TypeError("a grant is not pickled")


def check(grant: Grant, context: Context, *, receipt_key: bytes, tenant: str, now_ms: int) -> None:
    """Raise `Refused` unless `grant` covers `context` now.

    1. The receipt's MAC is the ledger's, so the entry was recorded as it stands.
    2. The entry belongs to the tenant's own log and names a grant.
    3. The value to be opened is of that tenant.
    4. Its kind and its subject are named.
    5. The grant has not expired.
    """
    receipt = grant.receipt
    # 1
    expected = receipt_mac(receipt_key, receipt.origin, receipt.index, receipt.entry)
    if not hmac.compare_digest(expected, receipt.mac):
        raise _refusal("grant-forged", "this grant does not come from the ledger")
    # 2
    entry = receipt.body()
    granted: Mapping[str, Any] = entry.get("grant", {})
    if entry.get("tenant") != tenant or not granted:
        raise _refusal("grant-foreign", "this grant does not concern this tenant")
    # 3
    if context.tenant != tenant:
        raise _refusal("grant-foreign", "this grant does not concern this tenant")
    # 4
    kinds, subjects = granted.get("kinds", ()), granted.get("subjects", ())
    if context.kind not in kinds or context.subject not in subjects:
        raise _refusal("grant-exceeded", f"this grant does not cover this {context.kind}")
    # 5
    if now_ms >= granted.get("until", 0):
        raise _refusal("grant-expired", "this grant has expired")


def _refusal(code: str, message: str) -> Refused:
    return Refused(code, message, "record why the PHI is needed; the entry's receipt is the grant")
