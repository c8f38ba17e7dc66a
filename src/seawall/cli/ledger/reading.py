"""`seawall ledger verify`, `list`, `show` and `prove`: reading a log in place.

Each records the reading in the system's log before it shows anything.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.app.ledger_query import read_query
from seawall.app.record_reading import Reading, find_within
from seawall.cli.ledger.following import follow_log, row_of
from seawall.cli.ledger.recording import readings_of
from seawall.cli.options import (
    Action,
    Actor,
    Before,
    DataDir,
    Endpoint,
    Json,
    Last,
    Outcome,
    PassphraseFile,
    Patient,
    Since,
    System,
    Tenant,
    Until,
    UseCase,
    choose_log,
    open_installation,
)
from seawall.cli.output import echo, echo_lines, print_json, print_table, say
from seawall.core.ledger.encoding import decode

if TYPE_CHECKING:
    from seawall.app.ports import Query
    from seawall.compose import Installation


def verify(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    json: Json = False,
) -> None:
    """Recompute a log from its entries and compare it with its signed checkpoint."""
    installation = open_installation(data_dir, passphrase_file)
    result = asyncio.run(_verify(installation, tenant, system=system))
    if json:
        print_json(result)
    else:
        echo(f"verified {result['size']} entries of {result['origin']}")
        echo(f"root     {result['root']}")
        if result["minimum"]:
            echo(f"pruned   entries below {result['minimum']}, whose roots were verified")


async def _verify(
    installation: Installation, tenant: str | None, *, system: bool
) -> dict[str, Any]:
    log = await choose_log(installation, tenant, system=system)
    await (await readings_of(installation, log, tenant)).record(Reading("verify", log))
    result: dict[str, Any] = {}
    async for size, head in installation.read_ledger.verify(log):
        if sys.stderr.isatty() and size < head.size:
            say(f"checked {size:,} of {head.size:,} entries")
        result = {
            "origin": head.origin,
            "size": head.size,
            "minimum": head.minimum,
            "root": head.root.hex(),
            "verified": True,
        }
    return result


def list_entries(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    patient: Patient = None,
    use_case: UseCase = None,
    endpoint: Endpoint = None,
    action: Action = None,
    outcome: Outcome = None,
    last: Last = None,
    before: Before = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new entries until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """List the entries of a log that meet every filter, the newest of them, in order."""
    installation = open_installation(data_dir, passphrase_file)
    given = {
        "since": since,
        "until": until,
        "actor": actor,
        "patient": patient,
        "use-case": use_case,
        "endpoint": endpoint,
        "action": action,
        "outcome": outcome,
        "last": last,
        "before": before,
    }
    query = read_query(
        {name: value for name, value in given.items() if value is not None},
        installation.clock.now_ms(),
    )
    if follow:
        follow_log(installation, tenant, query, system=system, json=json)
        return
    entries = asyncio.run(_find(installation, tenant, query, system=system))
    if json:
        print_json([{"entry": index, **entry} for index, entry in entries])
        return
    columns = ("entry", "at", "action", "who", "outcome")
    print_table("", columns, (row_of(index, entry) for index, entry in entries))


async def _find(
    installation: Installation, tenant: str | None, query: Query, *, system: bool
) -> list[tuple[int, dict[str, Any]]]:
    log = await choose_log(installation, tenant, system=system)
    readings = await readings_of(installation, log, tenant)
    recorded = await readings.record(Reading("list", log, query))
    found = await find_within(installation.store, log, query, recorded.size)
    return [(index, decode(raw)) for index, raw in found]


def show(
    index: Annotated[int, typer.Argument(min=0, help="The entry's index.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
) -> None:
    """Show one entry, as JSON."""
    installation = open_installation(data_dir, passphrase_file)

    async def read() -> dict[str, Any]:
        """Read what is to be printed."""
        log = await choose_log(installation, tenant, system=system)
        readings = await readings_of(installation, log, tenant)
        await readings.record(Reading("show", log, index=index))
        return await installation.read_ledger.entry(log, index)

    print_json(asyncio.run(read()))


def prove(
    index: Annotated[int, typer.Argument(min=0, help="The entry's index.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
) -> None:
    """Print a proof that an entry is in the signed log (C2SP tlog-proof)."""
    installation = open_installation(data_dir, passphrase_file)

    async def read() -> str:
        """Read what is to be printed."""
        log = await choose_log(installation, tenant, system=system)
        readings = await readings_of(installation, log, tenant)
        await readings.record(Reading("prove", log, index=index))
        return await installation.read_ledger.proof(log, index)

    echo_lines(asyncio.run(read()))
