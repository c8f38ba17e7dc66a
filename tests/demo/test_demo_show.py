"""How an exchange is shown, wide and narrow."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from seawall.demo.exchanges import Answered, Asked
from seawall.demo.show import show_exchange
from seawall.demo.stage import sample_patients


def shown(width: int, *, refused: bool) -> str:
    """Show an exchange on a console of a width; return the text."""
    asked = Asked("A title", "visit-summary", "sandbox", sample_patients()["toy"], "what I sent")
    seen = None if refused else json.dumps({"messages": [{"content": "what [NAME-1] saw"}]})
    outcome, code = ("refused", "no-agreement") if refused else ("answered", None)
    back = None if refused else "what came"
    answered = Answered(asked, outcome, code, "because", seen, back, None if refused else 7)
    out = io.StringIO()
    show_exchange(Console(file=out, width=width), 1, answered)
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 140])
def test_answered_exchange_shows_all_three_sides(width: int) -> None:
    """Wide or narrow, an exchange shows what was sent, seen and given back, and its entry."""
    text = shown(width, refused=False)

    assert [True] * 5 == [
        part in text
        for part in ("1. A title", "what I sent", "what [NAME-1] saw", "what came", "entry 7")
    ]


@pytest.mark.parametrize("width", [60, 140])
def test_refused_exchange_shows_that_nothing_was_sent(width: int) -> None:
    """A refused exchange shows its code and reason, and that the model saw nothing."""
    text = " ".join(shown(width, refused=True).split())

    assert [True] * 3 == [part in text for part in ("nothing:", "refused: no-agreement", "because")]
