"""How the command line speaks: tables for people, JSON for programs, errors for both.

Every command speaks through here, so that no text of a document, a provider or a server
reaches a terminal with what steers it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import orjson
import typer
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from seawall.core.plain import plain, plain_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import ConsoleOptions, RenderableType

    from seawall.core.errors import Error

_WIDTH: Final = 100
_LINES: Final = "\n\t"


class _PlainConsole(Console):
    """A console on which only itself steers the terminal, whatever is printed."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render with escapes in the place of what would steer."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(plain(part.text, _LINES), part.style)


def console(*, stderr: bool = False) -> Console:
    """Return a console for people; plain text, 100 wide, where the output is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return _PlainConsole(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDTH)


def say(text: str) -> None:
    """Tell a person what is going on, on standard error, so that output stays clean."""
    console(stderr=True).print(Text(plain(text, _LINES)))


def print_json(content: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(plain_json(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()) + "\n")


def print_line(content: Any) -> None:
    """Print one JSON document on one line."""
    sys.stdout.write(plain_json(orjson.dumps(content).decode()) + "\n")


def echo(line: str) -> None:
    """Print one line on standard output, for a person or for a pipe."""
    typer.echo(plain(line, "\t"))


def echo_lines(text: str) -> None:
    """Print lines on standard output, for a person or for a pipe; the last ends as well."""
    typer.echo(plain(text.rstrip("\n"), _LINES))


def pour(text: str) -> None:
    """Write what a program made: to a pipe as it is, to a terminal with nothing that steers it."""
    sys.stdout.write(plain(text, _LINES) if sys.stdout.isatty() else text)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; an empty one says so."""
    table = Table(
        title=Text(plain(title)),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        table.add_column(Text(plain(column)), header_style="bold", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
        count += 1
    console().print(table)
    if not count:
        console().print(Text("(none)"))


def print_error(error: Error) -> None:
    """Print an error: what is wrong, its code, and what to do next."""
    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), plain(f"{error.message}  [{error.code}]")))
    if error.help:
        out.print(Text.assemble(("help:  ", "bold"), plain(error.help, _LINES)))
