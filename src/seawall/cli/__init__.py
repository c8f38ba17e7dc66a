"""The command line: parses, calls app/, prints. One module per command.

The commands are loaded when they are asked for. Where a cryptographic module does not work,
loading them fails, and `seawall crypto` must still say which one it is.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from seawall.cli.output import print_error
from seawall.core.errors import Error, Unavailable

if TYPE_CHECKING:
    import typer


def __getattr__(name: str) -> typer.Typer:
    """Return `app`, which has every command; nothing else is here (PEP 562)."""
    if name != "app":
        raise AttributeError(name)
    from seawall.cli.program import app  # noqa: PLC0415  see above

    return app


def main() -> None:
    """Run the command line; an error of ours is told in two lines, exit status 1.

    What it writes, its user alone may read.
    """
    os.umask(0o077)
    try:
        _program(sys.argv[1:])()
    except Error as error:
        print_error(error)
        sys.exit(1)


def _program(command: list[str]) -> typer.Typer:
    """Load every command, or `crypto` alone where a cryptographic module keeps them from loading.

    `Unavailable` (`crypto-broken`) then for any other command.
    """
    try:
        from seawall.cli.program import app  # noqa: PLC0415  see above
    except (ImportError, ValueError, RuntimeError):
        from seawall.cli import crypto  # noqa: PLC0415  only here

        if not crypto.is_broken():
            raise
        if command[:1] != ["crypto"]:
            raise Unavailable(
                "crypto-broken",
                "a cryptographic module does not work, so nothing can be started",
                "`seawall crypto` says which; unset OPENSSL_CONF, or see "
                "docs/how-to/run-with-fips-cryptography.md",
            ) from None
        return crypto.alone()
    return app
