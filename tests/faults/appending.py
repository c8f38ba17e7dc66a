"""A program that appends until it is killed, one line for each acknowledged entry.

appending.py sqlcipher FOLDER [TASKS]
appending.py postgres FOLDER/DATABASE [TASKS]
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import embedded
import postgres
from embedded import ORIGIN
from examples import an_entry
from seawall.adapters.db.sqlcipher import FolderLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager


def opened(
    store: str, place: Path
) -> AbstractAsyncContextManager[embedded.Embedded | postgres.Opened]:
    """Open the database at a place: a folder, or a server's folder and a database's name."""
    if store == "sqlcipher":
        return embedded.opened(place)
    return postgres.opened(postgres.Server(place.parent), place.name)


async def append_for_ever(store: str, place: Path, tasks: int) -> None:
    """Append from so many tasks to the log `clinic`; print `INDEX ENTRY` for each receipt."""
    async with opened(store, place) as database:
        await database.ledger.open_log("clinic", ORIGIN)

        async def one(task: int) -> None:
            """Append without end."""
            for at in count():
                entry = an_entry(process=os.getpid(), task=task, at=at)
                receipt = await database.ledger.append("clinic", entry)
                os.write(1, b"%d %s\n" % (receipt.index, receipt.entry))

        await asyncio.gather(*(one(task) for task in range(tasks)))


@contextmanager
def claimed(store: str, place: Path) -> Iterator[None]:
    """Claim the folder of an embedded database, as the program does."""
    claim = FolderLock(place / "lock") if store == "sqlcipher" else None
    yield
    if claim is not None:
        claim.release()


if __name__ == "__main__":
    name, path, *rest = sys.argv[1:]
    with claimed(name, Path(path)):
        asyncio.run(append_for_ever(name, Path(path), int(rest[0]) if rest else 8))
