"""The tree and its proofs, against the definitions of RFC 6962 written down naively."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.core.errors import Tampered
from seawall.core.ledger.proofs import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from seawall.core.ledger.tiles import tiles_of
from seawall.core.ledger.tree import (
    EMPTY_ROOT,
    TILE_BYTES,
    CompactRange,
    Edge,
    extend,
    leaf_hash,
    node_hash,
    partial_tiles,
    split_hashes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAVES = [leaf_hash(index.to_bytes(4, "big")) for index in range(70_000)]
BATCHES = st.lists(st.integers(0, 600), max_size=6)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: Sequence[bytes], *, is_known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if m == len(leaves):
        return [] if is_known else [naive_root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], is_known=is_known), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], is_known=False), naive_root(leaves[:k])]


def naive_walk(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Walk an audit path down RFC 6962's definition of the tree, and return the root."""
    if size == 1:
        assert path == []
        return leaf
    k = split(size)
    *below, sibling = path
    if index < k:
        return node_hash(naive_walk(index, k, leaf, below), sibling)
    return node_hash(sibling, naive_walk(index - k, size - k, leaf, below))


def split(n: int) -> int:
    """Return the largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_tile(size: int, level: int, index: int) -> bytes:
    """Return the tile that tlog-tiles defines, "Merkle Tree"."""
    unit = 256**level
    starts = range(index * 256 * unit, min((index + 1) * 256 * unit, size // unit * unit), unit)
    return b"".join(naive_root(LEAVES[start : start + unit]) for start in starts)


class Grown:
    """A tree grown by our code, and the tiles that it wrote."""

    def __init__(self, batches: Sequence[int]) -> None:
        self.edge = Edge(0, ())
        self.tiles: dict[tuple[int, int], bytes] = {}
        for batch in batches:
            extension = extend(self.edge, LEAVES[self.edge.size : self.edge.size + batch])
            self.edge = extension.edge
            self.tiles |= extension.tiles

    def tile(self, level: int, index: int) -> bytes:
        """Return a tile as it is now."""
        return self.tiles[level, index]


LARGE = Grown([300, 65_000, 1, 4_699])


@given(BATCHES)
def test_batches_grow_the_naive_tree(batches: list[int]) -> None:
    """Any sequence of batches gives the root of the naive tree."""
    assert naive_root(LEAVES[: sum(batches)]) == Grown(batches).edge.root()


@given(BATCHES)
def test_tiles_are_those_of_the_size(batches: list[int]) -> None:
    """The tiles written by any sequence of batches are exactly those that the size has."""
    grown = Grown(batches)

    expected = {
        (level, index): naive_tile(grown.edge.size, level, index)
        for level, index, _ in tiles_of(grown.edge.size)
    }
    assert expected == grown.tiles


def test_large_tree() -> None:
    """A tree of 70,000 leaves has the root and the levels that the definition gives."""
    assert naive_root(LEAVES) == LARGE.edge.root()
    assert naive_tile(70_000, 1, 1) == LARGE.tile(1, 1)
    assert naive_root(LEAVES[:65_536]) == LARGE.tile(2, 0)


@given(BATCHES)
def test_edge_survives_storage(batches: list[int]) -> None:
    """What a head row keeps gives the same edge with the tiles, and it grows the same way."""
    grown = Grown(batches)
    stored = CompactRange.from_bytes(grown.edge.range.to_bytes())
    kept = Edge.restore(stored, grown.tile)

    assert (grown.edge, grown.edge.root()) == (kept, stored.root())
    assert extend(grown.edge, LEAVES[:300]) == extend(kept, LEAVES[:300])


@given(BATCHES)
def test_older_head_rows_are_told_apart(batches: list[int]) -> None:
    """A row of incomplete tiles reads as such, and a row of peaks does not, unless they agree."""
    edge = Grown(batches).edge
    older = edge.size.to_bytes(8, "big") + b"".join(edge.partial)
    newer = edge.range.to_bytes()

    assert edge.partial == partial_tiles(older)
    assert (older == newer) == (partial_tiles(newer) is not None)


def test_an_edge_of_other_tiles_is_tampered_with() -> None:
    """Tiles that are short, or lead to other peaks, restore nothing."""
    grown = Grown([700])
    for tiles in (lambda *_: b"", lambda level, _: bytes(len(grown.edge.partial[level]))):
        with pytest.raises(Tampered):
            Edge.restore(grown.edge.range, tiles)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 7,
        b"\0" * 9,
        b"\0" * 7 + b"\1",
        b"\0" * 7 + b"\1" + b"\0" * 33,
        b"\xff" * 8 + b"\0" * (8 * 255 * 32),
    ],
)
def test_stored_edge_of_wrong_length_is_tampered_with(raw: bytes) -> None:
    """A head row has exactly the bytes that its size demands."""
    with pytest.raises(Tampered):
        CompactRange.from_bytes(raw)


@pytest.mark.parametrize(
    ("size", "partial"), [(0, (b"",)), (1, ()), (1, (b"x",)), (256, (b"",)), (1, (LEAVES[0],) * 2)]
)
def test_edge_of_wrong_shape_is_a_mistake(size: int, partial: tuple[bytes, ...]) -> None:
    """An edge cannot be made in a shape that its size does not have."""
    with pytest.raises(RuntimeError):
        Edge(size, partial)


def test_leaf_of_wrong_length_is_a_mistake() -> None:
    """Only hashes of 32 bytes can be appended."""
    with pytest.raises(RuntimeError):
        extend(Edge(0, ()), [b"short"])


def test_nothing_appended_changes_nothing() -> None:
    """An empty batch touches no tile."""
    edge = Grown([300]).edge

    extension = extend(edge, [])
    assert (edge, {}) == (extension.edge, extension.tiles)


def test_empty_tree() -> None:
    """The root of no leaves is the hash of nothing."""
    assert EMPTY_ROOT == Edge(0, ()).root()
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT


SIZES = st.one_of(
    st.integers(1, 70_000), st.sampled_from([1, 2, 255, 256, 257, 512, 65_535, 65_536, 65_537])
)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.data())
def test_inclusion_proof_is_the_naive_path(size: int, data: st.DataObject) -> None:
    """A proof from the tiles of a larger log is RFC 6962's path, and leads to the naive root."""
    index = data.draw(st.integers(0, size - 1))

    proof = inclusion_proof(index, size, LARGE.tile)
    root = naive_root(LEAVES[:size])
    assert naive_path(index, LEAVES[:size]) == proof
    assert root == naive_walk(index, size, LEAVES[index], proof)
    verify_inclusion(index, size, LEAVES[index], proof, root)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.data())
