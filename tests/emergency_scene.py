"""A clinic in an emergency, over fakes: people, two patients, and two replicas."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fakes import RecordingNotifier
from key_scene import ANN, BEN, CLINIC, KeyScene
from seawall.adapters.policies import load_policies
from seawall.adapters.second_factor import TimeCodes
from seawall.app.access import Access
from seawall.app.answer import ANSWER
from seawall.app.caller import Caller
from seawall.app.documents import Documents
from seawall.app.emergencies import CurrentEmergencies, EmergencySteps, TypedTexts
from seawall.app.emergency_access import Asked, EmergencyAccess
from seawall.app.emergency_mode import EmergencyMode
from seawall.app.emergency_reviews import EmergencyHistory, EmergencyReviews
from seawall.app.entries import entry
from seawall.app.index_ledger import IndexLedger
from seawall.app.offline_factors import OfflineFactors
from seawall.app.policies import TenantPolicies
from seawall.app.ports import KeepPatient, KeepSealed
from seawall.app.recall import IDENTIFIERS
from seawall.app.record_reading import RecordReading
from seawall.app.sessions import Sessions
from seawall.app.view_patient import ViewPatient
from seawall.core.access.emergency import WARNING
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Refused
from seawall.core.identity.session import Session, SessionLimits
from seawall.core.phi.known import KnownIdentifiers, PersonName
from seawall.core.policy.principal import Principal
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from fakes import MemoryLedger
    from seawall.app.factors import Person
    from seawall.app.ports import Write
    from seawall.app.try_limits import Where
    from seawall.core.access.engine import ShippedPolicies
    from seawall.core.policy.grant import Receipt

NETWORK: Final = "net-1"
PEOPLE: Final = {
    "carla": [Role.CLINICIAN],
    "cyrus": [Role.CLINICIAN],
    "pia": [Role.PRIVACY_OFFICER],
    "paul": [Role.PRIVACY_OFFICER, Role.CLINICIAN],
    "sam": [Role.SECURITY_OFFICER],
    "sol": [Role.SECURITY_OFFICER, Role.PRIVACY_OFFICER],
    "dora": [Role.DEVELOPER],
}
TYPED: Final = "she was brought in unconscious, and nobody of her team is here"


@cache
def shipped() -> ShippedPolicies:
    """Return the policies of the product, read once."""
    return load_policies()


class Turns:
    """A ledger at which each append lets others go first, as one over a network does."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def append(self, log: str, entry: Any, writes: Any = ()) -> Receipt:
        """Wait until whoever else is there had a turn, then append."""
        await asyncio.sleep(0)
        return await self._ledger.append(log, entry, writes)


class CountingGate:
    """The Gate of offline sign-ins: so many tries, then none."""

    def __init__(self) -> None:
        self.left = 100

    async def marking(self, person: Person, network: str) -> list[Write]:  # noqa: ARG002  the port's
        """Remember no place."""
        return []

    async def admit_link(self, where: Where, person: Person | None = None) -> None:  # noqa: ARG002  the port's
        """Count a try."""
        self.left -= 1
        if self.left < 0:
            raise Refused("sign-in-limited", "there were too many tries", "wait")


class Replica:
    """What one process of the installation has."""

    def __init__(
        self, keys: KeyScene, notifier: RecordingNotifier, gate: CountingGate, down: set[str]
    ) -> None:
        ledger = Turns(keys.ledger)
        shared: dict[str, Any] = {"store": keys.store, "ledger": ledger, "clock": keys.clock}
        self.documents = Documents(**shared, is_shared=True)
        self.current = CurrentEmergencies(documents=self.documents, clock=keys.clock)
        self.access = Access(
            documents=self.documents,
            policies=TenantPolicies(shipped(), self.documents),
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
        indexing = IndexLedger(store=keys.store, ledger=keys.ledger)
        self.history = EmergencyHistory(
            current=self.current, store=keys.store, clock=keys.clock, indexing=indexing
        )
        self.reviews = EmergencyReviews(
            **ours,
            store=keys.store,
            history=self.history,
            readings=RecordReading(**shared, indexing=indexing),
        )
        self.sessions = Sessions(
            **shared, documents=self.documents, random=keys.random, limits=SessionLimits()
        )
        common = {**shared, "documents": self.documents, "indexing": indexing, "keys": keys.ring}
        self.viewing = ViewPatient(
            **common, access=self.access, emergencies=self.current, payloads=keys.store
        )
        self.offline = OfflineFactors(
            **common,
            current=self.current,
            steps=steps,
            sessions=self.sessions,
            gate=gate,
            factor=TimeCodes(keys.random, "Seawall"),
            notifier=notifier,
            random=keys.random,
            provider_is_down=down.__contains__,
        )


class EmergencyScene:
    """A clinic with people and patients; `one` and `two` are replicas over the same database."""

    def __init__(self) -> None:
        self.keys = KeyScene()
        self.clock = self.keys.clock
        self.ledger = self.keys.ledger
        self.notifier = RecordingNotifier()
        self.down: set[str] = set()
        """The tenants whose identity provider does not answer."""
        self.gate = CountingGate()
        self.one = Replica(self.keys, self.notifier, self.gate, self.down)
        self.two = Replica(self.keys, self.notifier, self.gate, self.down)

    async def open(self) -> EmergencyScene:
        """Open the clinic: everybody has joined, and both patients are known."""
        await self.keys.open()
        operator = Principal("operator", "tests", CLINIC)
        people = [
            {"kind": "User", "name": name, "spec": {"title": name.title(), "roles": roles}}
            for name, roles in PEOPLE.items()
        ]
        await self.one.documents.apply(operator, people)
        for number, patient in ((1, ANN), (2, BEN)):
            terms = await self.keys.ring.blind(CLINIC, [f"reference\nMRN-{number}"])
            said = entry("patient.import", operator, self.clock, patients=[patient])
            known = KnownIdentifiers(
                names=(PersonName(("Ann",), f"Ames-{number}"),),
                birth_date=date(1950, 4, number),
                record_numbers=(f"MRN-{number}",),
                phones=("555-0100",),
            )
            context = Context(CLINIC, IDENTIFIERS, patient, patient)
            sealed = await self.keys.ring.seal(known.to_json(), context)
            writes: list[Write] = [KeepPatient(CLINIC, patient, tuple(terms)), KeepSealed(sealed)]
            await self.ledger.append(CLINIC, said, writes)
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

    async def answer(self, patients: list[str], subject: str, text: str) -> None:
        """Record an exchange about patients, and keep its answer under somebody's key."""
        client, item = Principal("client", "app", CLINIC), self.keys.random.bytes(16).hex()
        sealed = await self.keys.ring.seal(text.encode(), Context(CLINIC, ANSWER, subject, item))
        said = entry("exchange.intent", client, self.clock, patients=patients, item=item)
        await self.ledger.append(CLINIC, said, [KeepSealed(sealed)])

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
