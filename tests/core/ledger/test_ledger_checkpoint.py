"""Signed checkpoints and tlog-proofs, with bad ones as named files."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.checkpoint import (
    Checkpoint,
    format_vkey,
    open_checkpoint,
    parse_vkey,
    sign_checkpoint,
)
from seawall.core.ledger.proofs import (
    Proof,
    inclusion_proof,
    parse_proof,
    proof_text,
    verify_proof,
)
from seawall.core.ledger.tree import EMPTY_ROOT, Edge, extend, leaf_hash

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle"
CASES = VECTORS / "checkpoints"
VKEY = (CASES / "vkey").read_text().rstrip("\n")
TESSERA = VECTORS / "tessera-log"

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw()
ORIGIN = "ledger.example/log/42"
ROOT = hashlib.sha256(b"root").digest()


def signed(size: int = 7, root: bytes = ROOT) -> str:
    """Return a checkpoint signed by the key of these tests."""
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), ORIGIN, KEY.sign, PUBLIC)


def files(folder: str) -> list[Path]:
    """Return the cases of a folder, of which there are some."""
    found = sorted((CASES / folder).iterdir())
    assert found
    return found


@pytest.mark.parametrize("case", files("accepted"), ids=lambda path: path.stem)
def test_accepted_checkpoint(case: Path) -> None:
    """A checkpoint that everybody must accept is accepted, and says what was signed."""
    note = case.read_bytes().decode()

    body = note.rpartition("\n\n")[0] + "\n"
    assert body == open_checkpoint(note, VKEY).body()


@pytest.mark.parametrize("case", files("refused"), ids=lambda path: path.stem)
def test_refused_checkpoint(case: Path) -> None:
    """A checkpoint that nobody may accept is refused."""
    note = case.read_bytes().decode("utf-8", "surrogateescape")

    with pytest.raises(Tampered):
        open_checkpoint(note, VKEY)


@pytest.mark.parametrize("size", range(16))
def test_foreign_checkpoint(size: int) -> None:
    """The checkpoints of another implementation are read under its key."""
    note = (TESSERA / f"checkpoint.{size}").read_text()

    assert size == open_checkpoint(note, (TESSERA / "vkey.txt").read_text().strip()).size


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoint_round_trips(size: int, root: bytes) -> None:
    """What we sign we read."""
    expected = Checkpoint(ORIGIN, size, root if size else EMPTY_ROOT)
    note = sign_checkpoint(expected, ORIGIN, KEY.sign, PUBLIC)

    assert expected == open_checkpoint(note, format_vkey(ORIGIN, PUBLIC))


def test_changed_bit_fails_a_checkpoint() -> None:
    """Whichever bit of a signed checkpoint changes, it is refused."""
    raw = signed().encode()

    for at in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(Tampered):
            open_checkpoint(changed.decode("utf-8", "surrogateescape"), format_vkey(ORIGIN, PUBLIC))


def test_huge_note_is_refused_unread() -> None:
    """A note of more than a million characters is refused."""
    with pytest.raises(Tampered):
        open_checkpoint(signed() + "x" * 1_000_000, format_vkey(ORIGIN, PUBLIC))


def test_same_key_of_another_log() -> None:
    """A signature for one log does not pass as one for another log of the same key."""
    other = "ledger.example/log/43"
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, ROOT), other, KEY.sign, PUBLIC)

    with pytest.raises(Tampered):
        open_checkpoint(note, format_vkey(other, PUBLIC))


def test_verifier_key_of_the_published_example() -> None:
    """The verifier key that signed-note prints is read and written as it stands."""
    vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

    key = parse_vkey(vkey)
    assert ("example.com/foo", "530d903a") == (key.name, key.key_id.hex())
    assert vkey == format_vkey(key.name, key.public_key)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+12345678",
        VKEY + "\n",
        " " + VKEY,
        VKEY.upper(),
        VKEY.replace("ledger", "other"),
        VKEY + "=",
        VKEY[:-1],
        "\ud800" + VKEY,
        "+" + VKEY.partition("+")[2],
        format_vkey(ORIGIN, PUBLIC).replace("+A", "+B", 1),
        "name+00000000+" + base64.b64encode(b"\x01" + bytes(31)).decode(),
        "name+00000000+é",
    ],
)
def test_malformed_verifier_key_is_refused(vkey: str) -> None:
    """A verifier key has one spelling."""
    with pytest.raises(Invalid):
        parse_vkey(vkey)


@pytest.mark.parametrize("name", ["", "a name", "a+name", "a\nname", "\ud800"])
def test_impossible_key_name_is_a_mistake(name: str) -> None:
    """No key can be made under a name that notes do not allow."""
    with pytest.raises(RuntimeError):
        format_vkey(name, PUBLIC)


def test_public_key_of_wrong_length_is_a_mistake() -> None:
    """An Ed25519 public key has 32 bytes."""
    with pytest.raises(RuntimeError):
        format_vkey(ORIGIN, PUBLIC[:-1])


ENTRIES = [b'{"n":%d}' % number for number in range(300)]
GROWN = extend(Edge(0, ()), [leaf_hash(entry) for entry in ENTRIES])


def proof_of(index: int) -> str:
    """Return the tlog-proof of an entry of a log of 300."""
    hashes = inclusion_proof(index, 300, lambda level, at: GROWN.tiles[level, at])
    return proof_text(index, hashes, signed(300, GROWN.edge.root()))


@given(st.integers(0, 299))
def test_proof_text_verifies(index: int) -> None:
    """The proof of any entry verifies from its text and the log's key alone."""
    checkpoint = verify_proof(proof_of(index), ENTRIES[index], format_vkey(ORIGIN, PUBLIC))

    assert (ORIGIN, 300, GROWN.edge.root()) == (checkpoint.origin, checkpoint.size, checkpoint.root)


