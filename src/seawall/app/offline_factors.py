"""Signing in while the identity provider is down, by a factor that was made in advance.

A person makes it in a session of the provider's: codes that are printed once, and a
secret for a device. Only while the provider does not answer, or emergency mode is on,
does a code of each sign in; every use raises an alarm, is reviewed like an emergency
access, and lets the person make a new one. What was right is spent before a session is
made, so that nothing works twice. 45 CFR 164.312(a)(2)(ii), 164.308(a)(7)(ii)(C).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from seawall.app.entries import entry
from seawall.app.factors import OFFLINE_FACTOR, SIGN_IN, Person
from seawall.app.ports import SYSTEM_LOG, EndSessions, KeepSealed, KeepSession, Query
from seawall.app.successions import line_of
from seawall.core.access.emergency import OFFLINE_MS, REVIEW_HOURS, Reason
from seawall.core.access.question import FRESH_MS
from seawall.core.errors import Conflict, Missing, Refused, Tampered, Unavailable
from seawall.core.identity.offline import CODE_BYTES, CODES, METHODS, OFFLINE, OfflineKit, code_of
from seawall.core.ledger.encoding import decode
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.registers.emergency import EmergencySpec
from seawall.core.registers.obligation import Obligation
from seawall.core.registers.spec import NAME_PATTERN
from seawall.core.registers.user import UserSpec
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.emergencies import CurrentEmergencies, EmergencySteps
    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import (
        Clock,
        KeyRing,
        Ledger,
        Notifier,
        Random,
        SecondFactor,
        Store,
        Write,
    )
    from seawall.app.sessions import Sessions
    from seawall.app.try_limits import Where
    from seawall.core.seal.envelope import Sealed

FACTOR: Final = OFFLINE_FACTOR
CITATION: Final = "45 CFR 164.312(a)(2)(ii)"

_GRANT_MS: Final = 60_000
_DECOY: Final = "*"
_TRIES: Final = 3


class Gate(Protocol):
    """How often strangers may try what cannot be guessed."""

    async def admit_link(self, where: Where, person: Person | None = None) -> None:
        """Count a try; `Refused` (`sign-in-limited`) if it is one too many."""
        ...

    async def marking(self, person: Person, network: str) -> list[Write]:
        """Return what lets a person be known on a network, where strangers stop nobody."""
        ...


@dataclass(frozen=True, slots=True)
class MadeKit:
    """An offline factor as its owner sees it, once."""

    codes: tuple[str, ...] = field(repr=False)
    """What is printed, and shown never again."""
    uri: str = field(repr=False)
    """What a device reads its secret from."""
    entry: int


@dataclass(frozen=True, slots=True)
class SignedInOffline:
    """A session that was begun with an offline factor."""

    session: str = field(repr=False)
    """The session's name, for the browser's cookie."""
    tenant: str
    user: str
    left: int
    """How many codes of the paper are left."""


@dataclass(frozen=True, slots=True)
class _Person:
    """Who is named, and how entries say it: a name that nobody has is in none."""

    tenant: str
    name: str
    is_known: bool

    @property
    def item(self) -> str:
        """Under which name the factor lies; of nobody's name the decoy."""
        return f"{self.tenant}/{self.name}" if self.is_known else _DECOY

    @property
    def told(self) -> dict[str, str]:
        """How entries name the person."""
        if not self.is_known:
            return {"person": "unknown"}
        return {"person": self.name, "for": self.tenant}


@dataclass(frozen=True, slots=True)
class _Try:
    """One try: who, from where, what was opened for it, and by which entry."""

    person: _Person
    where: Where
    sealed: Sealed
    kit: OfflineKit
    entry: int


