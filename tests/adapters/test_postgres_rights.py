"""What PostgreSQL itself refuses, to whom; and which servers and addresses are not used at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from embedded import ORIGIN
from examples import a_document, an_entry
from postgres import OWNER, PRUNER, SERVICE, opened
from seawall.adapters.db.postgres import Address, check_rights, connect
from seawall.adapters.db.postgres_schema import prepare_database
from seawall.app.ports import (
    Archived,
    KeepArchived,
    KeepDocument,
    KeepFacets,
    KeepPublished,
    Published,
    Query,
)
from seawall.core.errors import Error, Invalid, Missing, Refused
from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from postgres import Server

NAMING = "set seawall.tenants = 'clinic,nowhere'; "
"""Without it these roles see no entry, and so touch none."""

REPLICATING = "set session_replication_role = replica; "


async def a_database(server: Server) -> str:
    """Make a database whose log `clinic` holds three entries and a document; return its name."""
    name = server.new_database()
    async with opened(server, name) as made:
        await made.ledger.open_log("clinic", ORIGIN)
        for at in range(3):
            writes = [KeepDocument("clinic", a_document())] if at == 0 else []
            await made.ledger.append("clinic", an_entry(at=at), writes)
        published = Published("clinic", 3, 1, "note", is_witnessed=True, stamp=b"stamp")
        await made.ledger.remember([KeepPublished(published)])
    server.ask("insert into tiles values ('clinic', 3, 0, '\\xabcd')", name)
    return name


@pytest.fixture
async def database(postgres_server: Server) -> str:
    """Make a database of the test's own, which it may change."""
    return await a_database(postgres_server)


@pytest.fixture(scope="module")
def untouched(postgres_server: Server) -> str:
    """Make a database for all tests of what is refused: refused, it changes nothing."""
    return asyncio.run(a_database(postgres_server))


@pytest.mark.parametrize("role", ["postgres", OWNER, SERVICE, PRUNER])
@pytest.mark.parametrize(
    "statement",
    [
        "update entries set entry = ''",
        "update entries set position = position + 9",
        "delete from entries",
        "delete from entries where position = 2",
        "truncate entries",
        "delete from heads",
        "truncate heads",
        "update heads set size = 0",
        "update heads set origin = 'another'",
        "update heads set minimum = 256",
        "update heads set minimum = 2",
        (
            "insert into entries values ('clinic', 0, '') on conflict (log, position) "
            "do update set entry = excluded.entry"
        ),
        "insert into entries values ('clinic', -1, '')",
        "insert into entries values ('nowhere', 0, '')",
        "update heads set size = 9",
        "insert into entries values ('clinic', 4, '')",
        "insert into entries values ('clinic', 3, ''), ('clinic', 5, '')",
        "insert into entries values ('clinic', 3, ''); update heads set size = 5",
        "delete from tiles",
        "truncate tiles",
        "update tiles set hashes = '\\x00'",
        "update tiles set hashes = ''",
        "update tiles set position = 9",
        "update published set note = ''",
        "update published set stamp = null",
        "update published set size = 9",
        "delete from published",
    ],
)
async def test_entries_and_heads_are_kept_from_every_role(
    postgres_server: Server, untouched: str, role: str, statement: str
) -> None:
    """Triggers refuse the owner and the superuser what rights refuse the others."""
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege)):
        postgres_server.ask(NAMING + statement, untouched, role)
    async with opened(postgres_server, untouched) as found:
        expected = [encode(an_entry(at=at)) for at in range(3)]
        assert expected == await found.store.entries("clinic", 0, 9)


@pytest.mark.parametrize("statement", ["update entries set entry = ''", "delete from heads"])
def test_replication_turns_no_trigger_off(
    postgres_server: Server, untouched: str, statement: str
) -> None:
    """The setting that stops ordinary triggers does not stop these."""
    with pytest.raises(psycopg.errors.CheckViolation):
        postgres_server.ask(REPLICATING + statement, untouched)


