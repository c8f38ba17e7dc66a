"""Finding identifiers in one text: known ones, rules and lists together.

`Detector.find` errs towards taking: a character that any finder calls an
identifier is in a span. It never takes a clinical word on the word of a list.
It holds nothing of any text, and compiled matchers of few patients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.core.phi.dates import find_dates
from seawall.core.phi.fields import find_quoted_fields
from seawall.core.phi.known_matching import KnownMatcher
from seawall.core.phi.rules_ids import find_ids
from seawall.core.phi.rules_names import NameFinder
from seawall.core.phi.rules_numbers import (
    find_ages,
    find_network,
    find_phones,
    find_ssns,
    find_usernames,
)
from seawall.core.phi.rules_places import PlaceFinder
from seawall.core.phi.segments import find_segments
from seawall.core.phi.shadow import Shadow
from seawall.core.phi.spans import Span, is_inside, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seawall.core.phi.clinical import ClinicalLexicon, ClinicalTerm
    from seawall.core.phi.gazetteers import Gazetteers
    from seawall.core.phi.known import KnownIdentifiers

_CACHED_MATCHERS: Final = 256


class Detector:
    """Finds PHI and clinical content in a text; may be shared between requests and threads."""

    def __init__(self, gazetteers: Gazetteers, clinical: ClinicalLexicon) -> None:
        self._lists: Final = gazetteers
        self._clinical: Final = clinical
        self._names: Final = NameFinder(gazetteers, clinical)
        self._places: Final = PlaceFinder(gazetteers, clinical)
        # By identity: equality would compare every identifier. The value keeps its key alive.
        self._matchers: Final[dict[int, tuple[KnownIdentifiers, KnownMatcher]]] = {}

    def find(self, text: str, known: Sequence[KnownIdentifiers] = ()) -> list[Span]:
        """Return the identifiers in a text, in order and without overlap.

        Offsets are code points. Any text is allowed, unpaired surrogates too.
        """
        shadow = Shadow.of(text)
        if not shadow.text or shadow.text.isspace():
            return []
        spans = list(self._find_in_shadow(shadow, known))
        if shadow.starts is None:
            return resolve(spans)
        return resolve(
            Span(*shadow.to_original(span.start, span.end), span.label, span.source, span.score)
            for span in spans
        )

    def clinical_terms(self, text: str) -> list[ClinicalTerm]:
        """Return the clinical content of a text; the logistics of care are none."""
        return self._clinical.find_content(Shadow.of(text))

    def _find_in_shadow(self, shadow: Shadow, known: Sequence[KnownIdentifiers]) -> Iterator[Span]:
        text = shadow.ascii
        for each in known:
            yield from self._matcher(each).find(shadow)
        if any(char in text for char in b"0123456789"):
            yield from find_dates(shadow)
            yield from find_ages(text)
            yield from find_phones(text)
            yield from find_ssns(text)
            yield from find_ids(text)
        else:
            yield from find_dates(shadow)
            yield from find_ages(text)
        if b"|" in text:
            yield from find_segments(text)
        if b'"' in text:
            yield from find_quoted_fields(text)
        yield from find_network(text)
        yield from find_usernames(text, self._lists.ordinary)
        places = [
            *self._places.find(text),
            *(
                place
                for place in self._lists.find_places(shadow)
                if not self._clinical.names_disease(text, place.end)
            ),
        ]
        yield from places
        yield from _outside(self._names.find(shadow), places)

    def _matcher(self, known: KnownIdentifiers) -> KnownMatcher:
        held = self._matchers.get(id(known))
        if held is not None:
            return held[1]
        matcher = KnownMatcher(known, self._names.is_blocked, self._clinical)
        # Single steps only: another thread may be here too, and the worst is a second compile.
        self._matchers[id(known)] = (known, matcher)
        for oldest in list(self._matchers)[:-_CACHED_MATCHERS]:
            self._matchers.pop(oldest, None)
        return matcher


def _outside(names: Iterable[Span], places: list[Span]) -> Iterator[Span]:
    """Leave out names that are a part of a place: "Elm" in "Elm Clinic" is nobody's."""
    ranges = [(place.start, place.end) for place in resolve(places)]
    for name in names:
        if not is_inside(ranges, name.start, name.end):
            yield name
