"""What writes and facts about sessions and answers become in SQL, for either database.

The statements name their parameters with the mark of the database's own library.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import (
    SPENT_LONGER_MS,
    BeginAnswer,
    EndSession,
    EndSessions,
    ForgetExpired,
    KeepAnswer,
    KeepSession,
    TouchSession,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

OfSessions = KeepSession | EndSession | EndSessions
"""The writes that are about sessions."""
OfTime = TouchSession | BeginAnswer | KeepAnswer | ForgetExpired
"""The facts that are about sessions and answers."""

_KEEP: Final = (
    "insert into sessions (digest, tenant, person, methods, began_ms, seen_ms, factor_ms, network) "
    "values ({p}, {p}, {p}, {p}, {p}, {p}, {p}, {p})"
)
_REPLACE: Final = (
    "insert into sessions (digest, tenant, person, methods, began_ms, seen_ms, factor_ms, network) "
    "select cast({p} as text), cast({p} as text), cast({p} as text), cast({p} as text), "
    "cast({p} as bigint), cast({p} as bigint), cast({p} as bigint), cast({p} as text) "
    "where exists (select 1 from sessions where digest = {p})"
)
_END: Final = "delete from sessions where digest = {p}"
_END_ALL: Final = "delete from sessions where tenant = {p} and person = {p} and digest <> {p}"
_TOUCH: Final = "update sessions set seen_ms = {p} where digest = {p} and seen_ms < {p}"
_CLEAR: Final = "delete from answers where digest = {p} and until_ms <= {p}"
_CLAIM: Final = (
    "insert into answers (digest, asked, claimed_by, until_ms) values ({p}, {p}, {p}, {p}) "
    "on conflict (digest) do nothing"
)
_ANSWER: Final = (
    "update answers set status = {p}, body = {p} where digest = {p} and claimed_by = {p} "
    "and status is null"
)
_OLD_SESSIONS: Final = "delete from sessions where began_ms < {p}"
_OLD_ANSWERS: Final = "delete from answers where until_ms < {p}"
_OLD_ASSERTIONS: Final = "delete from assertions where until_ms < {p}"


def session_statements(
    change: OfSessions | OfTime, mark: str
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the statements of one change, with `mark` for each parameter, and the parameters."""
    for statement, values in _statements(change):
        yield _marked(statement, mark), values


@cache
def _marked(statement: str, mark: str) -> str:
    return statement.format(p=mark)


def _statements(change: OfSessions | OfTime) -> Iterator[tuple[str, tuple[Any, ...]]]:
    match change:
        case KeepSession(made, replaces):
            whose = (made.digest, made.tenant, made.user, " ".join(made.methods))
            row = (*whose, made.began_ms, made.seen_ms, made.factor_ms, made.network)
            if replaces:
                yield _REPLACE, (*row, replaces)
                yield _END, (replaces,)
            else:
                yield _KEEP, row
        case EndSession(digest):
            yield _END, (digest,)
        case EndSessions(tenant, user, but):
            yield _END_ALL, (tenant, user, but)
        case TouchSession(digest, seen_ms):
            yield _TOUCH, (seen_ms, digest, seen_ms)
        case BeginAnswer(digest, asked, by, at_ms, until_ms):
            yield _CLEAR, (digest, at_ms)
            yield _CLAIM, (digest, asked, by, until_ms)
        case KeepAnswer(digest, by, status, body):
            yield _ANSWER, (status, body, digest, by)
        case ForgetExpired(sessions_before_ms, answers_before_ms):
            yield _OLD_SESSIONS, (sessions_before_ms,)
            yield _OLD_ANSWERS, (answers_before_ms,)
            yield _OLD_ASSERTIONS, (answers_before_ms - SPENT_LONGER_MS,)
