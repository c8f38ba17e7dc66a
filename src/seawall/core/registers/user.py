"""A person of the workforce: roles, standing, and by which account of an identity provider.

What a person may do is read from this document at each request, so a role that is
taken away, or a person who leaves, counts at once. Every version is kept.
45 CFR 164.308(a)(3)(ii)(A)-(C), 164.308(a)(4)(ii)(B)-(C), 164.312(a)(2)(i).
"""

from __future__ import annotations

from datetime import date  # noqa: TC003  pydantic reads the annotation
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from seawall.core.access.vocabulary import Role
from seawall.core.registers.spec import Name, Spec, Words


def _human(role: Role) -> Role:
    if role is Role.SERVICE:
        raise ValueError("no person is a service")
    return role


HumanRole = Annotated[Role, AfterValidator(_human)]
Issuer = Annotated[str, StringConstraints(pattern=r"^https://[^\s?#]{1,400}$")]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]


class ProviderAccount(Spec):
    """An account at an OpenID provider: who it is there (OpenID Connect Core, section 2)."""

    issuer: Issuer
    subject: Subject


class UserSpec(Spec):
    """The content of a User document."""

    title: Words
    """The person's name, as colleagues know them."""
    roles: frozenset[HumanRole] = frozenset()
    standing: Literal["active", "suspended", "left"] = "active"
    """Who has left or is suspended may do nothing, and has no session."""
    until: date | None = None
    """The last day on which the roles count; None for no end."""
    account: ProviderAccount | None = None
    """The account at an identity provider; without one the person signs in here."""
    external_id: UserName | None = None
    """The identity provider's own id of the person, by SCIM (RFC 7643, section 3.1)."""
    reviewer: Name | None = None
    """Who answers for the person's grants in an access review."""

    def roles_on(self, today: date) -> frozenset[Role]:
        """Return the roles that count on a day."""
        if self.standing != "active" or (self.until is not None and today > self.until):
            return frozenset()
        return frozenset(self.roles)
