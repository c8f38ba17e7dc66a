"""Which emergencies there are and which are under way, by the documents as they stand.

Every replica reads what others began and ended by the refresh that each request does,
and time ends an emergency without anybody's doing: what is asked here is worked out at
the moment of asking. 45 CFR 164.312(a)(2)(ii), 164.308(a)(7)(ii)(C).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from seawall.app.documents import Change
from seawall.app.entries import entry
from seawall.app.ports import KeepSealed
from seawall.app.recall import UNATTRIBUTED
from seawall.core.access.emergency import Happening, follow
from seawall.core.errors import Missing
from seawall.core.policy.grant import Grant, terms
from seawall.core.registers.emergency import EmergencySpec, Step
from seawall.core.registers.register import kind_of
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.policies import Registers
    from seawall.app.ports import Clock, KeyRing, Ledger, Store
    from seawall.core.policy.principal import Principal
    from seawall.core.registers.emergency import What
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document
    from seawall.core.seal.envelope import Sealed

TYPED: Final = "emergency.typed"
"""The kind of sealed value that is what somebody typed about an emergency."""

_KIND: Final = kind_of(EmergencySpec)
_GRANT_MS: Final = 60_000
_DIGITS: Final = 16


class CurrentEmergencies:
    """The emergencies of every tenant; the `Emergencies` of app/access.py."""

    def __init__(self, *, documents: Registers, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._read: dict[str, tuple[Register, tuple[Document[EmergencySpec], ...]]] = {}
        """What was picked out of each tenant's register, and out of which: it never changes."""

    def all(self, tenant: str) -> tuple[Document[EmergencySpec], ...]:
        """Return a tenant's emergencies, the newest first."""
        register = self._documents.register(tenant)
        held = self._read.get(tenant)
        if held is None or held[0] is not register:
            found = register.all(EmergencySpec)
            found.sort(key=lambda one: (one.spec.began_ms, one.name), reverse=True)
            held = self._read[tenant] = register, tuple(found)
        return held[1]

    def find(self, tenant: str, name: str) -> Document[EmergencySpec]:
        """Return one emergency; `Missing` if there is none of this id."""
        found = self._documents.register(tenant).find(EmergencySpec, name)
        if found is None:
            raise Missing(
                "emergency-unknown",
                "there is no emergency of this id",
                "see which there are with `seawall emergency list`",
            )
        return found

    def under_way(
        self, tenant: str, what: What, person: str | None = None
    ) -> Document[EmergencySpec] | None:
        """Return the emergency of this sort that is under way, of one person if one is named."""
        now_ms = self._clock.now_ms()
        for one in self.all(tenant):
            spec = one.spec
            if spec.what == what and person in {None, spec.person} and spec.is_open(now_ms):
                return one
        return None

    def patient_of(self, caller: Caller) -> str | None:
        """Return the ledger id of the patient whom the caller's emergency access opens."""
        found = self._of(caller)
        return None if found is None else found.spec.patient

    def is_mode_on(self, tenant: str) -> bool:
        """Whether emergency mode is on."""
        return self.under_way(tenant, "mode") is not None

    def said(self, caller: Caller, patients: Sequence[str]) -> dict[str, str]:
        """Return the field `emergency` of an entry, if what it tells of is done under one.

        Who records something of these patients adds it, so that everything that is done to
        the record of the one patient meanwhile is told as an emergency's.
        """
        found = self._of(caller)
        is_under = found is not None and found.spec.patient in patients
        return {"emergency": found.name} if found is not None and is_under else {}

    def next_name(self, tenant: str, what: What, person: str = "") -> str:
        """Return the id of the next emergency of a sort, and of a person.

        Two processes that begin one at once take the same, and so one of them is refused.
        """
        count = sum(
            one.spec.what == what and (not person or one.spec.person == person)
            for one in self.all(tenant)
        )
        whose = hashlib.sha256(f"{tenant}/{person}".encode()).hexdigest()[:_DIGITS]
        return "-".join([what, *([whose] if person else []), str(count + 1)])

    def _of(self, caller: Caller) -> Document[EmergencySpec] | None:
        """Return a person's own emergency access; a client has none, for whomever it acts."""
        if caller.principal.kind != "user":
            return None
        return self.under_way(caller.principal.tenant, "access", caller.principal.name)


