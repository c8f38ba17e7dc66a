"""Options that many commands share, and the folder that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.app.ports import SYSTEM_LOG
from seawall.config import environment, read_passphrase, read_settings
from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from seawall.compose import Installation

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The data folder; else SEAWALL_DATA_DIR, else ./seawall-demo.",
        show_default=False,
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File with the key ring's passphrase; else SEAWALL_PASSPHRASE_FILE or "
        "SEAWALL_PASSPHRASE, else the one that a demo left in its folder.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Tenant = Annotated[
    str | None,
    typer.Option("--tenant", help="The tenant; with one tenant it is the default."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="From this time on: 2026-11-24, 2026-11-24T16:30Z, or so long ago: 30m, 2h, 3d.",
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Before this time; its forms are those of --since.")
]
Actor = Annotated[
    str | None, typer.Option("--actor", help="Who acted: KIND/NAME, such as client/app.")
]
Patient = Annotated[
    str | None, typer.Option("--patient", help="Concerning this patient, by the ledger id.")
]
UseCase = Annotated[str | None, typer.Option("--use-case", help="Under this use case.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="To this endpoint.")]
Action = Annotated[
    str | None, typer.Option("--action", help="What happened, such as exchange.intent.")
]
Outcome = Annotated[
    str | None, typer.Option("--outcome", help="How it ended, or the code of a refusal.")
]
Last = Annotated[
    str | None,
    typer.Option("--last", help="How many, the newest; 20 unless said, at most 1,000."),
]
Before = Annotated[
    str | None,
    typer.Option("--before", help="Of entries before this one, by index: pages through more."),
]
Why = Annotated[
    str | None,
    typer.Option(
        "--reason",
        help="Why it is taken away; needed while a server runs on the data folder, and sealed.",
    ),
]
System = Annotated[bool, typer.Option("--system", help="The system's log.")]


def open_installation(data_dir: Path | None, passphrase_file: Path | None) -> Installation:
    """Unlock the data folder that the options and the environment name."""
    # `seawall crypto` has these options, and runs where this cannot be loaded.
    from seawall.compose import Installation  # noqa: PLC0415

    settings = read_settings(data_dir, environment())
    passphrase = read_passphrase(settings.data_dir, environment(), passphrase_file)
    return Installation.open(settings, passphrase)


async def choose_tenant(installation: Installation, tenant: str | None) -> str:
    """Return the tenant that is meant; `Invalid` if that is not plain."""
    tenants = await installation.store.tenants()
    if tenant in tenants:
        return str(tenant)
    if tenant is not None and "~" in tenant:
        # A log that a restoring froze: it can be read under its own name.
        return (await installation.store.head(tenant)).log
    if tenant is None and len(tenants) == 1:
        return tenants[0]
    raise Invalid(
        "tenant-unclear",
        "there is no tenant of this name" if tenant else "there is more than one tenant, or none",
        f"use --tenant with one of: {', '.join(tenants)}" if tenants else "make one: seawall init",
    )


async def choose_log(installation: Installation, tenant: str | None, *, system: bool) -> str:
    """Return the log that is meant: the system's, or a tenant's as `choose_tenant` finds it."""
    return SYSTEM_LOG if system else await choose_tenant(installation, tenant)
