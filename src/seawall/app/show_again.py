"""A person in a session shows a factor again, before an act that needs a fresh one.

RFC 9470. The session gets a new name and keeps its age. It is the session's own
person who must be shown, and a try is two entries of the system's log, as at sign-in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.factors import Person
from seawall.app.ports import SYSTEM_LOG, SpendAssertion
from seawall.app.sign_in import CEREMONY_MS, Begun
from seawall.core.errors import Conflict, Refused
from seawall.core.identity.ticket import NONCE_BYTES, Ticket, read_ticket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.caller import Caller
    from seawall.app.factors import Accounts, Opened
    from seawall.app.ports import Clock, Ledger, Passkeys, Random, Write
    from seawall.app.sessions import Sessions
    from seawall.app.show_factors import Found, ShowFactors
    from seawall.app.try_limits import TryLimits, Where
    from seawall.core.identity.session import Session

_CHALLENGE_BYTES: Final = 32
_KIND: Final = "show-again.passkey"


class ShowAgain:
    """Takes a factor of the session's own person, and gives the session a new name."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        limits: TryLimits,
        passkeys: Passkeys,
        showing: ShowFactors,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        key: bytes,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._limits = limits
        self._passkeys = passkeys
        self._showing = showing
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._key = key

    def begin(self, caller: Caller) -> Begun:
        """Return what the browser asks a passkey of the session's own person."""
        session, challenge = _session(caller), self._random.bytes(_CHALLENGE_BYTES)
        about = {"challenge": challenge.hex(), "session": session.digest}
        until_ms = self._clock.now_ms() + CEREMONY_MS
        made = Ticket(_KIND, until_ms, about)
        ticket = made.text(self._key, self._random.bytes(NONCE_BYTES))
        return Begun(ticket, self._passkeys.request_options(challenge, must_verify_user=False))

    async def passkey(
        self, caller: Caller, where: Where, ticket: str, response: Mapping[str, Any]
    ) -> str:
        """Return the session's new name, once a passkey was shown; `Refused` otherwise."""
        session = _session(caller)
        begun = read_ticket(ticket, _KIND, self._key, self._clock.now_ms())
        if begun.about["session"] != session.digest:
            raise refusal()
        shown = self._showing.read(response, bytes.fromhex(begun.about["challenge"]))
        opened = await self._open(session, where, "passkey")
        found = self._showing.check(opened, shown)
        methods = ("hwk", "user") if found.is_user_verified else ("hwk",)
        spent: list[Write] = [SpendAssertion(begun.digest, begun.until_ms)]
        return await self._end(session, opened, found, methods, spent)

    async def code(self, caller: Caller, where: Where, code: str) -> str:
        """Return the session's new name, once a one-time code was shown; `Refused` otherwise."""
        session = _session(caller)
        opened = await self._open(session, where, "code")
        return await self._end(session, opened, self._showing.check_code(opened, code), ("otp",))

    async def _open(self, session: Session, where: Where, method: str) -> Opened:
        await self._limits.admit_session(where, session.digest)
        person = self._accounts.person(session.tenant, session.user)
        by = Person(session.tenant, session.user).principal
        said = {"method": method, "network": where.network}
        return await self._accounts.open("step-up.attempt", person, by, **said)

    async def _end(
        self,
        session: Session,
        opened: Opened,
        found: Found,
        methods: tuple[str, ...],
        spent: list[Write] | None = None,
    ) -> str:
        """Record how it ended, with the session that takes the other's place."""
        name, writes, more = "", list(spent or ()), {"outcome": "refused", "because": found.because}
        if found.account is not None:
            name, made, replacing = self._sessions.again(session, methods)
            # The account is compared even where nothing of it changes: a reset meanwhile wins.
            writes += [*replacing, await self._accounts.keeping(opened, found.account)]
            more = {"outcome": "accepted", "session": made.digest}
        try:
            await self._record(session, opened, more, writes)
        except Conflict:
            overtaken = {"outcome": "refused", "because": "overtaken"}
            await self._record(session, opened, overtaken, [])
            raise refusal() from None
        if not name:
            raise refusal()
        self._limits.forgive_session(session.digest)
        return name

    async def _record(
        self, session: Session, opened: Opened, more: dict[str, Any], writes: list[Write]
    ) -> None:
        by = Person(session.tenant, session.user).principal
        said = {"for": session.tenant, "attempt": opened.entry, **more}
        await self._ledger.append(
            SYSTEM_LOG, entry("step-up.outcome", by, self._clock, **said), writes
        )


def _session(caller: Caller) -> Session:
    if caller.session is None:
        raise Refused(
            "session-needed", "a client has no session to show a factor in", "sign in as a person"
        )
    return caller.session


def refusal() -> Refused:
    """Return the one refusal of a factor that is shown again."""
    return Refused(
        "factor-refused",
        "the factor was not accepted",
        "use a passkey of your own, or the next code of your device: each works once",
    )
