"""Reading PostgreSQL as the tenants that a question concerns, in one trip to the server.

Row-level security shows what the setting `seawall.tenants` names, for one
transaction: what begins, names the tenants, asks and ends travels together, so
that a pooled connection carries nothing over to its next use.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, assert_never, cast

import psycopg
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

from seawall.adapters.db.postgres import foreign_errors
from seawall.app.ports import (
    BeginAnswer,
    EndSession,
    EndSessions,
    ForgetExpired,
    KeepAnswer,
    KeepArchived,
    KeepFacets,
    KeepLease,
    KeepPublished,
    KeepRewrapped,
    KeepSealed,
    KeepSession,
    KeepTenantKey,
    ReplaceTenantKey,
    ReserveUses,
    SpendAssertion,
    TouchSession,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ClauseElement, Dialect, Engine, Executable, Row

    from seawall.adapters.db.postgres_jobs import Job
    from seawall.app.ports import Fact, Write

NAME: Final = "select set_config('seawall.tenants', %b, true)"
_NAME_IN_TIME: Final = (
    "select set_config('seawall.tenants', %b, true), set_config('statement_timeout', %b, true)"
)


def named(tenants: Iterable[str]) -> str:
    """Return what the setting is to be for these tenants and logs."""
    return ",".join(sorted(set(tenants)))


def tenants_of(job: Job) -> Iterator[str]:
    """Yield the tenants, and the log, that a job of the writer concerns."""
    if job.log:
        yield job.log
    if job.key is not None:
        yield job.key.tenant
    for write in job.writes:
        yield from _of_write(write)
    for fact in job.facts:
        yield from _of_fact(fact)


def _of_write(write: Write) -> Iterator[str]:
    if isinstance(write, KeepSealed):
        yield write.sealed.context.tenant
    elif not isinstance(write, SpendAssertion | KeepSession | EndSession | EndSessions):
        yield write.tenant


def _of_fact(fact: Fact) -> Iterator[str]:
    match fact:
        case KeepTenantKey() | ReplaceTenantKey():
            yield fact.key.tenant
        case KeepRewrapped():
            yield from (key.tenant for key in fact.keys)
        case ReserveUses():
            yield fact.tenant
        case KeepFacets():
            yield fact.log
        case KeepPublished() | KeepArchived() | KeepLease():
            pass
        case TouchSession() | BeginAnswer() | KeepAnswer() | ForgetExpired():
            pass
        case _:
            assert_never(fact)


def ask(
    engine: Engine,
    query: Executable,
    values: Mapping[str, Any],
    *,
    tenants: str,
    until: float | None = None,
) -> Sequence[Row[Any]]:
    """Run a read as `tenants`; it is ended at the moment `until`, if there is one.

    A connection that a server's restart broke is noticed by its first use, so that one
    failure of that kind is no answer yet.
    """
    statement, own = _compiled(query, engine.dialect)
    parameters = {**own, **values}
    for is_last in (False, True):
        with foreign_errors(), engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            try:
                return _in_one_trip(raw, statement, parameters, tenants, until)
            except psycopg.Error:
                if not raw.closed:
                    raise
                connection.invalidate()
                if is_last:
                    raise
    raise RuntimeError("the second attempt has answered or raised")


def _in_one_trip(
    raw: Any, query: str, parameters: Mapping[str, Any], tenants: str, until: float | None
) -> Sequence[Row[Any]]:
    # Without `begin`, all of a pipeline up to its end is one transaction of the server.
    with raw.pipeline():
        if until is None:
            raw.execute(NAME, (tenants,))
        else:
            left = max(1, round((until - time.monotonic()) * 1000))
            raw.execute(_NAME_IN_TIME, (tenants, str(left)))
        cursor = raw.execute(query, parameters)
    names = [column.name for column in cursor.description]
    result: Any = IteratorResult(SimpleResultMetaData(names), iter(cursor.fetchall()))
    rows: Sequence[Row[Any]] = result.all()
    return rows


@lru_cache(maxsize=256)
def _compiled(query: Executable, dialect: Dialect) -> tuple[str, Mapping[str, Any]]:
    """Return a statement as the library takes it, with the values that it has of its own."""
    compiled = cast("ClauseElement", query).compile(dialect=dialect)
    return str(compiled), dict(compiled.params)
