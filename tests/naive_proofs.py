"""What RFC 6962 section 2.1.1 says of an audit path, word for word: slow, and plainly right."""

from __future__ import annotations

import hashlib


def leads_to(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Return the root that an audit path leads to, by the RFC's own recursion from the top."""
    if size == 1:
        assert not path
        return leaf
    split = 1
    while split * 2 < size:
        split *= 2
    sibling, rest = path[-1], path[:-1]
    if index < split:
        return _node(leads_to(index, split, leaf, rest), sibling)
    return _node(sibling, leads_to(index - split, size - split, leaf, rest))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
