"""Sessions and answers in memory, as the fake ledger keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seawall.app.ports import (
    BeginAnswer,
    EndSession,
    EndSessions,
    ForgetExpired,
    KeepAnswer,
    KeepSession,
    KeptAnswer,
    TouchSession,
)

if TYPE_CHECKING:
    from seawall.core.identity.session import Session

OfSessions = KeepSession | EndSession | EndSessions
"""The writes that are about sessions."""


class MemorySessions:
    """What the tables of sessions and answers hold."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.answers: dict[str, KeptAnswer] = {}

    def apply(self, write: OfSessions) -> None:
        """Do a write."""
        match write:
            case KeepSession(session, replaces):
                if not replaces or self.sessions.pop(replaces, None) is not None:
                    self.sessions[session.digest] = session
            case EndSession(digest):
                self.sessions.pop(digest, None)
            case EndSessions(tenant, user, but):
                for one in self.of(tenant, user):
                    if one.digest != but:
                        del self.sessions[one.digest]

    def remember(self, fact: TouchSession | BeginAnswer | KeepAnswer | ForgetExpired) -> None:
        """Keep a fact."""
        match fact:
            case TouchSession(digest, seen_ms) if digest in self.sessions:
                held = self.sessions[digest]
                self.sessions[digest] = replace(held, seen_ms=max(held.seen_ms, seen_ms))
            case BeginAnswer(digest, asked, by, at_ms, until_ms):
                known = self.answers.get(digest)
                if known is None or known.until_ms <= at_ms:
                    self.answers[digest] = KeptAnswer(asked, by, until_ms, None)
            case KeepAnswer(digest, by, status, body):
                known = self.answers.get(digest)
                if known is not None and known.by == by and known.status is None:
                    self.answers[digest] = replace(known, status=status, body=body)
            case ForgetExpired():
                self._forget(fact)

    def of(self, tenant: str, user: str | None) -> list[Session]:
        """Return a tenant's sessions, or one person's, oldest first."""
        found = [
            one
            for one in self.sessions.values()
            if one.tenant == tenant and user in {None, one.user}
        ]
        return sorted(found, key=lambda one: (one.began_ms, one.digest))

    def _forget(self, fact: ForgetExpired) -> None:
        self.sessions = {
            digest: one
            for digest, one in self.sessions.items()
            if one.began_ms >= fact.sessions_before_ms
        }
        self.answers = {
            digest: one
            for digest, one in self.answers.items()
            if one.until_ms >= fact.answers_before_ms
        }
