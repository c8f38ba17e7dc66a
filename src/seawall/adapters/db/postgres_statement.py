"""One statement of PostgreSQL's writer, and the shape that most of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.adapters.db.session_statements import session_statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seawall.adapters.db.session_statements import OfSessions, OfTime


class Statement(NamedTuple):
    """SQL with its parameters, and how many rows it must touch where that is certain."""

    query: str
    parameters: tuple[Any, ...]
    rows: int | None = None


def columns_of(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Return rows as columns, which is how one statement takes many."""
    return tuple(list(column) for column in zip(*rows, strict=True))


def insert(
    table: str,
    types: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    conflict: str = "do nothing",
    *,
    each: bool = False,
) -> Statement:
    """Return what inserts rows by one statement; with `each`, all of them or it has failed."""
    arrays = ", ".join(f"%b::{kind}[]" for kind in types)
    query = f"insert into {table} select * from unnest({arrays}) on conflict {conflict}"  # noqa: S608  names of ours
    return Statement(query, columns_of(rows), len(rows) if each else None)


def of_session(change: OfSessions | OfTime) -> Iterator[Statement]:
    """Yield what a change about sessions or answers becomes."""
    for query, values in session_statements(change, "%b"):
        yield Statement(query, values)
