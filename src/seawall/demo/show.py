"""Showing an exchange side by side: what was sent, what the model saw, what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from seawall.demo.exchanges import Answered

_PLACEHOLDER: Final = r"\[[A-Z]+-\d+[a-z]*(?: = [^\]]*)?\]"
_NARROW: Final = 100


def show_exchange(out: Console, number: int, answered: Answered) -> None:
    """Print one exchange; side by side where the terminal is wide enough."""
    columns = [
        ("what the application sent", Text(answered.asked.text)),
        ("what the model saw", _seen(answered)),
        ("what came back", _back(answered)),
    ]
    entry = "no entry" if answered.entry is None else f"ledger entry {answered.entry}"
    about = f"use case {answered.asked.use_case}, endpoint {answered.asked.endpoint}, {entry}"
    body: RenderableType
    if out.width >= _NARROW:
        table = Table(box=None, expand=True, padding=(0, 1), pad_edge=False)
        for title, _ in columns:
            table.add_column(title, ratio=1, overflow="fold", header_style="bold")
        table.add_row(*(cell for _, cell in columns))
        body = table
    else:
        body = Group(*(Group(Text(title, "bold"), cell, Text()) for title, cell in columns))
    out.print(
        Panel(
            Group(Text(about, "dim"), Text(), body),
            title=Text(f"{number}. {answered.asked.title}"),
            title_align="left",
            border_style="red" if answered.outcome == "refused" else "green",
        )
    )


def _seen(answered: Answered) -> Text:
    if answered.sent_to_model is None:
        return Text("nothing: the sandbox received no request", "italic")
    messages = orjson.loads(answered.sent_to_model)["messages"]
    text = Text(str(messages[-1]["content"]))
    text.highlight_regex(_PLACEHOLDER, "bold yellow")
    return text


def _back(answered: Answered) -> Text:
    if answered.outcome == "refused":
        return Text.assemble((f"refused: {answered.code}\n", "bold red"), answered.message)
    return Text(answered.answer or "")
