"""PostgreSQL itself keeps tenants apart: who names no tenant sees nothing, the owner included."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.pool import QueuePool

from embedded import ORIGIN
from examples import a_context, a_document, a_sealed, an_entry
from postgres import OWNER, PRUNER, SERVICE, opened
from seawall.adapters.db.load import PostgresTarget
from seawall.adapters.db.postgres import Address, connect, foreign_errors
from seawall.adapters.db.postgres_jobs import Job
from seawall.adapters.db.postgres_tenants import ask, tenants_of
from seawall.adapters.db.schema import OF_TENANTS, metadata, sealed
from seawall.adapters.db.store import EVERY_TENANT, SqlStore
from seawall.app.ports import (
    KeepDocument,
    KeepFacets,
    KeepPatient,
    KeepReference,
    KeepSealed,
    KeepTenantKey,
    OpenExchange,
    Query,
    TenantKey,
    WrappedKey,
)
from seawall.core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from postgres import Opened, Server
    from seawall.app.ports import Fact, Write

CLINIC: Final = "clinic"
SCHOOL: Final = "school"
TABLES: Final = sorted(table.name for table in OF_TENANTS)
DIGEST: Final = "sha256:" + "0" * 64


def writes_of(tenant: str) -> list[Write]:
    """Return one write of each kind that a tenant's rows come from."""
    return [
        KeepDocument(tenant, a_document()),
        KeepPatient(tenant, "p-1", ("term",)),
        KeepSealed(a_sealed(context=a_context(tenant=tenant))),
        KeepReference(tenant, "exchange.request", "x-9", "p-1", DIGEST),
        OpenExchange(tenant, "x-1", "replica"),
    ]


async def fill(database: Opened, tenant: str) -> None:
    """Give a tenant a row in each of its tables."""
    await database.ledger.open_log(tenant, f"{ORIGIN}-{tenant}")
    await database.ledger.append(tenant, an_entry(), writes_of(tenant))
    await database.ledger.remember([KeepFacets(tenant, 1, (("any", "", 0, 0),))])
    await database.keys.keep_tenant_key(TenantKey(tenant, "data", 1, 1, b"wrapped"))
    await database.keys.keep(WrappedKey(tenant, "p-1", "k", f"key-{tenant}", 1, 1, b"wrapped"))


@pytest.fixture(scope="module")
def filled(postgres_server: Server) -> str:
    """Make a database in which two tenants have a row in each table; return its name."""
    name = postgres_server.new_database()

    async def make() -> None:
        """Fill it, as the program does."""
        async with opened(postgres_server, name) as database:
            for tenant in (CLINIC, SCHOOL):
                await fill(database, tenant)

    asyncio.run(make())
    return name


@pytest.fixture
def engine(postgres_server: Server, filled: str) -> Iterator[Engine]:
    """Yield a pool of one connection of the service, as the store reads by."""
    address = Address.read(postgres_server.url(filled))
    made = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(address),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        use_native_hstore=False,
    )
    yield made
    made.dispose()


def seen(server: Server, database: str, table: str, role: str, tenants: str | None) -> list[str]:
    """Return whose rows of a table a role sees that names these tenants, or none."""
    column = "log" if table in {"entries", "facets"} else "tenant"
    naming = "" if tenants is None else f"set seawall.tenants = '{tenants}'; "
    with psycopg.connect(server.url(database, role), autocommit=True) as connection:
        for statement in filter(None, naming.split("; ")):
            connection.execute(statement.encode())
        rows = connection.execute(f"select {column} from {table} order by 1".encode()).fetchall()  # noqa: S608  names of ours
    return [row[0] for row in rows]


@pytest.mark.parametrize("role", [SERVICE, OWNER])
@pytest.mark.parametrize(
    ("tenants", "expected"),
    [
        (None, []),
        ("", []),
        (CLINIC, [CLINIC]),
        ("clini", []),
        ("clinic ", []),
        ("nobody", []),
        (f"{CLINIC},{SCHOOL}", [CLINIC, SCHOOL]),
        (EVERY_TENANT, [CLINIC, SCHOOL]),
    ],
)
def test_only_named_tenants_are_seen(
    postgres_server: Server, filled: str, role: str, tenants: str | None, expected: list[str]
) -> None:
    """Empty means nothing, in every table, for the owner of the tables as well."""
    for table in TABLES:
        assert expected == seen(postgres_server, filled, table, role, tenants)


