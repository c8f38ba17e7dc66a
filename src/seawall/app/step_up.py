"""A second factor before anything changes keys: who does it, shown by a code of theirs.

Each operator has a secret of their own, sealed under the system's own keys, so
that no tenant's shredding ends it. A code is accepted once, by whichever
replica: that it was used is kept by comparing with what was read, in the
transaction of the entry that says so. Every try is two entries of the system's
log: one that opens the secret, one that says how it ended. Every refusal is
said in the same words. 45 CFR 164.312(d), 164.308(a)(5)(ii)(C).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, KeepSealed
from seawall.core.errors import Conflict, Invalid, Refused
from seawall.core.policy.factor import Factor
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.registers.spec import NAME_PATTERN
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from seawall.app.ports import Clock, KeyRing, Ledger, SecondFactor, Store
    from seawall.core.seal.envelope import Sealed

FACTOR: Final = "operator.factor"
"""The kind of sealed value that a second factor is."""
ENROLLED: Final = "operator.enrolled"
"""The kind of the one sealed value that says that somebody is enrolled."""

_GRANT_MS: Final = 60_000
_TRIES: Final = 5
"""So often a try is made again because another process changed the factor meanwhile."""
_ANYBODY: Final = "anybody"


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


class CodeStepUp:
    """The step-up by time-based one-time codes (RFC 6238)."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        keys: KeyRing,
        factor: SecondFactor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._keys = keys
        self._factor = factor
        self._clock = clock

    async def has_operators(self) -> bool:
        """Whether anybody is enrolled."""
        return await self._store.sealed(SYSTEM_LOG, ENROLLED, _ANYBODY) is not None

    async def enrol(self, caller: Principal, name: str, proof: Proof | None) -> str:
        """Give an operator a new factor; return the otpauth URI, which is shown once.

        The first operator needs no proof, every other one that of somebody enrolled; so
        does a new factor for the same operator. `Invalid` if the name is no name.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise Invalid(
                "operator-name",
                "this cannot be an operator's name",
                "use lower-case letters, digits, '.', '_' and '-', at most 63 characters",
            )
        await self._keys.prepare(SYSTEM_LOG)
        by = caller
        is_first = not await self.has_operators()
        if not is_first:
            by = await self.require(caller, proof)
        secret = self._factor.new_secret()
        held = await self._store.sealed(SYSTEM_LOG, FACTOR, name)
        sealed = await self._seal(name, Factor(secret))
        writes = [KeepSealed(sealed, replaces=held.digest() if held else "")]
        if is_first:
            mark = Context(SYSTEM_LOG, ENROLLED, SYSTEM_LOG, _ANYBODY)
            # Of two who are the first at once, one is refused.
            writes.append(KeepSealed(await self._keys.seal(b"{}", mark), replaces=""))
        said = {"operator": name, "factor": sealed.digest(), "first": is_first}
        try:
            await self._ledger.append(
                SYSTEM_LOG, entry("operator.enrol", by, self._clock, **said), writes
            )
        except Conflict:
            raise _refusal() from None
        return self._factor.uri(name, secret)

    async def require(self, caller: Principal, proof: Proof | None) -> Principal:
        """Return the operator whom a fresh code shows; `Refused` (`step-up-failed`) otherwise."""
        if proof is None:
            raise Refused(
                "step-up-needed",
                "this changes keys, and needs an operator's second factor",
                "give --operator and --code; `seawall keys enrol NAME` makes an operator",
            )
        name = proof.operator if re.fullmatch(NAME_PATTERN, proof.operator) else ""
        for _ in range(_TRIES):
            held = await self._store.sealed(SYSTEM_LOG, FACTOR, name) if name else None
            if held is None:
                break
            try:
                if await self._try(caller, name, proof.code, held):
                    return Principal("operator", name, caller.tenant)
            except Conflict:
                continue  # another process changed it meanwhile: look again
            raise _refusal()
        # Nobody of this name, or too many at once: recorded without what was typed.
        await self._record(caller, "refused", None)
        raise _refusal()

    async def _try(self, caller: Principal, name: str, code: str, held: Sealed) -> bool:
        """Open the factor, compare, and keep what came of it; `Conflict` if it was changed."""
        whose = f"{caller.kind}/{caller.tenant}/{caller.name}"
        factor = await self._open(caller, name, held)
        now_ms = self._clock.now_ms()
        if not factor.may_try(whose, now_ms):
            # Not counted: waiting must end.
            await self._record(caller, "waiting", name)
            return False
        step = self._factor.step_of(factor.secret, code, now_ms)
        if step is None or step <= factor.used:
            after = await self._seal(name, factor.missed(whose, now_ms))
            await self._record(caller, "refused", name, KeepSealed(after, held.digest()))
            return False
        after = await self._seal(name, factor.accepted(whose, step))
        await self._record(caller, "accepted", name, KeepSealed(after, held.digest()))
        return True

    async def _open(self, caller: Principal, name: str, held: Sealed) -> Factor:
        grant = terms(
            kinds=(FACTOR,), subjects=(SYSTEM_LOG,), until_ms=self._clock.now_ms() + _GRANT_MS
        )
        said = entry("operator.verify", _in_system(caller), self._clock, operator=name, grant=grant)
        receipt = await self._ledger.append(SYSTEM_LOG, said)
        return Factor.from_json(await self._keys.open(held, Grant(receipt)))

    async def _record(
        self, caller: Principal, outcome: str, name: str | None, write: KeepSealed | None = None
    ) -> None:
        said = {"outcome": outcome, "operator": name or "unknown", "for": caller.tenant}
        await self._ledger.append(
            SYSTEM_LOG,
            entry("operator.verified", _in_system(caller), self._clock, **said),
            [write] if write else [],
        )

    async def _seal(self, name: str, factor: Factor) -> Sealed:
        return await self._keys.seal(
            factor.to_json(), Context(SYSTEM_LOG, FACTOR, SYSTEM_LOG, name)
        )


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
