"""Each tenant's policies are those of its documents as they stand, and memory is bounded."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from access_questions import client, document, person, question, register_of, shipped
from practice import OPERATOR, TENANT, opened
from seawall.app.policies import TenantPolicies
from seawall.core.access.vocabulary import Action, Role
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.policy import MOST_IN_FORCE, PolicySpec
from seawall.core.registers.register import Register
from seawall.core.registers.spec import Document
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.core.access.engine import Prepared, Rule
    from seawall.core.access.question import Question
    from seawall.core.phi.detection import Detector

ALL = "forbid (principal, action, resource);"
TREATING = question(person(Role.CLINICIAN), Action.VIEW_PATIENT, purpose=Purpose.TREATMENT)
AUDITING = question(client("may_audit"), Action.READ_LEDGER)
ANN = Document("User", "ann", 1, UserSpec(title="Ann"))


class Registers:
    """The registers of tenants that a test changes."""

    def __init__(self) -> None:
        self.held: dict[str, Register] = {}

    def register(self, tenant: str) -> Register:
        """Return a tenant's register; a new empty one for who has none, as Documents does."""
        return self.held.get(tenant, Register())


def only(name: str) -> str:
    """Return a prohibition of what has a name."""
    return f'forbid (principal, action, resource) when {{ resource.name == "{name}" }};'


def test_a_tenant_without_policies_has_the_shipped_ones() -> None:
    """Who forbids nothing, and who is unknown, shares what is prepared for all."""
    registers = Registers()
    registers.held["a"] = register_of(ANN)
    policies = TenantPolicies(shipped(), registers)

    assert policies.of("a") is policies.of("nobody") is shipped().having({})


def test_a_change_counts_at_the_next_question() -> None:
    """A prohibition that is applied, changed and withdrawn counts as it stands, at once."""
    registers = Registers()
    policies = TenantPolicies(shipped(), registers)
    steps = [
        (),
        (document("night", ALL),),
        (document("night", only("someone"), 2),),
        (document("night", ALL, 3), document("more", only("x"))),
        (document("night", ALL, 4, withdrawn=True),),
    ]
    found = []
    for documents in steps:
        registers.held["a"] = register_of(*documents)
        found.append(policies.of("a").decide(TREATING).allowed)

    assert [True, False, True, False, True] == found


def test_another_document_leaves_what_is_prepared() -> None:
    """Applying a person prepares no policies anew, and the next change of one still counts."""
    registers = Registers()
    policies = TenantPolicies(shipped(), registers)
    registers.held["a"] = register_of(document("night", ALL))
    before = policies.of("a")
    registers.held["a"] = registers.held["a"].having([ANN])

    assert before is policies.of("a")
    assert before.rule("tenant.night.1") is not None


def test_one_tenant_is_not_the_other() -> None:
    """What one tenant forbids is allowed to another, however they are asked in turn."""
    registers = Registers()
    registers.held |= {"a": register_of(document("night", ALL)), "b": register_of()}
    policies = TenantPolicies(shipped(), registers)

    found = [policies.of(tenant).decide(TREATING).allowed for tenant in "abab"]

    assert [False, True, False, True] == found


async def test_what_is_applied_counts_at_once(detector: Detector) -> None:
    """Applied as documents are, a prohibition counts for the next question."""
    practice = await opened(detector)
    policies = TenantPolicies(shipped(), practice.documents)
    asked = replace(AUDITING, resource=replace(AUDITING.resource, tenant=TENANT))
    asked = replace(asked, asker=replace(asked.asker, principal=Principal("client", "x", TENANT)))
    before = policies.of(TENANT).decide(asked).allowed
    spec = {"title": "no audits", "reason": "a test", "forbid": ALL}
    await practice.documents.apply(OPERATOR, [{"kind": "Policy", "name": "none", "spec": spec}])

    after = policies.of(TENANT).decide(asked)

    assert (True, False, ("tenant.none.1",)) == (before, after.allowed, after.policies)


def test_memory_is_bounded_by_what_was_asked_for_last() -> None:
    """Of two thousand tenants, each with its own, as many are kept as the bound says."""
    registers = Registers()
    for number in range(2_000):
        registers.held[f"t{number}"] = register_of(document("own", only(f"n{number}")))
    policies = TenantPolicies(shipped(), registers, most=200)
    for number in range(2_000):
        policies.of(f"t{number}")
    wrong = [
        number
        for number in range(0, 2_000, 40)
        if policies.of(f"t{number}").decide(question_named(f"n{number}")).allowed
        or not policies.of(f"t{number}").decide(question_named("another")).allowed
    ]

    assert ([], 100) == (wrong, len(policies))


