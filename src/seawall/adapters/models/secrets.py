"""Reading a secret where a document says that it is: a variable or a file of one folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

_MAX_SECRET: Final = 8_192


def read_secret(reference: str, folder: Path) -> str:
    """Return the secret; `Unavailable` if it is not there, without a word of its content.

    `env:NAME` is a variable, `file:NAME` a file of `folder`; the document's form
    allows no other place (core/registers/endpoint.py).
    """
    scheme, _, place = reference.partition(":")
    secret = os.environ.get(place, "") if scheme == "env" else _read_file(folder / place)
    if not secret or not secret.isascii() or not secret.isprintable():
        raise Unavailable(
            "secret-missing",
            "the endpoint's secret is not where its document says",
            "set the variable SEAWALL_SECRET_... or the file in `secrets` that the Endpoint names",
        )
    return secret


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as source:
            secret = source.read(_MAX_SECRET + 1)
            return secret.strip() if len(secret) <= _MAX_SECRET else ""
    except (OSError, UnicodeDecodeError):
        return ""
