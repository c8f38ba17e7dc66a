"""Whatever fails while the ledger commits: what was acknowledged stays, what was not is nowhere."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlcipher3.dbapi2 as sqlcipher

from embedded import ORIGIN, Embedded, opened
from examples import a_document, a_sealed, an_entry
from faults.faulty import Faults, whole
from seawall.adapters.db.sequencer import WAITING
from seawall.app.ports import (
    KeepDocument,
    KeepPatient,
    KeepSealed,
    OpenExchange,
    TenantKey,
    WrappedKey,
)
from seawall.core.errors import Conflict, Tampered, Unavailable
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Receipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
    from pathlib import Path

    from seawall.app.ports import Write

STATEMENTS = 40
"""More statements than the batch of these tests takes."""


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """Return the faults of this test's database; none, until the test says so."""
    return Faults(tmp_path)


@pytest.fixture
async def database(tmp_path: Path, faults: Faults) -> AsyncIterator[Embedded]:
    """Open a database with two logs and one acknowledged entry over faulty connections."""
    async with opened(tmp_path, connecting=faults.connect) as made:
        await made.ledger.open_log("clinic", ORIGIN)
        await made.ledger.open_log("school", f"{ORIGIN}-2")
        await made.ledger.append("clinic", an_entry(at=-1))
        yield made


def three_appends(database: Embedded, at: int) -> list[Any]:
    """Return appends to two logs, with every kind of write."""
    writes: Sequence[Write] = [
        KeepDocument("clinic", a_document(f"d-{at}")),
        KeepSealed(a_sealed()),
        KeepPatient("clinic", f"p-{at}", ("t-1", "t-2")),
        OpenExchange("clinic", f"x-{at}"),
    ]
    return [
        database.ledger.append("clinic", an_entry(at=at), writes),
        database.ledger.append("school", an_entry(at=at), [OpenExchange("school", f"x-{at}")]),
        database.ledger.append("clinic", an_entry(at=at, second=True)),
    ]


async def visible(database: Embedded) -> list[Any]:
    """Return everything that a reader sees, after recomputing both trees."""
    store = database.store
    return [
        *[await whole(store, log) for log in ("clinic", "school")],
        *[await store.open_exchanges(log) for log in ("clinic", "school")],
        await store.documents("clinic"),
        await store.patients("clinic", ["t-1", "t-2"]),
        await store.sealed("clinic", "exchange.request", "x-1"),
    ]


@asynccontextmanager
async def commit_hanging(database: Embedded, faults: Faults) -> AsyncIterator[None]:
    """Let a commit hang meanwhile, so that what is appended forms one batch behind it.

    That commit is the first statement that `fail_in` counts.
    """
    faults.going_on.clear()
    faults.hanging.clear()
    blocker = asyncio.create_task(database.ledger.append("school", an_entry("blocker")))
    assert await asyncio.to_thread(faults.hanging.wait, 20)
    try:
        yield
        await asyncio.sleep(0)
    finally:
        faults.going_on.set()
        await blocker


def begun(appends: Iterable[Awaitable[Any]]) -> asyncio.Future[list[Any]]:
    """Begin appends together; the future holds their receipts and errors."""
    return asyncio.gather(*appends, return_exceptions=True)


async def test_nothing_acknowledged_is_lost_whichever_statement_fails(
    database: Embedded, faults: Faults
) -> None:
    """For each statement that fails, a reader sees what was acknowledged and nothing else."""
    refusals = 0
    for at in range(STATEMENTS):
        before = {*(await visible(database))[0], *(await visible(database))[1]}
        faults.fail_in = at + 1
        answers = await begun(three_appends(database, at))
        faults.fail_in = 0
        acknowledged = {answer.entry for answer in answers if isinstance(answer, Receipt)}
        clinic, school, *_ = await visible(database)
        assert before | acknowledged == {*clinic, *school}
        refusals += len(answers) - len(acknowledged)
    assert refusals >= STATEMENTS // 2


