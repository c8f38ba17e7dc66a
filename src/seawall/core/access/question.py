"""The question that policies decide, and their answer.

A question names everything that a policy may look at; nothing is looked up while
deciding. 45 CFR 164.312(a)(1), 164.514(d)(2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.core.access.vocabulary import Action, On, Role
    from seawall.core.policy.principal import Principal
    from seawall.core.policy.purpose import Purpose

FRESH_MS: Final = 300_000
"""So long ago a factor may have been shown where a fresh one is needed (RFC 9470)."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and what is known of them: never what they say of themselves."""

    principal: Principal
    roles: frozenset[Role] = frozenset()
    powers: frozenset[str] = frozenset()
    """A client's `may_*` fields that are on, such as `may_audit`."""
    use_cases: frozenset[str] = frozenset()
    """A client's use cases."""
    has_second_factor: bool = False
    """Whether a person showed two factors for this session; a client needs none."""
    factor_age_ms: int | None = None
    """How long ago the person last showed a factor; None for never, and for clients."""
    emergency_patient: str | None = None
    """The one patient, by ledger id, whom an emergency access under way opens."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is to be acted on, of which tenant, by which name."""

    on: On
    tenant: str
    name: str = "*"
    """A document's, use case's, person's or log's name, a ledger id; `*` for all of the kind."""
    kind: str = ""
    """A document's kind."""
    about: str = ""
    """Whom it concerns: the person whose roles change, the one under review."""
    reviewer: str = ""
    """Who is to answer a review."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to do, with everything that policies may look at."""

    asker: Asker
    action: Action
    resource: Resource
    purpose: Purpose | None = None
    has_reason: bool = False
    elements: frozenset[str] = frozenset()
    """The identifier classes and FHIR elements that would be shown."""
    is_emergency_mode: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Allowed or not, by which policies, and what is lacking."""

    allowed: bool
    policies: tuple[str, ...] = ()
    """The policies that determined it, by name: permits if allowed, else forbids; sorted."""
    code: str = ""
    """Why not: `access-refused`, `step-up-needed`, `reason-needed`, `purpose-needed`,
    `second-factor-needed`, `policy-broken`, `tenant-crossed`."""
    lacking: tuple[str, ...] = ()
    """What would change it, in words for a person; no value of a request."""
    details: Mapping[str, Any] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    """The policies that could not be evaluated, which somebody must be told, by name."""

    def fields(self) -> dict[str, Any]:
        """Return the answer as an entry records it."""
        said: dict[str, Any] = {"allowed": self.allowed, "policies": list(self.policies)}
        return said if self.allowed else {**said, "code": self.code}
