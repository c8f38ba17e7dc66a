"""A person in a session sees, adds and takes away factors of their own.

A change needs both factors anew: a sign-in, or a passkey that verified its user, of the
last five minutes (ASVS 5.0, 7.5.1), and never a session of an offline factor. It ends the
person's other sessions, and what is left must be enough to sign in. Each is two entries of
the system's log, as at enrolment. Nobody changes another person's factors: a security
officer gives a link (`seawall.app.enrol`).
45 CFR 164.312(d), 164.308(a)(5)(ii)(D).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.enrol import named_passkey, new_codes
from seawall.app.entries import entry
from seawall.app.factors import Person, credential_item
from seawall.app.ports import SYSTEM_LOG
from seawall.app.sessions import ending_others
from seawall.app.sign_in import CEREMONY_MS, SECRET_BYTES, Begun
from seawall.core.access.question import FRESH_MS
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused
from seawall.core.identity.account import MOST_PASSKEYS, digest_of, plain_code
from seawall.core.identity.offline import OFFLINE
from seawall.core.identity.ticket import NONCE_BYTES, Ticket, read_ticket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from seawall.app.caller import Caller
    from seawall.app.factors import Accounts, Opened
    from seawall.app.ports import Clock, Ledger, Notifier, Passkeys, Random, Write
    from seawall.app.try_limits import Where
    from seawall.core.identity.account import Account
    from seawall.core.identity.session import Session

    _Change = Callable[[Opened], Awaitable["Changed"]]

_KIND: Final = "own-factors.passkey"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change of factors ends in: the account, what goes with it, how entries call it."""

    account: Account
    what: str
    writes: tuple[Write, ...] = ()


