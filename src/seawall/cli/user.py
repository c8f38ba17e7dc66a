"""`seawall user`: persons at the terminal, over the data folder.

While a server holds the folder, persons join and get links over its API.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

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
from seawall.cli.output import echo, print_json, print_table, say
from seawall.core.access.vocabulary import HUMAN_ROLES
from seawall.core.errors import Conflict
from seawall.core.ledger.facets import moment_text
from seawall.core.policy.principal import Principal
from seawall.core.registers.register import Register
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.enrol import Invited
    from seawall.compose import Installation, Writer

commands = typer.Typer(no_args_is_help=True, help="Persons: add, invite, list.")

PersonName = Annotated[
    str, typer.Argument(help="The person's user name.", metavar="NAME", show_default=False)
]


@commands.callback()
def user() -> None:
    """Persons: add, invite, list."""


@commands.command()
def add(
    name: PersonName,
    title: Annotated[str, typer.Option("--title", help="The name that colleagues know.")],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help=f"May be repeated: {', '.join(sorted(HUMAN_ROLES))}."),
    ] = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Add a person, or change the title and roles; the enrolment link is made apart."""
    installation = open_installation(data_dir, passphrase_file)
    spec = {"title": title, "roles": sorted(set(role or ()))}
    added = asyncio.run(_add(installation, tenant, name, spec))
    if json:
        print_json(added)
        return
    echo(f"{added['document']}: {added['change']}")
    say(f"next: seawall user invite {name}")


async def _add(
    installation: Installation, tenant: str | None, name: str, spec: dict[str, Any]
) -> dict[str, Any]:
    chosen = await choose_tenant(installation, tenant)
    async with _held(installation) as writer:
        held = writer.documents.register(chosen).find(UserSpec, name)
        # Only what is given changes: standing, last day and account stay.
        kept = {} if held is None else held.spec.model_dump()
        document = {"kind": "User", "name": name, "spec": {**kept, **spec}}
        [made] = await writer.documents.apply(_operator(chosen), [document])
    said = {"document": f"User/{name}@{made.version}", "change": made.change}
    return said if made.entry is None else {**said, "entry": made.entry}


@commands.command()
def invite(
    name: PersonName,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Print a link to enrol by, once, within a day; older factors and sessions of the person end.

    Give it to the person alone: whoever has it becomes that person.
    """
    installation = open_installation(data_dir, passphrase_file)
    url, made = asyncio.run(_invite(installation, tenant, name))
    if json:
        until = moment_text(made.until_ms)
        print_json({"url": url, "until": until, "entry": made.entry})
        return
    echo(url)
    say(f"it works once, until {moment_text(made.until_ms)}")


async def _invite(installation: Installation, tenant: str | None, name: str) -> tuple[str, Invited]:
    chosen = await choose_tenant(installation, tenant)
    async with _held(installation) as writer:
        made = await writer.people_room.enrol.invite(_operator(chosen), name)
        return f"{writer.people_room.origin}/enrol#{made.link}", made


@commands.command("list")
def list_(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    factors: Annotated[
        bool,
        typer.Option("--factors", help="Say which kinds of factors each has; this is an entry."),
    ] = False,
    json: Json = False,
) -> None:
    """List persons: their roles, how they stand, and how many sessions they have."""
    installation = open_installation(data_dir, passphrase_file)
    persons = asyncio.run(_list(installation, tenant, with_factors=factors))
    if json:
        print_json(persons)
        return
    columns = ["name", "title", "roles", "standing", "sessions", *(["factors"] if factors else [])]
    print_table("", columns, ([_cell(one[column]) for column in columns] for one in persons))


async def _list(
    installation: Installation, tenant: str | None, *, with_factors: bool
) -> list[dict[str, Any]]:
    chosen = await choose_tenant(installation, tenant)
    register = Register(await installation.store.documents(chosen))
    persons = {one.name: one.spec for one in register if isinstance(one.spec, UserSpec)}
    open_now: dict[str, int] = dict.fromkeys(persons, 0)
    for session in await installation.store.sessions(chosen):
        open_now[session.user] = open_now.get(session.user, 0) + 1
    found: dict[str, tuple[str, ...]] = {}
    if with_factors:
        async with _held(installation) as writer:
            accounts = writer.people_room.accounts
            found = await accounts.factors(_operator(chosen), sorted(persons))
    return [
        {
            "name": name,
            "title": spec.title,
            "roles": sorted(spec.roles),
            "standing": spec.standing,
            "signs_in": "here" if spec.account is None else "at a provider",
            "sessions": open_now[name],
            **({"factors": list(found.get(name, ()))} if with_factors else {}),
        }
        for name, spec in sorted(persons.items())
    ]


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@asynccontextmanager
async def _held(installation: Installation) -> AsyncIterator[Writer]:
    """Carry what writes; `Conflict` that says what to do while a server holds the folder."""
    try:
        async with installation.write() as writer:
            yield writer
    except Conflict as conflict:
        if conflict.code != "folder-in-use":
            raise
        raise Conflict(
            "folder-in-use",
            "a server holds the data folder",
            "add persons and make links over its API (POST /api/persons/NAME/join and "
            "/api/enrol/links), or stop the server first",
        ) from None


def _operator(tenant: str) -> Principal:
    return Principal("operator", OPERATOR, tenant)
