"""Breaking the glass: a person opens one patient's record in an emergency, for 60 minutes.

The warning is acknowledged, a reason is chosen and typed, a factor was just shown; then
the access is an entry, a document and an alarm before anything can be opened under it.
It opens one patient, of whom the policies know. 45 CFR 164.312(a)(2)(ii) (required);
one patient, 60 minutes and the alarm are practice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seawall.core.access.emergency import (
    ACCESS_MS,
    MOST_ACCESSES,
    REVIEW_HOURS,
    WARNING,
    WARNINGS,
    Reason,
    check_acknowledged,
    check_typed,
)
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Conflict, Invalid, Missing, Refused, Unavailable
from seawall.core.policy.purpose import HL7_CODES, Purpose
from seawall.core.registers.emergency import EmergencySpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from seawall.app.access import Access, Allowed
    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.emergencies import CurrentEmergencies, EmergencySteps, TypedTexts
    from seawall.app.ports import Clock, KeyRing, Notifier, Store
    from seawall.core.seal.envelope import Sealed

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Warned:
    """What is shown before an emergency access, and has to be acknowledged."""

    version: str
    text: str
    minutes: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody says who asks for an emergency access."""

    patient: str = field(repr=False)
    """The patient, as the clinic calls the patient: a FHIR id or a record number."""
    reason: str
    """One of the closed list."""
    typed: str = field(repr=False)
    acknowledged: str | None
    """The version of the warning that was shown and acknowledged."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An emergency that began: its id, when it ends by itself, its entry."""

    id: str
    until_ms: int
    entry: int


def read_reason(said: str) -> Reason:
    """Return a reason of the closed list; `Invalid` for anything else."""
    try:
        return Reason(said)
    except ValueError:
        raise Invalid(
            "emergency-reason-unknown",
            "the reason is none of the list",
            f"choose one of {', '.join(Reason)}",
        ) from None


