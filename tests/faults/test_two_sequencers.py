"""Two sequencers over one database, as when a lock was got round: the log never forks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from embedded import ORIGIN, opened
from examples import an_entry
from faults.faulty import whole
from seawall.core.policy.grant import Receipt

if TYPE_CHECKING:
    from pathlib import Path


async def test_two_sequencers_make_one_log(tmp_path: Path) -> None:
    """What either acknowledged is where its receipt says; what the other was too late for fails."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.ledger.open_log("clinic", ORIGIN)
        appends = (
            (one, other)[at % 2].ledger.append("clinic", an_entry(at=at)) for at in range(400)
        )
        answers = await asyncio.gather(*appends, return_exceptions=True)
        told = {answer.index: answer.entry for answer in answers if isinstance(answer, Receipt)}
        entries = await whole(one.store, "clinic")
        assert told == {index: entries[index] for index in told}
        assert 0 < len(told) == len(entries)


async def test_a_sequencer_goes_on_after_another_wrote(tmp_path: Path) -> None:
    """One that finds its head overtaken refuses once, reads it anew, and appends behind it."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.ledger.open_log("clinic", ORIGIN)
        await one.ledger.append("clinic", an_entry(at=0))
        await other.ledger.append("clinic", an_entry(at=1))
        refused = await asyncio.gather(
            one.ledger.append("clinic", an_entry(at=2)), return_exceptions=True
        )
        assert not isinstance(refused[0], Receipt)
        assert 2 == (await one.ledger.append("clinic", an_entry(at=3))).index
        assert 3 == len(await whole(one.store, "clinic"))
