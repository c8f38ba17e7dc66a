"""The one way to act: what is known of an asker, and that a refusal is an entry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeClock, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.app.access import Access
from seawall.app.caller import BoundPatient, Caller
from seawall.app.documents import Documents
from seawall.core.access.question import Answer, Asker, Resource
from seawall.core.access.vocabulary import Action, On, Role
from seawall.core.errors import Refused
from seawall.core.identity.session import Session
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from seawall.core.access.question import Question

ANN = Principal("user", "ann", "clinic")
SCHEDULER = Principal("client", "scheduler", "clinic")
KEY = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}


class ScriptedPolicies:
    """The Policies port: answers as a test says, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    def of(self, tenant: str) -> ScriptedPolicies:
        """Return a tenant's policies."""
        assert "clinic" == tenant
        return self

    def decide(self, question: Question) -> Answer:
        """Return the answer."""
        self.asked.append(question)
        return self.answer


class OneEmergency:
    """The Emergencies port: Ann has broken the glass of one patient."""

    def patient_of(self, caller: Caller) -> str | None:
        """Return the patient."""
        return "p-1" if caller.principal == ANN else None

    def is_mode_on(self, tenant: str) -> bool:
        """Whether emergency mode is on."""
        return tenant == "clinic"


@dataclass
class Scene:
    """A clinic with Ann, a clinician and auditor until the day's end, and a service."""

    answer: Answer = Answer(allowed=True, policies=("p",))  # noqa: RUF009  frozen
    clock: FakeClock = field(default_factory=FakeClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def __post_init__(self) -> None:
        store = MemoryStore(self.ledger)
        self.documents = Documents(
            store=store,
            ledger=self.ledger,
            clock=self.clock,
            provisioners=frozenset({"clinic/okta", "riverside/entra"}),
        )
        self.policies = ScriptedPolicies(self.answer)
        self.access = Access(
            documents=self.documents,
            policies=self.policies,
            emergencies=OneEmergency(),
            ledger=self.ledger,
            clock=self.clock,
        )

    async def ready(self) -> Scene:
        """Open the log, and apply the documents of both."""
        await self.ledger.open_log("clinic", "x/clinic")
        until = self.clock.today().isoformat()
        await self.apply("User", "ann", title="A", roles=["clinician", "auditor"], until=until)
        powers = {"may_audit": True, "use_cases": ["reminders", "summaries"]}
        await self.apply("Client", "scheduler", title="S", public_key=KEY, **powers)
        return self

    async def apply(self, kind: str, name: str, **spec: Any) -> None:
        """Apply a document."""
        by = Principal("operator", "operator", "clinic")
        await self.documents.apply(by, [{"kind": kind, "name": name, "spec": spec}])

    def ann(self, *, factor_age_ms: int = 0) -> Caller:
        """Return Ann, with a session of two factors."""
        now = self.clock.now_ms()
        began, shown = now, now - factor_age_ms
        methods = ("mfa", "otp", "pwd")
        return Caller(ANN, Session("d", "clinic", "ann", methods, began, now, shown, "n"))


async def test_a_person_is_known_by_document_and_session() -> None:
    """Roles from the one, factors from the other, and the emergency under way."""
    scene = await Scene().ready()
    expected = Asker(
        ANN,
        frozenset({Role.CLINICIAN, Role.AUDITOR}),
        has_second_factor=True,
        factor_age_ms=120_000,
        emergency_patient="p-1",
    )
    assert expected == scene.access.asker(scene.ann(factor_age_ms=120_000))


async def test_roles_end_with_their_last_day() -> None:
    """On the next one there is none."""
    scene = await Scene().ready()
    scene.clock.at += timedelta(days=1)
    assert frozenset() == scene.access.asker(scene.ann()).roles


@pytest.mark.parametrize("standing", ["suspended", "left"])
async def test_who_left_has_no_role(standing: str) -> None:
    """From the document's next version on."""
    scene = await Scene().ready()
    await scene.apply("User", "ann", title="A", roles=["clinician"], standing=standing)
    assert frozenset() == scene.access.asker(scene.ann()).roles


async def test_a_client_is_known_by_its_document() -> None:
    """Its powers and its use cases; a token may limit these, and never add one."""
    scene = await Scene().ready()
    whole = scene.access.asker(Caller(SCHEDULER))
    expected = (frozenset({"may_audit"}), frozenset({"reminders", "summaries"}))
    assert expected == (whole.powers, whole.use_cases)
    assert frozenset({Role.SERVICE}) == whole.roles
    limited = Caller(SCHEDULER, use_cases=frozenset({"summaries", "research"}))
    assert {"summaries"} == scene.access.asker(limited).use_cases


@pytest.mark.parametrize(
    "limits",
    [
        {"use_cases": frozenset({"summaries"})},
        {"patient": BoundPatient("p", str)},
        {"acting_user": "ann"},
    ],
    ids=lambda limits: next(iter(limits)),
)
async def test_a_limited_token_has_none_of_its_clients_powers(limits: dict[str, Any]) -> None:
    """It is for a part of the client's work, under its use cases; a power is none of that."""
    scene = await Scene().ready()
    limited = scene.access.asker(Caller(SCHEDULER, **limits))
    assert (frozenset(), frozenset({Role.SERVICE})) == (limited.powers, limited.roles)
    assert "summaries" in limited.use_cases


@pytest.mark.parametrize(
    "principal",
    [
        Principal("client", "nobody", "clinic"),
        Principal("client", "scheduler", "school"),
        Principal("user", "nobody", "clinic"),
        Principal("operator", "ann", "clinic"),
        Principal("system", "seawall", "clinic"),
    ],
)
async def test_who_is_not_known_has_nothing(principal: Principal) -> None:
    """Whoever it says to be: no role, no power, no use case."""
    scene = await Scene().ready()
    session = scene.ann().session
    assert Asker(principal) == scene.access.asker(Caller(principal, session))


async def test_a_person_without_a_session_has_nothing() -> None:
    """A name alone is nobody."""
    scene = await Scene().ready()
    assert Asker(ANN) == scene.access.asker(Caller(ANN))


async def test_what_is_allowed_is_told_with_its_policies() -> None:
    """And is no entry: the act itself makes one."""
    scene = await Scene().ready()
    resource = Resource(On.PATIENT, "clinic", "p-1")
    before = len(scene.ledger.bodies("clinic"))
    allowed = await scene.access.require(
        scene.ann(), Action.VIEW_PATIENT, resource, purpose=Purpose.TREATMENT
    )
    assert (("p",), Purpose.TREATMENT) == (allowed.answer.policies, allowed.purpose)
    assert before == len(scene.ledger.bodies("clinic"))
    (asked,) = scene.policies.asked
    assert asked.is_emergency_mode
    assert (resource, False) == (asked.resource, asked.has_reason)


@pytest.mark.parametrize(
    "code", ["access-refused", "step-up-needed", "reason-needed", "policy-broken"]
)
async def test_what_is_refused_is_an_entry(code: str) -> None:
    """The error names it, and neither says what the caller made up."""
    scene = await Scene(Answer(allowed=False, policies=("f",), code=code)).ready()
    resource = Resource(On.PATIENT, "clinic", "John Smith")
    with pytest.raises(Refused) as caught:
        await scene.access.require(scene.ann(), Action.VIEW_PATIENT, resource)
    said = scene.ledger.bodies("clinic")[-1]
    assert (code, len(scene.ledger.bodies("clinic")) - 1) == (
        caught.value.code,
        caught.value.entry,
    )
    expected = {"allowed": False, "policies": ["f"], "code": code}
    assert ("access.refused", "view-patient", "Patient", expected) == (
        *(said["action"], said["what"], said["on"]),
        said["access"],
    )
    assert "Smith" not in f"{said} {caught.value} {caught.value.help}"


async def test_a_refusal_that_cannot_be_recorded_is_no_permission() -> None:
    """The ledger's own error is raised, and nothing is allowed."""
    scene = await Scene(Answer(allowed=False, code="access-refused")).ready()
    scene.ledger.down = Refused("ledger-down", "the ledger does not answer", "")
    with pytest.raises(Refused) as caught:
        await scene.access.require(scene.ann(), Action.OPERATE, Resource(On.INSTALLATION, "clinic"))
    assert "ledger-down" == caught.value.code


async def test_asking_is_no_act() -> None:
    """An explanation changes nothing and leaves nothing."""
    scene = await Scene(Answer(allowed=False, code="access-refused")).ready()
    asker = replace(scene.access.asker(scene.ann()), roles=frozenset({Role.DEVELOPER}))
    before = len(scene.ledger.bodies("clinic"))
    assert not scene.access.ask(asker, Action.OPERATE, Resource(On.INSTALLATION, "clinic")).allowed
    assert before == len(scene.ledger.bodies("clinic"))


@pytest.mark.parametrize(
    ("name", "expected"), [("okta", {"may_provision", "may_audit"}), ("entra", {"may_audit"})]
)
async def test_only_named_clients_change_persons(name: str, expected: set[str]) -> None:
    """The power counts for the clients of this very tenant that the settings name."""
    scene = await Scene().ready()
    await scene.apply("Client", name, title="x", public_key=KEY, may_provision=True, may_audit=True)
    assert expected == scene.access.asker(Caller(Principal("client", name, "clinic"))).powers


async def test_an_unnamed_client_is_told_which_setting_is_missing() -> None:
    """Its refusal says so, and is recorded like every other."""
    scene = Scene(answer=Answer(allowed=False, code="access-refused"))
    await scene.ready()
    await scene.apply("Client", "entra", title="x", public_key=KEY, may_provision=True)
    caller = Caller(Principal("client", "entra", "clinic"))

    with pytest.raises(Refused) as refused:
        await scene.access.require(caller, Action.MANAGE_PERSONS, Resource(On.PERSON, "clinic"))

    recorded = scene.ledger.bodies("clinic")[-1]
    assert ("provisioner-unnamed", "access.refused") == (refused.value.code, recorded["action"])


async def test_a_broken_policy_is_told_once_for_each_state_of_them() -> None:
    """Whether the answer is no, or what is spared goes on without it."""
    scene = await Scene(Answer(False, code="policy-broken", broken=("tenant.ours",))).ready()
    notifier = RecordingNotifier()
    access = Access(
        documents=scene.documents,
        policies=scene.policies,
        emergencies=None,
        ledger=scene.ledger,
        clock=scene.clock,
        notifier=notifier,
    )
    asker, log = access.asker(scene.ann()), Resource(On.LOG, "clinic")
    for _ in range(3):
        access.ask(asker, Action.READ_LEDGER, log)

    assert [("policy-broken", "clinic", None)] == notifier.alarms
