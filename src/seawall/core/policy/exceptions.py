"""To what minimum necessary does not apply: the six paragraphs of 45 CFR 164.502(b)(2).

That something is for treatment is not enough: a use for treatment inside the entity stays
subject to the limits by role of 164.514(d)(2). Excepted are disclosures to a provider for
treatment, and requests by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable


class Exempt(StrEnum):
    """One of the six, as documents and entries name it."""

    PROVIDER_TREATMENT = "provider-treatment"
    INDIVIDUAL = "individual"
    AUTHORIZATION = "authorization"
    SECRETARY = "secretary"
    REQUIRED_BY_LAW = "required-by-law"
    COMPLIANCE = "compliance"


PARAGRAPHS: Final[dict[Exempt, str]] = {
    Exempt.PROVIDER_TREATMENT: "45 CFR 164.502(b)(2)(i)",
    Exempt.INDIVIDUAL: "45 CFR 164.502(b)(2)(ii)",
    Exempt.AUTHORIZATION: "45 CFR 164.502(b)(2)(iii)",
    Exempt.SECRETARY: "45 CFR 164.502(b)(2)(iv)",
    Exempt.REQUIRED_BY_LAW: "45 CFR 164.502(b)(2)(v)",
    Exempt.COMPLIANCE: "45 CFR 164.502(b)(2)(vi)",
}
"""The paragraph of each."""

BY_PARTY: Final = frozenset({Exempt.PROVIDER_TREATMENT, Exempt.INDIVIDUAL, Exempt.SECRETARY})
"""Those that hang on who receives or requests; no vendor of a model is one of these."""


class Act(StrEnum):
    """What is done with PHI (45 CFR 160.103)."""

    USE = "use"
    DISCLOSURE = "disclosure"
    REQUEST = "request"


class Party(StrEnum):
    """To whom it is disclosed or shown, or who requests it."""

    WORKFORCE = "workforce"
    """Somebody inside the entity."""
    PROVIDER = "provider"
    """A health care provider other than the entity itself."""
    INDIVIDUAL = "individual"
    """The person whom the PHI is about, or a personal representative (45 CFR 164.502(g))."""
    SECRETARY = "secretary"
    BUSINESS_ASSOCIATE = "business-associate"
    """Such as the operator of a model."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an exception hangs on; what is not said does not hold."""

    act: Act
    party: Party
    purpose: Purpose | None = None
    is_authorized: bool = False
    """Whether it is made by an authorization under 164.508."""
    is_required_by_law: bool = False
    """As 164.512(a) describes it."""
    is_for_compliance: bool = False
    """Whether compliance with the HIPAA rules requires it."""


def exception_of(case: Circumstances) -> Exempt | None:
    """Return the first exception that applies, in the order of the paragraphs, or None."""
    return next((exempt for exempt, applies in _RULES.items() if applies(case)), None)


def _to_provider(case: Circumstances) -> bool:  # (i)
    is_moved = case.act in (Act.DISCLOSURE, Act.REQUEST)
    return is_moved and case.party is Party.PROVIDER and case.purpose is Purpose.TREATMENT


def _to_individual(case: Circumstances) -> bool:  # (ii)
    return case.act in (Act.USE, Act.DISCLOSURE) and case.party is Party.INDIVIDUAL


def _authorized(case: Circumstances) -> bool:  # (iii)
    return case.act in (Act.USE, Act.DISCLOSURE) and case.is_authorized


def _to_secretary(case: Circumstances) -> bool:  # (iv)
    return case.act is Act.DISCLOSURE and case.party is Party.SECRETARY


def _by_law(case: Circumstances) -> bool:  # (v)
    return case.act in (Act.USE, Act.DISCLOSURE) and case.is_required_by_law


def _to_comply(case: Circumstances) -> bool:  # (vi)
    return case.act in (Act.USE, Act.DISCLOSURE) and case.is_for_compliance


_RULES: Final[dict[Exempt, Callable[[Circumstances], bool]]] = {
    Exempt.PROVIDER_TREATMENT: _to_provider,
    Exempt.INDIVIDUAL: _to_individual,
    Exempt.AUTHORIZATION: _authorized,
    Exempt.SECRETARY: _to_secretary,
    Exempt.REQUIRED_BY_LAW: _by_law,
    Exempt.COMPLIANCE: _to_comply,
}
