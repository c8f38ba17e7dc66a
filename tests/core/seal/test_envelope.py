"""The envelope: what opens, and that nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.encoding import encode
from seawall.core.seal.envelope import KEY_BYTES, NONCE_BYTES, Context, Sealed, seal, unseal

KEY, NONCE = bytes(range(32)), bytes(range(12))
CONTEXT = Context("clinic", "exchange.request", "p-71", "x-9")
HEADER = {
    "tenant": "clinic",
    "kind": "exchange.request",
    "subject": "p-71",
    "item": "x-9",
    "key": "k-1",
    "version": 3,
}
PARTS = ("tenant", "kind", "subject", "item")

VECTORS = Path(__file__).parents[2] / "vectors" / "aes-gcm" / "wycheproof-aes-256-gcm.json"
WYCHEPROOF = [
    pytest.param(case, id=f"{case['tcId']}-{case['result']}")
    for group in json.loads(VECTORS.read_text())["testGroups"]
    for case in group["tests"]
]


def sealed(plaintext: bytes = b"Edwardo Koepp", context: Context = CONTEXT) -> Sealed:
    """Return an envelope under the test's key."""
    return seal(plaintext, key=KEY, key_id="k-1", key_version=3, nonce=NONCE, context=context)


def envelope(header: bytes, rest: bytes = bytes(40), magic: bytes = b"SWS1") -> bytes:
    """Return bytes of an envelope's form, whatever its header."""
    return magic + len(header).to_bytes(2, "big") + header + rest


def with_header(value: Sealed, **fields: Any) -> bytes:
    """Return an envelope whose header says something else, its ciphertext unchanged."""
    raw = bytes(value)
    start = 6 + int.from_bytes(raw[4:6], "big")
    return envelope(encode({**HEADER, **fields}), raw[start:])


CONTEXTS = st.builds(Context, *[st.text('ab/é\n"', max_size=3)] * 4)


@given(st.binary(max_size=200), CONTEXTS, st.binary(min_size=12, max_size=12))
def test_what_was_sealed_opens(plaintext: bytes, context: Context, nonce: bytes) -> None:
    """An envelope opens under its key, also after it was stored as bytes."""
    made = seal(plaintext, key=KEY, key_id="k", key_version=1, nonce=nonce, context=context)

    assert plaintext == unseal(Sealed(bytes(made)), KEY)


def test_envelope_names_its_context_and_key() -> None:
    """An envelope that is read back says whose it is and which key opens it."""
    read = Sealed(bytes(sealed()))

    assert (CONTEXT, "k-1", 3) == (read.context, read.key_id, read.key_version)


@given(st.data())
def test_every_flipped_bit_is_noticed(data: st.DataObject) -> None:
    """Whichever bit of an envelope changes, it is `Tampered`, and never opens."""
    raw = bytearray(bytes(sealed()))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Tampered):
        unseal(Sealed(bytes(raw)), KEY)


@given(st.integers(0, len(bytes(sealed())) - 1))
def test_every_cut_is_noticed(length: int) -> None:
    """An envelope that lost its end is `Tampered`."""
    with pytest.raises(Tampered):
        unseal(Sealed(bytes(sealed())[:length]), KEY)


@pytest.mark.parametrize("part", PARTS)
def test_moved_ciphertext_does_not_open(part: str) -> None:
    """A ciphertext that is moved to another tenant, kind, subject or item does not open."""
    moved = Sealed(with_header(sealed(), **{part: "another"}))

    with pytest.raises(Tampered) as caught:
        unseal(moved, KEY)
    assert caught.value.code == "sealed-tampered"


@given(CONTEXTS, CONTEXTS)
@example(Context("a", "b", "c", "d"), Context("ab", "", "c", "d"))
@example(Context("a", "b", "c", "d"), Context("a", "b", "c", "d"))
def test_ciphertext_of_one_context_is_no_other_contexts(one: Context, other: Context) -> None:
    """Ciphertext under one context opens under another only if they are the same."""
    ciphertext = bytes(sealed(b"x", one))[-(NONCE_BYTES + 1 + 16) :]
    prefix = bytes(sealed(b"x", other))[: -len(ciphertext)]
    moved = Sealed(prefix + ciphertext)

    if one == other:
        assert unseal(moved, KEY) == b"x"
    else:
        with pytest.raises(Tampered):
            unseal(moved, KEY)


@pytest.mark.parametrize("field", [{"key": "k-2"}, {"version": 4}])
def test_renamed_key_does_not_open(field: dict[str, Any]) -> None:
    """An envelope that names another key or version does not open, even under the right one."""
    with pytest.raises(Tampered):
        unseal(Sealed(with_header(sealed(), **field)), KEY)


