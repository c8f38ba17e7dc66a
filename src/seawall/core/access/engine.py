"""Decides whether an act is allowed, by the shipped policies and what a tenant forbids besides.

Prepared once, then only asked: for each action the policies whose scope can meet it are one
parsed set, so that a decision evaluates a few and parses none. Fails closed: no policy, an
action on another kind of thing, a policy that cannot be evaluated, an error of the engine
itself, all refuse. Cedar would skip a policy that errs, which for a prohibition is to allow.
Where only a tenant's own policy is broken, `is_spared` says what goes on without it.
45 CFR 164.312(a)(1), 164.308(a)(4)(i).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, final

import cedarpy
import orjson

from seawall.core.access.cedar import Policy, misfits, parse_bounded, parse_policies, policy_set
from seawall.core.access.question import Answer
from seawall.core.access.schema import groups_of
from seawall.core.access.vocabulary import ACTS, Action, Role
from seawall.core.errors import Invalid
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.core.access.question import Question

_KINDS: Final = {"user": "User", "client": "Client"}
"""Who may ask over the API; an operator at the terminal, and the system itself, do not ask."""
LACKING: Final = {
    "second-factor-needed": "a session that was begun with two factors",
    "purpose-needed": "a purpose of use",
    "reason-needed": "a reason",
    "step-up-needed": "a factor that was shown within the last five minutes",
}
"""What can be lacking besides a permission: the code, most lasting first, and its words.

Of several the first is the answer's code: whoever signs in with two factors, and says
for which purpose and why, is asked for a fresh factor last, when it helps.
"""
TENANT_PREFIX: Final = "tenant."
"""How the names of a tenant's policies begin; no shipped one's does."""
ACTIONS: Final[dict[Action, dict[str, Any]]] = {
    action: {
        "uid": {"type": "Action", "id": action.value},
        "attrs": {},
        "parents": [{"type": "Action", "id": name} for name in groups_of(action)],
    }
    for action in Action
}
"""Every action as Cedar has it, with the groups that it is in."""
_BROKEN: Final = re.compile(r"evaluating policy `([^`]*)`")


@dataclass(frozen=True, slots=True)
class Rule:
    """A shipped policy, or one of a tenant's, under the name that entries say."""

    name: str
    policy: Policy
    title: str = ""
    law: str = ""
    document: str = ""
    """The tenant's document that it is of; empty for a shipped one."""
    code: str = ""
    """The code of what is lacking where it forbids; empty where nothing can be supplied."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What one evaluation said."""

    allowed: bool
    reasons: tuple[str, ...] = ()
    """The policies that determined it, or of a broken one those that could not be evaluated."""
    is_broken: bool = False


@final
class ShippedPolicies:
    """The policies that every tenant has."""

    __slots__ = ("_plain", "_schema", "rules")

    def __init__(self, schema: str, rules: Sequence[Rule]) -> None:
        self._schema = schema
        self.rules: Final = tuple(rules)
        self._plain = Prepared(self.rules)

    @classmethod
    def read(cls, schema_text: str, policy_text: str) -> ShippedPolicies:
        """Read them; `Invalid` (`policies-broken`) for an empty set, or one that is not sound.

        Sound is: it fits the schema, and each policy has a name of its own.
        """
        try:
            policies = parse_policies(policy_text)
            wrong = misfits(policy_text, schema_text)
        except ValueError:
            raise _not_sound("cannot be read") from None
        names = {policy.id for policy in policies}
        if not policies:
            raise _not_sound("are empty")
        if wrong:
            raise _not_sound("do not fit their schema")
        if len(names) < len(policies) or names & {None, ""}:
            raise _not_sound("do not each have a name of their own")
        return cls(schema_text, [_shipped(policy) for policy in policies])

    def having(self, tenant_forbids: Mapping[str, str]) -> Prepared:
        """Return these with what a tenant forbids: by document name, a text of Cedar policies.

        It never raises: a text that is not sound, or does more than forbid, is prepared so
        that every answer is no, since what its tenant meant to forbid is not known.
        """
        read = {name: self.read_tenants(name, text) for name, text in tenant_forbids.items()}
        return self.having_read(read)

    def having_read(self, tenants: Mapping[str, list[Rule] | None]) -> Prepared:
        """Return these with what `read_tenants` returned of each document."""
        if not tenants:
            return self._plain
        added: list[Rule] = []
        for document, rules in sorted(tenants.items()):
            if rules is None:
                return Prepared((), self._plain, broken=(f"{TENANT_PREFIX}{document}",))
            added += rules
        return Prepared([*self.rules, *added], self._plain, added)

    def read_tenants(self, document: str, text: str) -> list[Rule] | None:
        """Return the policies of a tenant's document; None if they are not sound prohibitions."""
        try:
            policies = parse_bounded(text)
            if misfits(text, self._schema):
                return None
        except ValueError:
            return None
        if any(policy.effect != "forbid" for policy in policies):
            return None
        return [
            Rule(f"{TENANT_PREFIX}{document}.{policy.id or number}", policy, document=document)
            for number, policy in enumerate(policies, 1)
        ]