async def test_a_batch_fails_together(database: Embedded, faults: Faults) -> None:
    """For each statement of a batch that fails, none of the batch is seen, and the next works."""
    refusals = 0
    for at in range(STATEMENTS):
        async with commit_hanging(database, faults):
            before = (await visible(database))[2:]
            faults.fail_in = at + 2
            together = begun(three_appends(database, at))
        answers = await together
        faults.fail_in = 0
        refused = [isinstance(answer, Unavailable) for answer in answers]
        assert refused in ([True] * 3, [False] * 3)
        refusals += all(refused)
        assert (before == (await visible(database))[2:]) == all(refused)
    assert 10 < refusals < STATEMENTS


async def test_a_commit_that_fails_after_the_fact_leaves_a_whole_log(
    database: Embedded, faults: Faults
) -> None:
    """When a commit is reported as failed but was done, the log goes on from what is durable."""
    faults.after_the_fact = True
    answers: list[Receipt] = []
    for at in range(12):
        faults.fail_in = at + 1
        try:
            answers.append(await database.ledger.append("clinic", an_entry(at=at)))
        except Unavailable:
            pass
        finally:
            faults.fail_in = 0
        answers.append(await database.ledger.append("clinic", an_entry(after=at)))
    entries = await whole(database.store, "clinic")
    assert [entries[answer.index] for answer in answers] == [answer.entry for answer in answers]
    assert len(entries) > len(answers) + 1, "one entry is there that nobody was promised"


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_the_ledger_recovers_although_it_could_not_reopen(
    database: Embedded, faults: Faults, attempts: int
) -> None:
    """While the database cannot be opened all is refused; when it can, appends work again."""
    faults.fail_in, faults.refused_connections = 1, attempts
    for _ in range(attempts):
        with pytest.raises(Unavailable):
            await database.ledger.append("clinic", an_entry())
    with pytest.raises(Unavailable):
        await database.ledger.append("clinic", an_entry())
    assert (await database.ledger.append("clinic", an_entry(at=1))).index == 1
    assert [encode(an_entry(at=at)) for at in (-1, 1)] == await whole(database.store, "clinic")


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (sqlcipher.OperationalError("database or disk is full"), Unavailable, "database-full"),
        (sqlcipher.OperationalError("disk I/O error"), Unavailable, "database-unavailable"),
        (sqlcipher.DatabaseError("disk image is malformed"), Tampered, "database-tampered"),
        (sqlcipher.OperationalError("no: Ms Toy"), Unavailable, "database-unavailable"),
    ],
)
async def test_each_fault_has_its_code_and_quotes_nothing(
    database: Embedded, faults: Faults, error: Exception, expected: type[Exception], code: str
) -> None:
    """The library's words are matched and never passed on."""
    faults.fail_in, faults.error = 1, error
    with pytest.raises((Unavailable, Tampered)) as caught:
        await database.ledger.append("clinic", an_entry())
    assert (expected, code) == (type(caught.value), caught.value.code)
    assert "Toy" not in repr(caught.value)


async def test_a_mistake_of_the_program_does_not_stop_the_ledger(
    database: Embedded, faults: Faults
) -> None:
    """An exception that nobody expected is a RuntimeError for the batch; the next one works."""
    faults.fail_in, faults.error = 3, MemoryError()
    with pytest.raises(RuntimeError):
        await database.ledger.append("clinic", an_entry())
    assert (await database.ledger.append("clinic", an_entry())).index == 1


async def test_callers_of_one_failed_batch_get_errors_of_their_own(
    database: Embedded, faults: Faults
) -> None:
    """What one caller notes on its error is not seen on another's."""
    async with commit_hanging(database, faults):
        faults.fail_in, faults.error = 3, Unavailable("gone", "gone", "wait")
        together = begun(three_appends(database, 0))
    answers = await together
    assert ["gone"] * 3 == [answer.code for answer in answers]
    assert len({id(answer) for answer in answers}) == 3


async def test_a_log_opened_twice_in_one_batch_keeps_its_entries(
    database: Embedded, faults: Faults
) -> None:
    """An opening that repeats an earlier one of the same batch loses nothing in between."""
    ledger = database.ledger
    async with commit_hanging(database, faults):
        together = begun(
            [
                ledger.open_log("ward", f"{ORIGIN}-3"),
                ledger.append("ward", an_entry(at=1)),
                ledger.open_log("ward", f"{ORIGIN}-4"),
                ledger.append("ward", an_entry(at=2)),
            ]
        )
    _, first, _, second = await together
    assert [(f"{ORIGIN}-3", 0), (f"{ORIGIN}-3", 1)] == [
        (receipt.origin, receipt.index) for receipt in (first, second)
    ]
    assert [first.entry, second.entry] == await whole(database.store, "ward")


