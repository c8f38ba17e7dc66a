"""What finds entries and reads facts, in the SQL that both databases speak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Text, and_, bindparam, cast, exists, func, or_, select

from seawall.adapters.db.schema import (
    answers,
    archived,
    assertions,
    entries,
    facets,
    heads,
    indexed,
    published,
    sessions,
)
from seawall.app.ports import Archived, KeptAnswer, Published
from seawall.core.identity.session import Session
from seawall.core.ledger.facets import ANY

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ColumnElement, Row, Select

    from seawall.app.ports import Query

ENOUGH: Final = 2_000
"""So many entries of a facet are counted, to begin with the rarest; more are simply many."""

ALL: Final = 1 << 62
"""A limit that is none, in a way that both databases take."""

INDEXED: Final = select(indexed.c.upto).where(indexed.c.log == bindparam("log"))
PUBLISHED: Final = (
    select(published)
    .where(published.c.log == bindparam("log"), published.c.size > bindparam("above"))
    .order_by(published.c.size)
    .limit(bindparam("most"))
)
LAST_PUBLISHED: Final = (
    select(published)
    .where(published.c.log == bindparam("log"), published.c.size <= bindparam("size"))
    .order_by(published.c.size.desc())
    .limit(1)
)
WITNESSED: Final = (
    select(published)
    .where(
        published.c.log == bindparam("log"),
        published.c.size >= bindparam("covering"),
        published.c.is_witnessed,
    )
    .order_by(published.c.size.desc())
    .limit(1)
)
ARCHIVED: Final = (
    select(archived)
    .where(archived.c.log == bindparam("log"))
    .order_by(archived.c.bundle, archived.c.archive)
)
SPENT_FROM: Final = select(assertions.c.digest).where(
    assertions.c.digest >= bindparam("first"), assertions.c.until_ms > bindparam("now_ms")
)
SESSION: Final = select(sessions).where(sessions.c.digest == bindparam("digest"))
_PERSON: Final[BindParameter[str]] = bindparam("person")
SESSIONS: Final = (
    select(sessions)
    .where(
        sessions.c.tenant == bindparam("tenant"),
        or_(cast(_PERSON, Text).is_(None), sessions.c.person == _PERSON),
    )
    .order_by(sessions.c.began_ms, sessions.c.digest)
)
ANSWER: Final = select(answers).where(answers.c.digest == bindparam("digest"))
_MINIMUM: Final = select(heads.c.minimum).where(heads.c.log == bindparam("log")).scalar_subquery()
FACET: Final = (
    select(facets.c.position)
    .where(
        facets.c.position >= _MINIMUM,
        facets.c.log == bindparam("log"),
        facets.c.facet == bindparam("facet"),
        facets.c.value == bindparam("value"),
    )
    .limit(1)
)
COUNT: Final = select(func.count()).select_from(
    select(facets.c.position)
    .where(
        facets.c.log == bindparam("log"),
        facets.c.facet == bindparam("facet"),
        facets.c.value == bindparam("value"),
    )
    .limit(ENOUGH)
    .subquery()
)


def finding(log: str, query: Query, first: tuple[str, str] | None) -> Select[Any]:
    """Return the statement for a query; `first` is its rarest facet, which leads the search.

    Without conditions the log's end is read as it is, indexed or not. What lies below the
    minimum is not found, also where a pruning that was interrupted has not yet deleted it.
    """
    minimum = select(heads.c.minimum).where(heads.c.log == log).scalar_subquery()
    wanted: list[ColumnElement[bool]] = [entries.c.log == log, entries.c.position >= minimum]
    if query.before is not None:
        wanted.append(entries.c.position < query.before)
    in_time = (query.since_ms, query.until_ms, query.earlier) != (None, None, None)
    if first is None and not in_time:
        statement = select(entries.c.position, entries.c.entry).where(*wanted)
        return statement.order_by(entries.c.position.desc()).limit(query.last)
    lead = facets.alias("lead")
    facet, value = first or ANY
    wanted += [lead.c.log == log, lead.c.facet == facet, lead.c.value == value]
    if query.since_ms is not None:
        wanted.append(lead.c.at_ms >= query.since_ms)
    if query.until_ms is not None:
        wanted.append(lead.c.at_ms < query.until_ms)
    if query.before is not None:
        wanted.append(lead.c.position < query.before)
    if query.earlier is not None:
        # The bound on time alone is what the index is searched by.
        at_ms, position = query.earlier
        wanted += [
            lead.c.at_ms <= at_ms,
            or_(lead.c.at_ms < at_ms, lead.c.position < position),
        ]
    for place, (other, its_value) in enumerate(set(query.facets) - {(facet, value)}):
        also = facets.alias(f"also_{place}")
        wanted.append(
            exists().where(
                also.c.log == log,
                also.c.facet == other,
                also.c.value == its_value,
                also.c.at_ms == lead.c.at_ms,
                also.c.position == lead.c.position,
            )
        )
    return (
        select(entries.c.position, entries.c.entry)
        .select_from(lead)
        .join(entries, and_(entries.c.log == lead.c.log, entries.c.position == lead.c.position))
        .where(*wanted)
        .order_by(lead.c.at_ms.desc(), lead.c.position.desc())
        .limit(query.last)
    )


def published_of(row: Row[Any]) -> Published:
    """Read a row of `published`."""
    stamp = bytes(row.stamp) if row.stamp is not None else None
    return Published(row.log, row.size, row.at_ms, row.note, bool(row.is_witnessed), stamp)


def archived_of(row: Row[Any]) -> Archived:
    """Read a row of `archived`."""
    return Archived(row.log, row.bundle, row.archive, row.version, row.digest, row.at_ms)


def session_of(row: Row[Any]) -> Session:
    """Return a session as the database has it."""
    return Session(
        digest=row.digest,
        tenant=row.tenant,
        user=row.person,
        methods=tuple(row.methods.split()),
        began_ms=row.began_ms,
        seen_ms=row.seen_ms,
        factor_ms=row.factor_ms,
        network=row.network,
    )


def answer_of(row: Row[Any]) -> KeptAnswer:
    """Return what is known of an idempotency key, as the database has it."""
    return KeptAnswer(row.asked, row.claimed_by, row.until_ms, row.status, bytes(row.body or b""))
