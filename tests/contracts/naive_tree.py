"""The tree of RFC 6962 section 2.1 as the text defines it: slow, short, and independent of ours."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def root(entries: Sequence[bytes]) -> bytes:
    """Return MTH(D[n])."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1 << (len(entries) - 1).bit_length() - 1
    children = root(entries[:split]) + root(entries[split:])
    return hashlib.sha256(b"\x01" + children).digest()


def tile(entries: Sequence[bytes], level: int, index: int) -> bytes:
    """Return the roots of the complete subtrees of 256^level leaves that a tile holds."""
    width = 256**level
    first = index * 256
    last = min(first + 256, len(entries) // width)
    return b"".join(root(entries[at * width : (at + 1) * width]) for at in range(first, last))
