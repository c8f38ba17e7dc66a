"""What a backup says of itself: one spelling each, signed, bound to its repository."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import PUBLIC_KEY, SIGNING_KEY
from seawall.core.backup.chunks import BackupKeys
from seawall.core.backup.statements import (
    Identity,
    Index,
    SnapshotNote,
    Stored,
    backup_vkey,
    oldest_beyond,
    read_listing,
    sign,
    write_listing,
)
from seawall.core.errors import Tampered
from seawall.core.ledger.checkpoint import open_checkpoint

REPOSITORY: Final = "0123456789abcdef" * 2
VKEY: Final = backup_vkey("localhost", REPOSITORY, PUBLIC_KEY)
NAME: Final = "20261124T201246Z-5cfc69df29e9"
INDEX: Final = Index(
    REPOSITORY,
    7,
    "a" * 64,
    ((NAME, "b" * 64),),
    (("keys/ring-0123456789abcdef", "c" * 64), (f"keys/{'d' * 32}-0123456789abcdef", "e" * 64)),
)
NOTE: Final = SnapshotNote(REPOSITORY, NAME, "a" * 64, "b" * 64)


def flipped(raw: bytes, at: int) -> bytes:
    """Return bytes of which one is another."""
    return raw[:at] + bytes([raw[at] ^ 0x01]) + raw[at + 1 :]


def test_an_identity_comes_back() -> None:
    """It is read as it was written."""
    identity = Identity(REPOSITORY, VKEY)
    assert identity == Identity.from_bytes(identity.to_bytes())


def test_any_changed_byte_of_an_identity_is_noticed() -> None:
    """Neither the repository, nor the key, nor a space can be another."""
    raw = Identity(REPOSITORY, VKEY).to_bytes()
    for at in range(len(raw)):
        with pytest.raises(Tampered):
            Identity.from_bytes(flipped(raw, at))


def test_signed_statements_come_back() -> None:
    """Index and note are read as they were signed."""
    assert INDEX == Index.read(sign(INDEX.text(), VKEY, SIGNING_KEY.sign), VKEY)
    assert NOTE == SnapshotNote.read(sign(NOTE.text(), VKEY, SIGNING_KEY.sign), VKEY)


def test_any_changed_byte_of_a_statement_is_noticed() -> None:
    """Every byte is signed, or is the signature."""
    raw = sign(INDEX.text(), VKEY, SIGNING_KEY.sign)
    for at in range(len(raw)):
        with pytest.raises(Tampered):
            Index.read(flipped(raw, at), VKEY)


def test_one_statement_is_not_another() -> None:
    """A note is no index, and neither is a checkpoint, though one key signs them all."""
    note, index = (sign(each.text(), VKEY, SIGNING_KEY.sign) for each in (NOTE, INDEX))
    for reading in (
        lambda: Index.read(note, VKEY),
        lambda: SnapshotNote.read(index, VKEY),
        lambda: open_checkpoint(index.decode(), VKEY),
        lambda: open_checkpoint(note.decode(), VKEY),
    ):
        with pytest.raises(Tampered):
            reading()


@given(
    st.dictionaries(
        st.binary(min_size=32, max_size=32).map(lambda raw: f"chunks/{raw.hex()[:2]}/{raw.hex()}"),
        st.builds(
            Stored, st.integers(0, 2**39), st.binary(min_size=32, max_size=32).map(bytes.hex)
        ),
        max_size=8,
    )
)
def test_a_listing_comes_back(files: dict[str, Stored]) -> None:
    """It has one spelling, which is read as it was written."""
    assert files == read_listing(write_listing(files))


@pytest.mark.parametrize(
    "line",
    [
        "keys/ring.json 1 " + "a" * 64,
        "chunks/../../etc/passwd 1 " + "a" * 64,
        f"chunks/aa/{'a' * 64} 01 " + "a" * 64,
        f"chunks/aa/{'a' * 64} 1 " + "A" * 64,
    ],
)
def test_a_listing_names_chunks_and_payloads_alone(line: str) -> None:
    """No path leads elsewhere, and no number has a second spelling."""
    with pytest.raises(Tampered):
        read_listing(f"{line}\n".encode())


def test_a_chunk_opens_under_its_own_name_alone() -> None:
    """Neither a changed chunk, nor one under another's name, nor a manifest opens."""
    keys = BackupKeys.derive(b"k" * 32)
    named = keys.chunk_id(b"content")
    sealed = keys.seal_chunk(named, b"content", b"n" * 12)

    assert b"content" == keys.open_chunk(named, sealed)
    for wrong, raw in ((keys.chunk_id(b"other"), sealed), (named, flipped(sealed, 20))):
        with pytest.raises(Tampered):
            keys.open_chunk(wrong, raw)
    with pytest.raises(Tampered):
        keys.open_manifest(named, sealed)


def test_the_oldest_snapshots_go() -> None:
    """The newest stay, and all of them where no number is set."""
    assert ["a"] == list(oldest_beyond(["a", "b", "c"], 2))
    assert [] == list(oldest_beyond(["a", "b", "c"], 0))
    assert [] == list(oldest_beyond(["a"], 2))


@pytest.mark.parametrize("keep", [-1, -2, -(10**9)])
def test_the_newest_snapshot_never_goes(keep: int) -> None:
    """What is no number of snapshots lets none go."""
    assert [] == list(oldest_beyond(["a", "b", "c"], keep))
