"""A program that appends until it is killed: eight tasks, one line for each acknowledged entry."""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from embedded import ORIGIN, opened
from examples import an_entry
from seawall.adapters.db.sqlcipher import FolderLock


async def append_for_ever(folder: Path) -> None:
    """Append from eight tasks to the log `clinic`, and print `INDEX ENTRY` for each receipt."""
    async with opened(folder) as database:
        await database.ledger.open_log("clinic", ORIGIN)

        async def one(task: int) -> None:
            """Append without end."""
            for at in count():
                receipt = await database.ledger.append("clinic", an_entry(task=task, at=at))
                os.write(1, b"%d %s\n" % (receipt.index, receipt.entry))

        await asyncio.gather(*(one(task) for task in range(8)))


if __name__ == "__main__":
    claim = FolderLock(Path(sys.argv[1]) / "lock")
    asyncio.run(append_for_ever(Path(sys.argv[1])))
