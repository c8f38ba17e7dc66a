"""Backup and restore of a full database, beside what the disk itself writes and reads."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.appends import ENTRY
from benchmarks.clinic import PASSPHRASE, TENANT, new_installation
from benchmarks.table import Table, figure, say
from seawall.app.backup.restore import Wanted
from seawall.compose import backup_maker, restore_folder
from seawall.config import Passphrase, Settings
from seawall.core.backup.rows import Rows, Shape
from seawall.core.ledger.encoding import encode
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort
    from seawall.app.backup.make import Made
    from seawall.compose import Installation
    from seawall.core.seal.envelope import Sealed

COLUMNS: Final = ("what", "MB/s", "CPU s per GB")
_MEGABYTE: Final = 1_000_000
_BLOCK: Final = 1 << 20
_BATCH: Final = 500
_REQUEST: Final = 6_000
"""Bytes of a sealed request or answer, of which each exchange keeps two."""


def measure(effort: Effort) -> Table:
    """Return the table of backup and restore; the size is the effort's."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        return asyncio.run(_measure(effort, Path(place)))


async def _measure(effort: Effort, place: Path) -> Table:
    size = effort.backup_megabytes * _MEGABYTE
    installation = new_installation(place / "data")
    say(f"backup: filling a database with {effort.backup_megabytes:,} MB")
    await _fill(installation, size)

    async def record(_made: Made) -> None:
        """Record nothing: the copy alone is measured."""

    figures: dict[str, list[tuple[float, float]]] = {}
    for at in range(min(effort.rounds, 3)):
        say(f"backup: round {at + 1} of {min(effort.rounds, 3)}")

        def note(what: str, began: tuple[float, float], moved: int) -> None:
            """Remember a speed, and the CPU time that it took."""
            seconds, cpu = time.monotonic() - began[0], time.process_time() - began[1]
            speed = moved / _MEGABYTE / seconds
            figures.setdefault(what, []).append((speed, cpu * 1_000 * _MEGABYTE / moved))

        _disk(place / "disk", size, note)
        folder = place / f"backup-{at}"
        began = _now()
        made = await backup_maker(installation, folder).make(record)
        note("backup", began, made.size)
        began = _now()
        await backup_maker(installation, folder).make(record)
        note("backup again, nothing new", began, made.size)
        settings, secret = Settings(place / f"new-{at}", port=0), Passphrase(PASSPHRASE.encode())
        began = _now()
        await restore_folder(
            folder, settings, secret, Wanted(snapshot=made.snapshot, is_successor=True)
        )
        note("restore, everything verified", began, made.size)
    rows = [
        (what, figure(median(one[0] for one in found)), figure(median(one[1] for one in found)))
        for what, found in figures.items()
    ]
    return Table(
        f"Backup: {effort.backup_megabytes:,} MB of entries and sealed payloads, SQLCipher",
        COLUMNS,
        rows,
        (
            "The disk writes 1 MiB blocks and flushes once; it reads what it has just written.",
            f"Measured in {tempfile.gettempdir()}; set TMPDIR to measure another file system.",
        ),
    )


async def _fill(installation: Installation, size: int) -> None:
    """Fill a database: entries by the ledger's own tree, payloads as large as exchanges keep."""
    entry = encode(ENTRY)
    pairs = max(1, size // (2 * (len(entry) + _REQUEST)))
    async with installation.write() as writer:
        await writer.open_tenant(TENANT)
        for at in range(0, 2 * pairs, 2_048):
            many = range(at, min(at + 2_048, 2 * pairs))
            await asyncio.gather(*(writer.ledger.append(TENANT, ENTRY) for _ in many))
        sealed = [
            await writer.keys.seal(os.urandom(_REQUEST), _context(at)) for at in range(2 * pairs)
        ]
        await asyncio.to_thread(_load, installation, *_rows(sealed))


def _context(number: int) -> Context:
    return Context(TENANT, "exchange.request", "unattributed", f"{number:032x}")


def _rows(sealed: Sequence[Sealed]) -> tuple[Shape, list[tuple[Any, ...]]]:
    """Return sealed values as rows of their table."""
    shape = Shape(
        "sealed",
        (
            ("envelope", "bytes"),
            ("item", "text"),
            ("kind", "text"),
            ("subject", "text"),
            ("tenant", "text"),
        ),
    )
    rows = [
        (bytes(one), one.context.item, one.context.kind, one.context.subject, TENANT)
        for one in sealed
    ]
    return shape, rows


def _load(installation: Installation, shape: Shape, rows: list[tuple[Any, ...]]) -> None:
    raw = installation.engine.raw_connection()
    try:
        connection: Any = raw.driver_connection
        connection.execute("begin immediate")
        for at in range(0, len(rows), _BATCH):
            part = Rows(shape, rows[at : at + _BATCH])
            names = ", ".join(name for name, _ in part.shape.columns)
            connection.executemany(
                f"insert into sealed ({names}) values (?, ?, ?, ?, ?)",  # noqa: S608  names of ours
                part.rows,
            )
        connection.execute("commit")
    finally:
        raw.close()


def _disk(path: Path, size: int, note: Callable[[str, tuple[float, float], int], None]) -> None:
    block = os.urandom(_BLOCK)
    began = _now()
    with path.open("wb", buffering=0) as out:
        for _ in range(0, size, _BLOCK):
            out.write(block)
        os.fsync(out.fileno())
    note("the disk alone: write and fsync", began, size)
    began = _now()
    with path.open("rb", buffering=0) as file:
        while file.read(_BLOCK):
            pass
    note("the disk alone: read", began, size)
    path.unlink()


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
