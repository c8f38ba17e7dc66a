"""The steps that make the tables: they lose nothing, and end in what the program describes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from embedded import DATABASE_KEY, ORIGIN, opened
from examples import an_entry
from fake_keys import RECEIPT_KEY
from fakes import PUBLIC_KEY, SIGNING_KEY
from faults.faulty import whole
from seawall.adapters.db import postgres
from seawall.adapters.db import sqlcipher as embedded_database
from seawall.adapters.db.postgres import Address
from seawall.adapters.db.postgres_schema import check_prepared, prepare_database
from seawall.adapters.db.schema import REVISION, metadata
from seawall.adapters.db.sequencer import Sequencer, Signer
from seawall.app.ports import Archived, KeepArchived, KeepFacets, OpenExchange, Query
from seawall.core.errors import Conflict, Tampered
from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from postgres import Server

VERSION_1 = Path(__file__).parent.parent / "vectors" / "schema" / "version-1.sql"
OBJECTS = "select type, name from sqlite_master where sql is not null order by type, name"


def connect(folder: Path) -> Any:
    """Connect to a folder's database."""
    return embedded_database.connect(folder / "seawall.db", DATABASE_KEY)


def embedded_engine(folder: Path) -> Engine:
    """Return the pool of a folder's database."""
    return create_engine(
        "sqlite://", module=sqlcipher, creator=lambda: connect(folder), poolclass=QueuePool
    )


async def made_by_the_first_release(folder: Path, count: int) -> list[bytes]:
    """Make a database of schema version 1 with a log of so many entries; return them."""
    connection = connect(folder)
    connection.executescript(VERSION_1.read_text("ascii"))
    connection.close()
    signer = Signer(SIGNING_KEY.sign, PUBLIC_KEY, RECEIPT_KEY)
    writer = Sequencer(lambda: connect(folder), signer, limit_seconds=30)
    await writer.open_log("clinic", ORIGIN)
    kept = [(await writer.append("clinic", an_entry(at=at))).entry for at in range(count)]
    writer.close()
    return kept


async def test_an_older_database_is_taken_over_whole(tmp_path: Path) -> None:
    """Entries, tree and checkpoint of the first release are there, and the log goes on."""
    kept = await made_by_the_first_release(tmp_path, 300)
    async with opened(tmp_path) as database:
        assert kept == await whole(database.store, "clinic")
        await database.ledger.append("clinic", an_entry(), [OpenExchange("clinic", "x", "r")])
        assert [*kept, encode(an_entry())] == await whole(database.store, "clinic")
        assert 0 == (await database.store.head("clinic")).minimum


