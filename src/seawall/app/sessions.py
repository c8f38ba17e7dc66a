"""Sessions: begun by a sign-in, shown by a name that only the browser has, ended at once.

45 CFR 164.312(a)(2)(iii). Whoever reads the database finds digests. A session that
idles, is too old, whose person left, or that comes from another network is none.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.caller import Caller
from seawall.app.entries import entry
from seawall.app.ports import (
    SYSTEM_LOG,
    EndSession,
    EndSessions,
    ForgetExpired,
    KeepSession,
    TouchSession,
)
from seawall.core.access.question import FRESH_MS
from seawall.core.errors import Refused
from seawall.core.identity.session import Session, SessionLimits
from seawall.core.policy.principal import Principal
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Ledger, Random, Store, Write

_TOUCH_MS: Final = 60_000
"""A session's last use is kept to the minute: a row a minute and person, and not one a request."""
_NAME_BYTES: Final = 32


class Sessions:
    """Begins, shows and ends sessions of persons."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        documents: Documents,
        clock: Clock,
        random: Random,
        limits: SessionLimits,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._documents = documents
        self._clock = clock
        self._random = random
        self._limits = limits

    def new(
        self,
        tenant: str,
        user: str,
        methods: Sequence[str],
        network: str,
        *,
        factor_ms: int | None = None,
    ) -> tuple[str, Session]:
        """Return a session's name, for the browser alone, and the session to be kept.

        `factor_ms` is when the factors were shown elsewhere; None for now, here.
        """
        name, now_ms = self._random.bytes(_NAME_BYTES).hex(), self._clock.now_ms()
        digest = _digest(name)
        said = tuple(sorted(set(methods)))
        shown_ms = now_ms if factor_ms is None else min(factor_ms, now_ms)
        return name, Session(digest, tenant, user, said, now_ms, now_ms, shown_ms, network)

    def again(
        self, session: Session, methods: Sequence[str], *, factor_ms: int | None = None
    ) -> tuple[str, Session, list[Write]]:
        """Return the session that takes another's place once a factor was shown again.

        It has a new name (ASVS 5.0, 7.2.4) and the old one's age, so that showing factors
        does not make a session last longer than it may. `factor_ms` is as for `new`. A
        session that ended meanwhile is not made anew. `user` says of the factor that was
        shown last that it verified its user, and goes where the next one did not.
        """
        name, now_ms = self._random.bytes(_NAME_BYTES).hex(), self._clock.now_ms()
        said = tuple(sorted({*session.methods, *methods} - ({"user"} - {*methods})))
        made = replace(
            session,
            digest=_digest(name),
            methods=said,
            seen_ms=now_ms,
            factor_ms=now_ms if factor_ms is None else min(factor_ms, now_ms),
        )
        return name, made, [KeepSession(made, replaces=session.digest)]

    def is_live(self, session: Session) -> bool:
        """Whether a session may be used now."""
        return session.is_live(self._clock.now_ms(), self._limits)

    def ending(self, name: str | None) -> list[Write]:
        """Return the writes that end the session of a name, as at signing in anew."""
        return [] if name is None else [EndSession(_digest(name))]

    async def identify(self, name: str, network: str) -> Caller:
        """Return whose session this is; `Refused` (`session-ended`) in the same words for all."""
        session = await self._store.session(_digest(name)) if len(name) < 2 * 64 else None
        now_ms = self._clock.now_ms()
        if session is None or not session.is_live(now_ms, self._limits):
            raise _ended()
        user = self._documents.register(session.tenant).find(UserSpec, session.user)
        if user is None or user.spec.standing != "active" or session.network != network:
            raise _ended()
        if now_ms - session.seen_ms >= _TOUCH_MS:
            await self._ledger.remember([TouchSession(session.digest, now_ms)])
        return Caller(Principal("user", session.user, session.tenant), session)

    async def forget_expired(self) -> None:
        """Delete sessions that are too old to be live, and answers to requests that expired."""
        now_ms = self._clock.now_ms()
        oldest_ms = now_ms - self._limits.absolute_seconds * 1000
        await self._ledger.remember([ForgetExpired(oldest_ms, now_ms)])

    async def end(self, caller: Caller) -> None:
        """End the caller's own session, as at signing out."""
        if caller.session is not None:
            said = {"for": caller.principal.tenant, "sessions": "one"}
            body = entry("session.end", _in_system(caller.principal), self._clock, **said)
            await self._ledger.append(SYSTEM_LOG, body, [EndSession(caller.session.digest)])

    async def others(self, caller: Caller) -> list[Session]:
        """Return the caller's other sessions that are live, the one used last first."""
        session, now_ms = _needed(caller), self._clock.now_ms()
        found = [
            one
            for one in await self._store.sessions(session.tenant, session.user)
            if one.digest != session.digest and one.is_live(now_ms, self._limits)
        ]
        return sorted(found, key=lambda one: (-one.seen_ms, one.digest))

    async def end_others(self, caller: Caller) -> int:
        """End the caller's other sessions, after a fresh factor; return the entry's index."""
        session = _needed(caller)
        if self._clock.now_ms() - session.factor_ms > FRESH_MS:
            raise Refused(
                "step-up-needed",
                "this needs a factor that was shown within the last five minutes",
                "show a factor again, and then repeat the request (RFC 9470)",
            )
        said = {"person": session.user, "for": session.tenant, "sessions": "others"}
        body = entry("session.end", _in_system(caller.principal), self._clock, **said)
        return (await self._ledger.append(SYSTEM_LOG, body, ending_others(session))).index

    async def end_all(self, by: Principal, user: str, more: Mapping[str, Any] | None = None) -> int:
        """End every session of a person of the same tenant; return the entry's index.

        `more` is what the entry says besides: by which policies it was allowed.
        """
        said = {"person": user, "for": by.tenant, "sessions": "all", **(more or {})}
        body = entry("session.end", _in_system(by), self._clock, **said)
        receipt = await self._ledger.append(SYSTEM_LOG, body, [EndSessions(by.tenant, user)])
        return receipt.index


def ending_others(session: Session) -> list[Write]:
    """Return what ends a person's other sessions; this one is not made anew if it has ended."""
    return [EndSessions(session.tenant, session.user, but=session.digest)]


def _needed(caller: Caller) -> Session:
    if caller.session is None:
        raise Refused("session-needed", "a client has no sessions", "sign in as a person")
    return caller.session


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def _in_system(principal: Principal) -> Principal:
    """Return somebody as the system's own entries name them."""
    return Principal(principal.kind, principal.name, SYSTEM_LOG)


def _ended() -> Refused:
    return Refused("session-ended", "there is no such session, or it has ended", "sign in again")
