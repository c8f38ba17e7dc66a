"""What somebody asks of a log, read from text: filters by facet, time, and how many.

No value that cannot be one of an entry's gets further: a filter has a form,
and what does not fit it is refused without being repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import Query
from seawall.core.errors import Invalid
from seawall.core.ledger.encoding import LARGEST_INTEGER
from seawall.core.ledger.facets import FACETS, moment_text, read_facet, read_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

LAST: Final = 20
"""How many entries are given, unless the query says so."""

MOST: Final = 1_000
"""How many entries one query gives at most; `before` pages through more."""

FIELDS: Final = (*FACETS, "since", "until", "before", "last")
"""What a query may say."""


def read_query(given: Mapping[str, str], now_ms: int) -> Query:
    """Return the query that fields of text make; `Invalid` names the field that is wrong."""
    if not given.keys() <= set(FIELDS):
        raise Invalid(
            "filter-unknown",
            "the query has a field that does not exist",
            f"the fields are {', '.join(FIELDS)}",
        )
    moments = {
        name: read_moment(name, given[name], now_ms) if name in given else None
        for name in ("since", "until")
    }
    return Query(
        facets=tuple(read_facet(facet, given[facet]) for facet in FACETS if facet in given),
        since_ms=moments["since"],
        until_ms=moments["until"],
        before=_number(given, "before", 0, LARGEST_INTEGER),
        last=_number(given, "last", 1, MOST) or LAST,
    )


def query_fields(query: Query) -> dict[str, Any]:
    """Return a query as an entry says it, and as `read_query` reads it when made text."""
    said: dict[str, Any] = dict(query.facets)
    for name, moment in (("since", query.since_ms), ("until", query.until_ms)):
        if moment is not None:
            said[name] = moment_text(moment)
    if query.before is not None:
        said["before"] = query.before
    return {**said, "last": query.last}


def _number(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)):
        number = int(text)
        if least <= number <= most and str(number) == text:
            return number
    raise Invalid(
        "number-invalid", f"{name} is not a number that it may be", f"use {least} to {most:,}"
    )