def test_other_key_does_not_open() -> None:
    """Another key does not open an envelope."""
    with pytest.raises(Tampered) as caught:
        unseal(sealed(), bytes(32))
    assert caught.value.code == "sealed-tampered"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SWS1", id="only the magic"),
        pytest.param(envelope(encode(HEADER), magic=b"SWS2"), id="another magic"),
        pytest.param(envelope(encode(HEADER), bytes(27)), id="no room for nonce and tag"),
        pytest.param(envelope(b"{}"), id="an empty header"),
        pytest.param(envelope(encode({**HEADER, "more": 1})), id="a field too many"),
        pytest.param(envelope(encode({**HEADER, "version": "3"})), id="a version in words"),
        pytest.param(envelope(encode({**HEADER, "version": True})), id="a version that is true"),
        pytest.param(envelope(encode({**HEADER, "tenant": ["clinic"]})), id="a list of tenants"),
    ],
)
def test_other_bytes_are_no_envelope(raw: bytes) -> None:
    """Bytes that do not have the form of an envelope are refused as malformed."""
    with pytest.raises(Tampered) as caught:
        Sealed(raw)
    assert caught.value.code == "sealed-malformed"


def test_header_has_one_spelling() -> None:
    """A header that says the same in another spelling is no header."""
    with pytest.raises(Tampered) as caught:
        Sealed(envelope(json.dumps(HEADER).encode()))
    assert caught.value.code == "entry-not-canonical"


@given(st.binary(max_size=80))
def test_reading_any_bytes_is_tampered_at_worst(raw: bytes) -> None:
    """Whatever bytes are read as an envelope, nothing but `Tampered` is raised."""
    with pytest.raises(Tampered):
        Sealed(raw)


@pytest.mark.parametrize(("key", "nonce"), [(bytes(16), NONCE), (KEY, bytes(16)), (b"", b"")])
def test_sealing_with_wrong_lengths_is_a_bug(key: bytes, nonce: bytes) -> None:
    """A key of other than 32 bytes, or a nonce of other than 12, is a programmer's mistake."""
    with pytest.raises(RuntimeError):
        seal(b"", key=key, key_id="k", key_version=1, nonce=nonce, context=CONTEXT)


def test_header_is_bounded() -> None:
    """A context too long for a header is refused, not cut."""
    with pytest.raises(Invalid):
        sealed(context=replace(CONTEXT, item="x" * 70_000))


def test_digest_is_of_the_ciphertext() -> None:
    """The digest depends on the ciphertext, and is the same for the same bytes."""
    again = Sealed(bytes(sealed()))

    assert (sealed().digest(), True) == (again.digest(), sealed().digest().startswith("sha256:"))
    assert sealed(b"other").digest() != sealed().digest()


def test_equality_is_of_bytes() -> None:
    """Envelopes are equal, and hash the same, exactly if their bytes are."""
    assert {sealed()} == {Sealed(bytes(sealed()))}
    assert sealed() != sealed(b"other")
    assert sealed() != bytes(sealed())


@pytest.mark.parametrize("case", WYCHEPROOF)
def test_primitive_keeps_the_published_vectors(case: dict[str, Any]) -> None:
    """The AES-256-GCM underneath gives, and refuses, what Wycheproof says."""
    key, nonce, aad = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad"))
    message, ciphertext = bytes.fromhex(case["msg"]), bytes.fromhex(case["ct"] + case["tag"])

    if case["result"] == "valid":
        assert ciphertext == AESGCM(key).encrypt(nonce, message, aad)
        assert message == AESGCM(key).decrypt(nonce, ciphertext, aad)
    else:
        with pytest.raises(InvalidTag):
            AESGCM(key).decrypt(nonce, ciphertext, aad)


@pytest.mark.parametrize("case", WYCHEPROOF)
def test_envelope_holds_the_published_ciphertext(case: dict[str, Any]) -> None:
    """Our framing passes key, nonce and text on: GCM's ciphertext does not depend on the prefix."""
    key, nonce, message = (bytes.fromhex(case[name]) for name in ("key", "iv", "msg"))
    made = seal(message, key=key, key_id="k", key_version=1, nonce=nonce, context=CONTEXT)

    published = nonce + bytes.fromhex(case["ct"])
    assert published == bytes(made)[-(len(published) + 16) : -16]


def test_sizes_are_those_of_aes_256_gcm() -> None:
    """Keys have 256 bits and nonces 96 (NIST SP 800-38D section 5.2.1.1)."""
    assert (32, 12) == (KEY_BYTES, NONCE_BYTES)
