"""Signing in at an OpenID provider: the browser goes there and comes back with a code.

What is under way is carried by the browser, sealed, and counts once. Who comes back is
the person whose document names that account at that provider, and nobody else; two
factors must be told, as the settings demand. While a provider does not answer, nobody
new signs in by it, and the operator is told. 45 CFR 164.312(d).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, AskedThere, EndSession, KeepSession, SpendAssertion
from seawall.core.access.question import FRESH_MS
from seawall.core.errors import Conflict, Missing, Refused, Unavailable
from seawall.core.identity.provider import LONGEST_SECONDS, said_there
from seawall.core.identity.ticket import NONCE_BYTES, Ticket, read_ticket
from seawall.core.policy.principal import Principal
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.documents import Documents
    from seawall.app.ports import (
        Clock,
        Ledger,
        Notifier,
        OpenIdProvider,
        Random,
        Rates,
        Store,
        Write,
    )
    from seawall.app.sessions import Sessions
    from seawall.core.identity.provider import Demanded, SaidThere
    from seawall.core.identity.session import Session

KIND: Final = "openid"
UNDER_WAY_MS: Final = 600_000
"""So long somebody may be away at the provider."""
CHECK_SECONDS: Final = 30.0
"""So often each provider is asked whether it answers."""
_FAILURES: Final = 2
"""So often in a row it must have failed to count as down."""
_FRESH_CHECK_MS: Final = 180_000
"""A check that is older says nothing."""
_CODE: Final = re.compile(r"[\x20-\x7e]{1,2048}")
"""RFC 6749, A.11."""
_SECRET_BYTES: Final = 32
_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")


@dataclass(frozen=True, slots=True)
class Known:
    """A provider as the settings name it: whose persons, what it must tell, how it is reached."""

    tenant: str
    issuer: str
    demanded: Demanded
    client: OpenIdProvider


@dataclass(frozen=True, slots=True)
class Going:
    """Where the browser goes, and what it carries until it is back."""

    address: str
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Back:
    """Who came back: the new session's name for the browser, and where it was going."""

    session: str = field(repr=False)
    path: str


