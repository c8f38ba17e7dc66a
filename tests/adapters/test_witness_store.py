"""A witness's file: what its operator does, what it refuses, what a killed process leaves."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cosigners import SeededLog
from seawall.adapters.witness_store import WitnessFile
from seawall.core.errors import Conflict, Missing, Tampered, Unavailable
from seawall.core.ledger.witness import Latest

TESTS = Path(__file__).parent.parent
LOG = SeededLog("ledger.example/log/42")
FIVE = Latest(LOG.origin, 5, LOG.grown(5)[0], LOG.checkpoint(5))
FOUR = Latest(LOG.origin, 4, LOG.grown(4)[0], LOG.checkpoint(4))
FORKED = Latest(LOG.origin, 5, bytes(32), LOG.checkpoint(5, bytes(32)))


@pytest.fixture
def book(tmp_path: Path) -> WitnessFile:
    """Return a new file."""
    return WitnessFile.create(tmp_path / "witness.db", ["first", "second"])


def test_a_witness_knows_its_own_keys_in_order(book: WitnessFile) -> None:
    """The verifier keys are those that it was made with."""
    assert ["first", "second"] == book.vkeys()


def test_a_witness_is_not_made_over_another(book: WitnessFile, tmp_path: Path) -> None:
    """A folder's witness is never replaced: what it remembers is what makes it one."""
    with pytest.raises(Conflict):
        WitnessFile.create(tmp_path / "witness.db", ["third"])
    assert ["first", "second"] == book.vkeys()


def test_what_an_ended_attempt_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """A half-made file of an earlier attempt is thrown away."""
    (tmp_path / "witness.db.new").write_bytes(b"half")

    assert ["key"] == WitnessFile.create(tmp_path / "witness.db", ["key"]).vkeys()


async def test_trusted_keys_are_listed_with_what_was_cosigned(book: WitnessFile) -> None:
    """The list shows each key's log and the size that was last cosigned."""
    book.trust(LOG.vkey, LOG.origin)
    book.trust(LOG.vkey, LOG.origin)
    assert [(LOG.vkey, LOG.origin, None)] == book.logs()

    await book.replace(None, FIVE)
    assert [(LOG.vkey, LOG.origin, 5)] == book.logs()


async def test_a_key_that_is_trusted_no_more_leaves_its_log_remembered(book: WitnessFile) -> None:
    """Removing a key and adding it again cannot make a witness forget a log."""
    book.trust(LOG.vkey, LOG.origin)
    await book.replace(None, FIVE)

    book.distrust(LOG.vkey)

    assert [] == await book.trusted(LOG.origin)
    assert FIVE == await book.latest(LOG.origin)


def test_removing_what_is_not_trusted_is_told(book: WitnessFile) -> None:
    """A key that is not there cannot be removed."""
    with pytest.raises(Missing):
        book.distrust(LOG.vkey)


@pytest.mark.parametrize("worse", [FOUR, FORKED], ids=["smaller", "another root"])
async def test_the_file_itself_refuses_to_go_back(book: WitnessFile, worse: Latest) -> None:
    """A smaller checkpoint, or another root for a size, is refused by a trigger below the code."""
    await book.replace(None, FIVE)

    with pytest.raises(Unavailable):
        await book.replace(FIVE, worse)
    assert FIVE == await book.latest(LOG.origin)


async def test_the_file_itself_refuses_to_forget(book: WitnessFile, tmp_path: Path) -> None:
    """No statement deletes what was cosigned."""
    await book.replace(None, FIVE)

    with (
        closing(sqlite3.connect(tmp_path / "witness.db")) as connection,
        pytest.raises(sqlite3.IntegrityError),
    ):
        connection.execute("delete from latest")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """Without a file there is no witness, and none is made by looking."""
    with pytest.raises(Missing):
        WitnessFile(tmp_path / "witness.db").vkeys()
    assert [] == list(tmp_path.iterdir())


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    """What is no witness's file is not read as one."""
    (tmp_path / "witness.db").write_bytes(b"something else " * 500)

    with pytest.raises(Tampered):
        WitnessFile(tmp_path / "witness.db").vkeys()


def test_a_file_that_is_held_is_waited_for_and_then_refused(
    book: WitnessFile, tmp_path: Path
) -> None:
    """Where another process keeps the file locked, nothing is written and that is told."""
    held = sqlite3.connect(tmp_path / "witness.db", isolation_level=None)
    with closing(held):
        held.execute("begin exclusive")
        with pytest.raises(Unavailable):
            book.trust(LOG.vkey, LOG.origin)


def test_others_cannot_read_the_file(tmp_path: Path) -> None:
    """Under the program's mask the file is its owner's alone."""
    mask = os.umask(0o077)
    try:
        WitnessFile.create(tmp_path / "witness.db", [])
    finally:
        os.umask(mask)

    assert 0o600 == stat.S_IMODE((tmp_path / "witness.db").stat().st_mode)


REPLACING = """
import asyncio, sys
from pathlib import Path
from cosigners import SeededLog
from seawall.adapters.witness_store import WitnessFile
from seawall.core.ledger.witness import Latest

async def main():
    log, book = SeededLog("ledger.example/log/42"), WitnessFile(Path(sys.argv[1]))
    before = await book.latest(log.origin)
    while True:
        size = before.size + 1 if before else 1
        after = Latest(log.origin, size, bytes([size % 256]) * 32, f"note {size}")
        if not await book.replace(before, after):
            raise SystemExit("somebody else was here")
        print(size, flush=True)
        before = after

asyncio.run(main())
"""


@pytest.mark.usefixtures("book")
def test_a_killed_witness_remembers_all_that_it_said(tmp_path: Path) -> None:
    """Over several lives of a process that is killed, no checkpoint that was kept goes back."""
    path, said = tmp_path / "witness.db", 0
    for lines in (3, 40, 7):
        process = subprocess.Popen(  # noqa: S603  the interpreter that runs the tests
            [sys.executable, "-c", REPLACING, str(path)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        seen += process.stdout.readlines()
        process.communicate()
        said = max(said, *(int(line) for line in seen if line.endswith(b"\n")))
        latest = asyncio.run(WitnessFile(path).latest(LOG.origin))

        assert latest is not None
        assert said <= latest.size <= said + 1
