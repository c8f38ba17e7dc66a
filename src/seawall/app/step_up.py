"""A second factor before anything changes keys: who does it, shown by a code of theirs.

Each operator is of one tenant, and acts for no other; an operator of the system
acts for every tenant, at the terminal alone. Each has a secret of their own,
sealed under the system's own keys, so that no tenant's shredding ends it. A code
is accepted once, and wrong ones are counted, by whichever replica: both are kept
by comparing with what was read, in the transaction of the entry that says so. A
try is two entries of the system's log: one that opens the secret, one that says
how it ended; while a caller waits it is none, and opens nothing. A name that
nobody has costs the same as one that somebody has, and every refusal is said in
the same words. 45 CFR 164.312(d), 164.308(a)(5)(ii)(C).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from seawall.app.entries import entry
from seawall.app.ledger_query import MOST
from seawall.app.ports import SYSTEM_LOG, KeepSealed, Query
from seawall.app.successions import line_of
from seawall.core.errors import Conflict, Invalid, Refused, Tampered
from seawall.core.ledger.encoding import decode
from seawall.core.policy.factor import LONGEST_MS, Factor, Tries
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.registers.spec import NAME_PATTERN
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Clock, KeyRing, Ledger, Notifier, SecondFactor, Store
    from seawall.core.seal.envelope import Sealed

FACTOR: Final = "operator.factor"
"""The kind of sealed value that a second factor is; its item is TENANT/NAME."""
TRIES: Final = "operator.tries"
"""The kind of sealed value that a caller's wrong codes are; its item is KIND/TENANT/NAME."""
ENROLLED: Final = "operator.enrolled"
"""The kind of sealed value that says that somebody is enrolled; its item is whose operator."""
SYSTEM_OPERATOR: Final = "system."
"""How the name of an operator of the system begins; nobody else's does."""

_GRANT_MS: Final = 60_000
_TRIES: Final = 5
"""So often a try is made again because another process changed something meanwhile."""
_ANYBODY: Final = "*"
"""The item of the mark that says that somebody is enrolled, whoever it is."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who somebody says to be, and what shows it. A later release may have another kind."""

    operator: str
    code: str

    def __repr__(self) -> str:
        return "<Proof>"


class StepUp(Protocol):
    """Asks for a second factor."""

    async def require(self, caller: Principal, proof: Proof | None) -> Principal:
        """Return the operator who is shown, in the caller's tenant; `Refused` otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class _Named:
    """Who is named in a proof: of which tenant, and how entries call them."""

    tenant: str
    name: str
    """Empty for a name that cannot be an operator's who may act here."""

    @property
    def item(self) -> str:
        """The item under which the factor lies; of nobody's name the decoy."""
        return f"{self.tenant}/{self.name}"

    @property
    def told(self) -> str:
        """The name that entries say."""
        return f"{SYSTEM_OPERATOR}{self.name}" if self.tenant == SYSTEM_LOG else self.name


@dataclass(frozen=True, slots=True)
class _Try:
    """One try: who tries to be shown, and what was read for it."""

    caller: Principal
    named: _Named
    is_known: bool
    factor: Sealed
    """The operator's; where there is none the decoy, whose secret nobody has."""
    tries: Sealed | None
    new_decoy: Sealed | None

    @property
    def operator(self) -> str:
        """Whom the wrong codes are counted for; one word for all who do not exist."""
        return self.named.item if self.is_known else ""

    @property
    def told(self) -> str:
        """Who is named, as entries say it: what was typed and is nobody's name is in none."""
        return self.named.told if self.is_known else "unknown"


