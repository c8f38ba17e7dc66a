"""Questions of every sort for the policies of access, and the shipped policies, read once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from seawall.adapters.policies import load_policies
from seawall.core.access.question import FRESH_MS, Asker, Question, Resource
from seawall.core.access.vocabulary import ACTS, HUMAN_ROLES, Action, On, Role
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.policy import PolicySpec
from seawall.core.registers.register import Register
from seawall.core.registers.spec import Document

if TYPE_CHECKING:
    from seawall.core.access.engine import ShippedPolicies

TENANT = "hillside"
NAMES = st.sampled_from(["ann", "ben", "*", ""])
AGES = st.sampled_from([None, -1, 0, FRESH_MS - 1, FRESH_MS, FRESH_MS + 1, 10**9])
POWERS = ["may_apply", "may_audit", "may_audit_system", "may_manage_keys", "may_provision"]
SECRET = "zebra-crossing"
"""A word of somebody's policy that no message may repeat."""


@cache
def shipped() -> ShippedPolicies:
    """Return the shipped policies."""
    return load_policies()


def person(*roles: Role, name: str = "ann", **known: Any) -> Asker:
    """Return a person who showed two factors just now."""
    known = {"has_second_factor": True, "factor_age_ms": 0, **known}
    return Asker(Principal("user", name, TENANT), frozenset(roles), **known)


def client(*powers: str, use_cases: tuple[str, ...] = ()) -> Asker:
    """Return a registered service."""
    principal = Principal("client", "scheduler", TENANT)
    return Asker(principal, frozenset({Role.SERVICE}), frozenset(powers), frozenset(use_cases))


def question(asker: Asker, action: Action, name: str = "*", **more: Any) -> Question:
    """Return a question that lacks nothing but what `more` takes away."""
    about = {key: more.pop(key) for key in ("about", "reviewer", "kind") if key in more}
    tenant = more.pop("tenant", TENANT)
    resource = Resource(ACTS[action].on, tenant, name, **about)
    return Question(asker, action, resource, **{"has_reason": True, **more})


def document(name: str, forbid: str, version: int = 1, **more: Any) -> Document[PolicySpec]:
    """Return a Policy document."""
    spec = PolicySpec(title="a title", reason="a reason", forbid=forbid, **more)
    return Document("Policy", name, version, spec)


def register_of(*documents: Document[Any]) -> Register:
    """Return a register of these documents."""
    return Register(documents)


_PRINCIPALS = st.builds(
    Principal,
    st.sampled_from(["user", "user", "client", "operator", "system"]),
    st.sampled_from(["ann", "ben"]),
    st.just(TENANT),
)


@st.composite
def askers(draw: st.DrawFn) -> Asker:
    """Draw somebody who asks, as the registers and the session can make them."""
    principal = draw(_PRINCIPALS)
    if principal.kind == "client":
        return Asker(
            principal,
            draw(st.sampled_from([frozenset({Role.SERVICE}), frozenset()])),
            draw(st.frozensets(st.sampled_from(POWERS))),
            draw(st.frozensets(st.sampled_from(["ann", "ben"]))),
        )
    return Asker(
        principal,
        draw(st.frozensets(st.sampled_from(sorted(HUMAN_ROLES)), max_size=3)),
        has_second_factor=draw(st.booleans()),
        factor_age_ms=draw(AGES),
        emergency_patient=draw(st.none() | NAMES),
    )


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Draw a question of any sort; now and then one that cannot be meant."""
    action = draw(st.sampled_from(Action))
    resource = Resource(
        draw(st.sampled_from([ACTS[action].on] * 9 + [On.KEYS])),
        draw(st.sampled_from([TENANT] * 9 + ["riverside"])),
        draw(NAMES),
        draw(st.sampled_from(["", "Agreement"])),
        draw(NAMES),
        draw(NAMES),
    )
    return Question(
        draw(askers()),
        action,
        resource,
        draw(st.none() | st.sampled_from(Purpose)),
        draw(st.booleans()),
        draw(st.frozensets(st.sampled_from(["names", "Observation.value"]))),
        draw(st.booleans()),
    )
