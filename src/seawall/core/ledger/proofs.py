"""Proofs that a stranger can check: RFC 6962 section 2.1.1-2, RFC 9162 section 2.1.3-4.

Making a proof takes tiles, which the caller reads; checking one takes hashes
only. The text form is C2SP tlog-proof, which carries the checkpoint along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, NoReturn

from seawall.core.errors import Tampered
from seawall.core.ledger.checkpoint import Checkpoint, open_checkpoint
from seawall.core.ledger.cosignature import is_witnessed
from seawall.core.ledger.note import NOTE_BYTES, VerifierKey, decode_base64, encode_base64
from seawall.core.ledger.tree import (
    HASH_BYTES,
    MAX_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    leaf_hash,
    node_hash,
    root_of,
    split_hashes,
)

Tile = Callable[[int, int], bytes]
"""Returns the tile of (level, index): what it holds now, at least as wide as the tree needs."""

PROOF_HASHES: Final = 63
"""No inclusion proof in a tree of at most 2^63-1 leaves has more hashes."""

_HEADER: Final = "c2sp.org/tlog-proof@v1"


def inclusion_proof(index: int, size: int, tile: Tile) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of `size`, from the leaf upwards.

    RFC 6962 section 2.1.1. Reads about two tiles for each level.
    """
    if not 0 <= index < size:
        raise RuntimeError("an inclusion proof is for a leaf of the tree")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(_range_root(middle, stop, tile))
            stop = middle
        else:
            path.append(_range_root(start, middle, tile))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, tile: Tile) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of the tree of `new`.

    RFC 6962 section 2.1.2; empty where both are the same tree.
    """
    if not 0 < old <= new:
        raise RuntimeError("a consistency proof is from a tree with leaves to one as large")
    path: list[bytes] = []
    start, stop = 0, new
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(_range_root(middle, stop, tile))
            stop = middle
        else:
            path.append(_range_root(start, middle, tile))
            start = middle
    if start:  # the verifier knows the root of the old tree only where that is this subtree
        path.append(_range_root(start, stop, tile))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf hash `leaf` is at `index` under `root`; `Tampered` if not.

    RFC 9162 section 2.1.3.2. Refuses hashes that are not 32 bytes.
    """
    _require_hashes(leaf, root, *proof)
    if not 0 <= index < size <= MAX_SIZE:
        _refuse("the proof is for an index that the log does not reach")
    place, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            _refuse("the inclusion proof is too long")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if last or node != root:
        _refuse("the inclusion proof does not lead to the log's root")


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree under `new_root` begins with the one under `old_root`.

    RFC 9162 section 2.1.4.2; `Tampered` if not. Refuses an old size of 0, from
    which nothing can be concluded, and, where the sizes differ, hashes that
    are not 32 bytes.
    """
    if not 0 < old <= new <= MAX_SIZE:
        _refuse("a consistency proof needs an old log with entries that is not the larger one")
    if old == new:
        if proof or old_root != new_root:
            _refuse("the two logs have the same size, but not the same root or an empty proof")
        return  # one root said twice is consistent whatever it is: nothing was hashed
    _require_hashes(old_root, new_root, *proof)
    if not proof:
        _refuse("the consistency proof is empty")
    # A complete old tree is itself a node of the new one, and left out of the proof.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if _climb(old, new, path) != (old_root, new_root):
        _refuse("the consistency proof does not lead to both roots")


def _climb(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the old and the new root that a consistency path leads to."""
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    in_old = in_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            _refuse("the consistency proof is too long")
        if place & 1 or place == last:
            in_old, in_new = node_hash(sibling, in_old), node_hash(sibling, in_new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            in_new = node_hash(in_new, sibling)
        place, last = place >> 1, last >> 1
    if last:
        _refuse("the consistency proof is too short")
    return in_old, in_new


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as it travels: which entry, the hashes up to the root, the signed checkpoint.

    `extra` is what the sender added; nothing authenticates it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def proof_text(index: int, hashes: Sequence[bytes], checkpoint: str) -> str:
    """Write a proof in the form of C2SP tlog-proof; `checkpoint` is the signed note."""
    lines = (_HEADER, f"index {index}", *map(encode_base64, hashes))
    return "".join(f"{line}\n" for line in lines) + f"\n{checkpoint}"


def parse_proof(text: str) -> Proof:
    """Read a C2SP tlog-proof; `Tampered` unless it has exactly that form.

    Proves nothing by itself: that is `verify_proof`.
    """
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n") if blank and len(text) <= 2 * NOTE_BYTES else []
    if not lines or lines.pop(0) != _HEADER:
        _refuse(f"the proof is not {_HEADER}, index, hashes, an empty line and a checkpoint")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "))
        if extra is None:
            _refuse("the proof's extra line is not canonical base64")
    index = _index(lines.pop(0)) if lines else None
    if index is None:
        _refuse("the proof's index is not a decimal number without leading zeros")
    hashes = [decode_base64(line) for line in lines[: PROOF_HASHES + 1]]
    known = tuple(item for item in hashes if item is not None and len(item) == HASH_BYTES)
    if len(known) != len(lines) or len(known) > PROOF_HASHES:
        _refuse("the proof has a line that is not a hash in canonical base64")
    return Proof(index, known, checkpoint, extra)


def verify_proof(text: str, entry: bytes, vkey: str) -> Checkpoint:
    """Check a tlog-proof for an entry under a log's key; return the checkpoint it rests on.

    1. The text has the form of C2SP tlog-proof.
    2. Its checkpoint is signed by the key, for the log of the key's name.
    3. The entry's leaf is in the signed tree at the index that the proof names.
    """
    proof = parse_proof(text)  # 1
    checkpoint = open_checkpoint(proof.checkpoint, vkey)  # 2
    verify_inclusion(
        proof.index, checkpoint.size, leaf_hash(entry), proof.hashes, checkpoint.root
    )  # 3
    return checkpoint


def verify_witnessed_proof(
    text: str,
    entry: bytes,
    vkey: str,
    witnesses: Sequence[VerifierKey],
    required: int,
    *,
    now: int,
) -> Checkpoint:
    """Check a tlog-proof, and that enough witnesses cosigned the checkpoint that it rests on.

    C2SP tlog-proof, "Verifying": first the steps of `verify_proof`, then the cosignatures
    of all known witnesses, of which `required` different ones must be there. `now` is in
    seconds since 1970. `Tampered` if any of it fails.
    """
    checkpoint = verify_proof(text, entry, vkey)
    if not is_witnessed(parse_proof(text).checkpoint, vkey, witnesses, required, now=now):
        _refuse("the proof's checkpoint is not cosigned by as many witnesses as are required")
    return checkpoint


def _index(line: str) -> int | None:
    digits = line.removeprefix("index ")
    if digits == line or not digits.isascii() or not digits.isdecimal():
        return None
    if len(digits) > len(str(MAX_SIZE)) or str(int(digits)) != digits:
        return None
    return int(digits)


def _split(count: int) -> int:
    """Return the largest power of two that is smaller than `count` (at least 2)."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(start: int, stop: int, tile: Tile) -> bytes:
    """Return the root over the leaves `start` to `stop`, a subtree of RFC 6962.

    Such a range begins where all of its complete subtrees are aligned.
    """
    peaks = []
    while start < stop:
        height = (stop - start).bit_length() - 1
        peaks.append(_subtree_root(start, height, tile))
        start += 1 << height
    return reduce(lambda right, left: node_hash(left, right), reversed(peaks))


def _subtree_root(start: int, height: int, tile: Tile) -> bytes:
    """Return the root of the complete subtree of 2^height leaves that begins at `start`."""
    level, above = divmod(height, TILE_HEIGHT)
    index, first = divmod(start >> level * TILE_HEIGHT, TILE_WIDTH)
    stop = first + (1 << above)
    raw = tile(level, index)[first * HASH_BYTES : stop * HASH_BYTES]
    if len(raw) != (stop - first) * HASH_BYTES:
        raise Tampered(
            "tile-too-short",
            f"tile {index} of level {level} holds fewer hashes than the log's size demands",
            "restore a backup elsewhere, and treat it as an incident",
        )
    return root_of(split_hashes(raw))


def _require_hashes(*hashes: bytes) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        _refuse("the proof holds a hash that is not 32 bytes")


def _refuse(message: str) -> NoReturn:
    raise Tampered(
        "proof-untrusted",
        message,
        "ask the log for the proof again; if it stays so, treat it as an incident",
    )