FILL = """
insert into entries select 'clinic', at, '' from generate_series(3, 255) as at;
update heads set size = 256
"""
"""Makes the log long enough for its first tile to be pruned."""


def test_a_temporary_table_deceives_no_trigger(postgres_server: Server, database: str) -> None:
    """A pruner that brings an `archived` of its own is refused by the real one."""
    postgres_server.ask(FILL, database)
    with psycopg.connect(postgres_server.url(database, PRUNER)) as connection:
        connection.execute("create temporary table archived (like public.archived)")
        for archive in "ab":
            row = ("clinic", 0, archive, "", "", 0)
            connection.execute("insert into archived values (%s, %s, %s, %s, %s, %s)", row)
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update public.heads set minimum = 256")


FALSE = "create function public.f(bigint, bigint) returns bool language sql as 'select false'; "


@pytest.mark.parametrize(
    ("operator", "statement"),
    [(">", "update heads set minimum = 256"), (">=", "delete from entries"), ("<", "")],
)
def test_an_operator_of_ones_own_deceives_no_trigger(
    postgres_server: Server, database: str, operator: str, statement: str
) -> None:
    """Where a role may make operators, the triggers still compare by the database's own."""
    postgres_server.ask(FILL, database)
    postgres_server.ask("grant create on schema public to public", database)
    made = f"create operator public.{operator} (leftarg=bigint, rightarg=bigint, function=f); "
    role = PRUNER if statement else SERVICE
    statement = statement or "update heads set size = 3"
    with pytest.raises(psycopg.errors.CheckViolation):
        postgres_server.ask(
            f"{NAMING}{FALSE}{made}set search_path = public, pg_catalog; {statement}",
            database,
            role,
        )


def test_a_role_that_may_make_operators_does_not_serve(postgres_server: Server) -> None:
    """It is refused until the owner prepares the database again, which takes the right away."""
    name = postgres_server.new_empty_database()
    owner = Address.read(postgres_server.url(name, OWNER))
    prepare_database(owner, SERVICE, PRUNER)
    postgres_server.ask(f"grant create on schema public to public, {SERVICE}, {PRUNER}", name)
    with connect(Address.read(postgres_server.url(name))) as connection:
        with pytest.raises(Refused) as caught:
            check_rights(connection)
        assert caught.value.code == "database-rights"
        prepare_database(owner, SERVICE, PRUNER)
        check_rights(connection)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres_server.ask(FALSE, name, PRUNER)


def test_an_owner_who_cannot_take_a_right_away_says_so(
    postgres_server: Server, database: str
) -> None:
    """Where the schema is the administrator's, and lets everybody create, nothing is prepared."""
    postgres_server.ask("grant create on schema public to public", database)
    with pytest.raises(Refused) as caught:
        prepare_database(Address.read(postgres_server.url(database, OWNER)), SERVICE, PRUNER)
    assert caught.value.code == "database-rights"


async def test_a_replica_that_knows_less_of_a_publication_changes_nothing(
    postgres_server: Server, database: str
) -> None:
    """What would shorten a note or drop a stamp is left out, and the batch goes on."""
    kept = Published("clinic", 3, 1, "note", is_witnessed=True, stamp=b"stamp")
    async with opened(postgres_server, database) as found:
        for less in (replace(kept, note="no"), replace(kept, stamp=None)):
            await found.ledger.remember([KeepPublished(less)])
        assert [kept] == await found.store.published("clinic")
        more = replace(kept, note="note, cosigned", stamp=b"newer")
        await found.ledger.remember([KeepPublished(more)])
        assert [more] == await found.store.published("clinic")


def test_tiles_grow_and_go_only_below_the_minimum(postgres_server: Server, database: str) -> None:
    """An extension is written over a tile; the pruner deletes those of level 0 alone."""
    postgres_server.ask(FILL, database)
    postgres_server.ask("insert into tiles values ('clinic', 0, 0, '')", database)
    postgres_server.ask(
        "insert into archived select 'clinic', 0, name, '', '', 0 from (values ('a'), ('b')) "
        "as archive (name)",
        database,
    )
    postgres_server.ask("update tiles set hashes = hashes || '\\x00'", database, SERVICE)
    postgres_server.ask("update heads set minimum = 256", database, PRUNER)
    postgres_server.ask("delete from tiles where level = 0", database, PRUNER)
    with pytest.raises(psycopg.errors.CheckViolation):
        postgres_server.ask("delete from tiles", database, PRUNER)
    assert [(3,)] == postgres_server.ask("select level from tiles", database)


