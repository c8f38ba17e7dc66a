"""`seawall ledger`: reading, checking, handing out and keeping the logs."""

from __future__ import annotations

import typer

from seawall.cli.ledger import auditing, exporting, keeping, reading, sending

commands = typer.Typer(no_args_is_help=True, help="Read, check, hand out and keep the logs.")
commands.command()(reading.verify)
commands.command("list")(reading.list_entries)
commands.command()(reading.show)
commands.command()(reading.prove)
commands.command()(exporting.export)
commands.command()(auditing.events)
commands.command()(auditing.produce)
commands.command()(sending.send)
commands.command()(keeping.archive)
commands.command()(keeping.prune)
