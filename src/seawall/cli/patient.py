"""`seawall patient`: make patients known."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from seawall.cli.install import OPERATOR
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import print_json, print_table, say
from seawall.compose import Installation
from seawall.core.errors import Invalid
from seawall.core.policy.principal import Principal

commands = typer.Typer(no_args_is_help=True, help="Make patients known.")


@commands.callback()
def patient() -> None:
    """Make patients known."""


@commands.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="FHIR R4 bundles or Patient resources.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Import patients' identifiers, sealed; importing again replaces them."""
    resources = [(file.name, read_resource(file)) for file in files]
    installation = open_installation(data_dir, passphrase_file)
    imported = asyncio.run(_import(installation, tenant, resources))
    if json:
        print_json(imported)
    else:
        rows = ((one["file"], one["patient"], str(one["entry"])) for one in imported)
        print_table("", ("file", "ledger id", "entry"), rows)


async def _import(
    installation: Installation, tenant: str | None, resources: list[tuple[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    chosen = await choose_tenant(installation, tenant)
    principal = Principal("operator", OPERATOR, chosen)
    imported = []
    async with installation.write() as writer:
        for position, (name, resource) in enumerate(resources, 1):
            one = await writer.import_patient.import_patient(principal, resource)
            imported.append({"file": name, "patient": one.patient, "entry": one.entry})
            if position % 100 == 0:
                say(f"imported {position:,} of {len(resources):,} patients")
    return imported


def read_resource(file: Path) -> dict[str, Any]:
    """Read a FHIR resource; `Invalid` that names the file and nothing in it."""
    try:
        resource = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        resource = None
    if not isinstance(resource, dict):
        raise Invalid(
            "resource-unreadable", f"{file.name} is not a FHIR resource in JSON", "check it"
        )
    return resource