def test_consistency_proof_is_the_naive_subproof(size: int, data: st.DataObject) -> None:
    """A consistency proof from tiles is RFC 6962's, and verifies between the naive roots."""
    old = data.draw(st.integers(1, size))

    proof = consistency_proof(old, size, LARGE.tile)
    assert naive_subproof(old, LEAVES[:size], is_known=True) == proof
    verify_consistency(old, size, naive_root(LEAVES[:old]), naive_root(LEAVES[:size]), proof)


def test_every_inclusion_proof_of_small_trees() -> None:
    """Each leaf of each tree of up to 40 leaves has a proof, which fails for the next leaf."""
    for size in range(1, 41):
        root = naive_root(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, LARGE.tile)
            verify_inclusion(index, size, LEAVES[index], proof, root)
            with pytest.raises(Tampered):
                verify_inclusion((index + 1) % 41, size, LEAVES[index], proof, root)


def test_every_consistency_proof_of_small_trees() -> None:
    """Each pair of trees of up to 40 leaves has a proof that verifies."""
    for new in range(1, 41):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, LARGE.tile)
            roots = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
            verify_consistency(old, new, *roots, proof)


@given(st.integers(2, 2_000), st.data())
def test_changed_bit_fails_inclusion(size: int, data: st.DataObject) -> None:
    """A bit changed in the leaf, the root or any hash of a proof makes it fail."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, LARGE.tile)
    hashes = [LEAVES[index], Grown([size]).edge.root(), *proof]
    leaf, root, *changed = flip(data, hashes)

    with pytest.raises(Tampered):
        verify_inclusion(index, size, leaf, changed, root)


@given(st.integers(2, 2_000), st.data())
def test_changed_bit_fails_consistency(size: int, data: st.DataObject) -> None:
    """A bit changed in either root or any hash of a consistency proof makes it fail."""
    old = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(old, size, LARGE.tile)
    hashes = [Grown([old]).edge.root(), Grown([size]).edge.root(), *proof]
    old_root, new_root, *changed = flip(data, hashes)

    with pytest.raises(Tampered):
        verify_consistency(old, size, old_root, new_root, changed)


@given(st.integers(2, 2_000), st.data())
def test_proof_of_another_length_fails(size: int, data: st.DataObject) -> None:
    """A proof with a hash more or less fails."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, LARGE.tile)
    at = data.draw(st.integers(0, len(proof) - 1))
    root = Grown([size]).edge.root()

    for wrong in (proof[:at] + proof[at + 1 :], [*proof, root], [*proof[:at], root, *proof[at:]]):
        with pytest.raises(Tampered):
            verify_inclusion(index, size, LEAVES[index], wrong, root)


