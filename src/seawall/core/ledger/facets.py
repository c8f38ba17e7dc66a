"""By what an entry can be found: time, actor, patient, use case, endpoint, action, outcome.

A facet is a pair of a name and a value; an entry has each pair once. The index
that is made of them is a projection: it can be thrown away and made again from
the entries, and it holds nothing that they do not hold.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ANY: Final = ("any", "")
"""The pair that every entry has: it finds entries by their time alone."""

FACETS: Final = ("actor", "patient", "use-case", "endpoint", "action", "outcome")
"""The names by which entries can be asked for."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DOCUMENT_FACETS: Final = {"UseCase": "use-case", "Endpoint": "endpoint"}


def facets_of(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facets of an entry, each once, in the order of `FACETS`, `ANY` first.

    `actor` is `kind/name`; `outcome` is how an exchange ended, or the code of a refusal.
    """
    return list(dict.fromkeys([ANY, *_found(entry)]))


def _found(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    actor = entry.get("actor", {})
    yield "actor", f"{actor.get('kind', '')}/{actor.get('name', '')}"
    for patient in entry.get("patients", ()):
        yield "patient", patient
    for reference in entry.get("decision", {}).get("documents", ()):
        kind, _, name = reference.partition("@")[0].partition("/")
        if kind in _DOCUMENT_FACETS:
            yield _DOCUMENT_FACETS[kind], name
    yield "action", str(entry.get("action", ""))
    outcome = entry.get("outcome") or entry.get("code")
    if outcome:
        yield "outcome", str(outcome)


def moment_of(entry: Mapping[str, Any]) -> int:
    """Return an entry's own time, in milliseconds since 1970; 0 if it has none that can be read.

    It is the server's word: a clock that was set back makes it smaller than a predecessor's.
    """
    try:
        at = datetime.fromisoformat(str(entry.get("at", "")))
        return (at - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return 0
