"""A database whose head rows hold incomplete tiles, as they did before they held peaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from embedded import DATABASE_KEY, ORIGIN, opened
from examples import an_entry
from faults.faulty import whole
from seawall.adapters.db.sqlcipher import connect
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.tree import Edge, extend, leaf_hash

if TYPE_CHECKING:
    from pathlib import Path


def age(folder: Path, count: int) -> None:
    """Write the head row as it was written before, and take away what it made a row of."""
    edge = extend(Edge(0, ()), [leaf_hash(encode(an_entry(at=at))) for at in range(count)]).edge
    older = count.to_bytes(8, "big") + b"".join(edge.partial)
    connection = connect(folder / "seawall.db", DATABASE_KEY)
    connection.execute("update heads set edge = ?", (older,))
    connection.execute("drop trigger tiles_refuse_delete")
    connection.execute("delete from tiles where length(hashes) < 8192")
    connection.close()


@pytest.mark.parametrize("count", [1, 3, 257, 600])
async def test_an_older_log_reads_and_grows(tmp_path: Path, count: int) -> None:
    """Its tiles are there before anything is written, after a write, and after a restart."""
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await asyncio.gather(
            *(database.ledger.append("clinic", an_entry(at=at)) for at in range(count))
        )
    age(tmp_path, count)
    for more in range(3):
        async with opened(tmp_path) as database:
            assert count + more == len(await whole(database.store, "clinic"))
            await database.ledger.append("clinic", an_entry(more=more))