async def test_a_database_that_took_the_steps_is_as_a_new_one(tmp_path: Path) -> None:
    """Tables, indexes and triggers are the same, whichever way they were made."""
    found = []
    for name in ("old", "new"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "old":
            await made_by_the_first_release(folder, 1)
        async with opened(folder) as database:
            connection = embedded_database.connect(database.path, DATABASE_KEY)
            found.append([*connection.execute(OBJECTS)])
            found[-1] += connection.execute("pragma user_version").fetchall()
            found[-1] += connection.execute("select version_num from alembic_version").fetchall()
            triggers = "select sql from sqlite_master where type = 'trigger' order by name"
            found[-1] += connection.execute(triggers).fetchall()
            connection.close()
    assert found[0] == found[1]


async def test_steps_of_the_embedded_database_end_in_the_described_tables(tmp_path: Path) -> None:
    """After the steps there is nothing left that Alembic would change."""
    await made_by_the_first_release(tmp_path, 1)
    engine = embedded_engine(tmp_path)
    embedded_database.prepare_schema(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert REVISION == context.get_current_revision()
        assert [] == compare_metadata(context, metadata)
    engine.dispose()


@pytest.mark.parametrize(
    "attack",
    [
        "update heads set log = 'x'; delete from entries",
        "update heads set origin = 'x'",
        "update heads set rowid = 9",
        "update or replace heads set rowid = 2 where rowid = 1",
        "delete from entries where log = 'nowhere'",
        (
            "insert or replace into heads select log, origin, 0, edge, checkpoint, 9999 from heads "
            "where log = 'clinic'; delete from entries"
        ),
        (
            "insert or replace into heads select 'x', origin, 0, edge, checkpoint, 0 from heads "
            "where log = 'clinic'"
        ),
        (
            "insert or replace into heads (rowid, log, origin, size, edge, checkpoint) "
            "values (1, 'x', 'x', 0, x'', '')"
        ),
        "insert into heads values ('x', 'x', 0, x'', '', 256)",
        "insert into heads values ('clinic', 'y', 9, '', '', 0) on conflict do update set size = 9",
        "update heads set size = 1",
        "update heads set minimum = 256",
        "delete from heads",
        "delete from tiles",
        "delete from tiles where level = 0 and position = 1",
        "delete from tiles where level = 1",
        "update tiles set hashes = x'00'",
        "update tiles set hashes = x''",
        "update tiles set position = 7 where level = 1",
        "update tiles set rowid = 77 where level = 1",
        "insert or replace into tiles values ('clinic', 0, 1, x'00')",
        (
            "insert or replace into tiles (rowid, log, level, position, hashes) "
            "values (1, 'x', 0, 0, x'00')"
        ),
        "update or replace tiles set position = 0 where level = 0 and position = 1",
    ],
)
@pytest.mark.parametrize("is_older", [False, True])
async def test_the_embedded_database_keeps_entries_logs_and_tiles(
    tmp_path: Path, attack: str, *, is_older: bool
) -> None:
    """Whatever way round is taken, the triggers refuse it, in a new database and an older one."""
    if is_older:
        await made_by_the_first_release(tmp_path, 0)
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await database.ledger.open_log("nowhere", "nowhere")
        await asyncio.gather(
            *(database.ledger.append(log, an_entry()) for log in ["nowhere"] + 600 * ["clinic"])
        )
        connection = connect(tmp_path)
        with pytest.raises(sqlcipher.IntegrityError):
            connection.executescript(attack)
        connection.close()
        assert 600 == len(await whole(database.store, "clinic"))


async def test_a_tile_may_grow_and_go_below_the_minimum(tmp_path: Path) -> None:
    """What extends a tile is written over it; what pruning left of level 0 may be deleted."""
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await asyncio.gather(*(database.ledger.append("clinic", an_entry()) for _ in range(600)))
        held = [Archived("clinic", 0, name, "v", "d", 1) for name in "ab"]
        await database.ledger.remember([KeepArchived(copy) for copy in held])
        connection = connect(tmp_path)
        connection.execute(
            "update tiles set hashes = cast(hashes || x'00' as blob) where level = 1"
        )
        connection.execute("update heads set minimum = 256")
        found = connection.execute("delete from tiles where level = 0 and position < 1").rowcount
        connection.close()
        assert 1 == found


async def test_pruning_again_finishes_what_was_left(tmp_path: Path) -> None:
    """Below a minimum that was set before nothing is found, and a second pruning deletes it."""
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await asyncio.gather(*(database.ledger.append("clinic", an_entry()) for _ in range(300)))
        facts = [KeepArchived(Archived("clinic", 0, name, "v", "d", 1)) for name in "ab"]
        rows = (("actor", "a", 0, 255), ("actor", "b", 0, 256))
        await database.ledger.remember([*facts, KeepFacets("clinic", 300, rows)])
        connection = connect(tmp_path)
        connection.execute("update heads set minimum = 256")
        connection.close()
        found = [len(await database.store.find("clinic", Query((("actor", who),)))) for who in "ab"]
        assert [0, 1] == found
        assert 44 == len(await database.store.find("clinic", Query(last=999)))
        await database.ledger.prune("clinic", 256)
        assert 44 == len(await database.store.entries("clinic", 0, 999))
        assert b"" == await database.store.tile("clinic", 0, 0)


async def test_a_log_that_was_deleted_outside_is_not_begun_anew(tmp_path: Path) -> None:
    """Where somebody took the trigger and the head row away, an append says so."""
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        await database.ledger.append("clinic", an_entry())
        connection = connect(tmp_path)
        connection.executescript("drop trigger heads_refuse_delete; delete from heads")
        connection.close()
        with pytest.raises(Tampered):
            await database.ledger.append("clinic", an_entry())


def test_steps_of_postgresql_end_in_the_described_tables(postgres_server: Server) -> None:
    """After the steps there is nothing left that Alembic would change."""
    owner = Address.read(postgres_server.url(postgres_server.new_database(), "seawall_owner"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: postgres.connect(owner))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert REVISION == context.get_current_revision()
        assert [] == compare_metadata(context, metadata)
    engine.dispose()


def test_preparing_again_changes_nothing(postgres_server: Server) -> None:
    """A prepared database may be prepared again, as after an update that adds no step."""
    name = postgres_server.new_empty_database()
    owner = Address.read(postgres_server.url(name, "seawall_owner"))
    for _ in range(2):
        prepare_database(owner, "seawall", "seawall_pruner")
    with postgres.connect(owner) as connection:
        check_prepared(connection)


@pytest.mark.parametrize("statement", ["drop table alembic_version", None])
def test_an_unprepared_database_is_refused(postgres_server: Server, statement: str | None) -> None:
    """Without steps, or with a newer step than ours, the program does not start."""
    name = postgres_server.new_database()
    postgres_server.ask(statement or "update alembic_version set version_num = '9999'", name)
    with (
        postgres.connect(Address.read(postgres_server.url(name))) as connection,
        pytest.raises(Conflict) as caught,
    ):
        check_prepared(connection)
    assert caught.value.code == "schema-version"


def test_a_newer_database_is_not_prepared(postgres_server: Server) -> None:
    """An owner with an older program changes nothing in a newer database."""
    name = postgres_server.new_database()
    postgres_server.ask("update alembic_version set version_num = '9999'", name)
    with pytest.raises(Conflict) as caught:
        prepare_database(Address.read(postgres_server.url(name, "seawall_owner")), "seawall")
    assert caught.value.code == "schema-version"
