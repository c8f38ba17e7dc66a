"""Walking a request: every leaf searched, what may not be seen replaced.

One pass does four things: finds identifiers, replaces the classes that the use
case may not see, notes clinical content, and collects the terms by which the
request is matched to known patients. 45 CFR 164.502(b), 164.514(d)(2).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seawall.core.gateway.leaf import context_of, find_in_leaf, with_key
from seawall.core.gateway.openai_chat import STRUCTURE, check_parameters
from seawall.core.phi.known import index_kind, normalise_term
from seawall.core.phi.walking import transform
from seawall.core.policy.scope import to_replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Detector
    from seawall.core.phi.identifiers import Label
    from seawall.core.phi.known import KnownIdentifiers
    from seawall.core.phi.replacement import Placeholders
    from seawall.core.phi.spans import Span
    from seawall.core.phi.walking import Path
    from seawall.core.registers.use_case import Sees


@dataclass(slots=True)
class Minimised:
    """A request after minimising, and what minimising learnt; terms are PHI."""

    body: Any = None
    texts: list[str] = field(default_factory=list, repr=False)
    """Every text as it will be sent."""
    identifiers: list[tuple[Label, str]] = field(default_factory=list, repr=False)
    """Every identifier that will be sent, because the use case may see its class."""
    found: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    clinical: set[str] = field(default_factory=set)
    terms: set[tuple[str, str]] = field(default_factory=set, repr=False)
    """(kind, normalised value) of what may tell whose data this is."""
    has_known: bool = False
    """Whether the text names the patient at hand."""

    def left(self) -> dict[str, int]:
        """Return how many identifiers leave, by class."""
        return {
            label: count - self.replaced[label]
            for label, count in self.found.items()
            if count > self.replaced[label]
        }


def minimise(
    body: Any,
    *,
    sees: Sees,
    detector: Detector,
    known: Sequence[KnownIdentifiers],
    placeholders: Placeholders,
) -> Minimised:
    """Return the body with everything replaced that the use case may not see."""
    result = Minimised()
    seen: dict[tuple[tuple[bool, tuple[str, ...]], str], list[Span]] = {}

    def find(text: str) -> list[Span]:
        return detector.find(text, known)

    def search(text: str, path: Path) -> list[Span]:
        # The same value under the same key is searched once: a long list may repeat it.
        place = (context_of(path), text)
        if place not in seen:
            seen[place] = find_in_leaf(find, text, path)
            if not sees.clinical_text:
                read = detector.clinical_terms(with_key(text, path))
                result.clinical.update(term.kind for term in read)
        return seen[place]

    def leaf(text: str, path: Path) -> str:
        if text in STRUCTURE:
            return text
        spans = search(text, path)
        result.found.update(span.label.value for span in spans)
        for span in spans:
            result.has_known = result.has_known or span.source == "known"
            kind = index_kind(span.label)
            if kind is not None:
                value = normalise_term(kind, text[span.start : span.end])
                result.terms.add((kind, value))
        replacing = to_replace(spans, sees)
        # Spans do not overlap, so where they start tells them apart, in linear time.
        going = {span.start for span in spans} - {span.start for span in replacing}
        result.identifiers += [
            (span.label, text[span.start : span.end]) for span in spans if span.start in going
        ]
        result.replaced.update(span.label.value for span in replacing)
        sent = placeholders.replace(text, replacing)
        result.texts.append(sent)
        return sent

    result.body = transform(body, leaf)
    check_parameters(result.body)
    return result
