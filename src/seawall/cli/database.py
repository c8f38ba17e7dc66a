"""`seawall database`: what the owner of a PostgreSQL database does before a server can use it."""

from __future__ import annotations

from typing import Annotated

import typer

from seawall.cli.options import DataDir
from seawall.cli.output import say
from seawall.compose import prepare_shared
from seawall.config import environment, read_settings

commands = typer.Typer(no_args_is_help=True, help="Prepare a PostgreSQL database.")


@commands.command()
def prepare(
    owner: Annotated[str, typer.Option("--owner", help="The role that owns the tables.")],
    pruner: Annotated[
        str | None,
        typer.Option("--pruner", help="The role that may prune; else the setting, else none."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make or update the tables as their owner, and grant the roles their rights.

    The setting `database` names the database and the server's own role.
    """
    settings = read_settings(data_dir, environment())
    prepare_shared(settings, owner, pruner)
    say("the database is prepared; doing it again changes nothing")
