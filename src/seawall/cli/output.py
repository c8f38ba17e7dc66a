"""How the command line speaks: tables for people, JSON for programs, errors for both."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seawall.core.errors import Error

_WIDTH: Final = 100


def console(*, stderr: bool = False) -> Console:
    """Return a console for people; plain text, 100 wide, where the output is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDTH)


def say(text: str) -> None:
    """Tell a person what is going on, on standard error, so that output stays clean."""
    console(stderr=True).print(Text(_plain(text, "\n\t")))


def print_json(content: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_line(content: Any) -> None:
    """Print one JSON document on one line."""
    sys.stdout.write(orjson.dumps(content).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; an empty one says so."""
    table = Table(
        title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for column in columns:
        table.add_column(Text(column), header_style="bold", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(Text(_plain(cell)) for cell in row))
        count += 1
    console().print(table)
    if not count:
        console().print(Text("(none)"))


def _plain(text: str, kept: str = "") -> str:
    """Return a text without characters that steer a terminal: their escapes stand for them."""
    return "".join(
        one if one.isprintable() or one in kept else one.encode("unicode_escape").decode()
        for one in text
    )


def print_error(error: Error) -> None:
    """Print an error: what is wrong, its code, and what to do next."""
    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), error.message, f"  [{error.code}]"))
    if error.help:
        out.print(Text.assemble(("help:  ", "bold"), error.help))
