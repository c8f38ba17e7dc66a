"""Every command, under the name that it is called by."""

from __future__ import annotations

import typer

from seawall.cli import (
    access,
    backup,
    crypto,
    database,
    dataset,
    demo,
    documents,
    emergency,
    install,
    keys,
    ledger,
    patient,
    review,
    token,
    user,
    witness,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="AI on patient data, lawfully, with proof.",
)
app.command()(demo.demo)
app.command()(install.init)
app.command()(install.serve)
app.command("client-key")(install.client_key)
app.command()(documents.apply)
app.command()(documents.get)
app.command()(documents.history)
app.command()(token.token)
app.add_typer(keys.commands, name="keys")
app.add_typer(ledger.commands, name="ledger")
app.add_typer(backup.commands, name="backup")
app.command()(backup.restore)
app.add_typer(database.commands, name="database")
app.command()(crypto.crypto)
app.add_typer(dataset.commands, name="dataset")
app.add_typer(patient.commands, name="patient")
app.add_typer(access.commands, name="access")
app.add_typer(user.commands, name="user")
app.add_typer(review.commands, name="review")
app.add_typer(emergency.commands, name="emergency")
app.add_typer(witness.commands, name="witness")