class Federate:
    """Signs persons in by the providers of their tenants."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Known],
        store: Store,
        ledger: Ledger,
        documents: Documents,
        sessions: Sessions,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        rates: Rates,
        key: bytes,
    ) -> None:
        """Take the providers by name, and 32 bytes under which tickets are sealed."""
        self._rates = rates
        self._providers = providers
        self._store = store
        self._ledger = ledger
        self._documents = documents
        self._sessions = sessions
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._key = key
        self._failures: dict[str, int] = {}
        """How often in a row each provider did not answer when it was asked."""
        self._checked_ms: dict[str, int] = {}

    def is_down(self, tenant: str) -> bool:
        """Whether every provider of a tenant failed to answer `check` twice; False if it has none.

        Nothing that a browser brings changes this: only what was asked of the provider itself.
        """
        named = [name for name, one in self._providers.items() if one.tenant == tenant]
        now_ms = self._clock.now_ms()
        return bool(named) and all(
            self._failures.get(name, 0) >= _FAILURES
            and now_ms - self._checked_ms.get(name, -_FRESH_CHECK_MS) < _FRESH_CHECK_MS
            for name in named
        )

    async def check(self) -> None:
        """Ask each provider whether it answers; tell the operator when one does not any more."""
        for name, known in self._providers.items():
            try:
                await known.client.check()
            except Unavailable:
                self._failures[name] = self._failures.get(name, 0) + 1
                if self._failures[name] == _FAILURES:
                    self._notifier.alarm("provider-down", known.tenant, None)
            else:
                self._failures[name] = 0
            self._checked_ms[name] = self._clock.now_ms()

    async def begin(
        self,
        name: str,
        path: str,
        network: str,
        session: Session | None = None,
        *,
        is_again: bool = False,
    ) -> Going:
        """Return where the browser goes; `session` is the one that it has.

        That ends when the person comes back; `is_again` shows factors again for it.
        `Missing` (`provider-unknown`), `Unavailable` (`provider-down`). A `path` that is not
        one of this server's is taken as `/`.
        """
        known = self._known(name)
        self._count(network)
        state, nonce, verifier = self._secret(), self._secret(), self._secret()
        asked = AskedThere(state, nonce, verifier, is_fresh=is_again)
        address = await known.client.address(asked)
        about = {
            "provider": name,
            "state": asked.state,
            "nonce": asked.nonce,
            "verifier": asked.verifier,
            "path": path if _PATH.fullmatch(path) else "/",
            "session": "" if session is None else session.digest,
            "again": is_again,
        }
        ticket = Ticket(KIND, self._clock.now_ms() + UNDER_WAY_MS, about)
        return Going(address, ticket.text(self._key, self._random.bytes(NONCE_BYTES)))

    async def finish(
        self,
        ticket: str,
        *,
        provider: str,
        state: str,
        code: str,
        issuer: str | None,
        network: str,
    ) -> Back:
        """Return the session of who came back; `Refused` in the same words for whoever may not.

        `provider` is whose answer it is, by the address that it came to: another one's ticket
        does not fit (RFC 9700, section 4.4). A ticket counts once. The refusal is an entry,
        which does not say who it was there.
        """
        self._count(network)
        read = read_ticket(ticket, KIND, self._key, self._clock.now_ms())
        about, name = read.about, str(read.about["provider"])
        known = self._known(name)
        is_ours = hmac.compare_digest(str(about["state"]).encode(), state.encode(errors="replace"))
        if not is_ours or provider != name:
            raise _refusal()
        if not _CODE.fullmatch(code):
            raise _refusal()
        is_fresh = about["again"] is True
        asked = AskedThere(
            str(about["state"]), str(about["nonce"]), str(about["verifier"]), is_fresh=is_fresh
        )
        try:
            claims = await known.client.claims(code, asked, issuer)
            age_ms = FRESH_MS if is_fresh else LONGEST_SECONDS * 1000
            said = said_there(claims, known.demanded, self._clock.now_ms(), max_age_ms=age_ms)
        except Refused as error:
            await self._record_refusal(name, known, error.code)
            raise
        person = self._person(known, said.subject)
        if person is None:
            await self._record_refusal(name, known, "person-unknown")
            raise _refusal()
        held = await self._held(about, known.tenant, person)
        return await self._admit(
            ticket=read, known=known, person=person, said=said, held=held, network=network
        )

    async def _held(self, about: Mapping[str, Any], tenant: str, person: str) -> Session | None:
        """Return the session for which factors were shown again; `Refused` if it is another's."""
        if about["again"] is not True:
            return None
        held = await self._store.session(str(about["session"]))
        if held is None or (held.tenant, held.user) != (tenant, person):
            raise _refusal()
        if not self._sessions.is_live(held):
            raise _refusal()
        return held

    async def _admit(
        self,
        *,
        ticket: Ticket,
        known: Known,
        person: str,
        said: SaidThere,
        held: Session | None,
        network: str,
    ) -> Back:
        writes: list[Write] = [SpendAssertion(ticket.digest, ticket.until_ms)]
        if held is None:
            # What the provider says of the time counts: its own session is no fresh factor.
            name, session = self._sessions.new(
                known.tenant, person, said.methods, network, factor_ms=said.at_ms
            )
            writes += [EndSession(str(ticket.about["session"])), KeepSession(session)]
        else:
            if held.network != network:
                raise _refusal()
            name, session, more = self._sessions.again(held, said.methods, factor_ms=said.at_ms)
            writes += more
        body = entry(
            "session.begin" if held is None else "session.again",
            Principal("user", person, SYSTEM_LOG),
            self._clock,
            **{"for": known.tenant},
            by="openid",
            provider=ticket.about["provider"],
            methods=list(session.methods),
        )
        try:
            await self._ledger.append(SYSTEM_LOG, body, writes)
        except Conflict:
            raise _refusal() from None
        return Back(name, str(ticket.about["path"]))

    def _person(self, known: Known, subject: str) -> str | None:
        """Return the active person whose document names the account; None unless exactly one."""
        found = [
            document.name
            for document in self._documents.register(known.tenant)
            if isinstance(document.spec, UserSpec)
            and document.spec.standing == "active"
            and document.spec.account is not None
            and (document.spec.account.issuer, document.spec.account.subject)
            == (known.issuer, subject)
        ]
        return found[0] if len(found) == 1 else None

    async def _record_refusal(self, name: str, known: Known, code: str) -> None:
        body = entry(
            "session.refused",
            Principal("system", "seawall", SYSTEM_LOG),
            self._clock,
            **{"for": known.tenant},
            by="openid",
            provider=name,
            code=code,
        )
        await self._ledger.append(SYSTEM_LOG, body)

    def _count(self, network: str) -> None:
        """Refuse a network that tries too often: each try costs the provider something."""
        if not self._rates.take("network", "openid", network):
            raise Refused(
                "too-many-tries", "there were too many tries from this network", "wait a minute"
            )

    def _known(self, name: str) -> Known:
        known = self._providers.get(name)
        if known is None:
            raise Missing(
                "provider-unknown",
                "there is no identity provider of this name",
                "name one of the [[providers]] of seawall.toml",
            )
        return known

    def _secret(self) -> str:
        return base64.urlsafe_b64encode(self._random.bytes(_SECRET_BYTES)).decode().rstrip("=")


def ticket_key(secret: bytes) -> bytes:
    """Return the key of tickets that follows from one of the installation's secrets."""
    return hmac.digest(secret, b"tickets of openid", hashlib.sha256)


def _refusal() -> Refused:
    return Refused(
        "sign-in-refused",
        "nobody who may sign in was shown",
        "sign in again; if it happens again, ask the security officer about your account",
    )
