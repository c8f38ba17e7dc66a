"""Why somebody may do something or not, and what would change it: found by trying.

Each thing that can be otherwise (a fresh factor, a reason, another purpose, another role)
is changed in the question, alone and then together, and the policies are asked again; what
is told is what made them answer otherwise, and never a guess from reading them.
45 CFR 164.308(a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from seawall.core.access.engine import TENANT_PREFIX
from seawall.core.access.vocabulary import ACTS, HUMAN_ROLES, On, Role
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seawall.core.access.engine import Prepared
    from seawall.core.access.question import Answer, Asker, Question

MOST_CHANGES: Final = 5
"""So many things are changed together at most."""
POWERS: Final = (
    "may_apply",
    "may_audit",
    "may_audit_system",
    "may_manage_keys",
    "may_provision",
)
"""The `may_*` fields of clients that policies know."""
_SOMEBODY: Final = "somebody-else"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that could be otherwise, in words, and the question as it then is."""

    words: str
    of: str
    """What it changes; two changes of the same are never tried together."""
    apply: Callable[[Question], Question]


@dataclass(frozen=True, slots=True)
class Told:
    """A policy that determined an answer, and what it is there for."""

    name: str
    title: str = ""
    law: str = ""
    document: str = ""
    """The tenant's document that it is of; empty for a shipped one."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, the policies behind it, and the fewest changes that make it another."""

    question: Question
    answer: Answer
    policies: tuple[Told, ...]
    changes: tuple[tuple[Change, ...], ...]
    """Each alone is enough; empty if the answer is yes, or nothing that was tried changes it."""

    def fields(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {
            **self.answer.fields(),
            "policies": [
                {"name": told.name, "title": told.title, "law": told.law} for told in self.policies
            ],
            "lacking": list(self.answer.lacking),
            "would_allow": [[change.words for change in together] for together in self.changes],
        }


def explain(policies: Prepared, question: Question) -> Explanation:
    """Return why a question is answered as it is, and what would have it allowed."""
    answer = policies.decide(question)
    told = tuple(_told(policies, name) for name in answer.policies)
    changes = () if answer.allowed else _flips(policies, question)
    return Explanation(question, answer, told, changes)


def changes_of(question: Question) -> list[Change]:
    """Return everything that could be otherwise in a question, so that it may matter."""
    act = ACTS[question.action]
    is_person = question.asker.principal.kind == "user"
    found = [*_tenant(question), *_mode(question)]
    if act.needs_reason and not question.has_reason:
        found.append(Change("a reason", "reason", lambda q: replace(q, has_reason=True)))
    if act.needs_purpose or question.purpose is not None:
        found += [_purpose(one) for one in Purpose if one is not question.purpose]
    return [*found, *(_of_person(question) if is_person else _of_client(question))]


def _flips(policies: Prepared, question: Question) -> tuple[tuple[Change, ...], ...]:
    possible = changes_of(question)
    for count in range(1, MOST_CHANGES + 1):
        found = tuple(
            together
            for together in combinations(possible, count)
            if len({change.of for change in together}) == count
            and policies.allows(_changed(question, together))
        )
        if found:
            return found
    return ()


def _changed(question: Question, together: tuple[Change, ...]) -> Question:
    for change in together:
        question = change.apply(question)
    return question


def _told(policies: Prepared, name: str) -> Told:
    rule = policies.rule(name)
    if rule is None:
        # Only a document that could not be read is named without a policy.
        return Told(name, document=name.removeprefix(TENANT_PREFIX))
    return Told(name, rule.title, rule.law, rule.document)


def _tenant(question: Question) -> Iterator[Change]:
    own = question.asker.principal.tenant
    if question.resource.tenant != own:
        yield Change(
            "something of the own tenant",
            "tenant",
            lambda q: replace(q, resource=replace(q.resource, tenant=own)),
        )


def _mode(question: Question) -> Iterator[Change]:
    if question.is_emergency_mode:
        yield Change(
            "the end of emergency mode", "mode", lambda q: replace(q, is_emergency_mode=False)
        )


def _purpose(purpose: Purpose) -> Change:
    return Change(f"the purpose {purpose.value}", "purpose", lambda q: replace(q, purpose=purpose))


def _of_person(question: Question) -> Iterator[Change]:
    asker, act = question.asker, ACTS[question.action]
    name = asker.principal.name
    if not asker.has_second_factor:
        yield _asker("two factors", "second factor", lambda a: replace(a, has_second_factor=True))
    if act.needs_fresh:
        yield _asker("a fresh factor", "factor", lambda a: replace(a, factor_age_ms=0))
    for role in sorted(HUMAN_ROLES):
        yield _without(role) if role in asker.roles else _with(role)
    if act.on in {On.PERSON, On.REVIEW} and name in {
        question.resource.about,
        question.resource.name,
    }:
        yield Change("somebody else than oneself", "about", _about_another)
    if act.on is On.REVIEW and question.resource.reviewer != name:
        yield Change(
            "being the assigned reviewer",
            "reviewer",
            lambda q: replace(q, resource=replace(q.resource, reviewer=q.asker.principal.name)),
        )
    if act.on is On.PATIENT and asker.emergency_patient != question.resource.name:
        patient = question.resource.name
        yield _asker(
            "an emergency access to this patient",
            "emergency",
            lambda a: replace(a, emergency_patient=patient),
        )


def _of_client(question: Question) -> Iterator[Change]:
    asker, thing = question.asker, question.resource
    if Role.SERVICE not in asker.roles:
        yield _asker(
            "being registered", "roles", lambda a: replace(a, roles=frozenset({Role.SERVICE}))
        )
    for power in POWERS:
        if power not in asker.powers:
            yield _power(power)
    if thing.on is On.EXCHANGE and thing.name not in asker.use_cases:
        yield _asker(
            "being granted this use case",
            "use case",
            lambda a: replace(a, use_cases=a.use_cases | {thing.name}),
        )


def _asker(words: str, of: str, change: Callable[[Asker], Asker]) -> Change:
    return Change(words, of, lambda q: replace(q, asker=change(q.asker)))


def _with(role: Role) -> Change:
    return _asker(f"the role {role.value}", "role", lambda a: replace(a, roles=a.roles | {role}))


def _without(role: Role) -> Change:
    return _asker(
        f"not the role {role.value}",
        f"not {role.value}",
        lambda a: replace(a, roles=a.roles - {role}),
    )


def _power(power: str) -> Change:
    return _asker(power, "power", lambda a: replace(a, powers=a.powers | {power}))


def _about_another(question: Question) -> Question:
    name, thing = question.asker.principal.name, question.resource
    return replace(
        question,
        resource=replace(
            thing,
            name=_SOMEBODY if thing.name == name else thing.name,
            about=_SOMEBODY if thing.about == name else thing.about,
        ),
    )
