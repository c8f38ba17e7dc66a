"""Searching one leaf of JSON: a short value is read together with its key.

"12345" alone is a number; under "mrn" it is a record number, and what stands
under "family" is a name, whether a list knows it or not. The words of the
dialect itself tell nothing about what stands under them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seawall.core.gateway.openai_chat import STRUCTURE
from seawall.core.phi.fields import label_of_field
from seawall.core.phi.spans import Span, resolve
from seawall.core.phi.walking import KeyPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seawall.core.phi.identifiers import Label
    from seawall.core.phi.walking import Path

_LONGEST: Final = 200
"""Characters up to which a leaf is read together with its key."""
_PLACEHOLDER: Final = re.compile(r"\[[A-Z]+-[0-9]+[a-z]{0,5}(?: = [^\[\]]*)?\]")


def context_of(path: Path) -> tuple[bool, tuple[str, ...]]:
    """Return what of a path decides how a leaf is read.

    The same text in the same context holds the same identifiers, so that a
    cache may go by both.
    """
    keys = tuple(step for step in path if isinstance(step, str))
    return isinstance(path, KeyPath), keys[-2:]


def with_key(text: str, path: Path) -> str:
    """Return a short leaf behind its key, as a person would read it; others as they are."""
    _, keys = context_of(path)
    key = keys[-1] if keys else ""
    if not key or key in STRUCTURE or len(text) > _LONGEST:
        return text
    return key.replace("_", " ").replace("-", " ") + ": " + text


def find_in_leaf(find: Callable[[str], Sequence[Span]], text: str, path: Path) -> list[Span]:
    """Return what `find` finds in a leaf, with its key before it where that may tell.

    Under a key that says what its value is, the whole value is an identifier;
    a name of a field is never one by the field that it stands in.
    """
    is_key, keys = context_of(path)
    found = _find_after_key(find, text, path)
    label = None if is_key else label_of_field(keys, _PLACEHOLDER.sub("", text).strip())
    return found if label is None else resolve([*found, *_rest(text, found, label)])


def _find_after_key(find: Callable[[str], Sequence[Span]], text: str, path: Path) -> list[Span]:
    read = with_key(text, path)
    lead = len(read) - len(text)
    return [
        replace(span, start=max(span.start - lead, 0), end=span.end - lead)
        for span in find(read)
        if span.end > lead
    ]


def _rest(text: str, found: Sequence[Span], label: Label) -> Iterator[Span]:
    """Yield what neither a known identifier nor a placeholder covers, as an identifier."""
    taken = [(span.start, span.end) for span in found if span.source == "known"]
    taken += [match.span() for match in _PLACEHOLDER.finditer(text)]
    at = 0
    for start, end in [*sorted(taken), (len(text), len(text))]:
        gap = text[at:start]
        if any(map(str.isalnum, gap)):
            lead = len(gap) - len(gap.lstrip())
            yield Span(at + lead, at + len(gap.rstrip()), label, "rule", 1.0)
        at = max(at, end)
