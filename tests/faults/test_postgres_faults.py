"""Whatever fails in or around PostgreSQL: what was acknowledged stays, and the log never forks."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from embedded import ORIGIN
from examples import a_document, a_sealed, an_entry
from faults.faulty import whole
from faults.faulty_postgres import PostgresFaults
from postgres import Opened, opened
from seawall.app.ports import (
    CloseExchange,
    KeepDocument,
    KeepFacets,
    KeepPatient,
    KeepSealed,
    OpenExchange,
    Query,
    SpendAssertion,
    TenantKey,
    WrappedKey,
)
from seawall.core.errors import Conflict, Tampered, Unavailable
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable

    from postgres import Server
    from seawall.app.ports import Write

STATEMENTS = 24
"""More statements than a batch of these tests takes."""


@pytest.fixture
def faults(postgres_server: Server) -> PostgresFaults:
    """Return the faults of this test's database; none, until the test says so."""
    return PostgresFaults(postgres_server, postgres_server.new_database())


@asynccontextmanager
async def replica(
    faults: PostgresFaults, server: Server, *, limit_seconds: float = 30.0
) -> AsyncIterator[Opened]:
    """Open a replica over faulty connections, with the logs `clinic` and `school`."""
    name = faults.database
    connecting = faults.connect
    async with opened(server, name, connecting=connecting, limit_seconds=limit_seconds) as made:
        await made.ledger.open_log("clinic", ORIGIN)
        await made.ledger.open_log("school", f"{ORIGIN}-2")
        try:
            yield made
        finally:
            faults.going_on.set()


def some_appends(database: Opened, at: int) -> list[Any]:
    """Return work on two logs with every kind of write, and a fact."""
    writes: list[Write] = [
        KeepDocument("clinic", a_document(f"d-{at}")),
        KeepSealed(a_sealed()),
        KeepPatient("clinic", f"p-{at}", ("t-1", "t-2")),
        OpenExchange("clinic", f"x-{at}"),
        SpendAssertion(f"a-{at}", 1),
    ]
    return [
        database.ledger.append("clinic", an_entry(at=at), writes),
        database.ledger.append("school", an_entry(at=at), [OpenExchange("school", f"x-{at}")]),
        database.ledger.append("clinic", an_entry(at=at, second=True)),
        database.ledger.remember([KeepFacets("clinic", at, (("actor", "a", 0, at),))]),
    ]


def begun(appends: Iterable[Awaitable[Any]]) -> asyncio.Future[list[Any]]:
    """Begin work together; the future holds receipts and errors."""
    return asyncio.gather(*appends, return_exceptions=True)


def acknowledged(answers: Iterable[Any]) -> set[bytes]:
    """Return the entries for which there is a receipt."""
    return {answer.entry for answer in answers if isinstance(answer, Receipt)}


@pytest.mark.parametrize("after_the_fact", [False, True])
async def test_nothing_acknowledged_is_lost_whichever_statement_fails(
    postgres_server: Server, faults: PostgresFaults, *, after_the_fact: bool
) -> None:
    """For each statement that fails, what was acknowledged is there; and nothing else is.

    Unless the commit itself was done and reported as failed: then nobody was told.
    """
    faults.after_the_fact = after_the_fact
    refusals = unpromised = 0
    async with replica(faults, postgres_server) as database:
        told: set[bytes] = set()
        for at in range(STATEMENTS):
            faults.fail_in = at + 1
            answers = await begun(some_appends(database, at))
            faults.fail_in = 0
            told |= acknowledged(answers)
            refusals += sum(isinstance(answer, Unavailable) for answer in answers)
            found = {*await whole(database.store, "clinic"), *await whole(database.store, "school")}
            unpromised = len(found - told)
            assert told <= found
            assert unpromised == 0 or after_the_fact
    assert refusals >= STATEMENTS // 2
    assert (unpromised > 0) == after_the_fact


