"""What a benchmark hands back: a titled table and notes, printed as aligned Markdown."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Table:
    """A title, named columns, rows of as many cells, and notes below."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the table's lines; the first column is set left, figures right."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        yield f"### {self.title}"
        yield ""
        yield _line(self.columns, widths)
        rules = ["-" * width + (":" if at else "-") for at, width in enumerate(widths)]
        yield f"| {rules[0][:-1]} |" + "".join(f" {rule[1:]} |" for rule in rules[1:])
        for row in self.rows:
            yield _line(row, widths)
        for note in self.notes:
            yield ""
            yield note


def figure(value: float) -> str:
    """Return a figure with three significant digits, or all digits of a large one."""
    if value >= 100:  # noqa: PLR2004  three digits before the point are enough
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004  as above


def say(text: str) -> None:
    """Tell on standard error what is going on."""
    print(f"  {text}", file=sys.stderr, flush=True)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return f"| {' | '.join([first, *rest])} |"
