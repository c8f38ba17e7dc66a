"""What every witness's memory owes: the fake and the file keep the same promises."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest

from cosigners import SeededLog
from fake_witnesses import MemoryBook
from seawall.adapters.witness_store import WitnessFile
from seawall.core.ledger.checkpoint import parse_vkey
from seawall.core.ledger.witness import Latest, origin_hash

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.ports import WitnessBook

LOG = SeededLog("ledger.example/log/42")
FIVE = Latest(LOG.origin, 5, LOG.grown(5)[0], LOG.checkpoint(5))
NINE = Latest(LOG.origin, 9, LOG.grown(9)[0], LOG.checkpoint(9))


class Made(Protocol):
    """A new book, and how its operator trusts a key."""

    book: WitnessBook

    def trust(self, vkey: str) -> None:
        """Trust a log's key."""


class _InMemory:
    def __init__(self, _: Path) -> None:
        self.memory = MemoryBook()
        self.book: WitnessBook = self.memory

    def trust(self, vkey: str) -> None:
        self.memory.trust(vkey)


class _InFile:
    def __init__(self, folder: Path) -> None:
        self.file = WitnessFile.create(folder / "witness.db", [])
        self.book: WitnessBook = self.file

    def trust(self, vkey: str) -> None:
        self.file.trust(vkey, parse_vkey(vkey).name)


@pytest.fixture(params=[_InMemory, _InFile], ids=["memory", "file"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """Return a new book of each kind."""
    book: Made = request.param(tmp_path)
    return book


async def test_an_unknown_log_has_no_keys_and_no_checkpoint(made: Made) -> None:
    """Nothing is trusted, and nothing remembered, to begin with."""
    assert [] == await made.book.trusted(LOG.origin)
    assert await made.book.latest(LOG.origin) is None
    assert await made.book.latest_by_hash(origin_hash(LOG.origin)) is None


async def test_a_log_may_have_several_keys(made: Made) -> None:
    """All keys that are trusted for an origin are returned, and no other origin's."""
    keys = [LOG.vkey, SeededLog(LOG.origin, "new key").vkey]
    for vkey in (*keys, SeededLog("other.example/log").vkey):
        made.trust(vkey)

    assert set(keys) == set(await made.book.trusted(LOG.origin))


async def test_the_first_checkpoint_is_kept(made: Made) -> None:
    """With nothing before it, a checkpoint is kept, and found by origin and by hash."""
    assert await made.book.replace(None, FIVE)
    assert FIVE == await made.book.latest(LOG.origin)
    assert FIVE == await made.book.latest_by_hash(origin_hash(LOG.origin))


async def test_a_later_checkpoint_takes_its_place(made: Made) -> None:
    """The latest is replaced by one that was judged against it."""
    await made.book.replace(None, FIVE)

    assert await made.book.replace(FIVE, NINE)
    assert NINE == await made.book.latest(LOG.origin)


async def test_what_was_judged_against_another_is_not_kept(made: Made) -> None:
    """A checkpoint that was judged before another came between changes nothing."""
    await made.book.replace(None, NINE)

    assert not await made.book.replace(None, FIVE)
    assert not await made.book.replace(FIVE, FIVE)
    assert NINE == await made.book.latest(LOG.origin)


async def test_one_log_says_nothing_about_another(made: Made) -> None:
    """Each origin has its own latest checkpoint."""
    other = replace(NINE, origin="other.example/log")
    await made.book.replace(None, FIVE)

    assert await made.book.replace(None, other)
    assert FIVE == await made.book.latest(LOG.origin)