def question_named(name: str) -> Question:
    """Return a clinician's question about a patient of this name."""
    asker = person(Role.CLINICIAN)
    return question(asker, Action.VIEW_PATIENT, name, purpose=Purpose.TREATMENT)


def test_a_tenant_of_many_policies_is_still_decided() -> None:
    """One tenant that is over the bound alone is kept, and nobody else is."""
    registers = Registers()
    registers.held["b"] = register_of(document("one", ALL))
    registers.held["a"] = register_of(*(document(f"n{at}", ALL * 20) for at in range(3)))
    policies = TenantPolicies(shipped(), registers, most=10)
    refused = [policies.of(tenant).decide(TREATING).allowed for tenant in "bab"]

    assert ([False, False, False], 1) == (refused, len(policies))


def test_a_swap_while_threads_decide_is_never_in_between() -> None:
    """Asked while documents change, the answer is of one version whole, and then of the new."""
    registers = Registers()
    # Each version forbids by two documents; half of one and half of the other would allow.
    versions = [
        register_of(document("x", only("ann")), document("y", only("ben"))),
        register_of(document("x", only("ben"), 2), document("y", only("ann"), 2)),
    ]
    registers.held["a"] = versions[0]
    policies = TenantPolicies(shipped(), registers)

    def ask(turn: int) -> set[bool]:
        if turn % 5 == 0:
            registers.held["a"] = versions[turn // 5 % 2]
        prepared = policies.of("a")
        return {prepared.decide(question_named(name)).allowed for name in ("ann", "ben")}

    with ThreadPoolExecutor(8) as pool:
        found = set[bool]().union(*pool.map(ask, range(300)))
    registers.held["a"] = versions[1]

    assert {False} == found
    assert ("tenant.x.1",) == policies.of("a").decide(question_named("ben")).policies


def full(version_of_first: int = 1) -> list[Document[PolicySpec]]:
    """Return as many documents as may be in force, each with as many policies as it may have."""
    versions = [version_of_first, *[1] * (MOST_IN_FORCE - 1)]
    return [
        document(f"n{at}", "\n".join(only(f"x{at}-{one}") for one in range(20)), version)
        for at, version in enumerate(versions)
    ]


def test_a_change_reads_one_document() -> None:
    """What was read of the others is kept, whatever there is of them."""
    registers, reading = Registers(), Reading()
    policies = TenantPolicies(reading, registers)  # type: ignore[arg-type]  # of what is used
    counts = []
    for version in (1, 2, 2):
        registers.held["a"] = register_of(*full(version), ANN)
        policies.of("a")
        counts.append(len(reading.read))

    assert [MOST_IN_FORCE, MOST_IN_FORCE + 1, MOST_IN_FORCE + 1] == counts


async def test_much_is_prepared_in_another_thread() -> None:
    """The loop of requests reads nothing and makes nothing ready; one change it reads itself."""
    registers, reading = Registers(), Reading()
    policies = TenantPolicies(reading, registers)  # type: ignore[arg-type]  # of what is used
    registers.held["a"] = register_of(*full())
    await policies.ready("a", Action.VIEW_PATIENT)
    others = set(reading.read)
    is_ready = policies.of("a").is_prepared(Action.VIEW_PATIENT)
    registers.held["a"] = register_of(*full(2))
    await policies.ready("a", Action.VIEW_PATIENT)

    assert threading.get_ident() not in others
    assert (True, threading.get_ident()) == (is_ready, reading.read[-1])


async def test_more_documents_than_may_be_in_force_are_refused(detector: Detector) -> None:
    """Nothing of them is applied, and a batch of more is not even read."""
    practice = await opened(detector)
    spec = {"title": "t", "reason": "r", "forbid": only("x")}
    batch = [{"kind": "Policy", "name": f"p{at}", "spec": spec} for at in range(MOST_IN_FORCE)]
    await practice.documents.apply(OPERATOR, batch)
    unread = [{"kind": "Policy", "name": f"q{at}", "spec": {}} for at in range(MOST_IN_FORCE + 1)]
    codes = []
    for more in ([{"kind": "Policy", "name": "more", "spec": spec}], unread):
        with pytest.raises(Refused) as raised:
            await practice.documents.apply(OPERATOR, more)
        codes.append(raised.value.code)

    assert ["policies-many"] * 2 == codes


class Reading:
    """The shipped policies, and in which thread each document was read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def read_tenants(self, document: str, text: str) -> list[Rule] | None:
        """Read a document."""
        self.read.append(threading.get_ident())
        return shipped().read_tenants(document, text)

    def having_read(self, tenants: Mapping[str, list[Rule] | None]) -> Prepared:
        """Prepare what was read."""
        return shipped().having_read(tenants)