@pytest.mark.parametrize(
    "statement",
    [
        "update heads set minimum = 0",
        "update documents set spec = ''",
        "delete from documents",
        "update data_keys set subject = ''",
        "update tenant_keys set version = 9",
        "delete from installation",
        "update installation set value = ''",
        "delete from archived",
        "delete from facets",
        "delete from tiles",
        "alter table entries disable trigger all",
        "drop table entries",
        "create table mine ()",
        "update alembic_version set version_num = '0000'",
    ],
)
def test_the_service_may_append_and_little_else(
    postgres_server: Server, untouched: str, statement: str
) -> None:
    """The server's own role cannot prune, change documents, or touch the schema."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres_server.ask(statement, untouched, SERVICE)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into entries values ('clinic', 3, '')",
        "update heads set checkpoint = ''",
        "insert into archived values ('clinic', 0, 'a', '', '', 0)",
        "select * from sealed",
        "select * from data_keys",
        "delete from documents",
    ],
)
def test_the_pruner_can_only_prune(postgres_server: Server, untouched: str, statement: str) -> None:
    """The pruner's role appends nothing, reads no PHI, and cannot say that an archive holds it."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres_server.ask(statement, untouched, PRUNER)


@pytest.mark.parametrize(("role", "is_fit"), [(SERVICE, True), (OWNER, False), ("postgres", False)])
def test_a_role_that_could_change_entries_does_not_serve(
    postgres_server: Server, untouched: str, role: str, *, is_fit: bool
) -> None:
    """The owner and a superuser could undo what keeps entries, so neither may serve."""
    with connect(Address.read(postgres_server.url(untouched, role))) as connection:
        if is_fit:
            check_rights(connection)
            return
        with pytest.raises(Refused) as caught:
            check_rights(connection)
    assert caught.value.code == "database-rights"


@pytest.mark.parametrize(
    "weakening",
    [
        "alter role seawall bypassrls",
        "alter table tenant_keys disable row level security",
        "alter table sealed no force row level security",
    ],
)
def test_a_database_that_keeps_tenants_together_is_not_served(
    postgres_server: Server, weakening: str
) -> None:
    """Neither a role that row-level security does not hold for, nor a table without it."""
    name = postgres_server.new_database()
    postgres_server.ask(weakening, name)
    try:
        address = Address.read(postgres_server.url(name, SERVICE))
        with connect(address) as connection, pytest.raises(Refused) as caught:
            check_rights(connection)
    finally:
        postgres_server.ask("alter role seawall nobypassrls", name)
    assert caught.value.code == "database-rights"


def test_rights_on_missing_tables_are_no_rights(postgres_server: Server) -> None:
    """An empty database is refused, not taken for one that grants nothing."""
    address = Address.read(postgres_server.url(postgres_server.new_empty_database()))
    with connect(address) as connection, pytest.raises(Refused):
        check_rights(connection)


@pytest.mark.parametrize(("service", "pruner"), [(OWNER, None), (SERVICE, OWNER), ("x", "x")])
def test_one_role_is_not_two(postgres_server: Server, service: str, pruner: str | None) -> None:
    """Owner, service and pruner are three roles, or nothing is prepared."""
    name = postgres_server.new_empty_database()
    with pytest.raises(Invalid) as caught:
        prepare_database(Address.read(postgres_server.url(name, OWNER)), service, pruner)
    assert caught.value.code == "database-roles"


