"""What the model was given: whether an identifier in its answer is one of those.

A name counts as given if its words stand in the request in this order; a
number, if the same one was left in the request, however it was punctuated; a
date, if the same day was, however it was written. Nothing counts because its
characters happen to stand inside something else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seawall.core.phi.identifiers import Label
from seawall.core.phi.written_dates import read_date

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD: Final = re.compile(r"[^\W_]+")


class Given:
    """The text and the identifiers that left with a request; shows nothing."""

    __slots__ = ("_contents", "_days", "_text")

    def __init__(self, texts: Iterable[str], left: Iterable[tuple[Label, str]]) -> None:
        """Take every text as it was sent, and each identifier that was not replaced."""
        self._text = _words(" \n ".join(texts))
        identifiers = list(left)
        self._contents = {(label, _joined(value)) for label, value in identifiers}
        days = (read_date(value) for label, value in identifiers if label is Label.DATE)
        self._days = {day for day in days if day is not None}

    def __repr__(self) -> str:
        return f"<Given with {len(self._contents)} identifiers>"

    def holds(self, label: Label, value: str) -> bool:
        """Whether the model got this from the request."""
        words = _words(value)
        if not words.strip() or words in self._text or (label, _joined(value)) in self._contents:
            return True
        return label is Label.DATE and self._is_day(value)

    def _is_day(self, value: str) -> bool:
        if read_date(value) in self._days:
            return True
        # "December 15" of an appointment in 2026: the year was given, and is left out.
        return any(read_date(f"{value}, {day.year}") == day for day in self._days)


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _joined(text: str) -> str:
    return "".join(_WORD.findall(text.casefold()))
