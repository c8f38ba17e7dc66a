"""A person gets an account: by a link that works once, for a day, whose secret is kept nowhere.

What is enrolled replaces what was there, all at once or not at all: a passkey that
verifies its user, or a password with a passkey or with one-time codes. A new link takes
every factor away and ends every session, so it is also how a security officer resets a
person. The first person of a tenant is made at the terminal.
45 CFR 164.308(a)(3)(ii)(A), 164.308(a)(4)(ii)(B), 164.312(d).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.factors import SIGN_IN
from seawall.app.ports import SYSTEM_LOG, EndSessions
from seawall.app.sign_in import SECRET_BYTES
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused
from seawall.core.identity.account import (
    LINK_MS,
    RECOVERY_CODES,
    Account,
    Link,
    digest_of,
    plain_code,
)
from seawall.core.identity.password import check_password
from seawall.core.identity.ticket import NONCE_BYTES, Ticket, read_ticket
from seawall.core.policy.factor import Factor
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.documents import Documents
    from seawall.app.factors import Accounts, Opened, Person
    from seawall.app.ports import (
        Clock,
        Ledger,
        Notifier,
        Passkeys,
        Passwords,
        Random,
        SecondFactor,
        Write,
    )
    from seawall.app.try_limits import TryLimits, Where
    from seawall.core.identity.account import Passkey

FIRST_ROLES: Final = (Role.ADMINISTRATOR, Role.SECURITY_OFFICER)
"""The roles of a tenant's first person: one lets others join, the other gives them links."""
_CEREMONY_MS: Final = 1_800_000
_KIND: Final = "enrol"
_CODE_BYTES: Final = 15
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Invited:
    """A one-time link: TENANT/NAME/SECRET, which stands behind the `#` of a URL."""

    link: str = field(repr=False)
    until_ms: int
    entry: int