@given(st.integers(0, 299), st.data())
def test_changed_proof_text_fails(index: int, data: st.DataObject) -> None:
    """A bit changed anywhere in a proof's text makes it fail."""
    raw = bytearray(proof_of(index).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(Tampered):
        verify_proof(
            raw.decode("utf-8", "surrogateescape"), ENTRIES[index], format_vkey(ORIGIN, PUBLIC)
        )


def test_proof_of_another_entry_fails() -> None:
    """A proof says nothing about an entry that it is not for."""
    with pytest.raises(Tampered):
        verify_proof(proof_of(5), ENTRIES[6], format_vkey(ORIGIN, PUBLIC))


def test_proof_text_has_the_published_form() -> None:
    """A proof is header, index, a hash a line, an empty line, and the checkpoint verbatim."""
    note = signed()
    line = base64.b64encode(ROOT).decode()

    expected = f"c2sp.org/tlog-proof@v1\nindex 5\n{line}\n{line}\n\n{note}"
    assert expected == proof_text(5, [ROOT, ROOT], note)
    assert Proof(5, (ROOT, ROOT), note) == parse_proof(expected)


def test_extra_line_is_read() -> None:
    """A proof's extra line is kept, though nothing authenticates it."""
    text = proof_text(5, [], "note").replace("index", "extra aGVsbG8=\nindex")

    assert Proof(5, (), "note", b"hello") == parse_proof(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n\nnote",
        "c2sp.org/tlog-proof@v2\nindex 5\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 05\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -5\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex  5\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex \u0665\n\nnote",
        "c2sp.org/tlog-proof@v1\n5\n\nnote",
        f"c2sp.org/tlog-proof@v1\nindex {'9' * 5_000}\n\nnote",
        "c2sp.org/tlog-proof@v1\r\nindex 5\r\n\r\nnote",
        "c2sp.org/tlog-proof@v1\nextra aGVsbG9=\nindex 5\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\nextra aGVsbG8=\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\naGVsbG8=\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\n"
        + f"{base64.b64encode(ROOT).decode()}\n" * 64
        + "\nnote",
        "c2sp.org/tlog-proof@v1\nindex 5\n\n" + "x" * 2_000_001,
    ],
    ids=lambda text: repr(text[22:44]),
)
def test_malformed_proof_text_is_refused(text: str) -> None:
    """A proof has one form."""
    with pytest.raises(Tampered):
        parse_proof(text)
