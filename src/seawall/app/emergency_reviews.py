"""Emergencies are looked at afterwards: what was done, by somebody else, within three days.

What was done under an emergency access is read out of the ledger: every entry that says it
was, and every other of that patient by that person between its beginning and its end.
Reviewing activity is law (45 CFR 164.308(a)(1)(ii)(D)); by when, and that nobody reviews
their own, is practice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ledger_query import MOST
from seawall.app.ports import Query
from seawall.app.record_reading import Reading
from seawall.app.successions import line_of
from seawall.core.access.emergency import (
    Finding,
    State,
    check_typed,
    over_ms,
    review_by_ms,
)
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On, Role
from seawall.core.errors import Conflict, Invalid, Refused
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of, moment_text
from seawall.core.registers.emergency import Reviewed
from seawall.core.registers.obligation import Obligation

if TYPE_CHECKING:
    from seawall.app.access import Access, Allowed
    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.emergencies import CurrentEmergencies, EmergencySteps, TypedTexts
    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Clock, Notifier, Store
    from seawall.app.record_reading import RecordReading
    from seawall.core.registers.emergency import EmergencySpec
    from seawall.core.registers.spec import Document

CITATION: Final = "45 CFR 164.308(a)(1)(ii)(D)"
INCIDENT: Final = "45 CFR 164.308(a)(6)(ii)"
"""Security incidents are identified and responded to (law)."""

_DUE: Final = frozenset({State.ENDED, State.EXPIRED, State.OVERDUE})
_OWN_ACTIONS: Final = frozenset({"emergency.begin", "emergency.end", "emergency.review"})
_PAGES: Final = 20
_AGAIN: Final = timedelta(days=1)
_WHAT: Final = {
    "access": "review the emergency access",
    "mode": "review the emergency mode",
    "offline": "review the offline sign-in",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An emergency as it is listed, with what was done under it."""

    id: str
    spec: EmergencySpec
    state: State
    did: dict[str, int]
    """How many entries of each action, of the patient by the person while it lasted."""
    is_all: bool = True
    """Whether every entry was counted; there are bounds."""

    def fields(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        spec = self.spec
        said: dict[str, Any] = {
            "id": self.id,
            "what": spec.what,
            "person": spec.person,
            "patient": spec.patient,
            "reason": spec.reason.value,
            "state": self.state.value,
            "began": moment_text(spec.began_ms),
            "until": moment_text(spec.until_ms),
            "ended": moment_text(over_ms(spec)) if self.state is not State.BEGUN else None,
            "review_by": moment_text(review_by_ms(spec)),
            "did": dict(sorted(self.did.items())),
            "did_all": self.is_all,
            "review": None,
        }
        if spec.review is not None:
            said["review"] = {
                "by": spec.review.by,
                "at": moment_text(spec.review.at_ms),
                "finding": spec.review.finding.value,
            }
        return said


@dataclass(frozen=True, slots=True)
class Found:
    """A review that was recorded."""

    entry: int
    finding: Finding

    @property
    def may_be_incident(self) -> bool:
        """Whether it is to be treated as a security incident until somebody shows otherwise."""
        return self.finding is Finding.INAPPROPRIATE

    def fields(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        said: dict[str, Any] = {"entry": self.entry, "finding": self.finding.value}
        if self.may_be_incident:
            said["incident"] = (
                "this may be a security incident, and a breach unless a risk assessment shows "
                f"otherwise: {INCIDENT}, 45 CFR 164.402"
            )
        return said


class EmergencyHistory:
    """Lists emergencies with what was done under them; it records and changes nothing.

    `indexing` brings the index of the log up to its head first; without it, whoever reads
    has seen to that.
    """

    def __init__(
        self,
        *,
        current: CurrentEmergencies,
        store: Store,
        clock: Clock,
        indexing: IndexLedger | None = None,
        page: int = MOST,
    ) -> None:
        self._page = page
        self._current = current
        self._store = store
        self._clock = clock
        self._indexing = indexing

    async def listed(
        self, tenant: str, *, open_only: bool = False, person: str | None = None
    ) -> list[Told]:
        """Return a tenant's emergencies, the newest first; only those without a review if asked."""
        now_ms = self._clock.now_ms()
        return [
            await self._told(tenant, one, now_ms)
            for one in self._current.all(tenant)
            if person in {None, one.spec.person}
            and not (open_only and one.spec.state(now_ms) is State.REVIEWED)
        ]

    async def told(self, tenant: str, name: str) -> Told:
        """Return one emergency with what was done under it; `Missing` if there is none."""
        return await self._told(tenant, self._current.find(tenant, name), self._clock.now_ms())

    def due(self, tenant: str) -> list[Obligation]:
        """Return the reviews that are due, the most urgent first."""
        now_ms = self._clock.now_ms()
        found = [
            Obligation(
                tenant,
                _WHAT[one.spec.what],
                one.name,
                Role.PRIVACY_OFFICER.value,
                review_by_ms(one.spec),
                CITATION,
                "law",
            )
            for one in self._current.all(tenant)
            if one.spec.state(now_ms) in _DUE
        ]
        return sorted(found, key=lambda one: (one.by_ms, one.about))

    async def _told(self, tenant: str, document: Document[EmergencySpec], now_ms: int) -> Told:
        spec = document.spec
        did, is_all = await self._did(tenant, document.name, spec)
        return Told(document.name, spec, spec.state(now_ms), did, is_all)

    async def _did(
        self, tenant: str, name: str, spec: EmergencySpec
    ) -> tuple[dict[str, int], bool]:
        """Count what a person did while an emergency of theirs lasted; for a mode, what began."""
        since_ms, until_ms = spec.began_ms, over_ms(spec)
        if spec.what == "mode":
            began = [
                one.spec.what
                for one in self._current.all(tenant)
                if since_ms <= one.spec.began_ms < until_ms and one.spec.what != "mode"
            ]
            return dict(Counter(began)), True
        actor = ("actor", f"user/{spec.person}")
        of_patient = () if spec.patient is None else (("patient", spec.patient),)
        # What was begun before the end is recorded after it, or in the same millisecond.
        queries = (
            Query((actor, *of_patient), since_ms=since_ms, until_ms=until_ms, last=self._page),
            Query((actor, ("emergency", name)), last=self._page),
        )
        counts: Counter[str] = Counter()
        is_all = True
        for log in await line_of(self._store, tenant):
            if self._indexing is not None:
                await self._indexing.caught_up(log)
            seen: dict[int, str] = {}
            for query in queries:
                is_all = await self._collect(log, query, seen) and is_all
            counts.update(seen.values())
        return {name: n for name, n in counts.items() if name not in _OWN_ACTIONS}, is_all

    async def _collect(self, log: str, query: Query, seen: dict[int, str]) -> bool:
        """Take the actions of a log's entries, page by page; say whether that were all."""
        for _ in range(_PAGES):
            page = await self._store.find(log, query)
            bodies = [decode(raw) for _, raw in page]
            seen.update((index, str(body["action"])) for (index, _), body in zip(page, bodies))  # noqa: B905  of one page
            if len(page) < self._page:
                return True
            first = min((moment_of(body), index) for (index, _), body in zip(page, bodies))  # noqa: B905  of one page
            query = replace(query, earlier=first)
        return False


class EmergencyReviews:
    """Shows and reviews emergencies, and raises an alarm about reviews that are late."""

    def __init__(
        self,
        *,
        access: Access,
        current: CurrentEmergencies,
        history: EmergencyHistory,
        documents: Documents,
        steps: EmergencySteps,
        typed: TypedTexts,
        readings: RecordReading,
        store: Store,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._readings = readings
        self._access = access
        self._current = current
        self._history = history
        self._documents = documents
        self._steps = steps
        self._typed = typed
        self._store = store
        self._notifier = notifier
        self._clock = clock
        self._told: dict[str, datetime] = {}

    async def listed(
        self, caller: Caller, *, open_only: bool = False, is_own: bool = False
    ) -> list[Told]:
        """Return emergencies with what was done under them, once that reading is recorded.

        Whoever asks was let read the ledger, or asks for their own.
        """
        if is_own and caller.principal.kind != "user":
            return []  # a service may be called as a person is
        await self._documents.refresh()
        tenant, person = caller.principal.tenant, caller.principal.name
        await self._readings.record(caller.principal, reading_of(tenant))
        return await self._history.listed(
            tenant, open_only=open_only, person=person if is_own else None
        )

    async def texts(self, caller: Caller, name: str) -> dict[str, str]:
        """Return what was typed about an emergency, to one who is about to review it.

        That it is opened for a review is the reason, which the entry says.
        """
        document = await self._newest(caller, name)
        allowed = await self._may(caller, document, has_reason=True)
        return await self._typed.open(caller.principal, document, allowed.answer.fields())

    async def review(self, caller: Caller, name: str, finding: str, typed: str) -> Found:
        """Record what a review found; `Refused` if the emergency is the reviewer's own.

        `Conflict` (`emergency-state`) if it has not ended, or was reviewed.
        """
        found, document = read_finding(finding), await self._newest(caller, name)
        allowed = await self._may(caller, document, has_reason=bool(typed.strip()))
        text, spec = check_typed(typed), document.spec
        state, tenant = spec.state(self._clock.now_ms()), caller.principal.tenant
        if state not in _DUE:
            raise Conflict(
                "emergency-state",
                f"an emergency that is {state.value} is not reviewed now",
                "end it first; a review is not repeated",
            )
        sealed = await self._typed.seal(tenant, spec.patient, f"{name}/review", text)
        step = self._steps.step(caller, sealed)
        review = Reviewed(by=step.by, at_ms=step.at_ms, told=step.told, finding=found)
        said = {
            "outcome": found.value,
            "late": state is State.OVERDUE,
            "access": allowed.answer.fields(),
        }
        reviewed = spec.model_copy(update={"review": review})
        entry = await self._steps.follow(
            caller.principal, "emergency.review", document, reviewed, said=said, sealed=sealed
        )
        if found is Finding.INAPPROPRIATE:
            self._notifier.alarm("emergency-misuse", tenant, entry)
        return Found(entry, found)

    async def check(self) -> None:
        """Raise the alarm `emergency-review-overdue`, once a day for each tenant with such."""
        await self._documents.refresh()
        now = self._clock.now()
        for tenant in await self._store.tenants():
            if now - self._told.get(tenant, datetime.min.replace(tzinfo=UTC)) < _AGAIN:
                continue
            due = self._history.due(tenant)
            if any(one.is_overdue(self._clock.now_ms()) for one in due):
                self._notifier.alarm("emergency-review-overdue", tenant, None)
                self._told[tenant] = now

    async def _newest(self, caller: Caller, name: str) -> Document[EmergencySpec]:
        await self._documents.refresh()
        return self._current.find(caller.principal.tenant, name)

    async def _may(
        self, caller: Caller, document: Document[EmergencySpec], *, has_reason: bool
    ) -> Allowed:
        """Return that the caller may review it: never one whose doing it is, by any policy."""
        spec, tenant = document.spec, caller.principal.tenant
        allowed = await self._access.require(
            caller,
            Action.REVIEW_EMERGENCY,
            Resource(On.REVIEW, tenant, document.name, about=spec.person),
            has_reason=has_reason,
        )
        if caller.principal.name in spec.involved:
            raise Refused(
                "emergency-own-review",
                "nobody reviews an emergency of their own",
                "ask another privacy officer or security officer",
            )
        return allowed


def reading_of(log: str) -> Reading:
    """Return the reading of a log that the list of emergencies is."""
    return Reading("list", log, Query(facets=(("action", "emergency.begin"),)))


def read_finding(said: str) -> Finding:
    """Return a finding; `Invalid` for anything else."""
    try:
        return Finding(said)
    except ValueError:
        raise Invalid(
            "emergency-finding",
            "the finding is none of the list",
            f"choose one of {', '.join(Finding)}",
        ) from None
