"""`seawall ledger export`: a copy of a log that strangers verify."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.app.record_reading import Reading
from seawall.cli.ledger.recording import readings_of
from seawall.cli.options import (
    DataDir,
    PassphraseFile,
    System,
    Tenant,
    Why,
    choose_log,
    open_installation,
)
from seawall.cli.output import say
from seawall.core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from seawall.compose import Installation


def export(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    reason: Why = None,
) -> None:
    """Write a log as a tlog-tiles folder, which `seawall-verify` checks alone."""
    installation = open_installation(data_dir, passphrase_file)
    count = asyncio.run(_export(installation, tenant, folder, reason, system=system))
    say(f"wrote {count} files; check them with: seawall-verify {folder}")


async def _export(
    installation: Installation,
    tenant: str | None,
    folder: Path,
    reason: str | None,
    *,
    system: bool,
) -> int:
    log = await choose_log(installation, tenant, system=system)
    readings = await readings_of(installation, log, tenant, reason)
    await readings.record(Reading("export", log))
    return await write_export(installation, log, folder)


async def write_export(installation: Installation, log: str, folder: Path) -> int:
    """Write a log's files below a new or empty folder; return how many.

    Whoever calls this has recorded the reading.
    """
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
        if installation.settings.witnesses:
            # For information: an auditor brings the keys that he believes.
            vkeys = "".join(f"{witness.vkey}\n" for witness in installation.settings.witnesses)
            (folder / "witnesses").write_text(vkeys, encoding="ascii")
            count += 1
    except OSError as error:
        raise Unavailable(
            "export-unwritable", f"the export cannot be written ({error.strerror})", "free space"
        ) from None
    return count
