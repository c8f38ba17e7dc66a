"""Packages for an audit: how long making one takes, of what is asked for within 48 hours."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.clinic import TENANT, new_installation
from benchmarks.queries import DAYS, fill
from benchmarks.table import Table, figure, say
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import Query
from seawall.app.produce import HOURS, MOST_PROOFS, Order
from seawall.cli.ledger.writing import ZipWriter, whole_file
from seawall.compose import audit_producer
from seawall.core.ledger.facets import moment_of

if TYPE_CHECKING:
    from benchmarks.effort import Effort
    from seawall.compose import Installation

_SHARE: Final = 20
"""The log is this part of the one that is asked: its index is made here too."""

_MIB: Final = 1 << 20


def measure(effort: Effort) -> Table:
    """Return the table of packages."""
    size = effort.indexed_size // _SHARE
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        rows = asyncio.run(_measure(size, Path(place)))
    return Table(
        f"Production: packages of a log of {size:,} entries over {DAYS} days (SQLCipher)",
        ("of", "entries", "seconds", "entries per second", "MiB", "peak MiB of memory"),
        rows,
        (
            f"Up to {MOST_PROOFS:,} entries with a proof each, above with the whole log.",
            f"Buyers ask for a package within {HOURS} hours: practice, not law.",
        ),
    )


async def _measure(size: int, place: Path) -> list[tuple[str, ...]]:
    installation = new_installation(place / "data")
    async with installation.write() as writer:
        await writer.open_tenant(TENANT)
    say(f"production: writing a log of {size:,} entries, and its index")
    fill(installation, size)
    async with installation.write() as writer:
        await IndexLedger(store=installation.store, ledger=writer.ledger).caught_up(TENANT)
    begin = moment_of({"at": "2026-03-01T00:00:00Z"})
    asked = {
        "a package of one patient": Query((("patient", f"{1:024x}"),)),
        "a package of a day": Query(since_ms=begin, until_ms=begin + 86_400_000),
        "a package of everything": Query(),
    }
    say("production: making packages")
    rows: list[tuple[str, ...]] = []
    for name, query in asked.items():
        rows.append((name, *await _row(installation, query, size, place / f"{len(rows)}.zip")))
    installation.engine.dispose()
    return rows


async def _row(installation: Installation, query: Query, size: int, path: Path) -> tuple[str, ...]:
    """Make a package as the terminal does; return what it took."""
    _forget_peak()
    before, begun, entries = _status("VmRSS"), time.monotonic(), 0
    with whole_file(path) as file, closing(ZipWriter(file)) as writer:
        order = Order(TENANT, query, size, "operator/operator", 0)
        async for name, content in audit_producer(installation).package(order):
            writer.write(name, content)
            entries += content.count(b"\n") if name == "entries.jsonl" else 0
        written = file.tell()
    took = time.monotonic() - begun
    return (
        f"{entries:,}",
        figure(took),
        figure(entries / took),
        figure(written / _MIB),
        figure(max(0, _status("VmHWM") - before) / 1024),
    )


def _forget_peak() -> None:
    """Have the kernel measure this process's peak of memory anew: proc_pid_clear_refs(5)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    """Return a size of this process in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