class OwnFactors:
    """Acts on the factors of the session's own person, and of nobody else."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        passkeys: Passkeys,
        ledger: Ledger,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        key: bytes,
    ) -> None:
        self._accounts = accounts
        self._passkeys = passkeys
        self._ledger = ledger
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._key = key

    async def shown(self, caller: Caller, where: Where) -> Account:
        """Return the person's account; what it shows of secrets is for the caller to leave out."""
        return (await self._open(_session(caller), where, "enrol.view")).account

    def begin(self, caller: Caller) -> Begun:
        """Return what a browser asks an authenticator for another passkey."""
        session = self._fresh(caller)
        person = Person(session.tenant, session.user)
        spec = self._accounts.spec(person)
        challenge = self._random.bytes(SECRET_BYTES)
        about = {"challenge": challenge.hex(), "session": session.digest}
        ticket = Ticket(_KIND, self._clock.now_ms() + CEREMONY_MS, about)
        options = self._passkeys.creation_options(
            handle=self._accounts.handle(person),
            user=person.name,
            title=person.name if spec is None else spec.title,
            challenge=challenge,
        )
        return Begun(ticket.text(self._key, self._random.bytes(NONCE_BYTES)), options)

    async def add(
        self, caller: Caller, where: Where, ticket: str, response: Mapping[str, Any], name: str
    ) -> None:
        """Add a passkey; one that does not verify its user only where there is a password."""
        session = self._fresh(caller)
        begun = read_ticket(ticket, _KIND, self._key, self._clock.now_ms())

        async def change(opened: Opened) -> Changed:
            """Return the account with the passkey."""
            if begun.about["session"] != session.digest or opened.person is None:
                raise Refused("ceremony-over", "this was begun in another session", "begin again")
            made = self._passkeys.made(response, bytes.fromhex(begun.about["challenge"]))
            held = opened.account.passkeys
            if len(held) >= MOST_PASSKEYS:
                raise Refused("passkeys-many", f"there are {MOST_PASSKEYS} passkeys", "remove one")
            if not (made.is_user_verified or opened.account.password):
                raise Invalid(
                    "factors-missing",
                    "this passkey would not be enough to sign in",
                    "use one with a PIN or a finger",
                )
            passkey = named_passkey(made.passkey, name, self._clock.now_ms())
            account = replace(opened.account, passkeys=(*held, passkey))
            owned = await self._accounts.owning(opened.person, passkey.id)
            return Changed(account, "passkey-added", (owned,))

        await self._change(session, where, change)

    async def remove(self, caller: Caller, where: Where, digest: str) -> None:
        """Take a passkey away by the SHA-256 of its id, and end the person's other sessions."""
        session = self._fresh(caller)

        async def change(opened: Opened) -> Changed:
            """Return the account without the passkey."""
            held = opened.account.passkeys
            left = tuple(one for one in held if credential_item(one.id) != digest)
            if len(left) == len(held):
                raise Missing("passkey-unknown", "you have no such passkey", "see GET /api/factors")
            account = replace(opened.account, passkeys=left)
            if not account.is_enough:
                raise Refused(
                    "factors-missing",
                    "what is left would not be enough to sign in",
                    "add another passkey first",
                )
            return Changed(account, "passkey-removed")

        await self._change(session, where, change)

    async def renew_codes(self, caller: Caller, where: Where) -> tuple[str, ...]:
        """Return new recovery codes, once; the old ones are none any more."""
        session, codes = self._fresh(caller), new_codes(self._random)

        async def change(opened: Opened) -> Changed:
            """Return the account with other codes."""
            if not opened.account.password:
                raise Refused(
                    "codes-useless",
                    "recovery codes are used after a password, and you have none",
                    "add a second passkey instead",
                )
            digests = tuple(digest_of(plain_code(code)) for code in codes)
            return Changed(replace(opened.account, recovery=digests), "codes-renewed")

        await self._change(session, where, change)
        return codes

    async def _change(self, session: Session, where: Where, change: _Change) -> None:
        """Open the account, change it, and keep it; what is refused changes nothing."""
        opened = await self._open(session, where)
        try:
            made = await change(opened)
            # A link that was given for a recovery code is of what was before.
            kept = await self._accounts.keeping(opened, replace(made.account, link=None))
            said = {"what": made.what, "factors": list(made.account.factors)}
            writes = [kept, *made.writes, *ending_others(session)]
            index = await self._record(session, opened, "enrolled", writes, **said)
        except Conflict:
            await self._record(session, opened, "refused", because="overtaken")
            raise Conflict(
                "factors-changed", "your factors were changed meanwhile", "look at them again"
            ) from None
        except Error as error:
            await self._record(session, opened, "refused", because=error.code)
            raise
        self._notifier.alarm("factors-changed", session.tenant, index)

    async def _open(self, session: Session, where: Where, action: str = "enrol.attempt") -> Opened:
        person = self._accounts.person(session.tenant, session.user)
        by = Person(session.tenant, session.user).principal
        opened = await self._accounts.open(action, person, by, network=where.network)
        if opened.hindrance:
            await self._record(session, opened, "refused", because=opened.hindrance)
            raise Refused(
                "factors-elsewhere",
                "you have no factors here",
                "whoever signs in at an identity provider changes them there",
            )
        return opened

    async def _record(
        self,
        session: Session,
        opened: Opened,
        outcome: str,
        writes: list[Write] | None = None,
        **more: Any,
    ) -> int:
        by = Person(session.tenant, session.user).principal
        said = {**opened.told, "attempt": opened.entry, "outcome": outcome, **more}
        body = entry("enrol.outcome", by, self._clock, **said)
        return (await self._ledger.append(SYSTEM_LOG, body, writes or [])).index

    def _fresh(self, caller: Caller) -> Session:
        session, now_ms = _session(caller), self._clock.now_ms()
        if OFFLINE in session.methods:
            raise Refused(
                "factors-offline",
                "a session that was begun with an offline factor changes no factors",
                "sign in in the usual way, or ask a security officer for a new link",
            )
        if now_ms - session.factor_ms > FRESH_MS:
            raise Refused(
                "step-up-needed",
                "this needs a factor that was shown within the last five minutes",
                "show a factor again, and then repeat the request (RFC 9470)",
            )
        is_new = session.has_second_factor and now_ms - session.began_ms <= FRESH_MS
        if not (is_new or "user" in session.methods):
            raise Refused(
                "sign-in-again",
                "a change of factors needs both of yours within the last five minutes",
                "sign in again, or show a passkey with its PIN or finger, and repeat the request",
            )
        return session


def _session(caller: Caller) -> Session:
    if caller.session is None:
        raise Refused("session-needed", "a client has no factors", "sign in as a person")
    return caller.session