def test_every_table_of_tenants_is_kept_apart(postgres_server: Server, filled: str) -> None:
    """No table with a column `tenant` is left out, and the database forces each on its owner."""
    forced = postgres_server.ask(
        "select relname from pg_class where relrowsecurity and relforcerowsecurity", filled
    )
    # A session is found by what a browser says before its tenant is known, and holds no PHI.
    having = {table.name for table in metadata.sorted_tables if "tenant" in table.columns}
    having -= {"sessions"}
    assert having | {"entries", "facets"} == set(TABLES) == {row[0] for row in forced}


def test_another_role_cannot_ask_for_every_tenant(postgres_server: Server, filled: str) -> None:
    """Who is given a table to read still has to name whose rows."""
    postgres_server.ask(f"grant select on sealed to {PRUNER}", filled)
    assert [] == seen(postgres_server, filled, "sealed", PRUNER, EVERY_TENANT)
    assert [CLINIC] == seen(postgres_server, filled, "sealed", PRUNER, CLINIC)


INSERTS: Final = (
    "insert into documents values ('school', 'Client', 'x', 9, '')",
    "insert into patients values ('school', 'x', 'x')",
    "insert into sealed (tenant, kind, item, envelope) values ('school', 'x', 'x', '')",
    "insert into payloads values ('school', 'x', 'x', 'x', 'x')",
    "insert into open_exchanges values ('school', 'x', 'x')",
    "insert into entries values ('school', 1, '')",
    "insert into facets values ('school', 'x', 'x', 0, 0)",
    "insert into tenant_keys values ('school', 'data', 9, 1, '', 0)",
    "insert into data_keys values ('x', 'school', 'x', 'x', 1, 1, '')",
)


@pytest.mark.parametrize("statement", INSERTS, ids=lambda one: one.split()[2])
@pytest.mark.parametrize("tenants", ["", CLINIC, EVERY_TENANT])
@pytest.mark.parametrize("role", [SERVICE, OWNER])
def test_a_row_of_another_tenant_is_not_taken(
    postgres_server: Server, filled: str, statement: str, tenants: str, role: str
) -> None:
    """Writing for `school` takes naming it, and `*` writes nothing at all."""
    naming = f"set seawall.tenants = '{tenants}'; "
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres_server.ask(naming + statement, filled, role)


@pytest.mark.parametrize(
    "statement",
    [
        "update sealed set envelope = ''",
        "delete from sealed",
        "delete from patients",
        "delete from payloads",
        "delete from data_keys",
        "update tenant_keys set wrapped = ''",
        "delete from open_exchanges",
    ],
)
@pytest.mark.parametrize("tenants", ["", "nobody", EVERY_TENANT])
def test_what_is_not_named_is_not_changed(
    postgres_server: Server, filled: str, statement: str, tenants: str
) -> None:
    """An update or a deletion that forgets its tenant touches no row of anybody."""
    url = postgres_server.url(filled, SERVICE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"set seawall.tenants = '{tenants}'".encode())
        assert 0 == connection.execute(statement.encode()).rowcount


async def test_the_store_finds_a_tenants_rows_and_no_others(
    engine: Engine,
) -> None:
    """A question about one tenant is never answered with another's."""
    store = SqlStore(engine, bytes(32))
    found = [await store.sealed(one, "exchange.request", "x-1") for one in (CLINIC, "nobody")]
    assert [a_sealed(context=a_context(tenant=CLINIC)), None] == found
    assert {CLINIC: 1, SCHOOL: 1} == await store.document_counts()
    assert [CLINIC, SCHOOL] == await store.tenants()
    assert frozenset({DIGEST}) == await store.referred([DIGEST, "sha256:" + "1" * 64])
    assert [1, 1] == [len(await store.find(one, Query())) for one in (CLINIC, SCHOOL)]


