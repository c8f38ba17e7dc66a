"""Work that is done again and again: it goes on after failures, and alarms once."""

from __future__ import annotations

import asyncio

from fakes import RecordingNotifier
from seawall.app.rounds import Rounds
from seawall.core.errors import Unavailable


async def test_a_failing_round_alarms_once_and_goes_on() -> None:
    """Of failures in a row the first is an alarm, a mistake's too; after a success again."""
    outcomes = iter([Unavailable("x", "y"), RuntimeError("a bug"), None, KeyError("other")])
    notifier = RecordingNotifier()

    async def work() -> None:
        """Fail as told."""
        if (error := next(outcomes)) is not None:
            raise error

    rounds = Rounds("witnessing", work, seconds=1, notifier=notifier)
    for _ in range(4):
        await rounds.once()
    assert [("witnessing-failed", "", None)] * 2 == notifier.alarms


async def test_rounds_begin_at_once_and_can_be_stopped() -> None:
    """Starting twice makes one row of rounds; after stopping there is none."""
    done = asyncio.Event()
    count = 0

    async def work() -> None:
        """Count."""
        nonlocal count
        count += 1
        done.set()

    rounds = Rounds("x", work, seconds=60, notifier=RecordingNotifier())
    rounds.start()
    rounds.start()
    await asyncio.wait_for(done.wait(), 5)
    await rounds.stop()
    await rounds.stop()
    assert 1 == count
