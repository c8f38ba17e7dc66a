"""`seawall crypto`: which cryptographic modules are in use, and in which mode."""

from __future__ import annotations

import typer

from seawall.cli.options import DataDir, Json, PassphraseFile
from seawall.cli.output import print_json, print_table, say
from seawall.config import environment, read_passphrase, read_settings
from seawall.core.errors import Missing
from seawall.core.fips import MEANING
from seawall.crypto import is_broken, modules_of

__all__ = ["alone", "crypto", "is_broken"]


def alone() -> typer.Typer:
    """Return a program of this one command, for where no other can be loaded."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

    @app.callback()
    def only() -> None:
        """Tell which cryptographic module does not work: nothing else can be started."""

    app.command()(crypto)
    return app


def crypto(
    data_dir: DataDir = None, passphrase_file: PassphraseFile = None, json: Json = False
) -> None:
    """Show the cryptographic modules of this installation, and whether each is in FIPS mode.

    A program can see a mode and no certificate: which modules are validated under FIPS 140-3,
    NIST's list says. Seawall itself is not validated.
    """
    settings = read_settings(data_dir, environment())
    try:
        passphrase = read_passphrase(settings.data_dir, environment(), passphrase_file)
    except Missing:
        passphrase = None
    found = modules_of(settings, passphrase)
    if json:
        modules = [
            {
                "module": one.name,
                "version": one.version,
                "used_for": one.used_for,
                "used": one.is_used,
                "mode": one.mode,
            }
            for one in found
        ]
        print_json({"fips_required": settings.fips_required, "modules": modules})
        return
    rows = (
        (
            one.name,
            one.version,
            one.used_for if one.is_used else f"not used here: {one.used_for}",
            MEANING[one.mode],
        )
        for one in found
    )
    print_table("", ("module", "version", "for", "FIPS"), rows)
    say("a program sees a mode and no certificate: compare the versions with NIST's list")
    say("Seawall itself is not validated under FIPS 140-3, whatever this says")