@dataclass(frozen=True, slots=True)
class Enrolling:
    """What a browser needs to enrol: whom, what an authenticator is asked, a secret of codes."""

    person: Person
    title: str
    keeps_password: bool
    ticket: str = field(repr=False)
    options: dict[str, Any]
    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What somebody enrols; what is empty is not enrolled."""

    password: str = field(default="", repr=False)
    passkey: Mapping[str, Any] | None = field(default=None, repr=False)
    passkey_name: str = ""
    code: str = field(default="", repr=False)


class Enrol:
    """Gives enrolment links, and takes what is enrolled by them."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        documents: Documents,
        limits: TryLimits,
        passwords: Passwords,
        passkeys: Passkeys,
        codes: SecondFactor,
        ledger: Ledger,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        key: bytes,
    ) -> None:
        """Take the same `key` of 32 bytes as signing in."""
        self._accounts = accounts
        self._documents = documents
        self._limits = limits
        self._passwords = passwords
        self._passkeys = passkeys
        self._codes = codes
        self._ledger = ledger
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._key = key

    # --- links ----------------------------------------------------------------------

    async def first(self, by: Principal, name: str, title: str) -> Invited:
        """Make a tenant's first person, who may add others, and return the person's link.

        `Refused` where the tenant has a person already. The first person holds two roles
        that are better held by two, until there are two.
        """
        register = self._documents.register(by.tenant)
        if any(document.kind == "User" for document in register):
            raise Refused(
                "first-person-late",
                "the tenant has a person already",
                "add others with `seawall user add`, or over the API",
            )
        spec = {"title": title, "roles": [role.value for role in FIRST_ROLES]}
        await self._documents.apply(by, [{"kind": "User", "name": name, "spec": spec}])
        return await self.invite(by, name)

    async def invite(
        self, by: Principal, name: str, access: Mapping[str, Any] | None = None
    ) -> Invited:
        """Return a new link for a person of the same tenant, whose factors and sessions end.

        An offline factor ends with them, and no place is known to be theirs any more. Who
        may do this is asked by the caller (`reset-factors`); `access` is the answer.
        """
        person = self._accounts.person(by.tenant, name)
        spec = None if person is None else self._accounts.spec(person)
        if person is None or spec is None:
            raise Missing(
                "person-unknown", "there is no person of this name", "see: seawall user list"
            )
        if spec.standing != "active" or spec.account is not None:
            raise Refused(
                "person-not-enrolled-here",
                "this person is not active, or signs in at an identity provider",
                "change the person's User document first",
            )
        await self._accounts.prepare()
        secret = self._random.bytes(SECRET_BYTES).hex()
        until_ms = self._clock.now_ms() + LINK_MS
        is_reset = await self._accounts.has(person) is not None
        account = Account(link=Link(digest_of(secret), until_ms))
        writes: list[Write] = [await self._accounts.resetting(person, account)]
        writes += await self._accounts.ending_offline(person)
        writes.append(await self._accounts.forgetting_places(person))
        writes.append(EndSessions(person.tenant, person.name))
        said: dict[str, Any] = {"person": name, "for": by.tenant}
        said |= {"replaced": is_reset, "until_ms": until_ms}
        said |= {} if access is None else {"access": access}
        in_system = Principal(by.kind, by.name, SYSTEM_LOG)
        body = entry("enrol.invite", in_system, self._clock, **said)
        receipt = await self._ledger.append(SYSTEM_LOG, body, writes)
        if is_reset:
            self._notifier.alarm("factors-reset", person.tenant, receipt.index)
        return Invited(f"{person.item}/{secret}", until_ms, receipt.index)

    # --- enrolling --------------------------------------------------------------------

    async def begin(self, where: Where, link: str) -> Enrolling:
        """Return what a browser needs to enrol by a link; `Refused` in the same words for all."""
        opened, person, held = await self._open(where, link)
        challenge, secret = self._random.bytes(SECRET_BYTES), self._codes.new_secret()
        about = {"challenge": challenge.hex(), "secret": secret, "link": held.digest}
        until_ms = min(self._clock.now_ms() + _CEREMONY_MS, held.until_ms)
        ticket = Ticket(_KIND, until_ms, about).text(self._key, self._random.bytes(NONCE_BYTES))
        title = "" if opened.spec is None else opened.spec.title
        options = self._passkeys.creation_options(
            handle=self._accounts.handle(person),
            user=person.name,
            title=title,
            challenge=challenge,
        )
        await self._end(opened, "begun", [])
        uri = self._codes.uri(person.item, secret)
        return Enrolling(person, title, held.keeps_password, ticket, options, secret, uri)

    async def finish(self, where: Where, link: str, ticket: str, chosen: Chosen) -> tuple[str, ...]:
        """Replace the person's factors by what was chosen; return the recovery codes, once.

        Codes are given with a password alone, since they are used after one. `Invalid` or
        `Refused` leaves everything as it was, and the link as well.
        """
        begun = read_ticket(ticket, _KIND, self._key, self._clock.now_ms())
        opened, person, held = await self._open(where, link)
        try:
            if begun.about["link"] != held.digest:
                raise _link_refused()
            account, is_new_key = await self._made(opened, person, held, begun, chosen)
        except Error as error:
            await self._end(opened, "refused", [], because=error.code)
            raise
        codes = new_codes(self._random) if account.password else ()
        digests = tuple(digest_of(plain_code(code)) for code in codes)
        account = replace(account, recovery=digests)
        writes: list[Write] = [await self._accounts.keeping(opened, account)]
        if is_new_key:
            writes.append(await self._accounts.owning(person, account.passkeys[0].id))
        writes.append(EndSessions(person.tenant, person.name))
        try:
            await self._end(opened, "enrolled", writes, factors=list(account.factors))
        except Conflict:
            await self._end(opened, "refused", [], because="overtaken")
            raise _link_refused() from None
        return codes

    async def _made(
        self, opened: Opened, person: Person, held: Link, begun: Ticket, chosen: Chosen
    ) -> tuple[Account, bool]:
        """Return the account that was chosen, and whether it has a new passkey."""
        title = "" if opened.spec is None else opened.spec.title
        password = opened.account.password if held.keeps_password else ""
        given = (
            check_password(chosen.password, user=person.name, title=title)
            if (chosen.password)
            else ""
        )
        passkey, is_verified = self._passkey(begun, chosen)
        codes = self._factor(begun, chosen)
        has_password = bool(given or password)
        if not ((passkey and is_verified) or (has_password and (passkey or codes))):
            raise Invalid(
                "factors-missing",
                "this would not be enough to sign in",
                "enrol a passkey with a PIN or a finger, or a password and one thing more",
            )
        if given:
            password = await self._passwords.hash(given)
        passkeys = () if passkey is None else (passkey,)
        return Account(password, passkeys, codes), passkey is not None

    def _passkey(self, begun: Ticket, chosen: Chosen) -> tuple[Passkey | None, bool]:
        if chosen.passkey is None:
            return None, False
        made = self._passkeys.made(chosen.passkey, bytes.fromhex(begun.about["challenge"]))
        passkey = named_passkey(made.passkey, chosen.passkey_name, self._clock.now_ms())
        return passkey, made.is_user_verified

    def _factor(self, begun: Ticket, chosen: Chosen) -> Factor | None:
        if not chosen.code:
            return None
        secret = str(begun.about["secret"])
        step = self._codes.step_of(secret, chosen.code.strip(), self._clock.now_ms())
        if step is None:
            raise Invalid(
                "code-wrong",
                "this is not the code that the device should show now",
                "check the clock of the device, and type the next code",
            )
        return Factor(secret, step)

    async def _open(self, where: Where, link: str) -> tuple[Opened, Person, Link]:
        """Open the account that a link is of; `Refused` unless the link is its present one."""
        tenant, _, rest = link.partition("/")
        name, _, secret = rest.partition("/")
        person = self._accounts.person(tenant, name)
        await self._limits.admit_link(where, person)
        said = {"network": where.network}
        opened = await self._accounts.open("enrol.attempt", person, SIGN_IN, **said)
        held = opened.account.link
        is_open = held is not None and held.opens(secret, self._clock.now_ms())
        if opened.hindrance or person is None or held is None or not is_open:
            await self._end(opened, "refused", [], because=opened.hindrance or "link")
            raise _link_refused()
        return opened, person, held

    async def _end(self, opened: Opened, outcome: str, writes: list[Write], **more: Any) -> None:
        said = {**opened.told, "attempt": opened.entry, "outcome": outcome, **more}
        by = SIGN_IN
        if outcome == "enrolled" and opened.person is not None:
            by = opened.person.principal
        body = entry("enrol.outcome", by, self._clock, **said)
        await self._ledger.append(SYSTEM_LOG, body, writes)


def new_codes(random: Random) -> tuple[str, ...]:
    """Return recovery codes of 120 bits each, in groups that people can type."""

    def code() -> str:
        """Return one."""
        letters = base64.b32encode(random.bytes(_CODE_BYTES)).decode().lower()
        return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))

    return tuple(code() for _ in range(RECOVERY_CODES))


def named_passkey(passkey: Passkey, name: str, now_ms: int) -> Passkey:
    """Return a passkey with the name that its owner calls it, and when it was made."""
    said = "".join(letter for letter in name if letter.isprintable()).strip()
    return replace(passkey, name=said[:_LONGEST_NAME], made_ms=now_ms)


def _link_refused() -> Refused:
    return Refused(
        "enrolment-link-refused",
        "this enrolment link is used, too old, or none",
        "ask a security officer for a new one",
    )
