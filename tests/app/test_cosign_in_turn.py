"""A witness under replays: kept lines are handed out again, and growth is signed in turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from cosigners import Cosigner, SeededLog, ed25519, ml_dsa_44
from fake_witnesses import MemoryBook
from fakes import FakeClock
from seawall.app.cosign import Cosign, CosignerKey
from seawall.core.errors import Unavailable
from seawall.core.ledger.note import read_note
from seawall.core.ledger.witness import Stale, write_submission

if TYPE_CHECKING:
    from seawall.core.ledger.witness import Latest

LOG = SeededLog("ledger.example/log/42")


class CountingBook(MemoryBook):
    """A memory that counts what is kept, waits for leave, and loses races on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = self.reads = 0
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.is_losing = False
        self.fault: Unavailable | None = None

    async def latest(self, origin: str) -> Latest | None:
        """Read, for as long as the loop takes to come round."""
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        found = await super().latest(origin)
        await asyncio.sleep(0)
        return found

    async def replace(self, before: Latest | None, after: Latest) -> bool:
        """Keep `after` once that is allowed."""
        self.writes += 1
        await self.may_write.wait()
        return not self.is_losing and await super().replace(before, after)


@dataclass
class Scene:
    """A witness with two keys that trusts one log."""

    clock: FakeClock = field(default_factory=FakeClock)
    book: CountingBook = field(default_factory=CountingBook)
    signed: list[str] = field(default_factory=list)
    cosign: Cosign = field(init=False)

    def __post_init__(self) -> None:
        """Trust the log."""
        self.book.trust(LOG.vkey)
        keys = [self._counted(make("w.example/w1")) for make in (ed25519, ml_dsa_44)]
        self.cosign = Cosign(keys=keys, book=self.book, clock=self.clock)

    def _counted(self, cosigner: Cosigner) -> CosignerKey:
        def sign(message: bytes) -> bytes:
            """Sign, and count it."""
            self.signed.append(cosigner.key.name)
            return cosigner.sign(message)

        return CosignerKey(cosigner.key, sign)

    async def submit(self, old: int, size: int) -> str | Stale:
        """Submit the log as it should be."""
        body = write_submission(old, LOG.proof(old, size), LOG.checkpoint(size))
        return await self.cosign.add_checkpoint(body.encode())


@pytest.fixture
async def scene() -> Scene:
    """Return a witness that has cosigned nothing."""
    return Scene()


async def test_a_repeated_checkpoint_gets_the_kept_lines(scene: Scene) -> None:
    """Within a minute the same lines come again, and nothing is signed or written."""
    lines = await scene.submit(0, 5)
    scene.clock.advance(59)

    assert [lines] * 3 == [await scene.submit(5, 5) for _ in range(3)]
    assert (2, 1) == (len(scene.signed), scene.book.writes)


async def test_after_a_minute_a_checkpoint_is_cosigned_anew(scene: Scene) -> None:
    """A cosignature says when a checkpoint was seen, so an old one is not handed out again."""
    lines = await scene.submit(0, 5)
    scene.clock.advance(60)

    assert lines != await scene.submit(5, 5)
    assert (4, 2) == (len(scene.signed), scene.book.writes)


async def test_a_clock_that_was_set_back_signs_anew(scene: Scene) -> None:
    """Lines from the future are not handed out."""
    await scene.submit(0, 5)
    scene.clock.advance(-3_600)
    await scene.submit(5, 5)

    assert 2 == scene.book.writes


async def test_a_new_key_of_the_witness_is_not_left_out(scene: Scene) -> None:
    """Kept lines that lack one of the keys are made anew."""
    await scene.submit(0, 5)
    held = scene.book.kept[LOG.origin]
    note = read_note(held.note)
    scene.book.kept[LOG.origin] = type(held)(
        held.origin, held.size, held.root, str(type(note)(note.text, note.lines[:-1]))
    )

    assert 2 == str(await scene.submit(5, 5)).count("\n")
    assert 2 == scene.book.writes


async def test_growth_is_served_while_others_repeat_the_old_size(scene: Scene) -> None:
    """Replays of what was cosigned cost one signature, and leave room in the queue."""
    await scene.submit(0, 5)
    scene.clock.advance(61)
    scene.book.may_write.clear()
    replays = [asyncio.create_task(scene.submit(5, 5)) for _ in range(100)]
    await asyncio.sleep(0.05)
    growth = asyncio.create_task(scene.submit(5, 9))
    await asyncio.sleep(0.05)
    scene.book.may_write.set()
    answers = await asyncio.gather(*replays, return_exceptions=True)

    assert isinstance(await growth, str)
    assert (1, 68) == (
        len({answer for answer in answers if isinstance(answer, str)}),
        sum(isinstance(answer, Unavailable) for answer in answers),
    )
    assert (9, 3) == (scene.book.kept[LOG.origin].size, scene.book.writes)


async def test_who_comes_when_too_many_wait_is_told(scene: Scene) -> None:
    """At most 64 are signed for or wait for one log; the others may ask again later."""
    scene.book.may_write.clear()
    asked = [asyncio.create_task(scene.submit(0, 5)) for _ in range(64)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable) as busy:
        await scene.submit(0, 5)
    scene.book.may_write.set()
    answers = await asyncio.gather(*asked)

    assert "witness-busy" == busy.value.code
    assert [5] * 63 == [one.size for one in answers if isinstance(one, Stale)]


async def test_another_process_that_always_wins_ends_in_bounded_tries(scene: Scene) -> None:
    """A memory that changes under every try is given up after five."""
    scene.book.is_losing = True
    with pytest.raises(Unavailable) as busy:
        await scene.submit(0, 5)

    assert ("witness-busy", 5) == (busy.value.code, scene.book.writes)


async def test_who_asks_at_the_same_moment_shares_a_reading(scene: Scene) -> None:
    """A thousand replays at once are one look into the memory."""
    lines = await scene.submit(0, 5)
    before = scene.book.reads
    answers = await asyncio.gather(*(scene.submit(5, 5) for _ in range(1_000)))

    assert {lines} == set(answers)
    assert 1 == scene.book.reads - before


async def test_a_reading_from_before_a_growth_is_not_shared_after_it(scene: Scene) -> None:
    """Who was told of a growth is never judged by what was there before it."""
    await scene.submit(0, 5)
    replays = asyncio.gather(*(scene.submit(5, 5) for _ in range(10)))
    assert isinstance(await scene.submit(5, 9), str)

    assert Stale(9) == await scene.submit(5, 9)
    assert 10 == len(await replays)


async def test_a_reading_that_fails_fails_for_all_who_share_it(scene: Scene) -> None:
    """Everybody is told, and the next one reads anew."""
    await scene.submit(0, 5)
    fault = scene.book.fault = Unavailable("witness-store-unavailable", "x", "y")
    answers = await asyncio.gather(*(scene.submit(5, 5) for _ in range(3)), return_exceptions=True)
    scene.book.fault = None

    assert [fault] * 3 == answers
    assert isinstance(await scene.submit(5, 5), str)