@given(st.integers(2, 2_000), st.data())
def test_consistency_proof_of_another_length_fails(size: int, data: st.DataObject) -> None:
    """A consistency proof with a hash more or less fails."""
    old = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(old, size, LARGE.tile)
    at = data.draw(st.integers(0, len(proof) - 1))
    roots = Grown([old]).edge.root(), Grown([size]).edge.root()

    for wrong in (proof[:at] + proof[at + 1 :], [*proof, roots[1]], []):
        with pytest.raises(Tampered):
            verify_consistency(old, size, *roots, wrong)


def test_equal_trees_need_no_proof() -> None:
    """Two checkpoints of one size are consistent if they are the same, and by no proof else."""
    root, other = LEAVES[:2]

    verify_consistency(5, 5, root, root, [])
    for roots, proof in (((root, other), []), ((root, root), [other])):
        with pytest.raises(Tampered):
            verify_consistency(5, 5, *roots, proof)


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0), (0, -1), (0, 2**63)])
def test_impossible_index_is_refused(index: int, size: int) -> None:
    """A proof for an index that the log does not reach is refused."""
    with pytest.raises(Tampered):
        verify_inclusion(index, size, LEAVES[0], [], LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (6, 5), (-1, 5), (1, 2**63)])
def test_impossible_sizes_are_refused(old: int, new: int) -> None:
    """A consistency proof from nothing, or to a smaller log, is refused."""
    with pytest.raises(Tampered):
        verify_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])


@pytest.mark.parametrize("size", [0, 3])
def test_proof_outside_the_tree_is_a_mistake(size: int) -> None:
    """No proof can be asked for a leaf that is not there, or between impossible sizes."""
    with pytest.raises(RuntimeError):
        inclusion_proof(3, size, LARGE.tile)
    with pytest.raises(RuntimeError):
        consistency_proof(4, size, LARGE.tile)


def test_short_tile_is_tampered_with() -> None:
    """A stored tile with fewer hashes than the log's size demands is noticed."""
    with pytest.raises(Tampered):
        inclusion_proof(0, 70_000, lambda level, index: LARGE.tile(level, index)[:-32])


def test_hashes_split() -> None:
    """Concatenated hashes come apart as they were joined."""
    assert LEAVES[:256] == split_hashes(LARGE.tile(0, 0))
    assert TILE_BYTES == len(LARGE.tile(0, 0))


def flip(data: st.DataObject, hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes with one bit of one of them changed."""
    at = data.draw(st.integers(0, len(hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    changed = (int.from_bytes(hashes[at], "big") ^ 1 << bit).to_bytes(32, "big")
    return [*hashes[:at], changed, *hashes[at + 1 :]]
