"""A business associate agreement, and whether it stands: 45 CFR 164.502(e), 164.504(e).

An agreement stands while it is signed, holds every term that cannot be waived,
has begun and has not ended. Nothing else makes it stand: there is no field
that says "active".
"""

from __future__ import annotations

from datetime import date  # noqa: TC003  pydantic reads the annotation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from seawall.core.registers.spec import Country, Name, Spec, Words

if TYPE_CHECKING:
    from typing import Self

REQUIRED_TERMS: Final[dict[str, str]] = {
    "164.504(e)(2)(i)": "permitted and required uses and disclosures",
    "164.504(e)(2)(ii)(A)": "no other use or disclosure",
    "164.504(e)(2)(ii)(B)": "safeguards, and the Security Rule for electronic PHI",
    "164.504(e)(2)(ii)(C)": "reports of improper uses and disclosures, breaches included",
    "164.504(e)(2)(ii)(D)": "subcontractors agree to the same restrictions",
    "164.504(e)(2)(ii)(E)": "PHI is available for access under 164.524",
    "164.504(e)(2)(ii)(F)": "PHI is available for amendment under 164.526",
    "164.504(e)(2)(ii)(G)": "information for an accounting of disclosures under 164.528",
    "164.504(e)(2)(ii)(H)": "the Privacy Rule binds delegated obligations",
    "164.504(e)(2)(ii)(I)": "books and records are available to the Secretary",
    "164.504(e)(2)(ii)(J)": "PHI is returned or destroyed at termination",
    "164.504(e)(2)(iii)": "the covered entity may terminate on a material violation",
    "164.314(a)(2)(i)(A)": "the business associate complies with the Security Rule",
    "164.314(a)(2)(i)(B)": "subcontractors with electronic PHI agree to comply",
    "164.314(a)(2)(i)(C)": "any security incident is reported",
}
"""The fifteen terms that no agreement may lack, by the paragraph that asks for each."""

OPTIONAL_TERMS: Final[dict[str, str]] = {
    "164.504(e)(2)(i)(A)": "use for the business associate's own management",
    "164.504(e)(2)(i)(B)": "data aggregation",
}
"""Two permissions: absent means that such a use is refused."""


class Standing(StrEnum):
    """Whether an agreement stands on a given day, and if not, why."""

    ACTIVE = "active"
    UNSIGNED = "unsigned"
    INCOMPLETE = "incomplete"
    NOT_YET = "not-yet-effective"
    EXPIRED = "expired"
    TERMINATED = "terminated"


class Parties(Spec):
    """The two sides, by the names that the signed file uses."""

    covered_entity: Words
    business_associate: Words


class Covers(Spec):
    """What the agreement covers; what is not named is not covered."""

    endpoints: frozenset[Name] = frozenset()
    features: frozenset[Name] = frozenset()
    countries: frozenset[Country] = frozenset()


class Signature(Spec):
    """The signed file: by whom, when, and its digest."""

    by: tuple[Words, ...] = Field(min_length=2)
    dated: date
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class AgreementSpec(Spec):
    """The content of an Agreement document."""

    parties: Parties
    effective: date
    expires: date
    terms: frozenset[str]
    covers: Covers
    signed: Signature | None = None
    terminated: date | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.expires <= self.effective:
            raise ValueError("expires must be after effective")
        if self.terms - REQUIRED_TERMS.keys() - OPTIONAL_TERMS.keys():
            raise ValueError("terms name a paragraph that is none of the seventeen")
        return self

    def missing_terms(self) -> tuple[str, ...]:
        """Return the required terms that this agreement lacks, by paragraph."""
        return tuple(term for term in REQUIRED_TERMS if term not in self.terms)

    def standing(self, today: date) -> Standing:
        """Return whether the agreement stands on `today`; the first reason why not wins."""
        reasons = (
            (self.terminated is not None and self.terminated <= today, Standing.TERMINATED),
            (self.signed is None, Standing.UNSIGNED),
            (bool(self.missing_terms()), Standing.INCOMPLETE),
            (today < self.effective, Standing.NOT_YET),
            (today >= self.expires, Standing.EXPIRED),
        )
        return next((standing for holds, standing in reasons if holds), Standing.ACTIVE)
