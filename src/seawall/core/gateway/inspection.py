"""Looking at answers: an identifier that was not in the request is a leak.

The model may have learnt it elsewhere, or made it up; either way the caller
did not send it. The use case says what happens: `flag` records it, `mask`
replaces it, `block` refuses the answer. In a stream, `mask` and `block` hold
text back until what follows can no longer change what was found.
45 CFR 164.530(c)(1).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Refused
from seawall.core.gateway.leaf import find_in_leaf
from seawall.core.phi.identifiers import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seawall.core.gateway.given import Given
    from seawall.core.phi.spans import Span
    from seawall.core.phi.walking import Path
    from seawall.core.registers.use_case import AnswerRule

_CONTEXT: Final = 64
"""Characters already released that stay in view, because a word before may make a name."""
_MARGIN: Final = 96
"""Characters at the end that wait, because a word after may make or lengthen a find."""
_STEP: Final = 160
"""Characters that gather before the held text is searched again."""
_HARD_LIMIT: Final = 4_096
"""Held text beyond which it is cut even inside a word."""

# An organisation, a bare age or a place in an answer is general knowledge far
# more often than a leak, and removing "Mayo Clinic guideline" harms care.
_TELLING: Final = frozenset(Label) - {Label.ORGANIZATION, Label.AGE, Label.LOCATION}


class Inspector:
    """Finds identifiers in an answer that the model did not get from the request."""

    def __init__(self, find: Callable[[str], Sequence[Span]], given: Given) -> None:
        """Take a detector's `find`, and what the model was given."""
        self._find = find
        self._given = given
        self.found: Counter[str] = Counter()
        """How many new identifiers were found so far, by class."""

    def new(self, text: str, path: Path = ()) -> list[Span]:
        """Return the spans of a text, or of a leaf at `path`, that the model was not given."""
        return [
            span
            for span in find_in_leaf(self._find, text, path)
            if (span.source == "known" or span.label in _TELLING)
            and not self._given.holds(span.label, text[span.start : span.end])
        ]

    def count(self, spans: Sequence[Span]) -> None:
        """Remember what was found, for the outcome's entry."""
        self.found.update(span.label.value for span in spans)


def inspect_whole(inspector: Inspector, rule: AnswerRule, text: str, path: Path = ()) -> str:
    """Return a whole text, or a leaf at `path`, as the rule says; `Refused` for `block`."""
    spans = inspector.new(text, path)
    inspector.count(spans)
    if spans and rule == "block":
        raise _blocked()
    return text if rule == "flag" else _masked(text, spans, 0)


class AnswerFilter:
    """One text of an answer on its way out, as the use case's rule says.

    For `flag`, everything passes at once and is searched at the end. For `mask`
    and `block`, what is released was searched with its surroundings.
    """

    def __init__(self, inspector: Inspector, rule: AnswerRule) -> None:
        self._inspector = inspector
        self._rule = rule
        self._context = ""
        self._held = ""
        self._next = _STEP

    def feed(self, text: str) -> str:
        """Take more text; return what may go out now. Raises `Refused` for `block`."""
        self._held += text
        if self._rule == "flag":
            released, self._context = text, self._context + text
            self._held = ""
            return released
        if len(self._held) < self._next:
            return ""
        return self._release(len(self._held) - _MARGIN)

    def finish(self) -> str:
        """Return the rest, searched; for `flag`, search everything that passed."""
        if self._rule == "flag":
            self._inspector.count(self._inspector.new(self._context))
            return ""
        return self._release(len(self._held))

    def _release(self, most: int) -> str:
        offset = len(self._context)
        seen = self._context + self._held
        spans = [span for span in self._inspector.new(seen) if span.end > offset]
        cut = self._cut(most, [(span.start - offset, span.end - offset) for span in spans])
        going = [span for span in spans if span.end - offset <= cut]
        self._inspector.count(going)
        if going and self._rule == "block":
            raise _blocked()
        released = _masked(self._held[:cut], going, offset)
        self._context = (self._context + self._held[:cut])[-_CONTEXT:]
        self._held = self._held[cut:]
        self._next = len(self._held) + _STEP
        return released

    def _cut(self, most: int, spans: Sequence[tuple[int, int]]) -> int:
        """Return where to cut the held text: between words, outside spans and brackets."""
        held = self._held
        if most >= len(held):
            return len(held)
        cut = most
        if len(held) <= _HARD_LIMIT:
            cut = max(held.rfind(" ", 0, most), held.rfind("\n", 0, most)) + 1
            opened = held.rfind("[", 0, cut)
            if opened >= 0 and "]" not in held[opened:cut]:
                cut = opened
        for start, end in spans:
            if start < cut < end:
                cut = max(start, 0)
        return cut


def _blocked() -> Refused:
    return Refused(
        "answer-blocked",
        "the model's answer holds identifiers that were not in the request",
        "ask again in other words, or go on without AI",
    )


def _masked(text: str, spans: Sequence[Span], offset: int) -> str:
    parts: list[str] = []
    position = 0
    for span in spans:
        start = max(span.start - offset, 0)
        parts += [text[position:start], f"[{span.label.value} removed]"]
        position = span.end - offset
    return "".join([*parts, text[position:]])
