"""Subtree proofs: the public vectors, and every subtree of small logs."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Tampered
from seawall.core.ledger.subtrees import (
    is_subtree,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from seawall.core.ledger.tree import EMPTY_ROOT, leaf_hash, node_hash

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle"
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]


def cases(name: str) -> list[Any]:
    """Return the vectors of a file, each under its name."""
    found = json.loads((VECTORS / name).read_text())
    return [pytest.param(case, id=key) for key, case in found.items()]


def proves(case: dict[str, Any]) -> bool:
    """Whether our verifier accepts a vector."""
    proof = [base64.b64decode(item) for item in case["proof"] or []]
    root, root1, root2, leaf = (
        base64.b64decode(case.get(key) or "") for key in ("root", "root1", "root2", "leafHash")
    )
    start, end = case["start"], case["end"]
    try:
        if "leafIdx" in case:
            verify_subtree_inclusion(case["leafIdx"], start, end, proof, leaf=leaf, node=root)
        else:
            verify_subtree_consistency(start, end, case["size"], proof, node=root1, root=root2)
    except Tampered:
        return False
    return True


@pytest.mark.parametrize("case", cases("subtree-inclusion.json"))
def test_subtree_inclusion_vector(case: dict[str, Any]) -> None:
    """A subtree inclusion proof of the public vectors is accepted or refused as they say."""
    assert case["wantErr"] is not proves(case)


@pytest.mark.parametrize("case", cases("subtree-consistency.json"))
def test_subtree_consistency_vector(case: dict[str, Any]) -> None:
    """A subtree consistency proof of the public vectors is accepted or refused as they say."""
    assert case["wantErr"] is not proves(case)


def naive_root(leaves: list[bytes]) -> bytes:
    """Return the root of RFC 6962, section 2.1, by its definition."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    at = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(naive_root(leaves[:at]), naive_root(leaves[at:]))


def naive_proof(start: int, end: int, leaves: list[bytes], *, known: bool = True) -> list[bytes]:
    """Return the subtree consistency proof of the draft's section 4.4.1, by its definition."""
    if (start, end) == (0, len(leaves)):
        return [] if known else [naive_root(leaves)]
    at = 1 << (len(leaves) - 1).bit_length() - 1
    if end <= at:
        return [*naive_proof(start, end, leaves[:at], known=known), naive_root(leaves[at:])]
    if at <= start:
        return [
            *naive_proof(start - at, end - at, leaves[at:], known=known),
            naive_root(leaves[:at]),
        ]
    return [*naive_proof(0, end - at, leaves[at:], known=False), naive_root(leaves[:at])]


@st.composite
def subtrees(draw: st.DrawFn) -> tuple[int, int, int]:
    """Draw a subtree, and the size of a log that holds it."""
    width = draw(st.integers(1, 40))
    step = 1 << (width - 1).bit_length()
    start = step * draw(st.integers(0, (40 - width) // step))
    return start, start + width, draw(st.integers(start + width, 40))


@given(subtrees())
def test_every_subtree_is_proved(place: tuple[int, int, int]) -> None:
    """The draft's own definition of a proof leads to the subtree's hash and to the root."""
    start, end, size = place
    proof = naive_proof(start, end, LEAVES[:size])

    assert is_subtree(start, end)
    node, root = naive_root(LEAVES[start:end]), naive_root(LEAVES[:size])
    verify_subtree_consistency(start, end, size, proof, node=node, root=root)


@given(subtrees(), st.data())
def test_no_other_subtree_is_proved(place: tuple[int, int, int], data: st.DataObject) -> None:
    """A changed hash, of the subtree, of the log or of the proof, is refused."""
    start, end, size = place
    hashes = [
        naive_root(LEAVES[start:end]),
        naive_root(LEAVES[:size]),
        *naive_proof(start, end, LEAVES[:size]),
    ]
    at = data.draw(st.integers(0, len(hashes) - 1))
    hashes[at] = hashlib.sha256(hashes[at]).digest()

    with pytest.raises(Tampered):
        verify_subtree_consistency(start, end, size, hashes[2:], node=hashes[0], root=hashes[1])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 1, True),
        (0, 7, True),
        (4, 6, True),
        (4, 7, True),
        (8, 16, True),
        (2**62, 2**63 - 1, True),
        (0, 0, False),
        (1, 3, False),
        (2, 5, False),
        (6, 4, False),
        (-1, 0, False),
        (0, 2**63, False),
    ],
)
def test_what_is_a_subtree(start: int, end: int, *, expected: bool) -> None:
    """A subtree begins at a multiple of the power of two that holds its length."""
    assert expected is is_subtree(start, end)
