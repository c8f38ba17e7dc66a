"""That who reports a backup or a drill holds the installation's keys, shown by a keyed digest.

A terminal beside a running server can write no entry itself, so the server makes the
entry that it reports. Which backup counts, and which repository a shredding must
rewrite, is read from those entries: whoever may call the API could otherwise invent
them for the whole installation. The keyed digest covers who reports, when, and every
field; it shows nothing about the backup itself. 45 CFR 164.312(c)(1).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

FRESH_MS: Final = 300_000
"""So far from the server's clock a report's own time may be."""
_USE: Final = b"seawall backup reports 1"


def report_proof(receipt_key: bytes, by: str, at_ms: int, said: Mapping[str, Any]) -> str:
    """Return the proof of a report: HMAC-SHA-256 under a key that follows from the ring's.

    `by` is the reporting client as `tenant/name`.
    """
    key = hmac.digest(receipt_key, _USE, hashlib.sha256)
    told = encode({"by": by, "at": at_ms, "said": said})
    return hmac.digest(key, told, hashlib.sha256).hex()


def is_proven(
    receipt_key: bytes, by: str, said: Mapping[str, Any], *, at_ms: Any, proof: Any, now_ms: int
) -> bool:
    """Whether a report was made by who holds the keys, by this caller, and just now."""
    if type(at_ms) is not int or abs(now_ms - at_ms) > FRESH_MS:
        return False
    if not isinstance(proof, str) or not proof.isascii():
        return False
    return hmac.compare_digest(report_proof(receipt_key, by, at_ms, said), proof)