class EmergencySteps:
    """Keeps what happens to emergencies: a version of the document, an entry, what was typed."""

    def __init__(self, *, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def begin(
        self,
        by: Principal,
        name: str,
        spec: EmergencySpec,
        said: Mapping[str, Any],
        sealed: Sealed | None,
    ) -> int:
        """Keep a new emergency; return the entry. `Conflict` if there is one of this id."""
        change = Change(_KIND, name, spec, after=0)
        return await self._keep(by, "emergency.begin", change, said, sealed)

    async def end(
        self,
        caller: Caller,
        document: Document[EmergencySpec],
        sealed: Sealed | None,
        said: Mapping[str, Any],
    ) -> int:
        """Keep that an emergency was ended now; `Conflict` (`emergency-state`) if it has ended."""
        follow(document.spec.state(self._clock.now_ms()), Happening.END)
        spec = document.spec.model_copy(update={"ended": self.step(caller, sealed)})
        return await self.follow(
            caller.principal, "emergency.end", document, spec, said=said, sealed=sealed
        )

    async def follow(
        self,
        by: Principal,
        action: str,
        document: Document[EmergencySpec],
        spec: EmergencySpec,
        *,
        said: Mapping[str, Any],
        sealed: Sealed | None,
    ) -> int:
        """Keep what happened to an emergency next; return the entry."""
        fields: dict[str, Any] = {
            "emergency": document.name,
            "what": spec.what,
            "patients": [spec.patient] if spec.patient else [],
            "person": spec.person,
            **said,
        }
        change = Change(_KIND, document.name, spec, after=document.version)
        return await self._keep(by, action, change, fields, sealed)

    def step(self, caller: Caller, sealed: Sealed | None) -> Step:
        """Return who does something now, and the digest of what they typed."""
        told = None if sealed is None else sealed.digest()
        return Step(by=caller.principal.name, at_ms=self._clock.now_ms(), told=told)

    async def _keep(
        self,
        by: Principal,
        action: str,
        change: Change,
        said: Mapping[str, Any],
        sealed: Sealed | None,
    ) -> int:
        told = {} if sealed is None else {"told": sealed.digest()}
        writes = [] if sealed is None else [KeepSealed(sealed, replaces="")]
        kept = await self._documents.keep(
            by, [change], action=action, said={**said, **told}, writes=writes
        )
        if kept.entry is None:
            raise RuntimeError("a step of an emergency changed nothing")
        return kept.entry


class TypedTexts:
    """What people type about an emergency: sealed with its entry, opened by one."""

    def __init__(self, *, store: Store, ledger: Ledger, keys: KeyRing, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._keys = keys
        self._clock = clock

    async def seal(self, tenant: str, patient: str | None, item: str, text: str) -> Sealed:
        """Seal a text under the patient's own key, so that it is shredded with the patient."""
        context = Context(tenant, TYPED, patient or UNATTRIBUTED, item)
        return await self._keys.seal(text.encode(), context)

    async def open(
        self, principal: Principal, document: Document[EmergencySpec], access: dict[str, Any]
    ) -> dict[str, str]:
        """Return what was typed, by what it was typed for; the entry comes first."""
        tenant, patient = principal.tenant, document.spec.patient
        steps = [f"renewed-{number}" for number, _ in enumerate(document.spec.renewed, 1)]
        items = {"begin": document.name} | {
            step: f"{document.name}/{step}" for step in (*steps, "end", "review")
        }
        found = {
            step: sealed
            for step, item in items.items()
            if (sealed := await self._store.sealed(tenant, TYPED, item)) is not None
        }
        said: dict[str, Any] = {
            "decision": {"allowed": True, "reasons": ["it is reviewed"], "documents": []},
            "about": document.reference,
            "access": access,
            "patients": [patient] if patient else [],
            "grant": terms(
                kinds=(TYPED,),
                subjects=(patient or UNATTRIBUTED,),
                until_ms=self._clock.now_ms() + _GRANT_MS,
            ),
        }
        body = entry("phi.open", principal, self._clock, **said)
        grant = Grant(await self._ledger.append(tenant, body))
        return {
            step: (await self._keys.open(sealed, grant)).decode() for step, sealed in found.items()
        }
