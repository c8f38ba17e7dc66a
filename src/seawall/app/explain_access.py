"""Why may somebody do something, or not, and what would change it.

Answers from the registers and the policies as they stand, for a person, a client or a role
in the abstract; it does nothing, and asks nobody. 45 CFR 164.308(a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from seawall.core.access import standing
from seawall.core.access.explain import Explanation, explain
from seawall.core.access.question import Asker, Question, Resource
from seawall.core.access.vocabulary import ACTS, HUMAN_ROLES, Action, On, Role
from seawall.core.errors import Invalid, Missing
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.policy import PolicySpec
from seawall.core.registers.register import KINDS
from seawall.core.registers.spec import NAME_PATTERN
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from seawall.app.access import Emergencies
    from seawall.app.policies import Registers, TenantPolicies
    from seawall.app.ports import Clock
    from seawall.core.access.explain import Told
    from seawall.core.registers.register import Register

_SOMEBODY: Final = "somebody"
"""The name of a person who is asked about by a role alone; nobody is called so by chance."""
_ANY: Final = "*"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, as somebody types it."""

    principal: str
    """`user/NAME`, `client/NAME` or `role/ROLE`."""
    action: str
    resource: str
    """`Patient/*`, `Document/Agreement/NAME`; of a review, whom it is about."""
    purpose: str | None = None
    has_fresh_factor: bool = False
    has_reason: bool = False
    in_emergency_mode: bool = False
    """Whether to answer as if emergency mode were on; if it is on, that counts anyway."""


@final
class ExplainAccess:
    """Explains answers of the policies."""

    def __init__(
        self,
        *,
        registers: Registers,
        policies: TenantPolicies,
        clock: Clock,
        emergencies: Emergencies | None = None,
        provisioners: frozenset[str] = frozenset(),
    ) -> None:
        self._registers = registers
        self._policies = policies
        self._clock = clock
        self._emergencies = emergencies
        self._provisioners = provisioners

    def explain(self, tenant: str, asked: Asked) -> Explanation:
        """Return the answer and what would change it; `Invalid` or `Missing` if asked wrongly.

        A person is taken to have signed in with two factors, and not lately, unless
        `has_fresh_factor` says so.
        """
        register = self._registers.register(tenant)
        action = _action(asked.action)
        asker = self._asker(tenant, register, asked.principal)
        if asker.principal.kind == "user":
            age = 0 if asked.has_fresh_factor else None
            asker = replace(asker, has_second_factor=True, factor_age_ms=age)
        is_on = self._emergencies is not None and self._emergencies.is_mode_on(tenant)
        question = Question(
            asker,
            action,
            _resource(tenant, action, asked.resource),
            _purpose(asked.purpose),
            asked.has_reason,
            is_emergency_mode=asked.in_emergency_mode or is_on,
        )
        found = explain(self._policies.of(tenant), question)
        return replace(found, policies=tuple(_titled(register, told) for told in found.policies))

    def _asker(self, tenant: str, register: Register, typed: str) -> Asker:
        kind, _, name = typed.partition("/")
        if kind == "role" and name in HUMAN_ROLES:
            return Asker(Principal("user", _SOMEBODY, tenant), frozenset({Role(name)}))
        if kind == "user" and re.fullmatch(NAME_PATTERN, name):
            user = register.find(UserSpec, name)
            if user is None:
                raise _unknown("person")
            roles = user.spec.roles_on(self._clock.today())
            return Asker(Principal("user", name, tenant), roles)
        if kind == "client" and re.fullmatch(NAME_PATTERN, name):
            client = register.find(ClientSpec, name)
            if client is None:
                raise _unknown("client")
            spec = client.spec
            service = frozenset({Role.SERVICE})
            powers = standing.counted(spec.powers, f"{tenant}/{name}", self._provisioners)
            return Asker(Principal("client", name, tenant), service, powers, spec.use_cases)
        raise Invalid(
            "principal-unreadable",
            "who is asked about is not user/NAME, client/NAME or role/ROLE",
            f"roles are {', '.join(sorted(HUMAN_ROLES))}",
        )


def _unknown(what: str) -> Missing:
    return Missing(
        "principal-unknown",
        f"there is no {what} of this name in the tenant",
        "see who there is with `seawall get User` and `seawall get Client`",
    )


def _action(typed: str) -> Action:
    try:
        return Action(typed)
    except ValueError:
        raise Invalid(
            "action-unknown",
            "there is no such action",
            f"actions are {', '.join(Action)}",
        ) from None


def _purpose(typed: str | None) -> Purpose | None:
    try:
        return None if typed is None else Purpose(typed)
    except ValueError:
        raise Invalid(
            "purpose-unknown", "there is no such purpose", f"purposes are {', '.join(Purpose)}"
        ) from None


def _resource(tenant: str, action: Action, typed: str) -> Resource:
    """Return what is meant; `Invalid` unless the action acts on such a thing."""
    on = ACTS[action].on
    kind, _, name = typed.partition("/")
    if kind != on.value or len(name) > _LONGEST or not name.isprintable():
        example = f"{on.value}/Agreement/*" if on is On.DOCUMENT else f"{on.value}/*"
        raise Invalid(
            "resource-unreadable",
            f"the action {action.value} acts on {on.value}, and this is none",
            f"name one as {example}, or by its name instead of the asterisk",
        )
    if on is On.DOCUMENT and "/" in name:
        of, _, name = name.partition("/")
        if of not in KINDS:
            raise Invalid("kind-unknown", "there is no such kind", f"kinds are {', '.join(KINDS)}")
        return Resource(on, tenant, name or _ANY, kind=of)
    about = name if on is On.REVIEW and name != _ANY else ""
    return Resource(on, tenant, name or _ANY, about=about)


def _titled(register: Register, told: Told) -> Told:
    """Return a tenant's policy with the title and the reason of its document."""
    found = register.find(PolicySpec, told.document)
    if found is None:
        return told
    return replace(told, title=f"{found.spec.title}: {found.spec.reason}")
