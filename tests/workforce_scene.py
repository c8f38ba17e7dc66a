"""A tenant's workforce over fakes: persons, their sessions, and reviews of what they may do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from fake_keys import MemoryKeyRing
from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.app.access import Access, Allowed
from seawall.app.access_reviews import AccessReviews
from seawall.app.caller import Caller
from seawall.app.documents import Documents
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import SYSTEM_LOG, KeepSession
from seawall.app.provision import Provision
from seawall.app.review_evidence import ReviewEvidence
from seawall.app.sessions import Sessions
from seawall.app.workforce import Workforce
from seawall.core.access.question import Answer, Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.identity.session import SessionLimits
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.core.access.question import Asker, Question
    from seawall.core.registers.user import UserSpec

CLINIC: Final = "riverside"
TERMINAL: Final = Principal("operator", "terminal", CLINIC)
PROVIDER: Final = Principal("client", "okta", CLINIC)
ADA, BEN, CLEO, DAN = "ada", "ben", "cleo", "dan"
PEOPLE: Final = {
    ADA: ("administrator", "security-officer"),
    BEN: ("privacy-officer",),
    CLEO: ("clinician", "developer"),
    DAN: ("clinician",),
}
"""Who works here: one administrator, who is the one security officer too."""


class Undecided:
    """Policies that are asked for nothing: what is known of an asker is not for them."""

    def of(self, tenant: str) -> Undecided:
        """Return the policies of a tenant."""
        assert tenant
        return self

    def decide(self, question: Question) -> Answer:
        """Refuse."""
        return Answer(allowed=False, code="access-refused", policies=(question.action.value,))


class Workplace:
    """Everything that concerns persons, wired as `seawall.compose` wires it."""

    def __init__(self) -> None:
        self.clock, self.random = FakeClock(), FakeRandom()
        self.ledger = MemoryLedger()
        self.store = MemoryStore(self.ledger)
        self.notifier = RecordingNotifier()
        self.keys = MemoryKeyRing(self.clock, self.random)
        parts: dict[str, Any] = {"store": self.store, "ledger": self.ledger, "clock": self.clock}
        self.documents = Documents(**parts, provisioners=frozenset({f"{CLINIC}/{PROVIDER.name}"}))
        self.sessions = Sessions(
            **parts, documents=self.documents, random=self.random, limits=SessionLimits()
        )
        self.workforce = Workforce(
            documents=self.documents, sessions=self.sessions, store=self.store, clock=self.clock
        )
        indexing = IndexLedger(store=self.store, ledger=self.ledger)
        self.evidence = ReviewEvidence(store=self.store, indexing=indexing, clock=self.clock)
        self.reviews = AccessReviews(
            **parts,
            documents=self.documents,
            evidence=self.evidence,
            keys=self.keys,
            notifier=self.notifier,
        )
        self.provision = Provision(documents=self.documents, workforce=self.workforce)

    async def open(self) -> Workplace:
        """Open the logs, let everybody join, and register two clients."""
        for log in (SYSTEM_LOG, CLINIC):
            await self.ledger.open_log(log, f"localhost/log/{log}")
            await self.keys.prepare(log)
        key = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
        written = [user(name, *roles) for name, roles in PEOPLE.items()]
        spec = {"title": "Portal", "public_key": key, "may_apply": True, "use_cases": ["notes"]}
        written.append({"kind": "Client", "name": "portal", "spec": spec})
        await self.documents.apply(TERMINAL, written)
        return self

    def spec(self, name: str) -> UserSpec:
        """Return somebody's document as it stands."""
        return self.workforce.person(CLINIC, name).spec

    def entries(self, action: str = "", log: str = CLINIC) -> list[dict[str, Any]]:
        """Return the entries of a log, or those of one action."""
        return [one for one in self.ledger.bodies(log) if action in ("", one["action"])]

    async def sign_in(self, name: str) -> str:
        """Begin a session for somebody; return its name."""
        session_name, session = self.sessions.new(CLINIC, name, ["hwk", "mfa"], "network")
        body = {
            "v": 1,
            "at": self.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "action": "session.begin",
            "tenant": SYSTEM_LOG,
            "actor": {"kind": "user", "name": name},
            "for": CLINIC,
        }
        await self.ledger.append(SYSTEM_LOG, body, [KeepSession(session)])
        return session_name

    async def asker(self, session_name: str) -> Asker:
        """Return what `Access` knows of whoever has this session now."""
        access = Access(
            documents=self.documents,
            policies=Undecided(),
            emergencies=None,
            ledger=self.ledger,
            clock=self.clock,
        )
        return access.asker(await self.sessions.identify(session_name, "network"))


def user(name: str, *roles: str, **fields: Any) -> dict[str, Any]:
    """Return a User document."""
    spec = {"title": name.title(), "roles": list(roles), **fields}
    return {"kind": "User", "name": name, "spec": spec}


def allowed(
    by: str | Principal = TERMINAL, action: Action = Action.MANAGE_PERSONS, on: On = On.PERSON
) -> Allowed:
    """Return that an act was allowed; a text names a person."""
    principal = by if isinstance(by, Principal) else Principal("user", by, CLINIC)
    return Allowed(Caller(principal), action, Resource(on, CLINIC), Answer(True, ("a-policy",)))


def about(name: str, by: Principal = PROVIDER) -> Allowed:
    """Return that an act on this person was allowed."""
    return replace(allowed(by), resource=Resource(On.PERSON, CLINIC, name, about=name))


def answering(by: str | Principal) -> Allowed:
    """Return that answering a review was allowed."""
    return allowed(by, Action.ANSWER_REVIEW, On.REVIEW)


def running(by: str | Principal = BEN) -> Allowed:
    """Return that running reviews was allowed."""
    return allowed(by, Action.RUN_REVIEWS, On.REVIEW)
