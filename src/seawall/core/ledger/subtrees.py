"""Proofs about a part of a log: the entries from `start` to `end`, where that is a subtree.

draft-ietf-plants-merkle-tree-certs, section 4: a subtree is a range whose start is
a multiple of the smallest power of two that is not below its length, so that it has
the same hash in every tree that holds it whole. Checking takes hashes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from seawall.core.errors import Tampered
from seawall.core.ledger.proofs import verify_inclusion
from seawall.core.ledger.tree import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_subtree(start: int, end: int) -> bool:
    """Whether the entries from `start` to `end`, which is left out, are a subtree: section 4.1."""
    return 0 <= start < end <= MAX_SIZE and start % (1 << (end - start - 1).bit_length()) == 0


def verify_subtree_inclusion(
    index: int, start: int, end: int, proof: Sequence[bytes], *, leaf: bytes, node: bytes
) -> None:
    """Check that the leaf hash `leaf` is at `index` in a subtree of hash `node`: section 4.3.

    `Tampered` if not. It is the proof in a log of the subtree's entries alone.
    """
    if not is_subtree(start, end) or not start <= index < end:
        _refuse("the proof is for a range that is no subtree, or for an index outside it")
    verify_inclusion(index - start, end - start, leaf, proof, node)


def verify_subtree_consistency(
    start: int, end: int, size: int, proof: Sequence[bytes], *, node: bytes, root: bytes
) -> None:
    """Check that the subtree of hash `node` is in the tree of `size` under `root`: section 4.4.

    `Tampered` if not. Nothing follows from the empty range but that its hash is that of
    nothing; the whole tree is itself, whatever its hash.
    """
    if start == end and 0 <= end <= size <= MAX_SIZE:
        if proof or node != EMPTY_ROOT:
            _refuse("the range is empty, but its hash or its proof is not")
        return
    if not is_subtree(start, end) or not end <= size <= MAX_SIZE:
        _refuse("the proof is for a range that is no subtree of the log")
    if end - start == size:
        if proof or node != root:
            _refuse("the range is the whole log, but its hash is not, or the proof is not empty")
        return
    if any(len(item) != HASH_BYTES for item in (node, root, *proof)):
        _refuse("the proof holds a hash that is not 32 bytes")
    if _climb(start, end, size, list(proof), node) != (node, root):
        _refuse("the subtree proof does not lead to both hashes")


def _climb(start: int, end: int, size: int, path: list[bytes], node: bytes) -> tuple[bytes, bytes]:
    """Return the hash of the subtree and the root that a subtree consistency path leads to."""
    first, place, last = start, end - 1, size - 1
    # Up to the largest complete subtree at the right end of the range, or of the tree.
    while first != place and (place & 1 or place == last):
        first, place, last = first >> 1, place >> 1, last >> 1
    if first != place:
        if not path:
            _refuse("the subtree proof is empty")
        node = path.pop(0)
    in_part = in_whole = node
    for sibling in path:
        if last == 0:
            _refuse("the subtree proof is too long")
        if place & 1 or place == last:
            if first < place:
                in_part = node_hash(sibling, in_part)
            in_whole = node_hash(sibling, in_whole)
            while not place & 1 and place:
                first, place, last = first >> 1, place >> 1, last >> 1
        else:
            in_whole = node_hash(in_whole, sibling)
        first, place, last = first >> 1, place >> 1, last >> 1
    if last:
        _refuse("the subtree proof is too short")
    return in_part, in_whole


def _refuse(message: str) -> NoReturn:
    raise Tampered(
        "subtree-proof-untrusted",
        message,
        "ask the log for the proof again; if it stays so, treat it as an incident",
    )
