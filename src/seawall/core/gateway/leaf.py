"""Searching one leaf of JSON: a short value is read together with its key.

"12345" alone is a number; under "mrn" it is a record number. The words of the
dialect itself tell nothing about what stands under them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seawall.core.gateway.openai_chat import STRUCTURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seawall.core.phi.spans import Span
    from seawall.core.phi.walking import Path

_LONGEST: Final = 200
"""Characters up to which a leaf is read together with its key."""


def find_in_leaf(find: Callable[[str], Sequence[Span]], text: str, path: Path) -> list[Span]:
    """Return what `find` finds in a leaf, with its key before it where that may tell."""
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    if not key or key in STRUCTURE or len(text) > _LONGEST:
        return list(find(text))
    lead = key.replace("_", " ").replace("-", " ") + ": "
    return [
        replace(span, start=max(span.start - len(lead), 0), end=span.end - len(lead))
        for span in find(lead + text)
        if span.end > len(lead)
    ]