@final
class Prepared:
    """The policies of one tenant, ready to decide; it never changes."""

    __slots__ = ("_added", "_broken", "_plain", "_rules", "_slices")

    def __init__(
        self,
        rules: Sequence[Rule],
        plain: Prepared | None = None,
        added: Sequence[Rule] = (),
        *,
        broken: tuple[str, ...] = (),
    ) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._plain = plain
        """The shipped policies alone, whose parsed sets are used where nothing was added."""
        self._added = tuple(added)
        self._broken = broken
        self._slices: dict[Action, cedarpy.PolicySet] = {}

    def __len__(self) -> int:
        """Return how many policies a tenant has of its own."""
        return len(self._added)

    def rule(self, name: str) -> Rule | None:
        """Return a policy by the name that an answer says."""
        return self._rules.get(name)

    def decide(self, question: Question) -> Answer:
        """Return the answer; it never raises."""
        try:
            verdict = self._verdict_on(question)
            if verdict.is_broken:
                return self._broken_answer(question, verdict.reasons)
            if verdict.allowed:
                return Answer(True, verdict.reasons)
            return self._refusal(question, verdict.reasons)
        except Exception:  # noqa: BLE001  whatever went wrong while deciding, the answer is no
            return Answer(False, (), "policy-broken")

    def allows(self, question: Question) -> bool:
        """Whether the answer is yes, for whoever asks much and needs no reason for a no."""
        try:
            verdict = self._verdict_on(question)
            return self.decide(question).allowed if verdict.is_broken else verdict.allowed
        except Exception:  # noqa: BLE001  as for `decide`
            return False

    def _broken_answer(self, question: Question, broken: tuple[str, ...]) -> Answer:
        """Refuse, but for what is spared where policies of the tenant alone are broken."""
        is_tenants = bool(broken) and all(name.startswith(TENANT_PREFIX) for name in broken)
        if self._plain is None or not is_tenants or not is_spared(question):
            return Answer(False, broken, "policy-broken", broken=broken)
        return replace(self._plain.decide(question), broken=broken)

    def prepare(self, action: Action) -> None:
        """Parse what decides on an action, for whoever has time before the first question."""
        self._slice(action)

    def is_prepared(self, action: Action) -> bool:
        """Whether nothing is parsed at the next question about an action."""
        return action in self._slices

    def _verdict_on(self, question: Question) -> _Verdict:
        if self._broken:
            return _Verdict(False, self._broken, is_broken=True)
        kind, on = question.asker.principal.kind, ACTS[question.action].on
        if kind not in _KINDS or on is not question.resource.on:
            return _Verdict(False)
        (verdict,) = self._evaluate(question, [context_of(question)])
        return verdict

    def _refusal(self, question: Question, forbids: tuple[str, ...]) -> Answer:
        """Say why not: what is lacking only to those for whom supplying it would be enough."""
        codes = {self._rules[name].code for name in forbids}
        final_ones = tuple(name for name in forbids if self._rules[name].code not in LACKING)
        if "tenant-crossed" in codes:
            return Answer(False, final_ones, "tenant-crossed")
        refused = Answer(False, final_ones, "access-refused")
        if final_ones or not codes:
            return refused
        supplied = _supplied(question)
        verdicts = self._evaluate(question, [context for _, context in supplied])
        enough = [
            purpose
            for (purpose, _), verdict in zip(supplied, verdicts, strict=True)
            if verdict.allowed
        ]
        if not enough:
            return refused
        lacking = [code for code in LACKING if code in codes]
        named = [purpose.value for purpose in enough if purpose]
        details = {"purposes": named} if "purpose-needed" in codes else {}
        return Answer(False, forbids, lacking[0], tuple(LACKING[code] for code in lacking), details)

    def _evaluate(
        self, question: Question, contexts: Sequence[Mapping[str, Any]]
    ) -> list[_Verdict]:
        """Return what the policies say of a question in each context.

        The schema is not asked again: the policies were checked against it, and what is
        handed in here is written as it says. Without it one decision takes a third less.
        """
        principal, action = question.asker.principal, question.action
        uid = {"type": _KINDS[principal.kind], "id": principal.name}
        thing = {"type": question.resource.on.value, "id": _id_of(question)}
        requests = [
            {
                "principal": uid,
                "action": ACTIONS[action]["uid"],
                "resource": thing,
                "context": orjson.dumps(context).decode(),
            }
            for context in contexts
        ]
        entities = _parsed(orjson.dumps([*entities_of(question, uid, thing), ACTIONS[action]]))
        results = cedarpy.is_authorized_batch(requests, self._slice(action), entities)
        return [self._verdict(result) for result in results]

    def _verdict(self, result: cedarpy.AuthzResult) -> _Verdict:
        errors = result.diagnostics.errors
        if not errors:
            return _Verdict(result.allowed, tuple(sorted(result.diagnostics.reasons)))
        named = {name for error in errors for name in _BROKEN.findall(error)}
        return _Verdict(False, tuple(sorted(named & self._rules.keys())), is_broken=True)

    def _slice(self, action: Action) -> cedarpy.PolicySet:
        """Return the policies whose scope can meet an action; the others cannot matter."""
        held = self._slices.get(action)
        if held is None:
            if self._plain is not None and not any(_meets(rule, action) for rule in self._added):
                held = self._plain._slice(action)  # noqa: SLF001  of the same class
            else:
                met = [rule for rule in self._rules.values() if _meets(rule, action)]
                held = policy_set({rule.name: rule.policy for rule in met})
            self._slices[action] = held
        return held


