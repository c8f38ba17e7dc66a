"""`seawall ledger list --follow`: entries as they come, each minute of it recorded."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from seawall.app.count_readings import CountReadings
from seawall.app.record_reading import Reading, find_within
from seawall.cli.ledger.recording import readings_of
from seawall.cli.options import choose_log
from seawall.cli.output import echo, print_line
from seawall.core.ledger.encoding import decode
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seawall.app.ports import Query
    from seawall.compose import Installation

_POLL_SECONDS: Final = 0.5


def row_of(index: int, entry: dict[str, Any]) -> tuple[str, ...]:
    """Return an entry as a row for people: index, time, action, who, how it ended."""
    ended = entry.get("outcome") or entry.get("code") or entry.get("document")
    return (
        str(index),
        str(entry["at"]),
        str(entry["action"]),
        f"{entry['actor']['kind']} {entry['actor']['name']}",
        str(ended or entry.get("what") or ""),
    )


def follow_log(
    installation: Installation, tenant: str | None, query: Query, *, system: bool, json: bool
) -> None:
    """Print what a query finds, then new entries that match, until SIGINT or SIGTERM."""
    asyncio.run(_follow(installation, tenant, query, system=system, json=json))


async def _follow(
    installation: Installation, tenant: str | None, query: Query, *, system: bool, json: bool
) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    log = await choose_log(installation, tenant, system=system)
    readings = await readings_of(installation, log, tenant)
    reader = Principal("operator", "terminal", readings.tenant)

    async def record(_: Principal, reading: Reading) -> None:
        """Record as whoever the server, or this folder, knows the terminal to be."""
        await readings.record(reading)

    counting = CountReadings(record, installation.clock)
    reading = Reading("follow", log, query)
    recorded = await readings.record(Reading("list", log, query))
    at = recorded.size
    earlier = await find_within(installation.store, log, query, at)
    _show(((index, decode(raw)) for index, raw in earlier), json=json)
    try:
        while not stopping.is_set():
            await counting.close_minutes()
            if (await installation.store.head(log)).size > at:
                await counting.fetch(reader, reading)
                async for reached, found in installation.read_ledger.following(log, query, at):
                    _show(found, json=json)
                    at = reached
            await _pause(stopping)
    finally:
        await counting.close()


async def _pause(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_POLL_SECONDS):
            await stopping.wait()
    except TimeoutError:
        pass


def _show(found: Iterable[tuple[int, dict[str, Any]]], *, json: bool) -> None:
    for index, entry in found:
        if json:
            print_line({"entry": index, **entry})
        else:
            echo("  ".join(row_of(index, entry)).rstrip())
    sys.stdout.flush()
