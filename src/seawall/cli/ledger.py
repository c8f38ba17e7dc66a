"""`seawall ledger`: verify, list, show, prove and export a log."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.app.ports import SYSTEM_LOG
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    System,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import print_json, print_table, say
from seawall.compose import Installation
from seawall.core.errors import Conflict, Unavailable

commands = typer.Typer(no_args_is_help=True, help="Verify, list, show, prove and export a log.")


@commands.command()
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
    log = await _log(installation, tenant, system=system)
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


@commands.command("list")
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
    log = await _log(installation, tenant, system=system)
    head = await installation.store.head(log)
    return await installation.read_ledger.entries(log, max(0, head.size - last), head.size)


@commands.command()
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
        log = await _log(installation, tenant, system=system)
        return await installation.read_ledger.entry(log, index)

    print_json(asyncio.run(read()))


@commands.command()
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
        log = await _log(installation, tenant, system=system)
        return await installation.read_ledger.proof(log, index)

    typer.echo(asyncio.run(read()), nl=False)


@commands.command()
def export(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
) -> None:
    """Write a log as a tlog-tiles folder, which `seawall-verify` checks alone."""
    installation = open_installation(data_dir, passphrase_file)
    count = asyncio.run(_export(installation, tenant, folder, system=system))
    say(f"wrote {count} files; check them with: seawall-verify {folder}")


async def _export(
    installation: Installation, tenant: str | None, folder: Path, *, system: bool
) -> int:
    log = await _log(installation, tenant, system=system)
    return await write_export(installation, log, folder)


async def write_export(installation: Installation, log: str, folder: Path) -> int:
    """Write a log's files below a new or empty folder; return how many."""
    if folder.exists() and any(folder.iterdir()):
        raise Conflict("folder-not-empty", "the folder is not empty", "name a new one")
    count = 0
    try:
        async for name, content in installation.read_ledger.export(log):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            count += 1
            if count % 1000 == 0:
                say(f"wrote {count:,} files")
    except OSError as error:
        raise Unavailable(
            "export-unwritable", f"the export cannot be written ({error.strerror})", "free space"
        ) from None
    return count


async def _log(installation: Installation, tenant: str | None, *, system: bool) -> str:
    return SYSTEM_LOG if system else await choose_tenant(installation, tenant)