def is_spared(question: Question) -> bool:
    """Whether the shipped policies decide alone where a policy of the tenant cannot be evaluated.

    Care in an emergency goes on, and a security officer can withdraw what is broken:
    breaking the glass, the one patient whom an emergency access opens, applying policies.
    45 CFR 164.312(a)(2)(ii), 164.308(a)(7)(ii)(C).
    """
    asker, name = question.asker, question.resource.name
    if asker.principal.kind != "user":
        return False
    if question.action is Action.VIEW_PATIENT:
        return bool(name) and asker.emergency_patient == name
    if question.action is Action.APPLY_POLICIES:
        return Role.SECURITY_OFFICER in asker.roles
    return question.action is Action.BREAK_GLASS


@lru_cache(maxsize=2_048)
def _parsed(entities: bytes) -> cedarpy.Entities:
    """Return who asks and what about as Cedar keeps it: what is known, and never an answer.

    A client under its use case is the same in each exchange; parsing is a third of deciding.
    """
    return cedarpy.Entities.from_json_str(entities.decode())


def _shipped(policy: Policy) -> Rule:
    said = policy.said
    return Rule(policy.id or "", policy, said("title"), said("law"), code=said("code"))


def _not_sound(what: str) -> Invalid:
    return Invalid(
        "policies-broken",
        f"the access policies of this release {what}",
        "install the release again: they are a part of it, and nothing is allowed without them",
    )


def _meets(rule: Rule, action: Action) -> bool:
    named = rule.policy.actions
    return named is None or action.value in named or not named.isdisjoint(groups_of(action))


def _id_of(question: Question) -> str:
    resource = question.resource
    return f"{resource.kind}/{resource.name}" if resource.kind else resource.name


def entities_of(
    question: Question, uid: Mapping[str, str], resource: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return who asks and what about, as Cedar has entities, under these names."""
    asker, thing = question.asker, question.resource
    attributes: dict[str, Any] = {"tenant": asker.principal.tenant, "name": asker.principal.name}
    if asker.principal.kind == "client":
        attributes |= {"powers": sorted(asker.powers), "useCases": sorted(asker.use_cases)}
    parents = [{"type": "Role", "id": role.value} for role in sorted(asker.roles)]
    about = {
        "tenant": thing.tenant,
        "name": thing.name,
        "kind": thing.kind,
        "about": thing.about,
        "reviewer": thing.reviewer,
    }
    return [
        {"uid": uid, "attrs": attributes, "parents": parents},
        {"uid": resource, "attrs": about, "parents": []},
    ]


def context_of(question: Question) -> dict[str, Any]:
    """Return what is known when somebody asks, as Cedar has it."""
    asker = question.asker
    context: dict[str, Any] = {
        "hasReason": question.has_reason,
        "hasSecondFactor": asker.has_second_factor,
        "elements": sorted(question.elements),
        "emergencyMode": question.is_emergency_mode,
    }
    if question.purpose is not None:
        context["purpose"] = {"__entity": {"type": "Purpose", "id": question.purpose.value}}
    if asker.factor_age_ms is not None:
        context["factorAgeMs"] = asker.factor_age_ms
    if asker.emergency_patient is not None:
        context["emergencyPatient"] = asker.emergency_patient
    return context


def _supplied(question: Question) -> list[tuple[Purpose | None, dict[str, Any]]]:
    """Return the contexts that lack nothing: one for each purpose, where one is to be named."""
    asker = replace(question.asker, has_second_factor=True, factor_age_ms=0)
    is_open = question.purpose is None and ACTS[question.action].needs_purpose
    return [
        (purpose, context_of(replace(question, asker=asker, has_reason=True, purpose=purpose)))
        for purpose in (Purpose if is_open else (question.purpose,))
    ]
