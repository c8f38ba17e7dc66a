"""Lists of names, places and ordinary words, and how a finder asks them.

The lists are handed in; this module reads no file. All words are lower case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seawall.core.phi.shadow import Shadow

_CITY_SCORE: Final = 0.6
_HOSPITAL_SCORE: Final = 0.8


def is_word_bounded(text: str, start: int, end: int) -> bool:
    """Say whether `text[start:end]` neither begins nor ends within a word."""
    return not (
        (start > 0 and text[start - 1].isalnum()) or (end < len(text) and text[end].isalnum())
    )


class Gazetteers:
    """What is known of names in general; holds nothing of any patient.

    `given`, `surnames`, `cities` and `ordinary` answer for single words (or
    phrases) in lower case. `kept` are proper names that identify nobody:
    states, countries, national payers, makers of devices, studies.
    """

    def __init__(
        self,
        *,
        given: Iterable[str],
        surnames: Iterable[str],
        cities: Iterable[str],
        hospitals: Iterable[str],
        ordinary: Iterable[str],
        kept: Iterable[str],
    ) -> None:
        self.given: Final = frozenset(given)
        self.surnames: Final = frozenset(surnames)
        self.cities: Final = frozenset(city.lower() for city in cities)
        self.ordinary: Final = frozenset(ordinary)
        self.kept: Final = frozenset(name.lower() for name in kept)
        phrases = {city: Label.LOCATION for city in self.cities if " " in city}
        phrases |= {hospital.lower(): Label.ORGANIZATION for hospital in hospitals}
        for name in self.kept:
            phrases.pop(name, None)
        self._labels: Final = list(phrases.values())
        self._places: Final = AhoCorasick(
            list(phrases),
            matchkind=MatchKind.LeftmostLongest,
            implementation=Implementation.ContiguousNFA,
        )

    def find_places(self, shadow: Shadow) -> Iterator[Span]:
        """Yield cities of several words and care sites that are written with capitals."""
        text = shadow.text
        for index, start, end in self._places.find_matches_as_indexes(text.lower()):
            label = self._labels[index]
            if is_word_bounded(text, start, end) and _is_proper(text[start:end]):
                score = _HOSPITAL_SCORE if label is Label.ORGANIZATION else _CITY_SCORE
                yield Span(start, end, label, "gazetteer", score)


def _is_proper(phrase: str) -> bool:
    """Say whether the first and the last word begin with a capital."""
    last = phrase.rsplit(" ", 1)[-1]
    return phrase[0].isupper() and last[0].isupper()
