"""A terminal in this process: commands of `seawall` on a data folder, and what they say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import typer.testing
from typer.main import get_command
from typer.testing import CliRunner

from seawall.cli import app
from seawall.core.errors import Error

if TYPE_CHECKING:
    from pathlib import Path

# The tree of all commands is built once, and not for every command that a test runs.
vars(typer.testing)["_get_command"] = cache(get_command)


@dataclass(frozen=True)
class Said:
    """What a command printed, and the error in which it ended, if any."""

    out: str
    err: str
    status: int
    error: BaseException | None

    @property
    def code(self) -> str | None:
        """The code of the error."""
        return self.error.code if isinstance(self.error, Error) else None

    def json(self) -> Any:
        """Return the parsed output of a command that succeeded."""
        assert (0, None) == (self.status, self.code)
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """A terminal on one data folder."""

    folder: Path

    def run(self, *command: str, **environment: str) -> Said:
        """Run a command of `seawall`."""
        given = {"SEAWALL_DATA_DIR": str(self.folder), "SEAWALL_PASSPHRASE": "open sesame"}
        result = CliRunner().invoke(app, list(command), env={**given, **environment})
        return Said(result.stdout, result.stderr, result.exit_code, result.exception)
