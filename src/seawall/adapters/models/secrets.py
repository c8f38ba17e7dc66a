"""Reading a secret where a document says that it is: `env:NAME` or `file:PATH`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from seawall.core.errors import Unavailable

_MAX_SECRET: Final = 8_192


def read_secret(reference: str) -> str:
    """Return the secret; `Unavailable` if it is not there, without a word of its content."""
    scheme, _, place = reference.partition(":")
    secret = os.environ.get(place, "") if scheme == "env" else _read_file(Path(place))
    if not secret or not secret.isascii() or not secret.isprintable():
        raise Unavailable(
            "secret-missing",
            "the endpoint's secret is not where its document says",
            "set the environment variable or the file that the Endpoint names",
        )
    return secret


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as source:
            secret = source.read(_MAX_SECRET + 1)
            return secret.strip() if len(secret) <= _MAX_SECRET else ""
    except (OSError, UnicodeDecodeError):
        return ""
