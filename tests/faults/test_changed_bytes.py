"""One byte of a file changes: never does a different value come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from embedded import DATABASE_KEY, ORIGIN, opened
from examples import a_document, a_sealed, an_entry
from fakes import FakeRandom
from seawall.adapters.db.schema import metadata
from seawall.adapters.db.sqlcipher import connect, foreign_errors
from seawall.adapters.keys.ring_file import RingFile
from seawall.app.ports import KeepDocument, KeepSealed, OpenExchange
from seawall.core.errors import Error, Missing, Refused, Tampered

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.ports import Write

PASSPHRASE = b"correct horse battery staple"
NAMES = ("checkpoints", "database")


def everything(path: Path, key: bytes = DATABASE_KEY) -> list[list[Any]]:
    """Return every row of every table."""
    connection = connect(path, key)
    try:
        with foreign_errors():
            tables = metadata.sorted_tables
            return [connection.execute(f"select * from {table}").fetchall() for table in tables]  # noqa: S608  our own names
    finally:
        connection.close()


async def fill(folder: Path) -> Path:
    """Make a database with a few of everything; return its path."""
    async with opened(folder) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        for at in range(40):
            writes: list[Write] = [
                KeepDocument("clinic", a_document(f"d-{at}")),
                KeepSealed(a_sealed()),
                OpenExchange("clinic", f"x-{at}"),
            ]
            await database.ledger.append("clinic", an_entry(at=at, filling="y" * 900), writes)
        return database.path


async def test_a_changed_byte_of_the_database_is_noticed(tmp_path: Path) -> None:
    """Whichever byte is changed, the database is Tampered, or holds what it held."""
    path = await fill(tmp_path)
    raw, before = path.read_bytes(), everything(path)
    noticed = 0
    places = [*range(0, 120, 7), *range(120, len(raw), 311)]
    for at in places:
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :])
        try:
            after = everything(path)
        except Tampered:
            noticed += 1
        else:
            assert before == after
        path.with_name("seawall.db-wal").unlink(missing_ok=True)
        path.with_name("seawall.db-shm").unlink(missing_ok=True)
    assert noticed > len(places) // 2


async def test_a_shortened_database_is_noticed(tmp_path: Path) -> None:
    """A file that lost its end, or became another's, does not open as an empty database."""
    path = await fill(tmp_path)
    raw = path.read_bytes()
    for shortened in (raw[:-4096], raw[:4096], raw[:1000], b"SQLite format 3\x00" + raw[16:]):
        path.write_bytes(shortened)
        with pytest.raises(Tampered):
            everything(path)


async def test_a_wrong_database_key_opens_nothing(tmp_path: Path) -> None:
    """Under another key the file is no database."""
    path = await fill(tmp_path)
    with pytest.raises(Tampered) as caught:
        everything(path, bytes(32))
    assert caught.value.code == "database-tampered"


async def test_no_plain_text_lies_in_the_database_files(tmp_path: Path) -> None:
    """Neither entries nor documents nor the library's own header can be read in the files."""
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await database.ledger.append("clinic", an_entry(marker="marked-text"))
        for name in ("seawall.db", "seawall.db-wal"):
            raw = (tmp_path / name).read_bytes()
            assert raw
            for plain in (b"marked-text", b"clinic", b"create table", b"SQLite format"):
                assert plain not in raw


def a_ring(folder: Path) -> RingFile:
    """Make a key ring with two keys."""
    ring = RingFile.create(folder / "ring.json", PASSPHRASE, FakeRandom())
    for name in NAMES:
        ring.ensure(name)
    return ring


def test_a_changed_byte_of_the_key_ring_is_noticed(tmp_path: Path) -> None:
    """Whichever byte is changed, no key becomes another key."""
    ring = a_ring(tmp_path)
    keys = {name: ring.key(name) for name in NAMES}
    path = tmp_path / "ring.json"
    raw = path.read_bytes()
    noticed = 0
    for at in range(3, len(raw), 19):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        try:
            changed = RingFile.unlock(path, PASSPHRASE, FakeRandom())
            assert keys == {name: changed.key(name) for name in NAMES}
        except (Tampered, Refused, Missing):
            noticed += 1
    assert noticed > len(range(3, len(raw), 19)) // 2


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'"seawall-key-ring-1"',
        b"\xff\xfe",
        b'{"form":"seawall-key-ring-1"}',
        b'{"form":"seawall-key-ring-1","kdf":[],"root":"","keys":{}}',
    ],
)
def test_a_file_that_is_no_key_ring_is_tampered(tmp_path: Path, raw: bytes) -> None:
    """Whatever else lies in its place, the ring does not open."""
    path = tmp_path / "ring.json"
    path.write_bytes(raw)
    with pytest.raises(Tampered) as caught:
        RingFile.unlock(path, PASSPHRASE, FakeRandom())
    assert caught.value.code == "ring-tampered"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"passes": 3', b'"passes": 1'),
        (b'"memory_kib": 65536', b'"memory_kib": 8'),
        (b'"salt": "', b'"salt": "" , "was": "'),
        (b'"root": "', b'"root": "AAAA", "was": "'),
        (b'"database": "', b'"database": "AAAA", "was": "'),
        (b'"database": "', b'"database": null, "was": "'),
    ],
)
def test_an_edited_key_ring_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    """Weaker derivation, a missing salt and shortened keys are errors of ours, not others'."""
    a_ring(tmp_path)
    path = tmp_path / "ring.json"
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new))
    with pytest.raises(Error) as caught:
        RingFile.unlock(path, PASSPHRASE, FakeRandom()).key("database")
    assert isinstance(caught.value, Tampered)


def test_swapped_keys_of_the_ring_are_noticed(tmp_path: Path) -> None:
    """A wrapped key under another's name does not open."""
    a_ring(tmp_path)
    path = tmp_path / "ring.json"
    raw = path.read_bytes()
    swapped = raw.replace(b'"checkpoints"', b'"?"').replace(b'"database"', b'"checkpoints"')
    path.write_bytes(swapped.replace(b'"?"', b'"database"'))
    ring = RingFile.unlock(path, PASSPHRASE, FakeRandom())
    for name in NAMES:
        with pytest.raises(Tampered):
            ring.key(name)


def test_a_wrong_passphrase_is_refused(tmp_path: Path) -> None:
    """Another passphrase, and none, open nothing and change nothing."""
    a_ring(tmp_path)
    path = tmp_path / "ring.json"
    raw = path.read_bytes()
    for wrong in (b"Correct horse battery staple", b""):
        with pytest.raises(Refused) as caught:
            RingFile.unlock(path, wrong, FakeRandom())
        assert caught.value.code == "wrong-passphrase"
    assert raw == path.read_bytes()
