"""A person signs in: with a passkey, or with a password and a second factor.

Each try is two entries of the system's log, one that opens the account and one that
says how it ended; a session is made in the second one's transaction, and by nothing
else. A password that was right and one that was wrong are answered alike, and what was
begun is used once. Every refusal is said in the same words, and costs the same
for a name that nobody has. 45 CFR 164.312(d), 164.308(a)(5)(ii)(C); NIST SP 800-63B.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.factors import SIGN_IN
from seawall.app.ports import SYSTEM_LOG, KeepSession, SpendAssertion
from seawall.app.show_factors import Found
from seawall.core.errors import Conflict, Refused, Unavailable
from seawall.core.identity.account import RECOVERED_MS, Link, digest_of
from seawall.core.identity.password import LONGEST, normal
from seawall.core.identity.ticket import NONCE_BYTES, Ticket, read_ticket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.factors import Accounts, Opened
    from seawall.app.ports import (
        Clock,
        Ledger,
        Notifier,
        Passkeys,
        Passwords,
        Random,
        Write,
    )
    from seawall.app.sessions import Sessions
    from seawall.app.show_factors import ShowFactors
    from seawall.app.try_limits import Admitted, Devices, TryLimits, Where

CEREMONY_MS: Final = 300_000
"""So long a sign-in that was begun can be ended."""
SECRET_BYTES: Final = 32
_CHALLENGE_BYTES: Final = 32
_LONGEST_NAME: Final = 140
_PASSKEY: Final = "sign-in.passkey"
_PASSWORD: Final = "sign-in.password"  # noqa: S105  the kind of a ceremony
_ATTEMPT: Final = "sign-in.attempt"


@dataclass(frozen=True, slots=True)
class Begun:
    """A ceremony that was begun: what the browser keeps of it, and what it is to ask for."""

    ticket: str = field(repr=False)
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session's name, for the browser's cookie, and the name of the browser itself."""

    session: str = field(repr=False)
    device: str = field(repr=False)
    user: str
    tenant: str


@dataclass(frozen=True, slots=True)
class _Half:
    """What a right or wrong password left: whom it was said of, and whether it was right."""

    said: str
    is_right: bool
    kept: str
    """The digest of the hash that it was compared with: half a sign-in ends with its password."""
    challenge: bytes
    ticket: Ticket

    def judge(self, opened: Opened, found: Found) -> Found:
        """Return what was found, or, after a wrong password or one that is another's now, that."""
        is_same = hmac.compare_digest(self.kept, digest_of(opened.account.password))
        return found if found.because or (self.is_right and is_same) else Found("wrong")


@dataclass(frozen=True, slots=True)
class _Ending:
    """By what somebody is shown and from where; what the session that is made says, and ends."""

    method: str
    methods: tuple[str, ...]
    where: Where
    begun: Ticket | None = None
    old: str | None = None