def test_a_query_without_a_condition_finds_the_named_tenant_alone(engine: Engine) -> None:
    """This is what it is for: SQL that forgot its `where` shows nothing of others."""
    everything = select(sealed.c.tenant).order_by(sealed.c.tenant)
    found = {
        tenants: [row.tenant for row in ask(engine, everything, {}, tenants=tenants)]
        for tenants in ("", CLINIC, "nobody", EVERY_TENANT)
    }
    assert {
        "": [],
        CLINIC: [CLINIC],
        "nobody": [],
        EVERY_TENANT: [CLINIC, SCHOOL],
    } == found


def test_a_pooled_connection_carries_no_tenant_over(engine: Engine) -> None:
    """After a use, also one that failed, the same connection sees nothing."""
    everything = text("select tenant from sealed")
    backends = text("select pg_backend_pid() as pid")
    before = ask(engine, backends, {}, tenants=CLINIC)[0].pid
    for query in (everything, text("select 1 / 0 from sealed")):
        with suppress(Unavailable):
            ask(engine, query, {}, tenants=EVERY_TENANT)
        with engine.connect() as connection:
            assert [] == connection.execute(everything).all()
            pid = connection.execute(backends).scalar_one()
        assert before == pid


def test_a_time_limit_is_not_carried_over_either(engine: Engine) -> None:
    """What limits one query does not limit the next of the same connection."""
    limit = text("select current_setting('statement_timeout')")
    with engine.connect() as connection:
        before = connection.execute(limit).scalar_one()
    until = time.monotonic() + 1
    assert before != ask(engine, limit, {}, tenants=CLINIC, until=until)[0][0]
    with engine.connect() as connection:
        assert before == connection.execute(limit).scalar_one()


def test_many_different_statements_keep_their_tenant(engine: Engine) -> None:
    """Also when the library lets go of statements that it had prepared."""
    for number in range(250):
        query = text(f"select tenant, {number % 120} from sealed")  # noqa: S608  a number
        assert [CLINIC] == [row.tenant for row in ask(engine, query, {}, tenants=CLINIC)]


def guards(server: Server, database: str) -> tuple[Any, Any]:
    """Return which tables force row-level security, and which triggers hold always."""
    tables = "select relname, relrowsecurity, relforcerowsecurity from pg_class where relkind = 'r'"
    triggers = "select tgname, tgenabled from pg_trigger where not tgisinternal"
    return sorted(server.ask(tables, database)), sorted(server.ask(triggers, database))


def test_a_database_that_was_filled_is_guarded_as_before(postgres_server: Server) -> None:
    """A restore lifts what keeps the owner out, and leaves nothing lifted."""
    name = postgres_server.new_database()
    before = guards(postgres_server, name)
    owner = Address.read(postgres_server.url(name, OWNER))
    PostgresTarget(lambda: connect(owner), foreign_errors).begin().finish()
    assert before == guards(postgres_server, name)
    assert {"A"} == {enabled for _, enabled in before[1]}


def test_a_row_of_a_tenant_makes_a_database_not_empty(postgres_server: Server) -> None:
    """Also one that the owner would not see."""
    name = postgres_server.new_database()
    statement = "set seawall.tenants = 'clinic'; insert into patients values ('clinic', 'x', 'x')"
    postgres_server.ask(statement, name, OWNER)
    owner = Address.read(postgres_server.url(name, OWNER))
    with pytest.raises(Conflict) as caught:
        PostgresTarget(lambda: connect(owner), foreign_errors).begin()
    assert "target-not-empty" == caught.value.code


def test_a_job_names_every_tenant_that_it_concerns() -> None:
    """The writer's transaction sees the rows of its own jobs, and of nobody else."""
    key = TenantKey("a-key", "data", 1, 1, b"")
    loop = asyncio.new_event_loop()
    facts: list[Fact] = [KeepFacets("a-log", 0, ()), KeepTenantKey(key)]
    writes = writes_of("a-tenant")
    job = Job(loop, loop.create_future(), log=CLINIC, writes=writes, facts=facts)
    loop.close()
    assert {CLINIC, "a-tenant", "a-log", "a-key"} == set(tenants_of(job))