async def test_a_conflict_in_a_batch_undoes_its_own_writes_only(
    database: Embedded, faults: Faults
) -> None:
    """A version that two of one batch would write is written once; the other is refused."""
    document = KeepDocument("clinic", a_document())
    batch: list[list[Write]] = [
        [OpenExchange("clinic", "x-0"), document],
        [OpenExchange("clinic", "x-1"), document],
        [OpenExchange("clinic", "x-2")],
    ]
    async with commit_hanging(database, faults):
        together = begun(
            database.ledger.append("clinic", an_entry(at=at), writes)
            for at, writes in enumerate(batch)
        )
    answers = await together
    assert [False, True, False] == [isinstance(answer, Conflict) for answer in answers]
    assert ["x-0", "x-2"] == await database.store.open_exchanges("clinic")
    expected = [encode(an_entry(at=at)) for at in (-1, 0, 2)]
    assert expected == await whole(database.store, "clinic")


async def test_a_full_disk_refuses_and_loses_nothing(database: Embedded, faults: Faults) -> None:
    """When no page is left appends are refused; with space again they continue without a gap."""
    faults.pages = 60
    appends = [
        database.ledger.append("clinic", an_entry(at=at, filling="x" * 8_000)) for at in range(40)
    ]
    answers = [(await begun([append]))[0] for append in appends]
    acknowledged = [answer.entry for answer in answers if isinstance(answer, Receipt)]
    refused = {answer.code for answer in answers if isinstance(answer, Unavailable)}
    assert {"database-full"} == refused
    assert acknowledged == (await whole(database.store, "clinic"))[1:]
    faults.pages = 1_000
    receipt = await database.ledger.append("clinic", an_entry())
    assert [*acknowledged, receipt.entry] == (await whole(database.store, "clinic"))[1:]


async def test_a_full_disk_keeps_no_data_key_by_half(database: Embedded, faults: Faults) -> None:
    """A data key that cannot be made durable is not handed out."""
    await database.keys.keep_tenant_key(TenantKey("clinic", "data", 1, 1, b"wrapped"))
    faults.pages = 1
    key = WrappedKey("clinic", "p-1", "exchange.request", "k-1", 1, 1, b"w" * 60_000)
    with pytest.raises(Unavailable) as caught:
        await database.keys.keep(key)
    assert caught.value.code == "database-full"
    assert await database.keys.by_id("clinic", "k-1") is None


async def test_a_hanging_commit_refuses_and_shows_nothing(tmp_path: Path, faults: Faults) -> None:
    """While a commit hangs all appends are refused in time; those that waited are not recorded."""
    async with opened(tmp_path, connecting=faults.connect, limit_seconds=0.3) as database:
        ledger = database.ledger
        await ledger.open_log("clinic", ORIGIN)
        faults.going_on.clear()
        try:
            for at in range(3):
                with pytest.raises(Unavailable) as caught:
                    await ledger.append("clinic", an_entry(at=at), [OpenExchange("clinic", "x-1")])
                assert caught.value.code == "ledger-unavailable"
                assert (await database.store.head("clinic")).size == 0
        finally:
            faults.going_on.set()
        receipt = await ledger.append("clinic", an_entry(at=9))
        entries = await whole(database.store, "clinic")
        assert entries[receipt.index] == receipt.entry
        assert [encode(an_entry(at=at)) for at in (0, 9)] == entries


async def test_too_many_waiting_are_refused_at_once(tmp_path: Path, faults: Faults) -> None:
    """No more than a bounded number waits; the rest is refused before its time is up."""
    async with opened(tmp_path, connecting=faults.connect) as database:
        for log in ("clinic", "school"):
            await database.ledger.open_log(log, f"{ORIGIN}-{log}")
        async with commit_hanging(database, faults):
            entries = (an_entry(at=at) for at in range(WAITING + 2))
            together = begun(database.ledger.append("clinic", entry) for entry in entries)
        answers = await together
        refused = [at for at, answer in enumerate(answers) if isinstance(answer, Unavailable)]
        assert [WAITING, WAITING + 1] == refused
        assert len(await database.store.entries("clinic", 0, 9_999)) == WAITING
