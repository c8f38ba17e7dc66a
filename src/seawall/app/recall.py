"""What is known of the patient and the conversation at hand, opened under a grant.

Opening a patient's known identifiers or a conversation's replacement map is an
act of its own, with its own prior entry. Within a conversation one entry
serves for at most ten minutes; without one, each request records its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from seawall.app.entries import entry
from seawall.core.bounded import BoundedCache
from seawall.core.errors import Refused
from seawall.core.phi.known import KnownIdentifiers
from seawall.core.phi.replacement import Placeholders
from seawall.core.policy.grant import Grant, terms

if TYPE_CHECKING:
    from seawall.app.ports import Clock, KeyRing, Ledger, Store
    from seawall.core.policy.decision import Decision
    from seawall.core.policy.principal import Principal
    from seawall.core.seal.envelope import Context, Sealed

IDENTIFIERS: Final = "patient.identifiers"
PLACEHOLDERS: Final = "conversation.placeholders"
UNATTRIBUTED: Final = "unattributed"
"""The subject of PHI that could not be matched to a known patient."""

_GRANT_MS: Final = 600_000

_Place = tuple[str, str, str, str | None, str | None, str | None]
"""Tenant, client, use case, person acted for, patient's reference, conversation's word."""


@dataclass(slots=True)
class Recalled:
    """The patient and the conversation of one exchange."""

    patient: str | None = None
    """The patient's ledger id."""
    known: tuple[KnownIdentifiers, ...] = ()
    placeholders: Placeholders = field(default_factory=Placeholders)
    conversation: str | None = None
    """The conversation's item, a keyed digest."""
    kept: str = ""
    """Digest of the conversation's map as it is kept; empty if none is."""
    place: _Place | None = field(default=None, repr=False)
    """Where it is held meanwhile, if it is."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held while a turn of the conversation is minimised and recorded."""


class Recall:
    """Finds the patient and the conversation that a request names."""

    def __init__(self, *, store: Store, ledger: Ledger, keys: KeyRing, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._held: BoundedCache[_Place, Recalled] = BoundedCache(
            limit=10_000, seconds=_GRANT_MS / 1000
        )
        self._compiled: BoundedCache[str, KnownIdentifiers] = BoundedCache(
            limit=256, seconds=_GRANT_MS / 1000
        )
        self._opening: dict[_Place, asyncio.Lock] = {}

    async def recall(
        self,
        principal: Principal,
        decision: Decision,
        *,
        patient: str | None,
        conversation: str | None,
        for_user: str | None = None,
    ) -> Recalled:
        """Return what is known; `Refused` if the patient is unknown or the conversation another's.

        `patient` is a reference as the client knows it (a FHIR id or a record
        number); `conversation` is the client's own word. Neither is recorded. `for_user`
        is the person for whom the client acts, and is: each has conversations of their own.
        """
        if patient is None and conversation is None:
            return Recalled()
        use_case = decision.use_case.name if decision.use_case else ""
        place = (principal.tenant, principal.name, use_case, for_user, patient, conversation)
        if conversation is None:
            return await self._open(principal, decision, patient, None, for_user)
        # Two first turns at once must share one replacement map.
        opening = self._opening.setdefault(place, asyncio.Lock())
        try:
            async with opening:
                now = self._clock.monotonic()
                held = self._held.get(place, now)
                if held is None:
                    held = await self._open(principal, decision, patient, conversation, for_user)
                    held.place = place
                    self._held.put(place, held, now)
                return held
        finally:
            if not opening.locked():
                self._opening.pop(place, None)

    def forget(self, recalled: Recalled) -> None:
        """Hold a conversation no longer, whose map is not the one that is kept, or may not be."""
        if recalled.place is not None:
            self._held.drop(recalled.place)

    async def _open(
        self,
        principal: Principal,
        decision: Decision,
        patient: str | None,
        conversation: str | None,
        for_user: str | None,
    ) -> Recalled:
        tenant = principal.tenant
        recalled = Recalled()
        wanted: list[Sealed] = []
        if patient is not None:
            recalled.patient = await self._find_patient(tenant, patient)
            identifiers = await self._store.sealed(tenant, IDENTIFIERS, recalled.patient)
            wanted += [identifiers] if identifiers else []
        if conversation is not None:
            use_case = decision.use_case.name if decision.use_case else ""
            # One person's conversation is not another's, though the client acts for both.
            whose = "" if for_user is None else f"for {for_user}\n"
            word = f"conversation\n{principal.name}\n{use_case}\n{whose}{conversation}"
            [recalled.conversation] = await self._keys.blind(tenant, [word])
            earlier = await self._store.sealed(tenant, PLACEHOLDERS, recalled.conversation)
            if earlier is not None:
                _check_same(earlier.context, recalled.patient)
                recalled.kept = earlier.digest()
                wanted.append(earlier)
        if wanted:
            grant = await self._record(principal, decision, wanted, for_user)
            for sealed in wanted:
                opened = await self._keys.open(sealed, grant)
                if sealed.context.kind == IDENTIFIERS:
                    recalled.known = (self._identifiers(sealed.digest(), opened),)
                else:
                    recalled.placeholders = Placeholders.from_json(opened)
        return recalled

    def _identifiers(self, digest: str, opened: bytes) -> KnownIdentifiers:
        """Return opened identifiers; the same object for the same record, compiled once.

        Every use still has its own entry and grant: this saves time, not the law.
        """
        now = self._clock.monotonic()
        held = self._compiled.get(digest, now)
        if held is None:
            held = KnownIdentifiers.from_json(opened)
            self._compiled.put(digest, held, now)
        return held

    async def _record(
        self,
        principal: Principal,
        decision: Decision,
        wanted: list[Sealed],
        for_user: str | None,
    ) -> Grant:
        people = {} if for_user is None else {"for_user": for_user}
        contexts = [sealed.context for sealed in wanted]
        receipt = await self._ledger.append(
            principal.tenant,
            entry(
                "phi.open",
                principal,
                self._clock,
                **people,
                decision=decision.fields(),
                patients=sorted({context.subject for context in contexts} - {UNATTRIBUTED}),
                grant=terms(
                    kinds=tuple({context.kind for context in contexts}),
                    subjects=tuple({context.subject for context in contexts}),
                    until_ms=self._clock.now_ms() + _GRANT_MS,
                ),
            ),
        )
        return Grant(receipt)

    async def _find_patient(self, tenant: str, reference: str) -> str:
        [term] = await self._keys.blind(tenant, [f"reference\n{reference}"])
        found = (await self._store.patients(tenant, [term])).get(term, frozenset())
        if len(found) != 1:
            raise Refused(
                "patient-unknown",
                "Seawall-Patient names no patient that was imported",
                "import the patient with `seawall patient import`, or leave the header out",
            )
        return next(iter(found))


def _check_same(context: Context, patient: str | None) -> None:
    if context.subject != (patient or UNATTRIBUTED):
        raise Refused(
            "conversation-patient",
            "this conversation is about another patient, or about none",
            "begin a new conversation for each patient",
        )