class EmergencyAccess:
    """Begins and ends emergency accesses."""

    def __init__(
        self,
        *,
        access: Access,
        current: CurrentEmergencies,
        documents: Documents,
        steps: EmergencySteps,
        typed: TypedTexts,
        store: Store,
        keys: KeyRing,
        notifier: Notifier,
        clock: Clock,
        review_hours: int = REVIEW_HOURS,
    ) -> None:
        self._access = access
        self._current = current
        self._documents = documents
        self._steps = steps
        self._typed = typed
        self._store = store
        self._keys = keys
        self._notifier = notifier
        self._clock = clock
        self._review_hours = review_hours

    def warn(self) -> Warned:
        """Return the warning as it is shown now."""
        return Warned(WARNING, WARNINGS[WARNING], ACCESS_MS // _MINUTE_MS, tuple(Reason))

    async def begin(self, caller: Caller, asked: Asked) -> Begun:
        """Open one patient's record to one person; `Refused` by policy, `Invalid` by what is said.

        `Conflict` (`emergency-under-way`) if the person has an access that has not ended: of
        two patients at once neither's would be plain.
        """
        check_acknowledged(asked.acknowledged)
        reason, typed = read_reason(asked.reason), check_typed(asked.typed)
        tenant, person = caller.principal.tenant, caller.principal.name
        patient = await self._patient(tenant, asked.patient)
        allowed = await self._access.require(
            caller,
            Action.BREAK_GLASS,
            Resource(On.PATIENT, tenant, patient or "*"),
            purpose=Purpose.TREATMENT,
            has_reason=True,
        )
        if patient is None:
            # Said to nobody who may not break the glass: it tells who is a patient here.
            raise await self._access.recorded(_unknown(), caller, allowed.action, allowed.resource)
        await self._documents.refresh()
        self._refuse_second(tenant, person)
        self._refuse_many(tenant, person)
        name, now_ms = self._current.next_name(tenant, "access", person), self._clock.now_ms()
        sealed = await self._typed.seal(tenant, patient, name, typed)
        spec = EmergencySpec(
            what="access",
            person=person,
            patient=patient,
            reason=reason,
            told=sealed.digest(),
            warning=WARNING,
            began_ms=now_ms,
            until_ms=now_ms + ACCESS_MS,
            review_hours=self._review_hours,
        )
        return await self._keep(allowed, name, spec, sealed)

    async def end(self, caller: Caller, name: str, typed: str = "") -> int:
        """End an access before its time; return the entry.

        Whoever began it needs no permission to stop. Anybody else needs to be one who
        reviews it, and to say why.
        """
        tenant = caller.principal.tenant
        await self._documents.refresh()
        document = self._current.find(tenant, name)
        spec, said = document.spec, {}
        if spec.what != "access":
            raise Missing("emergency-unknown", "this is no emergency access", "see its list")
        sealed: Sealed | None = None
        if caller.principal.kind != "user" or caller.principal.name != spec.person:
            allowed = await self._access.require(
                caller,
                Action.REVIEW_EMERGENCY,
                Resource(On.REVIEW, tenant, name, about=spec.person),
                has_reason=bool(typed.strip()),
            )
            said = {"access": allowed.answer.fields()}
            text = check_typed(typed)
            sealed = await self._typed.seal(tenant, spec.patient, f"{name}/end", text)
        return await self._steps.end(caller, document, sealed, said)

    def _refuse_second(self, tenant: str, person: str) -> None:
        if self._current.under_way(tenant, "access", person) is not None:
            raise Conflict(
                "emergency-under-way",
                "you have an emergency access that has not ended, and it opens one patient",
                "end it first, then begin the next",
            )

    def _refuse_many(self, tenant: str, person: str) -> None:
        since_ms = self._clock.now_ms() - ACCESS_MS
        begun = [
            one
            for one in self._current.all(tenant)
            if (one.spec.what, one.spec.person) == ("access", person)
            and one.spec.began_ms > since_ms
        ]
        if len(begun) >= MOST_ACCESSES:
            raise Refused(
                "emergency-many",
                f"you began {MOST_ACCESSES} emergency accesses within an hour",
                "wait until an hour is over since the first of them, or let a colleague begin it",
            )

    async def _keep(
        self, allowed: Allowed, name: str, spec: EmergencySpec, sealed: Sealed
    ) -> Begun:
        principal = allowed.caller.principal
        user = self._documents.register(principal.tenant).find(UserSpec, principal.name)
        purpose = {"name": Purpose.TREATMENT.value, "hl7": HL7_CODES[Purpose.TREATMENT]}
        said: dict[str, Any] = {
            "emergency": name,
            "what": spec.what,
            "patients": [spec.patient],
            "outcome": "emergency",
            "reason": spec.reason.value,
            "told": sealed.digest(),
            "warning": WARNING,
            "until": spec.until_ms,
            "access": allowed.answer.fields(),
            "decision": {
                "allowed": True,
                "documents": [user.reference] if user else [],
                "reasons": ["a person broke the glass for one patient"],
                "purpose": purpose,
            },
        }
        try:
            entry = await self._steps.begin(principal, name, spec, said, sealed)
        except Conflict:
            # Another process began one for the same person meanwhile.
            await self._documents.refresh()
            self._refuse_second(principal.tenant, principal.name)
            raise
        except (Unavailable, asyncio.CancelledError):
            # Whether it began is not known: whoever reviews hears of it rather than not.
            self._notifier.alarm("emergency-access", principal.tenant, None)
            raise
        self._notifier.alarm("emergency-access", principal.tenant, entry)
        return Begun(name, spec.until_ms, entry)

    async def _patient(self, tenant: str, reference: str) -> str | None:
        """Return the ledger id of the patient whom the clinic calls so; recorded nowhere."""
        (term,) = await self._keys.blind(tenant, [f"reference\n{reference}"])
        found = (await self._store.patients(tenant, [term])).get(term, frozenset())
        return next(iter(found)) if len(found) == 1 else None


def _unknown() -> Missing:
    return Missing(
        "patient-unknown",
        "the reference names no patient that was imported",
        "use the FHIR id or a record number of a patient who was imported",
    )
