"""Ed25519 as our code calls it, server and auditor's program alike: Wycheproof, and weak keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from seawall.core.errors import Error, Invalid
from seawall.core.ledger import checkpoint, cosignature, note
from seawall.verifier import note as auditors
from seawall.verifier import witnesses

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parents[2] / "vectors" / "ed25519" / "wycheproof-ed25519.json"
NAME = "ledger.example/log/42"

SMALL_ORDER = [
    bytes.fromhex(each)
    for each in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
]


def cases() -> list[Any]:
    """Return key, message, signature and verdict of every case, valid and not."""
    groups = json.loads(VECTORS.read_text())["testGroups"]
    return [
        pytest.param(
            *(bytes.fromhex(text) for text in (group["publicKey"]["pk"], test["msg"], test["sig"])),
            test["result"] == "valid",
            id=f"{test['tcId']} {test['comment']}",
        )
        for group in groups
        for test in group["tests"]
    ]


def is_signed_for_a_witness(key: bytes, signature: bytes, message: bytes) -> None:
    """Verify as the auditor's program does a cosignature."""
    if not witnesses._is_signed(auditors.Key("w", bytes(4), key, 4), signature, message):
        raise ValueError


def calls(key: bytes) -> dict[str, Callable[[bytes, bytes], None]]:
    """Return each way in which our code verifies a signature (signature, message)."""
    cosigner = note.VerifierKey("w", bytes(4), key, note.COSIGNATURE_ED25519)
    log = auditors.Key(NAME, bytes(4), key)
    return {
        "checkpoint": lambda made, message: checkpoint._verify(key, made, message),
        "cosignature": lambda made, message: cosignature._verify(cosigner, made, message),
        "verifier": lambda made, message: auditors._verify(log, made, message),
        "verifier's witnesses": lambda made, text: is_signed_for_a_witness(key, made, text),
    }


@pytest.mark.parametrize(("key", "message", "signature", "is_valid"), cases())
def test_vector(key: bytes, message: bytes, signature: bytes, *, is_valid: bool) -> None:
    """Each vector is accepted or refused as it says: malleable, cut and padded ones among them."""
    for verify in calls(key).values():
        try:
            verify(signature, message)
            verdict = True
        except (Error, ValueError):
            verdict = False
        assert is_valid is verdict


def test_all_vectors_are_there() -> None:
    """All 151 cases are read, of which 63 must be refused."""
    verdicts = [case.values[3] for case in cases()]

    assert (151, 63) == (len(verdicts), verdicts.count(False))


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("point", SMALL_ORDER, ids=lambda point: point[:4].hex())
def test_key_of_small_order_is_no_key(point: bytes, sign: int) -> None:
    """A key for which anybody can sign is refused as a log's and as a witness's."""
    public = point[:-1] + bytes([point[-1] | sign])
    for kind in (note.ED25519, note.COSIGNATURE_ED25519):
        vkey = str(note.make_key(NAME, kind, public))
        assert note.read_key(vkey) is None
        read = auditors.read_key if kind == note.ED25519 else auditors.read_witness_key
        with pytest.raises(ValueError, match="anybody can sign"):
            read(vkey)
    with pytest.raises(Invalid):
        checkpoint.parse_vkey(str(note.make_key(NAME, note.ED25519, public)))


def test_why_small_order_matters() -> None:
    """The library alone accepts one signature for every message under such a key."""
    key = Ed25519PublicKey.from_public_bytes(SMALL_ORDER[1])

    for message in (b"one", b"another"):
        key.verify(SMALL_ORDER[1] + bytes(32), message)
