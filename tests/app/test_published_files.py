"""What a copy brings of published checkpoints, in bounded memory."""

from __future__ import annotations

import pytest

from fakes import MemoryLedger, MemoryStore
from seawall.app.ports import KeepPublished, Published
from seawall.app.published_files import copied

HOUR_MS = 3_600_000


class Watching(MemoryStore):
    """A store that takes down how many were read at a time."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__(ledger)
        self.read: list[int] = []

    async def published(
        self, log: str, *, above: int = -1, limit: int | None = None
    ) -> list[Published]:
        """Read, and take down how many."""
        found = await super().published(log, above=above, limit=limit)
        self.read.append(len(found))
        return found


async def hourly(count: int, *, witnessed: int = 0) -> Watching:
    """Return a log that published every hour from midnight on; one of the sizes is witnessed."""
    ledger = MemoryLedger()
    await ledger.open_log("clinic", "ledger.example/log/clinic")
    for size in range(1, count + 1):
        at_ms = (size - 1) * HOUR_MS
        made = Published("clinic", size, at_ms, "note", is_witnessed=size == witnessed)
        await ledger.remember([KeepPublished(made)])
    return Watching(ledger)


async def sizes(store: Watching, size: int = 10**6) -> list[int]:
    """Return which checkpoints are copied."""
    return [made.size async for made in copied(store, "clinic", size)]


async def test_the_newest_hundred_are_copied() -> None:
    """Of few, all."""
    assert list(range(1, 101)) == await sizes(await hourly(100))
    assert [] == await sizes(await hourly(0))


async def test_of_older_days_the_newest_is_copied() -> None:
    """Before the newest hundred one a day: the last of it."""
    expected = [24, 48, 72, 96, 120, *range(141, 241)]
    assert expected == await sizes(await hourly(240))


async def test_what_is_newer_than_the_log_that_is_copied_is_left_out() -> None:
    """The newest hundred are counted up to the size."""
    assert [24, *range(31, 131)] == await sizes(await hourly(240), 130)


@pytest.mark.parametrize("witnessed", [30, 48, 200])
async def test_the_newest_witnessed_is_copied_once(witnessed: int) -> None:
    """What witnesses saw is there, whatever its day and however long ago."""
    assert 1 == (await sizes(await hourly(240, witnessed=witnessed))).count(witnessed)


async def test_they_are_read_a_hundred_at_a_time() -> None:
    """Memory does not grow with how long a log was published."""
    store = await hourly(1_050)
    await sizes(store)

    assert [100] * 10 + [50, 0] == store.read