class CodeStepUp:
    """The step-up by time-based one-time codes (RFC 6238)."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        indexing: IndexLedger,
        keys: KeyRing,
        factor: SecondFactor,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._indexing = indexing
        self._keys = keys
        self._factor = factor
        self._notifier = notifier
        self._clock = clock
        self._turns: dict[str, asyncio.Lock] = {}

    async def has_operators(self, tenant: str) -> bool:
        """Whether anybody of this tenant is enrolled."""
        return await self._store.sealed(SYSTEM_LOG, ENROLLED, tenant) is not None

    async def enrol(self, caller: Principal, name: str, proof: Proof | None) -> str:
        """Give an operator a new factor; return the otpauth URI, which is shown once.

        The operator is of the caller's tenant. At the terminal the first one needs no
        proof; over the API none is the first, and none gets another factor than the
        first (`Refused`, `enrol-at-terminal`). `Invalid` if the name is no name.
        """
        named = _new(caller.tenant, name)
        await self._keys.prepare(SYSTEM_LOG)
        is_first = not await self.has_operators(caller.tenant)
        by = caller
        if is_first:
            await self._check_first(caller)
        if proof is not None or not is_first:
            by = await self.require(caller, proof)
        held = await self._store.sealed(SYSTEM_LOG, FACTOR, named.item)
        if held is not None and not _at_terminal(caller):
            raise only_at_terminal()
        secret = self._factor.new_secret()
        sealed = await self._seal(FACTOR, named.item, Factor(secret).to_json())
        writes = [KeepSealed(sealed, replaces=held.digest() if held else "")]
        if is_first:
            writes += await self._marks(caller.tenant)
        said: dict[str, Any] = {"operator": named.told, "factor": sealed.digest()}
        said |= {"first": is_first, "replaced": held is not None}
        body = entry("operator.enrol", by, self._clock, **said)
        try:
            receipt = await self._ledger.append(SYSTEM_LOG, body, writes)
        except Conflict:
            raise _refusal() from None
        self._notifier.alarm("operator-enrolled", SYSTEM_LOG, receipt.index)
        return self._factor.uri(named.told, secret)

    async def require(self, caller: Principal, proof: Proof | None) -> Principal:
        """Return the operator whom a fresh code shows; `Refused` (`step-up-failed`) otherwise.

        The operator is of the caller's tenant, or, at the terminal, of the system.
        """
        if proof is None:
            raise Refused(
                "step-up-needed",
                "this changes keys, and needs an operator's second factor",
                "give --operator and --code; `seawall keys enrol NAME` makes an operator",
            )
        # One after another: of many tries at once no more are looked at than are allowed.
        async with self._turns.setdefault(_whose(caller), asyncio.Lock()):
            for _ in range(_TRIES):
                try:
                    shown = await self._try(caller, proof)
                except Conflict:
                    continue  # another process changed something meanwhile: look again
                if shown is None:
                    break
                return shown
        raise _refusal()

    # --- one try ------------------------------------------------------------------

    async def _try(self, caller: Principal, proof: Proof) -> Principal | None:
        """Open the factor, compare, and keep what came of it; `Conflict` if it was changed."""
        if await self._waits(caller):
            return None
        made = await self._begin(caller, _named(caller, proof.operator))
        factor, tries = await self._open(made)
        now_ms = self._clock.now_ms()
        if not tries.may_try(now_ms):
            return None  # its last try began it in another process, after this one looked
        # Compared whoever is named: an unknown name must not be answered sooner.
        step = self._factor.step_of(factor.secret, proof.code, now_ms)
        if step is None or step <= factor.used or not made.is_known:
            await self._record(made, None, tries.missed(made.operator, now_ms))
            return None
        await self._record(made, factor.accepted(step), tries.accepted(made.operator))
        return Principal("operator", made.named.told, caller.tenant)

    async def _waits(self, caller: Principal) -> bool:
        """Whether the ledger says that a caller has to wait: told by its entries, without a key."""
        now_ms = self._clock.now_ms()
        facets = (
            ("action", "operator.verified"),
            ("outcome", "waiting"),
            ("actor", f"{caller.kind}/{caller.name}"),
        )
        query = Query(facets, since_ms=max(0, now_ms - LONGEST_MS), last=MOST)
        found = []
        for log in await line_of(self._store, SYSTEM_LOG):
            await self._indexing.caught_up(log)
            found += [decode(raw) for _, raw in await self._store.find(log, query)]
        return any(
            said["for"] == caller.tenant and int(said.get("until_ms", 0)) > now_ms for said in found
        )

    async def _begin(self, caller: Principal, named: _Named) -> _Try:
        """Read what a try needs: as much for a name that nobody has."""
        decoy_item = _Named(caller.tenant, "").item
        held = await self._sealed(FACTOR, named.item)
        decoy = await self._sealed(FACTOR, decoy_item)
        tries = await self._sealed(TRIES, _whose(caller))
        new_decoy = None
        if decoy is None:
            await self._keys.prepare(SYSTEM_LOG)
            raw = Factor(self._factor.new_secret()).to_json()
            decoy = new_decoy = await self._seal(FACTOR, decoy_item, raw)
        is_known = held is not None and bool(named.name)
        factor = held if held is not None and is_known else decoy
        return _Try(caller, named, is_known, factor, tries, new_decoy)

    async def _open(self, made: _Try) -> tuple[Factor, Tries]:
        kinds = (FACTOR, TRIES)
        until_ms = self._clock.now_ms() + _GRANT_MS
        grant = terms(kinds=kinds, subjects=(SYSTEM_LOG,), until_ms=until_ms)
        said = {"operator": made.told, "grant": grant}
        body = entry("operator.verify", _in_system(made.caller), self._clock, **said)
        opened_by = Grant(await self._ledger.append(SYSTEM_LOG, body))
        factor = Factor.from_json(await self._keys.open(made.factor, opened_by))
        if made.tries is None:
            return factor, Tries()
        return factor, Tries.from_json(await self._keys.open(made.tries, opened_by))

    async def _record(self, made: _Try, factor: Factor | None, tries: Tries) -> None:
        """Record how a try ended, and keep what is remembered of it; `Conflict` if it changed."""
        whose = _whose(made.caller)
        counted = await self._seal(TRIES, whose, tries.to_json())
        writes = [KeepSealed(counted, made.tries.digest() if made.tries else "")]
        if factor is not None:
            used = await self._seal(FACTOR, made.named.item, factor.to_json())
            writes.append(KeepSealed(used, made.factor.digest()))
        if made.new_decoy is not None:
            writes.append(KeepSealed(made.new_decoy, ""))
        until_ms = 0 if factor else tries.until_ms()
        said: dict[str, Any] = {"operator": made.told, "for": made.caller.tenant}
        if until_ms:
            said |= {"outcome": "waiting", "until_ms": until_ms}
        else:
            said |= {"outcome": "accepted" if factor else "refused"}
        body = entry("operator.verified", _in_system(made.caller), self._clock, **said)
        await self._ledger.append(SYSTEM_LOG, body, writes)

    # --- enrolment, and what is sealed ----------------------------------------------

    async def _check_first(self, caller: Principal) -> None:
        """Refuse to make somebody a first operator where that would get round others."""
        if not _at_terminal(caller):
            raise only_at_terminal()
        if caller.tenant == SYSTEM_LOG and await self._sealed(ENROLLED, _ANYBODY) is not None:
            raise Refused(
                "system-operator-late",
                "the first operator of the system is enrolled before any tenant's",
                "enrol operators of each tenant: seawall keys enrol NAME --tenant TENANT",
            )

    async def _marks(self, tenant: str) -> list[KeepSealed]:
        """Return the marks of a first operator; of two who are the first at once, one is kept."""
        missing = [tenant]
        if await self._sealed(ENROLLED, _ANYBODY) is None:
            missing.append(_ANYBODY)
        return [KeepSealed(await self._seal(ENROLLED, item, b"{}"), "") for item in missing]

    async def _sealed(self, kind: str, item: str) -> Sealed | None:
        """Return what is kept; `Tampered` if it was sealed as something else, such as another's."""
        held = await self._store.sealed(SYSTEM_LOG, kind, item)
        if held is not None and held.context != Context(SYSTEM_LOG, kind, SYSTEM_LOG, item):
            raise Tampered(
                "factor-moved",
                "a sealed second factor lies in the place of another",
                "restore the database from a backup, and treat the change as an incident",
            )
        return held

    async def _seal(self, kind: str, item: str, raw: bytes) -> Sealed:
        return await self._keys.seal(raw, Context(SYSTEM_LOG, kind, SYSTEM_LOG, item))


