"""The embedded database: append-only, durable, of one schema, and continued where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlcipher3.dbapi2 as sqlcipher

from embedded import DATABASE_KEY, ORIGIN, opened
from examples import an_entry
from seawall.adapters.db.sqlcipher import connect
from seawall.core.errors import Conflict, Unavailable
from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "statement",
    [
        "update entries set entry = x'00'",
        "delete from entries",
        "update entries set position = 9",
        "insert or replace into entries select log, position, x'00' from entries",
    ],
)
async def test_entries_cannot_be_changed_by_sql(tmp_path: Path, statement: str) -> None:
    """The database itself refuses to change or delete an entry."""
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await database.ledger.append("clinic", an_entry())
        connection = connect(database.path, DATABASE_KEY)
        with pytest.raises(sqlcipher.IntegrityError):
            connection.execute(statement)
        connection.close()
        assert [encode(an_entry())] == await database.store.entries("clinic", 0, 9)


async def test_a_reopened_log_continues(tmp_path: Path) -> None:
    """After a restart the next entry follows the last one, over a tile's end too."""
    for life in range(3):
        async with opened(tmp_path) as database:
            await database.ledger.open_log("clinic", ORIGIN)
            for at in range(100):
                receipt = await database.ledger.append("clinic", an_entry(life=life, at=at))
                assert life * 100 + at == receipt.index


async def test_a_database_of_another_schema_is_refused(tmp_path: Path) -> None:
    """A database that another version wrote is a Conflict, and stays as it is."""
    async with opened(tmp_path) as database:
        connection = connect(database.path, DATABASE_KEY)
        connection.execute("pragma user_version = 99")
        connection.close()
    with pytest.raises(Conflict) as caught:
        async with opened(tmp_path):
            pass
    assert caught.value.code == "schema-version"


def test_every_connection_is_durable_and_bounded(tmp_path: Path) -> None:
    """Commits wait for the disk (WAL, synchronous=FULL), and the page limit holds."""
    connection = connect(tmp_path / "seawall.db", DATABASE_KEY, max_pages=77)
    asked = ("journal_mode", "synchronous", "trusted_schema", "max_page_count")
    found = [connection.execute(f"pragma {name}").fetchone()[0] for name in asked]
    connection.close()
    assert ["wal", 2, 0, 77] == found


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """A folder that does not exist is an error with a code, not the library's own."""
    with pytest.raises(Unavailable) as caught:
        connect(tmp_path / "nowhere" / "seawall.db", DATABASE_KEY)
    assert caught.value.code == "database-unavailable"