class SignIn:
    """Signs persons in; what it needs of an account is opened for one try."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        limits: TryLimits,
        devices: Devices,
        passwords: Passwords,
        passkeys: Passkeys,
        showing: ShowFactors,
        ledger: Ledger,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        key: bytes,
    ) -> None:
        """Take a `key` of 32 bytes, which seals what is under way."""
        self._accounts = accounts
        self._sessions = sessions
        self._limits = limits
        self._devices = devices
        self._passwords = passwords
        self._passkeys = passkeys
        self._showing = showing
        self._ledger = ledger
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._key = key

    # --- passkeys ------------------------------------------------------------------

    def begin_passkey(self) -> Begun:
        """Return what a browser asks any passkey of ours; nothing is kept of it here."""
        challenge = self._random.bytes(_CHALLENGE_BYTES)
        ticket = self._ticket(_PASSKEY, {"challenge": challenge.hex()})
        return Begun(ticket, self._passkeys.request_options(challenge, must_verify_user=True))

    async def passkey(
        self, where: Where, ticket: str, response: Mapping[str, Any], old: str | None = None
    ) -> SignedIn:
        """Sign in with a passkey that verified its user; `old` is the session that it ends."""
        begun = read_ticket(ticket, _PASSKEY, self._key, self._clock.now_ms())
        shown = self._showing.read(response, bytes.fromhex(begun.about["challenge"]))
        is_ours = await self._accounts.has_passkey(shown.credential)
        await self._limits.admit_passkey(where, shown.credential, is_ours=is_ours)
        said = {"method": "passkey", "network": where.network}
        opened = await self._accounts.open_by_passkey(_ATTEMPT, shown.credential, **said)
        found = self._showing.check(opened, shown)
        if not found.because and not found.is_user_verified:
            found = Found("user-not-verified")
        ending = _Ending("passkey", ("hwk", "user", "mfa"), where, begun, old)
        done = await self._conclude(opened, found, ending)
        self._limits.forgive_passkey(where, shown.credential)
        return done

    # --- password, then a second factor ----------------------------------------------

    async def password(self, where: Where, said: str, password: str) -> Begun:
        """Take a password, and ask for a second factor, whether it was right or not."""
        said = said.strip()[:_LONGEST_NAME]
        person = self._accounts.named(said)
        admitted = await self._limits.admit(where, person, said)
        about = {"method": "password", "network": where.network}
        opened = await self._accounts.open(_ATTEMPT, person, SIGN_IN, **about)
        kept = await self._accounts.decoy_password(opened)
        # What is too long is none: it is compared all the same, cut off.
        given = normal(password)[: LONGEST + 1]
        ending = _Ending("password", (), where)
        try:
            fits = await self._passwords.verify(kept, given, is_known=admitted.is_known)
        except Unavailable:
            await self._end(opened, ending, "busy", [])
            raise
        because = opened.hindrance or ("" if fits and opened.account.password else "wrong")
        writes: list[Write] = []
        if not because and self._passwords.is_outdated(kept):
            kept = await self._passwords.hash(given)
            anew = replace(opened.account, password=kept)
            writes.append(await self._accounts.keeping(opened, anew))
        await self._end(opened, ending, because or "half", writes)
        challenge = self._random.bytes(_CHALLENGE_BYTES)
        half: dict[str, Any] = {"said": said, "right": int(not because), "kept": digest_of(kept)}
        half |= {"challenge": challenge.hex()}
        options = self._passkeys.request_options(challenge, must_verify_user=False)
        return Begun(self._ticket(_PASSWORD, half), options)

    async def code(self, where: Where, ticket: str, code: str, old: str | None = None) -> SignedIn:
        """Sign in with a one-time code, after a password."""
        half = self._half(ticket)
        opened, admitted = await self._second(where, half, "code")
        found = self._showing.check_code(opened, code)
        ending = _Ending("code", ("pwd", "otp", "mfa"), where, half.ticket, old)
        done = await self._conclude(opened, half.judge(opened, found), ending)
        self._limits.forgive(admitted)
        return done

    async def password_passkey(
        self, where: Where, ticket: str, response: Mapping[str, Any], old: str | None = None
    ) -> SignedIn:
        """Sign in with a passkey of the same person, after a password."""
        half = self._half(ticket)
        shown = self._showing.read(response, half.challenge)
        opened, admitted = await self._second(where, half, "password-passkey")
        found = self._showing.check(opened, shown)
        methods = ("pwd", "hwk", "mfa", *(["user"] if found.is_user_verified else []))
        ending = _Ending("password-passkey", methods, where, half.ticket, old)
        done = await self._conclude(opened, half.judge(opened, found), ending)
        self._limits.forgive(admitted)
        return done

    async def recovery(self, where: Where, ticket: str, code: str) -> str:
        """Take a recovery code after a password; return a secret that enrols a new factor.

        No session is made: whoever lost a factor enrols another, and then signs in.
        """
        half = self._half(ticket)
        opened, admitted = await self._second(where, half, "recovery")
        ending = _Ending("recovery", (), where, half.ticket)
        left = opened.account.without_recovery(code)
        found = Found(opened.hindrance or ("wrong" if left is None else ""), left)
        found = half.judge(opened, found)
        if found.because or left is None or opened.person is None:
            await self._end(opened, ending, found.because, [_spent(half.ticket)])
            raise refusal()
        secret = self._random.bytes(SECRET_BYTES).hex()
        until_ms = self._clock.now_ms() + RECOVERED_MS
        link = Link(digest_of(secret), until_ms, keeps_password=True)
        kept = await self._accounts.keeping(opened, replace(left, link=link))
        index = await self._end(opened, ending, "recovered", [_spent(half.ticket), kept])
        self._notifier.alarm("recovery-code-used", opened.person.tenant, index)
        self._limits.forgive(admitted)
        return f"{opened.person.item}/{secret}"

    # --- what the ways have in common --------------------------------------------------

    async def _second(self, where: Where, half: _Half, method: str) -> tuple[Opened, Admitted]:
        person = self._accounts.named(half.said)
        admitted = await self._limits.admit(where, person, half.said, "second")
        about = {"method": method, "network": where.network}
        return await self._accounts.open(_ATTEMPT, person, SIGN_IN, **about), admitted

    async def _conclude(self, opened: Opened, found: Found, ending: _Ending) -> SignedIn:
        """Make the session in the transaction of the entry that says so, or record why not."""
        person, begun, where = opened.person, ending.begun, ending.where
        if begun is None:
            raise RuntimeError("a session ends a ceremony")
        if found.because or found.account is None or person is None:
            await self._end(opened, ending, found.because, [_spent(begun)])
            raise refusal()
        name, session = self._sessions.new(
            person.tenant, person.name, ending.methods, where.network
        )
        device = where.device if self._devices.place(where.device) else self._devices.new()
        # The account is compared even where nothing of it changes: a reset meanwhile wins.
        # A link that was given for a recovery code is over once its owner is in.
        kept = await self._accounts.keeping(opened, replace(found.account, link=None))
        writes: list[Write] = [_spent(begun), kept, KeepSession(session)]
        places = (self._devices.place(device), f"network-{where.network}")
        writes += [
            await self._accounts.marking(person, place)
            for place in places
            if not await self._accounts.knows_place(person, place)
        ]
        writes += self._sessions.ending(ending.old)
        await self._end(opened, ending, "accepted", writes, session=session.digest)
        return SignedIn(name, device, person.name, person.tenant)

    async def _end(
        self, opened: Opened, ending: _Ending, ended: str, writes: Sequence[Write], **more: str
    ) -> int:
        """Record how a try ended, with what comes of it; `Refused` if another try overtook it."""
        is_good = ended in {"accepted", "half", "recovered"}
        told = {**opened.told, "method": ending.method, "network": ending.where.network}
        said: dict[str, Any] = {**told, "attempt": opened.entry}
        said |= {"outcome": ended, **more} if is_good else {"outcome": "refused", "because": ended}
        by = SIGN_IN
        if ended == "accepted" and opened.person is not None:
            by = opened.person.principal
        try:
            body = entry("sign-in.outcome", by, self._clock, **said)
            return (await self._ledger.append(SYSTEM_LOG, body, writes)).index
        except Conflict:
            # Used already, or the account was changed meanwhile: by another try, which won.
            lost = {**told, "attempt": opened.entry, "outcome": "refused", "because": "overtaken"}
            body = entry("sign-in.outcome", SIGN_IN, self._clock, **lost)
            await self._ledger.append(SYSTEM_LOG, body)
            raise refusal() from None

    def _ticket(self, kind: str, about: dict[str, Any]) -> str:
        until_ms = self._clock.now_ms() + CEREMONY_MS
        return Ticket(kind, until_ms, about).text(self._key, self._random.bytes(NONCE_BYTES))

    def _half(self, ticket: str) -> _Half:
        begun = read_ticket(ticket, _PASSWORD, self._key, self._clock.now_ms())
        challenge = bytes.fromhex(begun.about["challenge"])
        about = begun.about
        return _Half(about["said"], about["right"] == 1, about["kept"], challenge, begun)


def _spent(begun: Ticket) -> SpendAssertion:
    return SpendAssertion(begun.digest, begun.until_ms)


def refusal() -> Refused:
    """Return the one refusal of every sign-in."""
    return Refused(
        "sign-in-refused",
        "the sign-in was not accepted",
        "check the user name, the password and the clock of the device; a code works once; "
        "a security officer can give you a new enrolment link",
    )