def _new(tenant: str, name: str) -> _Named:
    """Return who is to be enrolled; `Invalid` if the name is no name, or looks like another's."""
    named = _Named(tenant, name)
    is_name = re.fullmatch(NAME_PATTERN, name) and re.fullmatch(NAME_PATTERN, named.told)
    if not is_name or name.startswith(SYSTEM_OPERATOR):
        raise Invalid(
            "operator-name",
            "this cannot be an operator's name",
            "use lower-case letters, digits, '.', '_' and '-', at most 63 characters, and do not "
            "begin with 'system.'",
        )
    return named


def _named(caller: Principal, operator: str) -> _Named:
    """Return whom a proof names, of the tenant that the caller may name somebody of."""
    tenant, name = caller.tenant, operator
    if operator.startswith(SYSTEM_OPERATOR):
        tenant, name = SYSTEM_LOG, operator.removeprefix(SYSTEM_OPERATOR)
    is_let = tenant != SYSTEM_LOG or _at_terminal(caller)
    if not is_let or not re.fullmatch(NAME_PATTERN, name):
        return _Named(caller.tenant, "")
    return _Named(tenant, name)


def _at_terminal(caller: Principal) -> bool:
    """Whether this is a person who opened the data folder: the API's callers are all clients."""
    return caller.kind == "operator"


def _whose(caller: Principal) -> str:
    return f"{caller.kind}/{caller.tenant}/{caller.name}"


def _in_system(caller: Principal) -> Principal:
    """Return the caller as the system's own entries name it: the grant is of that log."""
    return Principal(caller.kind, caller.name, SYSTEM_LOG)


def _refusal() -> Refused:
    return Refused(
        "step-up-failed",
        "the operator's second factor was not accepted",
        "check the operator's name and the clock of the device, and use the next code: each "
        "works once, and after five wrong ones there is a wait",
    )


def only_at_terminal() -> Refused:
    """Return the refusal of an enrolment that is not made on the data folder itself."""
    return Refused(
        "enrol-at-terminal",
        "a tenant's first operator, and a new factor for one who has one, need the data folder",
        "run `seawall keys enrol NAME` where the data folder is; stop a server that holds it first",
    )
