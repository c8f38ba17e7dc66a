"""Asking a long log: what indexing an entry costs, and how long answers take."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from benchmarks.appends import ENTRY
from benchmarks.clinic import TENANT, new_installation
from benchmarks.table import Table, figure, say
from seawall.adapters.db.heads import rows_to_keep
from seawall.adapters.db.sqlcipher import connect
from seawall.app.index_ledger import PIECE, IndexLedger
from seawall.app.ports import Query
from seawall.compose import DATABASE
from seawall.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.facets import moment_of, moment_text
from seawall.core.ledger.tree import Edge, extend, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.effort import Effort
    from seawall.app.ports import Ledger, Store
    from seawall.compose import Installation

ACTORS: Final = 20
OUTCOMES: Final = ("answered",) * 97 + ("failed", "blocked", "abandoned")
DAYS: Final = 365
_ASKED: Final = 200
_CHUNK: Final = 8_192
_DAY_MS: Final = 86_400_000
_BEGIN_MS: Final = moment_of({"at": "2026-01-01T00:00:00Z"})


def measure(effort: Effort) -> Table:
    """Return the table of queries."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        rows = asyncio.run(_measure(effort.indexed_size, Path(place)))
    return Table(
        f"Queries: of a log of {effort.indexed_size:,} entries, the newest 20 (SQLCipher)",
        ("asked for", "p50 ms", "p99 ms", "CPU us per entry"),
        rows,
        (
            f"{DAYS} days, {ACTORS} actors, {_patients(effort.indexed_size):,} patients.",
            f"Indexing goes in pieces of {PIECE:,} entries, beside an append every 50 ms.",
        ),
    )


async def _measure(size: int, place: Path) -> list[tuple[str, ...]]:
    installation = new_installation(place / "data")
    async with installation.write() as writer:
        await writer.open_tenant(TENANT)
    say(f"queries: writing a log of {size:,} entries")
    fill(installation, size)
    async with installation.write() as writer:
        say("queries: indexing it")
        rows = await _indexing(installation.store, writer.ledger, size)
    say("queries: asking it")
    chance = random.Random(7)
    asked: dict[str, Callable[[], Query]] = {
        "one patient": lambda: Query((_patient(chance, size),)),
        "one actor": lambda: Query((_actor(chance),)),
        "an actor and an outcome": lambda: Query((_actor(chance), ("outcome", "failed"))),
        "an actor and a patient": lambda: Query((_actor(chance), _patient(chance, size))),
        "an actor and a common outcome": lambda: Query((_actor(chance), ("outcome", "answered"))),
        "a day": lambda: _of_a_day(chance),
        "one actor on a day": lambda: _of_a_day(chance, _actor(chance)),
    }
    for name, query in asked.items():
        waits = []
        for _ in range(_ASKED):
            begun = time.monotonic()
            await installation.store.find(TENANT, query())
            waits.append(time.monotonic() - begun)
        rows.append((name, *_waits(waits), ""))
    installation.engine.dispose()
    return rows


async def _indexing(store: Store, ledger: Ledger, size: int) -> list[tuple[str, ...]]:
    """Index the log beside appends to it; return the rows of both."""
    pieces: list[float] = []
    appends: list[float] = []
    done = asyncio.Event()

    async def append() -> None:
        """Append now and then, as exchanges would."""
        while not done.is_set():
            begun = time.monotonic()
            await ledger.append(TENANT, ENTRY)
            appends.append(time.monotonic() - begun)
            await asyncio.sleep(0.05)

    class Watched:
        """The ledger, and how long it takes to remember a piece."""

        append = ledger.append
        open_log = ledger.open_log

        async def remember(self, facts: object) -> None:
            """Remember, and note how long that took."""
            begun = time.monotonic()
            await ledger.remember(facts)  # type: ignore[arg-type]  # as it is handed on
            pieces.append(time.monotonic() - begun)

    meanwhile = asyncio.create_task(append())
    cpu = time.process_time()
    await IndexLedger(store=store, ledger=Watched()).caught_up(TENANT)
    cpu = time.process_time() - cpu
    done.set()
    await meanwhile
    return [
        ("indexing, a piece", *_waits(pieces), figure(1e6 * cpu / size)),
        ("an append meanwhile", *_waits(appends), ""),
    ]


def fill(installation: Installation, size: int) -> None:
    """Write entries straight into the tables, with their tree and a signed head."""
    path = installation.settings.data_dir / DATABASE
    connection = connect(path, installation.ring.key("database"))
    run = connection.execute
    [origin] = run("select origin from heads where log = ?", (TENANT,)).fetchone()
    chance, edge = random.Random(3), Edge(0, ())
    run("begin immediate")
    for first in range(0, size, _CHUNK):
        entries = [_entry(chance, at, size) for at in range(first, min(first + _CHUNK, size))]
        connection.executemany(
            "insert into entries values (?, ?, ?)",
            [(TENANT, at, raw) for at, raw in enumerate(entries, first)],
        )
        extension = extend(edge, [leaf_hash(raw) for raw in entries])
        edge = extension.edge
        connection.executemany(
            "insert or replace into tiles values (?, ?, ?, ?)",
            [(TENANT, *row) for row in rows_to_keep(extension)],
        )
    checkpoint = sign_checkpoint(
        Checkpoint(origin, size, edge.root()),
        origin,
        installation.signing_key.sign,
        installation.public_key,
    )
    run(
        "update heads set size = ?, edge = ?, checkpoint = ? where log = ?",
        (size, edge.range.to_bytes(), checkpoint, TENANT),
    )
    run("commit")
    connection.close()


def _entry(chance: random.Random, at: int, size: int) -> bytes:
    """Return the entry of an index: the year goes by evenly, the rest is chance."""
    return encode(
        {
            **ENTRY,
            "at": moment_text(_BEGIN_MS + at * DAYS * _DAY_MS // size),
            "actor": {"kind": "client", "name": _actor(chance)[1].partition("/")[2]},
            "patients": [_patient(chance, size)[1]],
            "outcome": chance.choice(OUTCOMES),
        }
    )


def _patients(size: int) -> int:
    return max(10, size // 50)


def _patient(chance: random.Random, size: int) -> tuple[str, str]:
    return "patient", f"{chance.randrange(_patients(size)):024x}"


def _actor(chance: random.Random) -> tuple[str, str]:
    return "actor", f"client/app-{chance.randrange(ACTORS)}"


def _of_a_day(chance: random.Random, *facets: tuple[str, str]) -> Query:
    since = _BEGIN_MS + chance.randrange(DAYS) * _DAY_MS
    return Query(facets, since_ms=since, until_ms=since + _DAY_MS)


def _waits(waits: list[float]) -> tuple[str, str]:
    tail = quantiles(waits, n=100)[98] if len(waits) > 1 else waits[0]
    return figure(1000 * median(waits)), figure(1000 * tail)
