"""The decision on one request: agreement, use case, endpoint and purpose, in numbered steps.

`decide` is total: it returns a `Decision` that says allowed or refused, why,
and which versions of which documents determined it. Empty means no: a missing
document, an unnamed use case, a feature nobody covers, all refuse.
45 CFR 164.502(a), 164.502(e), 164.308(b).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.core.policy.purpose import HL7_CODES, PARAGRAPHS
from seawall.core.registers.agreement import AgreementSpec, Standing
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.endpoint import EndpointSpec
from seawall.core.registers.use_case import UseCaseSpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from datetime import date

    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document

_MOST_POLICIES: Final = 32
"""So many policies an entry names."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks to do, before anything of it is believed."""

    client: str
    use_case: str
    endpoint: str
    features: frozenset[str]
    today: date
    user: str | None = None
    """The person for whom the client acts, by its token."""
    granted_use_cases: frozenset[str] | None = None
    """The use cases to which the token is limited; None for all of the client's."""
    is_patient_granted: bool | None = None
    """Whether the token is bound to the patient of the request; None if it is bound to none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not go on: a code, a sentence, and what to do next."""

    code: str
    reason: str
    help: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or refused, with reasons and the documents that determined it."""

    refusal: Refusal | None
    reasons: tuple[str, ...]
    determined_by: tuple[str, ...]
    use_case: Document[UseCaseSpec] | None = None
    endpoint: Document[EndpointSpec] | None = None
    agreement: Document[AgreementSpec] | None = None
    policies: tuple[str, ...] | None = None
    """The policies of access that determined it; None if they were not asked."""

    @property
    def allowed(self) -> bool:
        """Whether the exchange may go on."""
        return self.refusal is None

    def fields(self) -> dict[str, Any]:
        """Return the decision as an entry records it: names and versions, no free text."""
        recorded: dict[str, Any] = {
            "allowed": self.allowed,
            "reasons": list(self.reasons),
            "documents": list(self.determined_by),
        }
        if self.policies is not None:
            recorded["policies"] = list(self.policies[:_MOST_POLICIES])
        if self.refusal:
            recorded["code"] = self.refusal.code
        if self.use_case:
            purpose = self.use_case.spec.purpose
            recorded["purpose"] = {"name": purpose.value, "hl7": HL7_CODES[purpose]}
        if self.endpoint:
            spec = self.endpoint.spec
            recorded["model"] = {
                "name": spec.model,
                "version": spec.model_version,
                "country": spec.country,
            }
        return recorded

    def refused(self, refusal: Refusal) -> Decision:
        """Return the decision that policies of access refuse, though the documents allow it."""
        return replace(self, refusal=refusal)


class _Trail:
    """What the steps found so far; a step that yields a refusal ends it."""

    def __init__(self, question: Question, register: Register) -> None:
        self.question = question
        self.register = register
        self.reasons: list[str] = []
        self.client: Document[ClientSpec] | None = None
        self.use_case: Document[UseCaseSpec] | None = None
        self.user: Document[UserSpec] | None = None
        self.endpoint: Document[EndpointSpec] | None = None
        self.agreement: Document[AgreementSpec] | None = None

    def documents(self) -> tuple[str, ...]:
        found = (self.client, self.use_case, self.user, self.endpoint, self.agreement)
        return tuple(document.reference for document in found if document)


def decide(question: Question, register: Register) -> Decision:
    """Decide on `question` by the documents of `register`.

    1. The client is registered and may name this use case, and so may its token.
    2. The use case exists and may use this endpoint.
    3. The person for whom the client acts is of the workforce today, and is there if needed;
       the token is for this patient, and bound to one if needed.
    4. The endpoint exists and has each feature that the request uses.
    5. An agreement is named, stands today, and covers endpoint, features and country.
    """
    trail = _Trail(question, register)
    refusal = (
        _client(trail)
        or _use_case(trail)
        or _person(trail)
        or _patient(trail)
        or _endpoint(trail)
        or _agreement(trail)
    )
    return Decision(
        refusal=refusal,
        reasons=tuple(trail.reasons),
        determined_by=trail.documents(),
        use_case=trail.use_case,
        endpoint=trail.endpoint,
        agreement=trail.agreement,
    )


def _client(trail: _Trail) -> Refusal | None:  # 1
    question = trail.question
    trail.client = trail.register.find(ClientSpec, question.client)
    if trail.client is None:
        return Refusal(
            "client-unknown", "the client is not registered", "apply a Client document for it"
        )
    if question.use_case not in trail.client.spec.use_cases:
        return Refusal(
            "use-case-not-granted",
            "the client may not act under this use case",
            "name one of the client's use cases in Seawall-Use-Case, or have it granted",
        )
    if question.granted_use_cases is not None and question.use_case not in (
        question.granted_use_cases
    ):
        return Refusal(
            "use-case-not-granted",
            "the token is not for this use case",
            "name one of the token's use cases in Seawall-Use-Case, or get another token",
        )
    trail.reasons.append("the client may act under the use case")
    return None


def _use_case(trail: _Trail) -> Refusal | None:  # 2
    question = trail.question
    trail.use_case = trail.register.find(UseCaseSpec, question.use_case)
    if trail.use_case is None:
        return Refusal(
            "use-case-unknown", "there is no such use case", "apply a UseCase document for it"
        )
    if question.endpoint not in trail.use_case.spec.endpoints:
        return Refusal(
            "endpoint-not-allowed",
            "the use case does not allow this endpoint, or there is none of this name",
            "set `model` to an endpoint that the use case names",
        )
    purpose = trail.use_case.spec.purpose
    trail.reasons.append(f"purpose {purpose.value} under {PARAGRAPHS[purpose]}")
    return None


def _person(trail: _Trail) -> Refusal | None:  # 3
    question = trail.question
    if question.user is None:
        if trail.use_case is None or not trail.use_case.spec.requires_user:
            return None
        return Refusal(
            "user-needed",
            "under this use case a client acts for a person, and none is named",
            "get a token for the person who asks, by token exchange (RFC 8693)",
        )
    trail.user = trail.register.find(UserSpec, question.user)
    if trail.user is None or not trail.user.spec.roles_on(question.today):
        return Refusal(
            "user-without-role",
            "the person for whom the client acts has no role here today",
            "have a role granted to the person, or act for somebody who has one",
        )
    trail.reasons.append("the person for whom the client acts has a role")
    return None


def _patient(trail: _Trail) -> Refusal | None:  # 3
    question = trail.question
    if question.is_patient_granted is None:
        if trail.use_case is None or not trail.use_case.spec.requires_patient_grant:
            return None
        return Refusal(
            "patient-grant-needed",
            "under this use case a token must be bound to the patient",
            "get a token that is bound to the patient of the request",
        )
    if not question.is_patient_granted:
        return Refusal(
            "patient-not-granted",
            "the token is not for the patient of this request",
            "name in Seawall-Patient the patient for whom the token was made, in the same words",
        )
    trail.reasons.append("the token is bound to the patient")
    return None


def _endpoint(trail: _Trail) -> Refusal | None:  # 4
    question = trail.question
    trail.endpoint = trail.register.find(EndpointSpec, question.endpoint)
    if trail.endpoint is None:
        return Refusal(
            "endpoint-unknown", "there is no such endpoint", "apply an Endpoint document for it"
        )
    missing = question.features - trail.endpoint.spec.features
    if missing:
        return Refusal(
            "feature-unsupported",
            f"the endpoint does not offer {', '.join(sorted(missing))}",
            "leave the feature out, or use an endpoint that offers it",
        )
    return None


def _agreement(trail: _Trail) -> Refusal | None:  # 5
    if trail.endpoint is None:
        raise RuntimeError("the endpoint is decided before the agreement")
    endpoint, question = trail.endpoint, trail.question
    name = endpoint.spec.agreement
    trail.agreement = trail.register.find(AgreementSpec, name) if name else None
    if trail.agreement is None:
        return Refusal(
            "no-agreement",
            "no business associate agreement covers this endpoint (45 CFR 164.502(e))",
            "use an endpoint under an agreement, or go on without AI",
        )
    agreement = trail.agreement.spec
    standing = agreement.standing(question.today)
    if standing is not Standing.ACTIVE:
        return Refusal(
            f"agreement-{standing.value}",
            f"the business associate agreement of this endpoint is {standing.value}",
            "have the agreement signed, completed or renewed, and apply it; or go on without AI",
        )
    covers = agreement.covers
    uncovered = [
        *([] if endpoint.name in covers.endpoints else ["this endpoint"]),
        *(f"the feature {feature}" for feature in sorted(question.features - covers.features)),
        *([] if endpoint.spec.country in covers.countries else ["the endpoint's country"]),
    ]
    if uncovered:
        return Refusal(
            "agreement-does-not-cover",
            f"the business associate agreement does not cover {', '.join(uncovered)}",
            "amend the agreement, leave the feature out, or go on without AI",
        )
    trail.reasons.append("an agreement in force covers endpoint, features and country")
    return None
