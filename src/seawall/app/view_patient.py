"""A person sees what is held of one patient: as much as their role may, or, in an emergency, all.

Without an emergency that is the classes of identifiers that a RoleScope names for the
purpose. Under an emergency access it is everything that is held of its one patient: every
identifier, and the newest answers of models that concern nobody else. The entry comes
first, says which of the two it was, and is the grant. 45 CFR 164.312(a)(2)(ii),
164.514(d)(2), 164.312(b).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.answer import ANSWER
from seawall.app.entries import entry
from seawall.app.ports import Query
from seawall.app.recall import IDENTIFIERS
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Missing, Refused
from seawall.core.ledger.encoding import decode
from seawall.core.phi.identifiers import Label
from seawall.core.policy.elements import identifier, scope_of_elements
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.purpose import HL7_CODES
from seawall.core.policy.scope import Shown, shown_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.access import Access, Allowed
    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.emergencies import CurrentEmergencies
    from seawall.app.index_ledger import IndexLedger
    from seawall.app.open_payload import SealedValues
    from seawall.app.ports import Clock, KeyRing, Ledger, Store
    from seawall.core.policy.purpose import Purpose
    from seawall.core.seal.envelope import Sealed

CLASSES: Final[Mapping[str, Label]] = {
    "names": Label.NAME,
    "relatives": Label.NAME,
    "birth_date": Label.DATE,
    "record_numbers": Label.ID,
    "other_ids": Label.ID,
    "logical_id": Label.ID,
    "ssns": Label.SSN,
    "phones": Label.PHONE,
    "faxes": Label.FAX,
    "emails": Label.EMAIL,
    "addresses": Label.LOCATION,
}
"""What is held of a patient, and of which class each is."""
MOST_ANSWERS: Final = 20
"""So many of the newest answers are shown in an emergency."""
_ALL: Final = scope_of_elements(map(identifier, sorted(set(CLASSES.values()))))
_EVERYTHING: Final = Shown(_ALL, (), ())
_GRANT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class AnswerShown:
    """What a model said about the patient, as it was handed over."""

    entry: int
    """The intent's."""
    at: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Viewed:
    """What was shown of a patient, and by which entry."""

    patient: str
    entry: int
    emergency: str | None
    """The emergency access under which everything was shown."""
    identifiers: Mapping[str, Any] = field(repr=False)
    withheld: tuple[str, ...] = ()
    answers: tuple[AnswerShown, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A sealed answer, and where its exchange began."""

    entry: int
    at: str
    sealed: Sealed


class ViewPatient:
    """Shows what is held of one patient."""

    def __init__(
        self,
        *,
        access: Access,
        emergencies: CurrentEmergencies,
        documents: Documents,
        store: Store,
        payloads: SealedValues,
        ledger: Ledger,
        indexing: IndexLedger,
        keys: KeyRing,
        clock: Clock,
    ) -> None:
        self._access = access
        self._emergencies = emergencies
        self._documents = documents
        self._store = store
        self._payloads = payloads
        self._ledger = ledger
        self._indexing = indexing
        self._keys = keys
        self._clock = clock

    async def view(self, caller: Caller, reference: str, purpose: Purpose) -> Viewed:
        """Show one patient, named as the clinic names them; `Refused` if nothing may be shown."""
        tenant = caller.principal.tenant
        patient = await self._patient(tenant, reference)
        resource = Resource(On.PATIENT, tenant, patient or "*")
        allowed = await self._access.require(
            caller,
            Action.VIEW_PATIENT,
            resource,
            purpose=purpose,
            elements=frozenset(_ALL.texts()),
        )
        if patient is None:
            error = Missing(
                "patient-unknown",
                "the reference names no patient that was imported",
                "use the FHIR id or a record number of a patient who was imported",
            )
            raise await self._access.recorded(error, caller, Action.VIEW_PATIENT, resource)
        under = self._emergencies.said(caller, [patient])
        shown = _EVERYTHING if under else await self._shown(caller, purpose)
        held = await self._store.sealed(tenant, IDENTIFIERS, patient)
        if held is None:
            raise Missing("patient-gone", "nothing is held of this patient", "import the patient")
        answers = await self._answers(tenant, patient) if under else []
        grant = await self._record(
            allowed, purpose, patient, shown=shown, answers=answers, under=under
        )
        await self._refuse_ended(caller, patient, under, grant)
        fields: dict[str, Any] = json.loads(await self._keys.open(held, grant))
        return Viewed(
            patient,
            grant.receipt.index,
            under.get("emergency"),
            {
                name: fields[name]
                for name, label in CLASSES.items()
                if fields.get(name) and shown.given.allows(identifier(label))
            },
            tuple(sorted({one.element.text for one in shown.withheld})),
            tuple([await self._opened(one, grant) for one in answers]),
        )

    async def _shown(self, caller: Caller, purpose: Purpose) -> Shown:
        """Return which classes the role is shown; `Refused`, which is recorded, if none is."""
        register = self._documents.register(caller.principal.tenant)
        roles = self._access.asker(caller).roles
        shown = shown_to(register, roles, purpose, _ALL)
        if shown.given.texts():
            return shown
        why = shown.withheld[0]
        error = Refused(
            why.code, why.reason, "a RoleScope document says what a role may be shown, for what"
        )
        every = Resource(On.PATIENT, caller.principal.tenant)
        raise await self._access.recorded(error, caller, Action.VIEW_PATIENT, every)

    async def _refuse_ended(
        self, caller: Caller, patient: str, under: Mapping[str, str], grant: Grant
    ) -> None:
        """Show nothing under an access that ended before the entry; that it was asked is told."""
        await self._documents.refresh()
        if under and under != self._emergencies.said(caller, [patient]):
            error = Refused(
                "emergency-over",
                "the emergency access ended meanwhile",
                "ask again: without an emergency access your role's scope applies",
            )
            error.entry = grant.receipt.index
            raise error

    async def _record(
        self,
        allowed: Allowed,
        purpose: Purpose,
        patient: str,
        *,
        shown: Shown,
        answers: Sequence[_Answer],
        under: Mapping[str, str],
    ) -> Grant:
        """Record what is about to be shown; the entry is the grant."""
        principal = allowed.caller.principal
        decision = {
            "allowed": True,
            "documents": list(shown.determined_by),
            "reasons": ["an emergency access shows all" if under else "the role's scope applies"],
            "purpose": {"name": purpose.value, "hl7": HL7_CODES[purpose]},
        }
        kinds = (IDENTIFIERS, ANSWER) if answers else (IDENTIFIERS,)
        said = {
            "patients": [patient],
            "decision": decision,
            "access": allowed.answer.fields(),
            "shown": list(shown.given.texts()),
            "withheld": sorted({one.element.text for one in shown.withheld}),
            "answers": [one.entry for one in answers],
            "grant": terms(
                kinds=kinds, subjects=(patient,), until_ms=self._clock.now_ms() + _GRANT_MS
            ),
            **under,
        }
        body = entry("patient.view", principal, self._clock, **said)
        return Grant(await self._ledger.append(principal.tenant, body))

    async def _answers(self, tenant: str, patient: str) -> list[_Answer]:
        """Return the newest answers that concern this patient and nobody else."""
        await self._indexing.caught_up(tenant)
        query = Query((("patient", patient), ("action", "exchange.intent")), last=MOST_ANSWERS)
        found = []
        for index, raw in reversed(await self._store.find(tenant, query)):
            said = decode(raw)
            sealed = None
            if said["patients"] == [patient]:
                sealed = await self._payloads.sealed(tenant, ANSWER, said["item"])
            # What is kept under another's key is not of this patient alone.
            if sealed is not None and sealed.context.subject == patient:
                found.append(_Answer(index, said["at"], sealed))
        return found

    async def _opened(self, one: _Answer, grant: Grant) -> AnswerShown:
        return AnswerShown(one.entry, one.at, (await self._keys.open(one.sealed, grant)).decode())

    async def _patient(self, tenant: str, reference: str) -> str | None:
        """Return the ledger id of the patient whom the clinic calls so; recorded nowhere."""
        (term,) = await self._keys.blind(tenant, [f"reference\n{reference}"])
        found = (await self._store.patients(tenant, [term])).get(term, frozenset())
        return next(iter(found)) if len(found) == 1 else None
