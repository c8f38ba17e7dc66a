"""`seawall ledger verify`, `list`, `show` and `prove`: reading a log in place."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    System,
    Tenant,
    choose_log,
    open_installation,
)
from seawall.cli.output import print_json, print_table, say

if TYPE_CHECKING:
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
        typer.echo(f"verified {result['size']} entries of {result['origin']}")
        typer.echo(f"root     {result['root']}")


async def _verify(
    installation: Installation, tenant: str | None, *, system: bool
) -> dict[str, Any]:
    log = await choose_log(installation, tenant, system=system)
    result: dict[str, Any] = {}
    async for size, head in installation.read_ledger.verify(log):
        if sys.stderr.isatty() and size < head.size:
            say(f"checked {size:,} of {head.size:,} entries")
        result = {
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "verified": True,
        }
    return result


def list_entries(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    last: Annotated[int, typer.Option("--last", min=1, help="How many, from the end.")] = 20,
    json: Json = False,
) -> None:
    """List the last entries of a log."""
    installation = open_installation(data_dir, passphrase_file)
    entries = asyncio.run(_last(installation, tenant, last, system=system))
    if json:
        print_json([{"entry": index, **entry} for index, entry in entries])
        return
    print_table(
        "",
        ("entry", "at", "action", "who", "outcome"),
        (
            (
                str(index),
                entry["at"],
                entry["action"],
                f"{entry['actor']['kind']} {entry['actor']['name']}",
                str(entry.get("outcome") or entry.get("code") or entry.get("document") or ""),
            )
            for index, entry in entries
        ),
    )


async def _last(
    installation: Installation, tenant: str | None, last: int, *, system: bool
) -> list[tuple[int, dict[str, Any]]]:
    log = await choose_log(installation, tenant, system=system)
    head = await installation.store.head(log)
    return await installation.read_ledger.entries(log, max(0, head.size - last), head.size)


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
        return await installation.read_ledger.proof(log, index)

    typer.echo(asyncio.run(read()), nl=False)
