"""Queries of the ledger end in time, on either database, and hold up no other reading."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

import embedded
import postgres
from fakes import PUBLIC_KEY
from seawall.adapters.db import sqlcipher as embedded_database
from seawall.adapters.db.postgres import Address, connect
from seawall.adapters.db.store import SqlStore
from seawall.app.ports import Query
from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Engine

    from postgres import Server

MEETING_NEVER = Query((("actor", "client/a"), ("action", "x.y")))
"""Each entry has one or the other."""
FACETS = """
insert into facets select 'clinic', case at % 2 when 0 then 'actor' else 'action' end,
  case at % 2 when 0 then 'client/a' else 'x.y' end, at, at from {numbers}
"""
COUNT = 100_000
NUMBERS = (
    "(with recursive n (at) as (select 0 union all select at + 1 from n limit 100000) "
    "select at from n)"
)
"""So many of them, as SQLite counts."""


@asynccontextmanager
async def embedded_engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Yield the pool of an embedded database full of facets."""
    folder: Path = request.getfixturevalue("tmp_path")
    async with embedded.opened(folder) as made:
        await made.ledger.open_log("clinic", embedded.ORIGIN)
        connection = embedded_database.connect(made.path, embedded.DATABASE_KEY)
        connection.execute(FACETS.format(numbers=NUMBERS))
        connection.close()
        engine = create_engine(
            "sqlite://",
            module=sqlcipher,
            creator=lambda: embedded_database.connect(made.path, embedded.DATABASE_KEY),
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=0.5,
        )
        yield engine
        engine.dispose()


@asynccontextmanager
async def postgres_engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Yield the pool of a PostgreSQL database full of facets."""
    server: Server = request.getfixturevalue("postgres_server")
    name = server.new_database()
    async with postgres.opened(server, name) as made:
        await made.ledger.open_log("clinic", embedded.ORIGIN)
    server.ask(FACETS.format(numbers=f"generate_series(0, {COUNT}) as at"), name)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(Address.read(server.url(name))),
        poolclass=QueuePool,
        use_native_hstore=False,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.5,
    )
    yield engine
    engine.dispose()


@pytest.fixture(params=[embedded_engine, postgres_engine])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Yield each database's pool, of one connection."""
    async with request.param(request) as made:
        yield made


async def test_a_slow_query_is_ended(engine: Engine) -> None:
    """It is refused soon after its limit, says how to ask less, and its connection goes on."""
    store = SqlStore(engine, PUBLIC_KEY, query_seconds=0.01)
    begun_at = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await store.find("clinic", MEETING_NEVER)
    assert "query-too-slow" == caught.value.code
    assert time.monotonic() - begun_at < 1
    patient = SqlStore(engine, PUBLIC_KEY, query_seconds=30)
    assert [] == await patient.find("clinic", MEETING_NEVER)


async def test_a_query_that_waited_too_long_is_not_begun(engine: Engine) -> None:
    """Many at once end within the limit too, although only two are worked on."""
    store = SqlStore(engine, PUBLIC_KEY, query_seconds=0)
    queries = (store.find("clinic", MEETING_NEVER) for _ in range(20))
    answers = await asyncio.gather(*queries, return_exceptions=True)
    assert {"query-too-slow"} == {getattr(answer, "code", "") for answer in answers}


async def test_no_free_connection_is_unavailable(engine: Engine) -> None:
    """When all connections of the pool are busy, the error is one of ours."""
    store = SqlStore(engine, PUBLIC_KEY)
    with engine.connect(), pytest.raises(Unavailable) as caught:
        await store.logs()
    assert "database-unavailable" == caught.value.code


async def test_slow_queries_hold_up_no_other_reading(engine: Engine) -> None:
    """While more queries wait than there are threads for all else, another thread is free."""
    store = SqlStore(engine, PUBLIC_KEY, query_seconds=1)
    with engine.connect():
        queries = [asyncio.create_task(store.find("clinic", MEETING_NEVER)) for _ in range(200)]
        await asyncio.sleep(0)
        begun_at = time.monotonic()
        await asyncio.to_thread(time.monotonic)
        assert time.monotonic() - begun_at < 1
        answers = await asyncio.gather(*queries, return_exceptions=True)
    assert {Unavailable} == {type(answer) for answer in answers}
