"""A program on a disk that fails on order: commits batches while the N-th write or flush fails.

    disk_program.py FOLDER PAGE writes|syncs MODE ERROR

For N = 1, 2, 3 and so on until a commit needs fewer: a batch of appends to two
logs, with writes, while the N-th call suffers MODE. After each, the database is
opened anew, without faults, and must hold exactly what was acknowledged before,
whole. It prints one JSON line: how many N there were, and how many refusals.
With the mode `kill` it prints a line for each acknowledged entry instead, and
is ended by the disk.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from embedded import ORIGIN, Embedded, opened
from examples import a_sealed, an_entry
from faults.faulty import whole
from seawall.app.ports import KeepSealed, OpenExchange
from seawall.core.policy.grant import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = struct.Struct("7i")
WHICH: Final = {"writes": 1, "syncs": 2}
MODES: Final = {"fail": 1, "hang": 2, "kill": 3, "tear": 4, "fail-after": 5}
MOST: Final = 200


class Disk:
    """The page that tells the preloaded library what fails."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 0)

    def arm(self, which: str, at: int, mode: str, error: int, *, sticky: bool) -> None:
        """Let the `at`-th call of this kind from now suffer."""
        PAGE.pack_into(self._page, 0, WHICH[which], at, MODES[mode], error, sticky, 0, 0)

    def disarm(self) -> int:
        """Let everything through again, hanging calls too; return how many calls were counted."""
        seen = int(PAGE.unpack_from(self._page)[5])
        PAGE.pack_into(self._page, 0, 0, 0, 0, 0, 0, 0, 0)
        return seen


def batch(database: Embedded, at: int) -> list[Any]:
    """Return appends to two logs, some with writes."""
    sealed = KeepSealed(a_sealed())
    return [
        database.ledger.append(
            "clinic", an_entry(at=at), [sealed, OpenExchange("clinic", f"{at}")]
        ),
        database.ledger.append("school", an_entry(at=at), [OpenExchange("school", f"{at}")]),
        *(database.ledger.append("clinic", an_entry(at=at, more=more)) for more in range(6)),
    ]


async def logs(database: Embedded) -> list[list[bytes]]:
    """Return the entries of both logs, after recomputing their trees."""
    return [await whole(database.store, log) for log in ("clinic", "school")]


def check(before: list[list[bytes]], after: list[list[bytes]], answers: list[Any], at: int) -> int:
    """Require that what was acknowledged is there, and of the rest all of a batch or nothing."""
    refusals = 0
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        origin = (ORIGIN, f"{ORIGIN}-2")[number]
        mine = [answer for answer in answers if isinstance(answer, Receipt)]
        told = {answer.index: answer.entry for answer in mine if answer.origin == origin}
        if new[: len(old)] != old:
            sys.exit(f"call {at}: an acknowledged entry is lost")
        if any(new[index] != entry for index, entry in told.items()):
            sys.exit(f"call {at}: an acknowledged entry is not where its receipt says")
        refusals += sum(not isinstance(answer, Receipt) for answer in answers)
    return refusals


async def steps(folder: Path, disk: Disk, which: str, mode: str, error: int) -> dict[str, int]:
    """Fail each call of a commit in its turn."""
    refusals = at = 0
    for at in range(1, MOST):
        async with opened(folder, limit_seconds=0.5 if mode == "hang" else 30) as database:
            await database.ledger.open_log("clinic", ORIGIN)
            await database.ledger.open_log("school", f"{ORIGIN}-2")
            await database.ledger.append("clinic", an_entry(at=-at))
            before = await logs(database)
            disk.arm(which, at, mode, error, sticky=mode == "fail" and at % 2 == 0)
            answers = await asyncio.gather(*batch(database, at), return_exceptions=True)
            seen = disk.disarm()
        async with opened(folder) as database:
            refusals += check(before, await logs(database), answers, at)
        if seen < at:
            break
    return {"calls": at, "refusals": refusals}


async def until_killed(folder: Path, disk: Disk, which: str, mode: str, at: int) -> None:
    """Append batches until the `at`-th call ends the process; print what was acknowledged."""
    async with opened(folder) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await database.ledger.open_log("school", f"{ORIGIN}-2")
        disk.arm(which, at, mode, 5, sticky=False)
        for number in numbers():
            for receipt in await asyncio.gather(*batch(database, number)):
                os.write(1, b"%s %d %s\n" % (receipt.origin.encode(), receipt.index, receipt.entry))


def numbers() -> Iterator[int]:
    """Count upwards from a number that no earlier life of this program used."""
    start = int.from_bytes(os.urandom(5), "big")
    yield from range(start, start + 10_000)


def main() -> None:
    """Run as the arguments say."""
    folder, page, which, mode, number = sys.argv[1:]
    disk = Disk(Path(page))
    if mode in ("kill", "tear"):
        asyncio.run(until_killed(Path(folder), disk, which, mode, int(number)))
    else:
        print(json.dumps(asyncio.run(steps(Path(folder), disk, which, mode, int(number)))))  # noqa: T201


if __name__ == "__main__":
    main()
