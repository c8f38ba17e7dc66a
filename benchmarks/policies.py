"""Asking the access policies: prepared as Seawall does, and in the two naive ways."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace
from itertools import cycle, islice
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, Final

import cedarpy

from benchmarks.table import Table, figure, say
from seawall.adapters.policies import load_policies
from seawall.app.policies import TenantPolicies
from seawall.core.access import engine
from seawall.core.access.cedar import parse_policies, policy_set
from seawall.core.access.question import Asker, Question, Resource
from seawall.core.access.schema import schema_text
from seawall.core.access.vocabulary import Action, On, Role
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.policy import PolicySpec
from seawall.core.registers.register import Register
from seawall.core.registers.spec import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort

TENANTS: Final = 1_000
COLUMNS: Final = ("question", "decisions", "p50 ms", "p99 ms", "CPU ms each")
_FORBID: Final = (
    'forbid (principal, action in Action::"shows-phi", resource) '
    'when {{ principal.tenant == "{tenant}" && resource.name == "withheld" }};'
)


def measure(effort: Effort) -> Table:
    """Return the table of decisions."""
    registers = _Registers()
    policies = TenantPolicies(load_policies(), registers)
    names = list(registers.held)
    viewing = [_viewing(name) for name in names]
    opening = [replace(one, action=Action.OPEN_PAYLOAD, resource=_payload(one)) for one in viewing]
    plain = load_policies().having({})
    say(f"policies: {effort.decisions:,} decisions of each way")
    rows = [
        _row("allowed, shipped policies", effort, plain.decide, viewing),
        _row("allowed, another patient each time", effort, plain.decide, _patients(effort)),
        _row("refused, and what is lacking", effort, plain.decide, opening),
        _row(
            "a tenant's first, its policies prepared",
            replace(effort, decisions=min(effort.decisions, TENANTS)),
            lambda one: policies.of(one.resource.tenant).decide(one),
            viewing,
        ),
    ]
    for one in viewing:
        policies.of(one.resource.tenant).decide(one)
    rows += [
        _row(
            f"allowed, {TENANTS:,} tenants with their own in turn",
            effort,
            lambda one: policies.of(one.resource.tenant).decide(one),
            viewing,
        ),
        *_naive(effort, names, viewing),
    ]
    return Table("Access policies: one decision in this process", COLUMNS, rows, _NOTES)


_NOTES: Final = (
    f"Each of the {TENANTS:,} tenants has a prohibition of its own besides the shipped policies.",
    "Every way is asked the same question, and must allow it.",
)


class _Registers:
    """A thousand tenants, each with one Policy document."""

    def __init__(self) -> None:
        self.held = {
            f"tenant-{number}": Register([_document(f"tenant-{number}")])
            for number in range(TENANTS)
        }

    def register(self, tenant: str) -> Register:
        """Return a tenant's register."""
        return self.held[tenant]


def _document(tenant: str) -> Document[PolicySpec]:
    text = _FORBID.format(tenant=tenant)
    return Document("Policy", "withheld", 1, PolicySpec(title="a", reason="b", forbid=text))


def _viewing(tenant: str) -> Question:
    ann = Principal("user", "ann", tenant)
    asker = Asker(ann, frozenset({Role.CLINICIAN}), has_second_factor=True, factor_age_ms=1_000)
    elements = frozenset({"Patient.name", "Observation.value", "Condition.code"})
    patient = Resource(On.PATIENT, tenant, "0f" * 12)
    return Question(asker, Action.VIEW_PATIENT, patient, Purpose.TREATMENT, elements=elements)


def _patients(effort: Effort) -> list[Question]:
    """Return a question of one clinician about each of many patients."""
    one = _viewing("tenant-0")
    return [
        replace(one, resource=replace(one.resource, name=f"{number:024x}"))
        for number in range(effort.decisions)
    ]


def _payload(question: Question) -> Resource:
    return replace(question.resource, on=On.PAYLOAD)


def _naive(
    effort: Effort, names: Sequence[str], viewing: Sequence[Question]
) -> list[tuple[str, ...]]:
    """Measure what Seawall does not do: text each time, and one set for all tenants."""
    shipped = "\n".join(str(policy_set({rule.name: rule.policy})) for rule in load_policies().rules)
    forbids = {name: _FORBID.format(tenant=name) for name in names}
    one_set = _set_of(shipped + "\n".join(forbids.values()))
    few = replace(effort, decisions=max(1, effort.decisions // 20))

    def parsing(question: Question) -> Any:
        tenant = question.resource.tenant
        return _ask(question, shipped + forbids[tenant], schema_text())

    return [
        _row("naive: policies and schema as text, each time", few, parsing, viewing),
        _row(
            f"naive: one set of all {TENANTS:,} tenants' policies",
            few,
            lambda question: _ask(question, one_set, None),
            viewing,
        ),
    ]


def _set_of(text: str) -> cedarpy.PolicySet:
    return policy_set({str(at): policy for at, policy in enumerate(parse_policies(text))})


def _ask(question: Question, policies: str | cedarpy.PolicySet, schema: str | None) -> Any:
    """Ask Cedar as its own documentation shows it."""
    uid = {"type": "User", "id": question.asker.principal.name}
    thing = {"type": question.resource.on.value, "id": question.resource.name}
    action = engine.ACTIONS[question.action]
    entities = [*engine.entities_of(question, uid, thing), *([] if schema else [action])]
    request = {
        "principal": uid,
        "action": action["uid"],
        "resource": thing,
        "context": engine.context_of(question),
    }
    return cedarpy.is_authorized(request, policies, entities, schema)


def _row(
    name: str, effort: Effort, decide: Callable[[Question], Any], asked: Sequence[Question]
) -> tuple[str, ...]:
    waits: list[float] = []
    answers: Counter[bool] = Counter()
    gc.collect()
    began_cpu = thread_time()
    for question in islice(cycle(asked), effort.decisions):
        began = perf_counter()
        answer = decide(question)
        waits.append((perf_counter() - began) * 1e3)
        answers[answer.allowed] += 1
    cpu = (thread_time() - began_cpu) * 1e3 / len(waits)
    if answers != {not name.startswith("refused"): len(waits)}:
        raise RuntimeError(f"{name}: answered {answers}")
    waits.sort()
    p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    return (name, f"{len(waits):,}", _ms(p50), _ms(p99), _ms(cpu))


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else figure(value)
