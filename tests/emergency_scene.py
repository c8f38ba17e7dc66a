"""A clinic in an emergency, over fakes: people, two patients, and two replicas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from fakes import RecordingNotifier
from key_scene import ANN, BEN, CLINIC, KeyScene
from seawall.app.access import Access
from seawall.app.caller import Caller
from seawall.app.documents import Documents
from seawall.app.emergencies import CurrentEmergencies, EmergencySteps, TypedTexts
from seawall.app.emergency_access import Asked, EmergencyAccess
from seawall.app.emergency_mode import EmergencyMode
from seawall.app.emergency_reviews import EmergencyHistory, EmergencyReviews
from seawall.app.entries import entry
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import SYSTEM_LOG, KeepPatient
from seawall.core.access.emergency import WARNING
from seawall.core.access.question import FRESH_MS, Answer
from seawall.core.access.vocabulary import ACTS, Action, Role
from seawall.core.identity.session import Session
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.core.access.question import Question

NETWORK: Final = "net-1"
PEOPLE: Final = {
    "carla": Role.CLINICIAN,
    "cyrus": Role.CLINICIAN,
    "pia": Role.PRIVACY_OFFICER,
    "paul": Role.PRIVACY_OFFICER,
    "sam": Role.SECURITY_OFFICER,
    "dora": Role.DEVELOPER,
}
MAY: Final = {
    Action.BREAK_GLASS: {Role.CLINICIAN, Role.PRIVACY_OFFICER},
    Action.REVIEW_EMERGENCY: {Role.PRIVACY_OFFICER, Role.SECURITY_OFFICER},
    Action.EMERGENCY_MODE: {Role.SECURITY_OFFICER},
}
TYPED: Final = "she was brought in unconscious, and nobody of her team is here"


class RolePolicies:
    """The Policies and Decider ports by a short table: roles, and what each act asks for."""

    def of(self, tenant: str) -> RolePolicies:  # noqa: ARG002  one table for all
        """Return the table."""
        return self

    def decide(self, question: Question) -> Answer:
        """Allow by role, with a fresh factor and a reason where the act asks for them."""
        asker, act = question.asker, ACTS[question.action]
        if not asker.roles & MAY.get(question.action, set()):
            return Answer(False, code="access-refused")
        if act.needs_fresh and (asker.factor_age_ms is None or asker.factor_age_ms > FRESH_MS):
            return Answer(False, code="step-up-needed")
        if act.needs_reason and not question.has_reason:
            return Answer(False, code="reason-needed")
        return Answer(True, ("emergency.roles",))


class Replica:
    """What one process of the installation has."""

    def __init__(self, keys: KeyScene, notifier: RecordingNotifier) -> None:
        shared: dict[str, Any] = {"store": keys.store, "ledger": keys.ledger, "clock": keys.clock}
        self.documents = Documents(**shared, is_shared=True)
        self.current = CurrentEmergencies(documents=self.documents, clock=keys.clock)
        self.access = Access(
            documents=self.documents,
            policies=RolePolicies(),
            emergencies=self.current,
            ledger=keys.ledger,
            clock=keys.clock,
        )
        steps = EmergencySteps(documents=self.documents, clock=keys.clock)
        typed = TypedTexts(**shared, keys=keys.ring)
        ours: dict[str, Any] = {
            "access": self.access,
            "current": self.current,
            "documents": self.documents,
            "steps": steps,
            "typed": typed,
            "notifier": notifier,
            "clock": keys.clock,
        }
        self.glass = EmergencyAccess(**ours, store=keys.store, keys=keys.ring)
        self.mode = EmergencyMode(**ours)
        self.history = EmergencyHistory(
            current=self.current,
            store=keys.store,
            clock=keys.clock,
            indexing=IndexLedger(store=keys.store, ledger=keys.ledger),
        )
        self.reviews = EmergencyReviews(**ours, store=keys.store, history=self.history)


class EmergencyScene:
    """A clinic with people and patients; `one` and `two` are replicas over the same database."""

    def __init__(self) -> None:
        self.keys = KeyScene()
        self.clock = self.keys.clock
        self.ledger = self.keys.ledger
        self.notifier = RecordingNotifier()
        self.one = Replica(self.keys, self.notifier)
        self.two = Replica(self.keys, self.notifier)

    async def open(self) -> EmergencyScene:
        """Open the clinic: everybody has joined, and both patients are known."""
        await self.keys.open()
        operator = Principal("operator", "tests", CLINIC)
        people = [
            {"kind": "User", "name": name, "spec": {"title": name.title(), "roles": [role.value]}}
            for name, role in PEOPLE.items()
        ]
        await self.one.documents.apply(operator, people)
        for number, patient in ((1, ANN), (2, BEN)):
            terms = await self.keys.ring.blind(CLINIC, [f"reference\nMRN-{number}"])
            said = entry("patient.import", operator, self.clock, patients=[patient])
            await self.ledger.append(CLINIC, said, [KeepPatient(CLINIC, patient, tuple(terms))])
        await self.two.documents.refresh()
        return self

    def caller(self, name: str, *, factor_age_ms: int = 0) -> Caller:
        """Return a person by a session whose factor was shown so long ago."""
        now = self.clock.now_ms()
        methods = ("mfa", "otp", "pwd")
        session = Session(
            f"digest-{name}", CLINIC, name, methods, now, now, now - factor_age_ms, NETWORK
        )
        return Caller(Principal("user", name, CLINIC), session)

    def asked(self, **changed: Any) -> Asked:
        """Return what somebody says who asks for an emergency access, with changes."""
        said = Asked("MRN-1", "patient-unconscious", TYPED, WARNING)
        return replace(said, **changed)

    async def act(self, name: str, patient: str, action: str = "phi.open") -> None:
        """Record that a person did something to a patient's record."""
        caller = self.caller(name)
        under = self.one.current.said(caller, [patient])
        body = entry(action, caller.principal, self.clock, patients=[patient], **under)
        await self.ledger.append(CLINIC, body)

    def said(self, action: str, log: str = CLINIC) -> list[dict[str, Any]]:
        """Return the entries of an action."""
        return self.keys.said(action, log)

    @property
    def alarms(self) -> list[str]:
        """The codes of the alarms, in order."""
        return [code for code, _, _ in self.notifier.alarms]


SYSTEM: Final = SYSTEM_LOG
