"""`seawall review`: access reviews, laid out to be read.

It reads the documents as they stand, and changes nothing: reviews are begun, answered and
closed by people over the API, each under their own name. 45 CFR 164.308(a)(4)(ii)(C).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import echo_lines, print_json, print_table
from seawall.core.access.review_report import report, text
from seawall.core.access.reviewing import items_of
from seawall.core.errors import Missing
from seawall.core.registers.access_review import AccessReviewSpec
from seawall.core.registers.register import Register

if TYPE_CHECKING:
    from seawall.compose import Installation

commands = typer.Typer(no_args_is_help=True, help="See who was asked what about whose access.")


@commands.callback()
def review() -> None:
    """See who was asked what about whose access."""


@commands.command("list")
def list_(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """List access reviews: until when, how many grants, and how they were answered."""
    installation = open_installation(data_dir, passphrase_file)
    register = asyncio.run(_register(installation, tenant))
    found = [report(one, items_of(register, one.name)) for one in register.all(AccessReviewSpec)]
    if json:
        print_json(found)
        return
    columns = ("review", "state", "begun", "due", "grants", "open", "taken away", "kept")
    print_table("", columns, (_row(one) for one in found))


@commands.command()
def show(
    name: Annotated[str, typer.Argument(help="The review's name.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Show a review: each grant, what the ledger said of its use, and the answer."""
    installation = open_installation(data_dir, passphrase_file)
    register = asyncio.run(_register(installation, tenant))
    found = register.find(AccessReviewSpec, name)
    if found is None:
        raise Missing(
            "review-unknown", "there is no review of this name", "see: seawall review list"
        )
    said = report(found, items_of(register, name))
    if json:
        print_json(said)
    else:
        echo_lines(text(said))


async def _register(installation: Installation, tenant: str | None) -> Register:
    chosen = await choose_tenant(installation, tenant)
    return Register(await installation.store.documents(chosen))


def _row(said: dict[str, Any]) -> tuple[str, ...]:
    counts = said["counts"]
    numbers = (len(said["grants"]), counts["open"], counts["revoked"] + counts["lapsed"])
    words = (said["review"], said["state"], said["begun"], said["due"])
    return (*words, *map(str, numbers), str(counts["kept"] + counts["unasked"]))