class OfflineFactors:
    """Makes offline factors, and signs people in by them while that is open."""

    def __init__(
        self,
        *,
        documents: Documents,
        current: CurrentEmergencies,
        steps: EmergencySteps,
        sessions: Sessions,
        gate: Gate,
        store: Store,
        ledger: Ledger,
        indexing: IndexLedger,
        keys: KeyRing,
        factor: SecondFactor,
        notifier: Notifier,
        clock: Clock,
        random: Random,
        provider_is_down: Callable[[str], bool],
        review_hours: int = REVIEW_HOURS,
    ) -> None:
        self._documents = documents
        self._current = current
        self._steps = steps
        self._sessions = sessions
        self._gate = gate
        self._store = store
        self._ledger = ledger
        self._indexing = indexing
        self._keys = keys
        self._factor = factor
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._provider_is_down = provider_is_down
        self._review_hours = review_hours

    # --- making one, in advance -----------------------------------------------------

    async def make(self, caller: Caller) -> MadeKit:
        """Make the caller an offline factor, in place of any there was; shown this once.

        `Refused` unless the caller is a person who just showed a factor, in a session that
        was not begun with an offline one: of one that was stolen no other follows.
        """
        session, who = caller.session, caller.principal
        if who.kind != "user" or session is None or OFFLINE in session.methods:
            raise Refused(
                "offline-factor-session",
                "an offline factor is made in a session that was begun in the usual way",
                "sign in at the identity provider, when it answers, and make it then",
            )
        age_ms = self._clock.now_ms() - session.factor_ms
        if not session.has_second_factor or age_ms > FRESH_MS:
            raise Refused(
                "step-up-needed",
                "this needs a factor that was shown within the last five minutes",
                "show a factor again, and then repeat the request (RFC 9470)",
            )
        person = _Person(who.tenant, who.name, is_known=True)
        codes = tuple(code_of(self._random.bytes(CODE_BYTES)) for _ in range(CODES))
        secret = self._factor.new_secret()
        await self._keys.prepare(SYSTEM_LOG)
        held = await self._sealed(person.item)
        user = self._documents.register(who.tenant).find(UserSpec, who.name)
        version = 0 if user is None else user.version
        sealed = await self._seal(person.item, OfflineKit.new(secret, codes, version))
        said: dict[str, Any] = {
            **person.told,
            "factor": sealed.digest(),
            "codes": CODES,
            "replaced": held is not None,
        }
        body = entry("offline.enrol", _in_system(who), self._clock, **said)
        writes: list[Write] = [KeepSealed(sealed, replaces=held.digest() if held else "")]
        writes += await self._gate.marking(Person(who.tenant, who.name), session.network)
        receipt = await self._ledger.append(SYSTEM_LOG, body, writes)
        self._notifier.alarm("factors-changed", who.tenant, receipt.index)
        return MadeKit(codes, self._factor.uri(f"{person.item} (offline)", secret), receipt.index)

    async def end(self, by: Principal, name: str, access: Mapping[str, Any]) -> int:
        """End a person's offline factor and sessions, and nothing else of theirs; the entry.

        For whoever signs in at an identity provider, and lost the paper or the device.
        Who may do this is asked by the caller (`reset-factors`); `access` is the answer.
        """
        person = self._named(f"{by.tenant}/{name}")
        held = await self._sealed(person.item) if person.is_known else None
        if held is None:
            raise Missing(
                "offline-factor-none",
                "there is no offline factor of a person of this name",
                "whoever has none needs none to be ended",
            )
        sealed = await self._seal(person.item, OfflineKit.new(self._factor.new_secret(), ()))
        said = {**person.told, "factor": sealed.digest(), "access": dict(access)}
        body = entry("offline.end", _in_system(by), self._clock, **said)
        ended: list[Write] = [KeepSealed(sealed, held.digest()), EndSessions(by.tenant, name)]
        receipt = await self._ledger.append(SYSTEM_LOG, body, ended)
        self._notifier.alarm("factors-reset", by.tenant, receipt.index)
        return receipt.index

    # --- signing in by one ----------------------------------------------------------

    def is_open(self, tenant: str) -> bool:
        """Whether people of a tenant may sign in so now."""
        is_known = tenant in self._documents.tenants()
        return is_known and (self._provider_is_down(tenant) or self._current.is_mode_on(tenant))

    async def sign_in(
        self, where: Where, said: str, code: str, device_code: str, old: str | None = None
    ) -> SignedInOffline:
        """Sign in by a code of the paper and one of the device; `old` is the session it ends.

        `said` is NAME or TENANT/NAME. `Refused`: `offline-closed` while the usual way is
        open; `sign-in-refused` in the same words for whatever was wrong.
        """
        await self._documents.refresh()
        person = self._named(said)
        whose = Person(person.tenant, person.name) if person.is_known else None
        await self._gate.admit_link(where, whose)
        if not self.is_open(person.tenant):
            raise Refused(
                "offline-closed",
                "offline factors do not sign anybody in now",
                "sign in in the usual way; this opens while the identity provider does not answer, "
                "and in emergency mode",
            )
        made = await self._open(person, where)
        step = self._factor.step_of(made.kit.device.secret, device_code, self._clock.now_ms())
        left = made.kit.used(code, step)
        if left is None or not await self._may(person, left):
            await self._record(made, "refused", because="wrong")
            raise _refusal()
        await self._spend(made, left)
        await self._oblige(person)
        name, session = self._sessions.new(person.tenant, person.name, METHODS, where.network)
        writes: list[Write] = [KeepSession(session), *self._sessions.ending(old)]
        await self._record(made, "accepted", writes, session=session.digest)
        return SignedInOffline(name, person.tenant, person.name, len(left.codes))

    async def due(self, tenant: str) -> list[Obligation]:
        """Return whose offline factor was used and not made anew since, by person."""
        latest: dict[str, int] = {}
        for one in self._current.all(tenant):
            if one.spec.what == "offline":
                used_ms = latest.get(one.spec.person, 0)
                latest[one.spec.person] = max(used_ms, one.spec.began_ms)
        return [
            Obligation(
                tenant,
                "make a new offline factor",
                person,
                f"user/{person}",
                used_ms + self._review_hours * 3_600_000,
                CITATION,
                "practice",
            )
            for person, used_ms in sorted(latest.items())
            if not await self._was_made(tenant, person, used_ms)
        ]

    # --- one try --------------------------------------------------------------------

    def _named(self, said: str) -> _Person:
        tenant, slash, name = said.strip().rpartition("/")
        tenants = self._documents.tenants()
        if not slash and len(tenants) == 1:
            tenant = tenants[0]
        is_name = re.fullmatch(NAME_PATTERN, name) is not None
        user = self._documents.register(tenant).find(UserSpec, name) if is_name else None
        return _Person(tenant, name, is_known=user is not None)

    async def _may(self, person: _Person, kit: OfflineKit) -> bool:
        """Whether the person is active, and was so ever since the factor was made."""
        user = self._documents.register(person.tenant).find(UserSpec, person.name)
        if not person.is_known or user is None or user.spec.standing != "active":
            return False
        return all(
            isinstance(one.spec, UserSpec) and one.spec.standing == "active"
            for one in await self._documents.history(person.tenant, user.kind, user.name)
            if one.version >= kit.version
        )

    async def _open(self, person: _Person, where: Where) -> _Try:
        """Record the try, then open the person's factor, or the decoy, whose secret nobody has."""
        sealed = await self._sealed(person.item)
        if sealed is None:
            person = _Person(person.tenant, person.name, is_known=False)
            sealed = await self._decoy()
        until_ms = self._clock.now_ms() + _GRANT_MS
        grant = terms(kinds=(FACTOR,), subjects=(SYSTEM_LOG,), until_ms=until_ms)
        said = {**person.told, "method": OFFLINE, "network": where.network, "grant": grant}
        body = entry("sign-in.attempt", SIGN_IN, self._clock, **said)
        receipt = await self._ledger.append(SYSTEM_LOG, body)
        kit = OfflineKit.from_json(await self._keys.open(sealed, Grant(receipt)))
        return _Try(person, where, sealed, kit, receipt.index)

    async def _spend(self, made: _Try, left: OfflineKit) -> None:
        """Keep what is left of the factor; `Refused` if another try used it meanwhile."""
        sealed = await self._seal(made.person.item, left)
        write = KeepSealed(sealed, replaces=made.sealed.digest())
        try:
            await self._record(made, "half", [write], left=len(left.codes))
        except Conflict:
            await self._record(made, "refused", because="overtaken")
            raise _refusal() from None

    async def _oblige(self, person: _Person) -> None:
        """Tell of the use in the tenant's log, so that it is reviewed; and raise the alarm."""
        mode = self._current.under_way(person.tenant, "mode")
        reason = Reason.PROVIDER_DOWN if mode is None else mode.spec.reason
        by, now_ms = Principal("user", person.name, person.tenant), self._clock.now_ms()
        spec = EmergencySpec(
            what="offline",
            person=person.name,
            reason=reason,
            began_ms=now_ms,
            until_ms=now_ms + OFFLINE_MS,
            review_hours=self._review_hours,
        )
        left = _TRIES
        while True:
            name = self._current.next_name(person.tenant, "offline", person.name)
            said = {
                "emergency": name,
                "what": "offline",
                "patients": [],
                "outcome": "emergency",
                "reason": reason.value,
                "until": spec.until_ms,
            }
            try:
                index = await self._steps.begin(by, name, spec, said, None)
            except Conflict:
                # The same person signed in through another process in the same moment.
                left -= 1
                if not left:
                    raise
                await self._documents.refresh()
            except (Unavailable, asyncio.CancelledError):
                # Whether it was told is not known: whoever reviews hears of it rather than not.
                self._notifier.alarm("offline-sign-in", person.tenant, None)
                raise
            else:
                self._notifier.alarm("offline-sign-in", person.tenant, index)
                return

    async def _record(
        self, made: _Try, ended: str, writes: list[Write] | None = None, **more: Any
    ) -> None:
        """Record how a try stands, with what comes of it."""
        by = SIGN_IN
        if ended != "refused":
            by = Principal("user", made.person.name, SYSTEM_LOG)
        said: dict[str, Any] = {
            **made.person.told,
            "method": OFFLINE,
            "network": made.where.network,
            "attempt": made.entry,
            "outcome": ended,
            **more,
        }
        body = entry("sign-in.outcome", by, self._clock, **said)
        await self._ledger.append(SYSTEM_LOG, body, writes or [])

    # --- what is kept ---------------------------------------------------------------

    async def _was_made(self, tenant: str, person: str, since_ms: int) -> bool:
        facets = (("action", "offline.enrol"), ("actor", f"user/{person}"))
        for log in await line_of(self._store, SYSTEM_LOG):
            await self._indexing.caught_up(log)
            found = await self._store.find(log, Query(facets, since_ms=since_ms + 1))
            if any(decode(raw).get("for") == tenant for _, raw in found):
                return True
        return False

    async def _decoy(self) -> Sealed:
        held = await self._sealed(_DECOY)
        if held is not None:
            return held
        await self._keys.prepare(SYSTEM_LOG)
        codes = tuple(self._random.bytes(CODE_BYTES).hex() for _ in range(CODES))
        made = await self._seal(_DECOY, OfflineKit.new(self._factor.new_secret(), codes))
        body = entry("offline.enrol", SIGN_IN, self._clock, person="nobody", factor=made.digest())
        try:
            await self._ledger.append(SYSTEM_LOG, body, [KeepSealed(made, replaces="")])
        except Conflict:
            return await self._sealed(_DECOY) or made
        return made

    async def _sealed(self, item: str) -> Sealed | None:
        """Return what is kept; `Tampered` if it was sealed as something else, such as another's."""
        held = await self._store.sealed(SYSTEM_LOG, FACTOR, item)
        if held is not None and held.context != Context(SYSTEM_LOG, FACTOR, SYSTEM_LOG, item):
            raise Tampered(
                "offline-factor-moved",
                "a sealed offline factor lies in the place of another",
                "restore the database from a backup, and treat the change as an incident",
            )
        return held

    async def _seal(self, item: str, kit: OfflineKit) -> Sealed:
        context = Context(SYSTEM_LOG, FACTOR, SYSTEM_LOG, item)
        return await self._keys.seal(kit.to_json(), context)


def _in_system(principal: Principal) -> Principal:
    """Return somebody as the system's own entries name them."""
    return Principal(principal.kind, principal.name, SYSTEM_LOG)


def _refusal() -> Refused:
    return Refused(
        "sign-in-refused",
        "the sign-in was not accepted",
        "check the name, a code of the paper that was not used, and the clock of the device; "
        "each code works once",
    )