@pytest.mark.parametrize("commits", ["off", "local", "remote_write"])
def test_a_server_that_may_forget_is_refused(postgres_server: Server, commits: str) -> None:
    """A role whose commits are not durable cannot write; it can still read."""
    name = postgres_server.new_database()
    postgres_server.ask(f"alter database {name} set synchronous_commit = '{commits}'")
    address = Address.read(postgres_server.url(name))
    with pytest.raises(Refused) as caught:
        connect(address, is_writing=True)
    assert caught.value.code == "database-not-durable"
    connect(address).close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example/n?sslmode=require",
        "postgresql://u@db.example/n?sslmode=verify-ca",
        "postgresql://u@db.example/n?sslmode=disable",
        "postgresql://u@127.0.0.1,db.example/n?sslmode=prefer",
        "postgresql://u:secret@localhost/n",
        "postgresql://u@/n",
        "postgresql://localhost/n",
        "postgresql://u@localhost",
        "postgresql://u@localhost/n?hostaddr=192.0.2.1",
        "postgresql://u@localhost/n?options=-csynchronous_commit%3Doff",
        "postgresql://u@localhost/n?passfile=x",
        "postgresql://u@localhost/n?nonsense=1",
        "mysql://u@localhost/n",
        "",
    ],
)
def test_an_address_that_weakens_anything_is_refused(url: str) -> None:
    """TLS below verify-full elsewhere, a password, a way round: the setting is wrong."""
    with pytest.raises(Invalid) as caught:
        Address.read(url)
    assert caught.value.code == "wrong-setting"
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://u@db.example/n", "verify-full"),
        ("postgresql://u@db-1.example,db-2.example/n", "verify-full"),
        ("postgresql://u@localhost/n", None),
        ("postgresql://u@127.0.0.1:5433/n", None),
        ("postgresql://u@[::1]/n", None),
        ("postgresql://u@/n?host=/run/postgresql", None),
    ],
)
def test_a_server_elsewhere_is_verified(url: str, mode: str | None) -> None:
    """Only this machine's own server may do without TLS."""
    assert mode == Address.read(url).parameters.get("sslmode")


def test_a_password_is_shown_by_nothing() -> None:
    """An address with a password does not print it."""
    address = Address.read("postgresql://u@localhost/n", "secret")
    assert "secret" not in f"{address!r} {address}"
    assert "secret" == address.given["password"]


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """Nobody there: an error of ours that names no host."""
    with pytest.raises(Error) as caught:
        connect(Address.read("postgresql://u@/n?host=/nowhere"))
    assert caught.value.code == "database-unavailable"
    assert "nowhere" not in repr(caught.value)


async def test_only_a_log_that_exists_is_pruned(postgres_server: Server, database: str) -> None:
    """A log of another name is Missing."""
    async with opened(postgres_server, database) as found:
        with pytest.raises(Missing):
            await found.ledger.pruner.prune("nowhere", 256)


async def test_pruning_that_was_interrupted_is_finished(
    postgres_server: Server, database: str
) -> None:
    """Done again, it deletes what an earlier attempt left below the minimum."""
    async with opened(postgres_server, database) as found:
        appends = (found.ledger.append("clinic", an_entry(at=at)) for at in range(3, 520))
        await asyncio.gather(*appends)
        held = [Archived("clinic", at, name, "v", "d", 1) for at in (0, 1) for name in "ab"]
        await found.ledger.remember([KeepArchived(copy) for copy in held])
        postgres_server.ask("update heads set minimum = 512 where log = 'clinic'", database, PRUNER)
        rows = tuple(("actor", "a", 0, at) for at in range(512))
        await found.ledger.remember([KeepFacets("clinic", 520, rows)])
        assert 520 == len(await found.store.entries("clinic", 0, 999))
        assert [] == await found.store.find("clinic", Query((("actor", "a"),)))
        assert not await found.store.has_facet("clinic", "actor", "a")
        await found.ledger.pruner.prune("clinic", 512)
        assert 8 == len(await found.store.entries("clinic", 0, 999))
    left = "select (select count(*) from facets), (select count(*) from tiles where level = 0)"
    assert [(0, 0)] == postgres_server.ask(left, database)
