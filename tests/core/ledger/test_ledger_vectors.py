"""Public vectors: RFC 6962 roots and the proofs of transparency-dev, good and bad."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from seawall.core.errors import Tampered
from seawall.core.ledger.proofs import verify_consistency, verify_inclusion
from seawall.core.ledger.tree import Edge, extend, leaf_hash

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle"


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
    try:
        if "leafIdx" in case:
            verify_inclusion(case["leafIdx"], case["treeSize"], leaf, proof, root)
        else:
            verify_consistency(case["size1"], case["size2"], root1, root2, proof)
    except Tampered:
        return False
    return True


@pytest.mark.parametrize("case", cases("inclusion.json"))
def test_inclusion_vector(case: dict[str, Any]) -> None:
    """An inclusion proof of the public vectors is accepted or refused as they say."""
    assert case["wantErr"] is not proves(case)


@pytest.mark.parametrize("case", cases("consistency.json"))
def test_consistency_vector(case: dict[str, Any]) -> None:
    """A consistency proof of the public vectors is accepted or refused as they say."""
    assert case["wantErr"] is not proves(case)


@pytest.mark.parametrize("size", range(9))
def test_root_vector(size: int) -> None:
    """The trees of the public leaves have the public roots."""
    vectors = json.loads((VECTORS / "rfc6962-roots.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in vectors["leaf_inputs_hex"][:size]]

    assert vectors["roots_by_size_hex"][size] == extend(Edge(0, ()), leaves).edge.root().hex()