async def test_two_replicas_make_one_log(postgres_server: Server, faults: PostgresFaults) -> None:
    """Neither refuses, no index is given twice, and every receipt is where it says."""
    async with (
        replica(faults, postgres_server) as one,
        opened(postgres_server, faults.database) as other,
    ):
        appends = (
            (one, other)[at % 2].ledger.append("clinic", an_entry(at=at)) for at in range(1_200)
        )
        receipts = await asyncio.gather(*appends)
        entries = await whole(one.store, "clinic")
        assert list(range(1_200)) == sorted(receipt.index for receipt in receipts)
        assert {receipt.index: receipt.entry for receipt in receipts} == dict(enumerate(entries))


async def test_a_replica_catches_up_with_another(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """Behind by one entry, by many, and by more than it reads to catch up, it appends behind."""
    async with (
        replica(faults, postgres_server) as one,
        opened(postgres_server, faults.database) as other,
    ):
        size = 0
        for count in (1, 300, 1_500, 256):
            await begun(one.ledger.append("clinic", an_entry(at=at)) for at in range(count))
            size += count
            assert size == (await other.ledger.append("clinic", an_entry())).index
            size += 1
        assert size == len(await whole(other.store, "clinic"))


async def test_replicas_that_want_the_same_things_do_not_deadlock(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """Two logs, patients, keys and sealed values in opposite orders: nothing is refused."""

    def work(database: Opened, order: int) -> Iterable[Awaitable[Any]]:
        """Yield appends to both logs that write the same rows."""
        for at in list(range(150))[::order]:
            for log in ("clinic", "school")[::order]:
                patient = KeepPatient("clinic", f"p-{at % 7}", ("t-1", f"t-{at % 5}"))
                yield database.ledger.append(
                    log, an_entry(at=at), [patient, KeepSealed(a_sealed())]
                )
            yield database.keys.keep(WrappedKey("clinic", "p", "k", f"k-{at}", at, 1, b"w"))
            rows = (("actor", "a", 0, at), ("any", "", 0, at))[::order]
            yield database.ledger.remember([KeepFacets("clinic", at, rows)])

    async with (
        replica(faults, postgres_server) as one,
        opened(postgres_server, faults.database) as other,
    ):
        await one.keys.keep_tenant_key(TenantKey("clinic", "data", 1, 1, b"wrapped"))
        answers = await begun([*work(one, 1), *work(other, -1)])
        assert [] == [answer for answer in answers if isinstance(answer, Exception)]
        assert 300 == len(await whole(one.store, "school"))


async def test_only_one_replica_writes_what_can_exist_once(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """Of two replicas that spend, open and apply the same, one does; the other has a Conflict."""
    async with (
        replica(faults, postgres_server) as one,
        opened(postgres_server, faults.database) as other,
    ):
        for at in range(20):
            document = KeepDocument("clinic", a_document(version=at + 1))
            for write in (
                SpendAssertion(f"a-{at}", 1),
                OpenExchange("clinic", f"x-{at}"),
                document,
            ):
                answers = await begun(
                    made.ledger.append("clinic", an_entry(at=at), [write]) for made in (one, other)
                )
                kinds = sorted(type(answer).__name__ for answer in answers)
                assert ["Conflict", "Receipt"] == kinds
        assert 60 == len(await whole(one.store, "clinic"))


async def test_within_a_batch_the_order_of_jobs_decides(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """An exchange may be closed and opened again in one batch; a conflict leaves nothing."""
    opening, closing = OpenExchange("clinic", "x"), CloseExchange("clinic", "x")
    document = KeepDocument("clinic", a_document())
    batch: list[list[Any]] = [
        [opening],
        [opening],
        [closing],
        [opening, document],
        [OpenExchange("clinic", "y"), document],
        [closing, opening, closing],
        [opening],
    ]
    async with replica(faults, postgres_server) as database:
        faults.going_on.clear()
        blocker = asyncio.create_task(database.ledger.append("school", an_entry()))
        assert await asyncio.to_thread(faults.hanging.wait, 20)
        together = begun(
            database.ledger.append("clinic", an_entry(at=at), writes)
            for at, writes in enumerate(batch)
        )
        await asyncio.sleep(0)
        faults.going_on.set()
        await blocker
        refused = [at for at, answer in enumerate(await together) if isinstance(answer, Conflict)]
        assert [1, 4] == refused
        assert ["x"] == await database.store.open_exchanges("clinic")
        assert 5 == len(await whole(database.store, "clinic"))


async def test_a_lock_that_somebody_holds_refuses_in_time(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """While another holds the head row appends are refused within the limit; then they work."""
    async with replica(faults, postgres_server) as other:
        await other.ledger.append("clinic", an_entry(at=0))
    holder = psycopg.connect(postgres_server.url(faults.database))
    async with opened(postgres_server, faults.database, limit_seconds=0.5) as database:
        holder.execute("select 1 from heads where log = 'clinic' for update")
        for _ in range(3):
            begun_at = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                await database.ledger.append("clinic", an_entry(at=1))
            assert caught.value.code in {"ledger-unavailable", "database-unavailable"}
            assert time.monotonic() - begun_at < 2
        holder.close()
        await until_it_answers(database)
        entries = await whole(database.store, "clinic")
        assert [encode(an_entry(at=0)), encode(an_entry("probe"))] == entries


async def until_it_answers(database: Opened) -> None:
    """Append until one append is acknowledged, for at most twenty seconds."""
    for _ in range(100):
        try:
            await database.ledger.append("clinic", an_entry("probe"))
        except Unavailable:
            await asyncio.sleep(0.2)
        else:
            return
    raise AssertionError("the ledger did not recover")


async def test_a_replica_that_stops_in_the_middle_frees_the_log(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """A replica that hangs before its commit loses its turn: another goes on, and it is refused."""
    slow = PostgresFaults(postgres_server, faults.database, limit_seconds=1)
    async with (
        replica(faults, postgres_server) as other,
        replica(slow, postgres_server, limit_seconds=10) as hanging,
    ):
        slow.going_on.clear()
        lost = begun([hanging.ledger.append("clinic", an_entry(at=0))])
        assert await asyncio.to_thread(slow.hanging.wait, 20)
        receipt = await other.ledger.append("clinic", an_entry(at=1))
        slow.going_on.set()
        assert isinstance((await lost)[0], Unavailable)
        assert [receipt.entry] == await whole(other.store, "clinic")


def backends(server: Server, condition: str) -> list[int]:
    """Return the server's processes for connections of which this holds, oldest first."""
    query = f"select pid from pg_stat_activity where {condition} order by backend_start"  # noqa: S608  a test's own words
    return [row[0] for row in server.ask(query)]


async def test_a_silent_server_is_given_up(postgres_server: Server, faults: PostgresFaults) -> None:
    """When the server's process stops answering appends are refused in time, and then go on."""
    async with (
        replica(faults, postgres_server),
        opened(postgres_server, faults.database, limit_seconds=0.4) as database,
    ):
        await database.ledger.append("clinic", an_entry(at=0))
        backend = backends(postgres_server, "query = 'commit'")[-1]
        os.kill(backend, signal.SIGSTOP)
        try:
            begun_at = time.monotonic()
            with pytest.raises(Unavailable):
                await database.ledger.append("clinic", an_entry(at=1))
            assert time.monotonic() - begun_at < 2
            await until_it_answers(database)
        finally:
            os.kill(backend, signal.SIGCONT)
        entries = await whole(database.store, "clinic")
        assert entries[-1] == encode(an_entry("probe"))


async def test_acknowledged_entries_survive_a_killed_server(postgres_server: Server) -> None:
    """The server is killed twice under two writing replicas: nothing acknowledged is lost."""
    name = postgres_server.new_database()
    told: dict[int, bytes] = {}
    is_over = False

    async def write(database: Opened, task: int) -> None:
        """Append until it is over, whatever is refused."""
        at = 0
        while not is_over:
            at += 1
            try:
                receipt = await database.ledger.append("clinic", an_entry(task=task, at=at))
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                assert told.setdefault(receipt.index, receipt.entry) == receipt.entry

    async with opened(postgres_server, name) as one, opened(postgres_server, name) as other:
        await one.ledger.open_log("clinic", ORIGIN)
        tasks = [asyncio.create_task(write((one, other)[at % 2], at)) for at in range(32)]
        for _ in range(2):
            before = len(told)
            while len(told) < before + 300:  # noqa: ASYNC110  no event counts
                await asyncio.sleep(0.05)
            await asyncio.to_thread(postgres_server.stop, "immediate")
            await asyncio.to_thread(postgres_server.start)
        await until_it_answers(one)
        is_over = True
        await asyncio.gather(*tasks)
        entries = await whole(one.store, "clinic")
        assert told == {index: entries[index] for index in told}


@pytest.mark.parametrize("attempts", [1, 3])
async def test_the_ledger_recovers_although_it_could_not_reconnect(
    postgres_server: Server, faults: PostgresFaults, attempts: int
) -> None:
    """While no connection can be made all is refused; when one can, appends work again."""
    async with replica(faults, postgres_server) as database:
        faults.fail_in, faults.refused_connections = 1, attempts
        answers = [
            (await begun([database.ledger.append("clinic", an_entry(at=at))]))[0]
            for at in range(attempts + 2)
        ]
        assert [Unavailable] * (attempts + 1) + [Receipt] == [type(answer) for answer in answers]
        assert 1 == len(await whole(database.store, "clinic"))


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (psycopg.errors.DiskFull("no: Ms Toy"), Unavailable, "database-full"),
        (psycopg.OperationalError("no: Ms Toy"), Unavailable, "database-unavailable"),
        (psycopg.errors.QueryCanceled("no: Ms Toy"), Unavailable, "database-unavailable"),
        (psycopg.errors.DataCorrupted("no: Ms Toy"), Tampered, "database-tampered"),
        (MemoryError("no: Ms Toy"), RuntimeError, None),
    ],
)
async def test_each_fault_has_its_code_and_quotes_nothing(
    postgres_server: Server,
    faults: PostgresFaults,
    error: Exception,
    expected: type[Exception],
    code: str | None,
) -> None:
    """The server's state is matched, its words are not passed on, and the next append works."""
    async with replica(faults, postgres_server) as database:
        faults.fail_in, faults.error = 2, error
        with pytest.raises(expected) as caught:
            await database.ledger.append("clinic", an_entry())
        assert code == getattr(caught.value, "code", None)
        assert "Toy" not in repr(caught.value)
        assert 0 == (await database.ledger.append("clinic", an_entry())).index


@pytest.mark.parametrize(
    "error", [psycopg.errors.DeadlockDetected(), psycopg.errors.SerializationFailure()]
)
async def test_a_lost_race_is_run_again(
    postgres_server: Server, faults: PostgresFaults, error: Exception
) -> None:
    """A failure that says that nothing was done is no failure for the caller, once."""
    async with replica(faults, postgres_server) as database:
        faults.fail_in, faults.error = 3, error
        assert 0 == (await database.ledger.append("clinic", an_entry())).index
        assert 1 == len(await whole(database.store, "clinic"))


async def test_a_broken_reading_connection_is_no_answer(
    postgres_server: Server, faults: PostgresFaults
) -> None:
    """After the server has ended every connection, reading works at once."""
    async with replica(faults, postgres_server) as database:
        await database.ledger.append("clinic", an_entry())
        for reading in (
            database.store.entries("clinic", 0, 9),
            database.store.find("clinic", Query()),
        ):
            for backend in backends(postgres_server, f"datname = '{faults.database}'"):
                postgres_server.ask(f"select pg_terminate_backend({backend}, 5000)")
            assert 1 == len(await reading)
