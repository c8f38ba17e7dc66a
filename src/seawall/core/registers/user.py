"""A person of the workforce: roles, standing, and by which account of an identity provider.

What a person may do is read from this document at each request, so a role that is
taken away, or a person who leaves, counts at once. Every version is kept.
45 CFR 164.308(a)(3)(ii)(A)-(C), 164.308(a)(4)(ii)(B)-(C), 164.312(a)(2)(i).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from seawall.core.access.vocabulary import Role
from seawall.core.errors import Refused
from seawall.core.registers.spec import Name, Spec, Words

_LATER: Final = ("user_name", "left_at", "by_provider")
"""Fields that the first form of the document did not have: left out while they are empty."""
_FIRST_YEAR: Final = 1970


def _human(role: Role) -> Role:
    if role is Role.SERVICE:
        raise ValueError("no person is a service")
    return role


def _in_utc(at: datetime) -> datetime:
    """Return a moment in UTC to the millisecond, so that it is written in one way."""
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise ValueError("no such moment") from None
    if at.year < _FIRST_YEAR:
        raise ValueError("this is too long ago")
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


HumanRole = Annotated[Role, AfterValidator(_human)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
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
    user_name: UserName | None = None
    """How the identity provider calls the person, such as by an address (RFC 7643, section 4.1)."""
    left_at: Moment | None = None
    """When the person left, where the standing is `left`; access may have ended later."""

    by_provider: bool = False
    """Whether the identity provider suspended the person: it ends no other suspension."""

    @model_validator(mode="after")
    def _check_left(self) -> Self:
        if self.by_provider and self.standing != "suspended":
            raise ValueError("by_provider is for somebody whose standing is suspended")
        if self.left_at is not None and self.standing != "left":
            raise ValueError("left_at is for somebody whose standing is left")
        return self

    def check_change(self, earlier: Spec) -> None:
        """Refuse to bring somebody back who left: their old factors would count again.

        A name is one person's for ever (45 CFR 164.312(a)(2)(i)); who comes back joins anew.
        """
        was_left = isinstance(earlier, UserSpec) and earlier.standing == "left"
        if was_left and self.standing != "left":
            raise Refused(
                "person-left",
                "this person has left, and nothing of theirs from before counts again",
                "let them join under a new name",
            )

    def roles_on(self, today: date) -> frozenset[Role]:
        """Return the roles that count on a day."""
        if self.standing != "active" or (self.until is not None and today > self.until):
            return frozenset()
        return frozenset(self.roles)

    def lessens(self, earlier: Spec) -> frozenset[Role]:
        """Return the roles that this takes from who held them, or gives another end or standing.

        The same on every day, so that it can be counted.
        """
        if not isinstance(earlier, UserSpec):
            return frozenset()
        is_same = (earlier.standing, earlier.until) == (self.standing, self.until)
        return frozenset(earlier.roles - self.roles if is_same else earlier.roles)

    @model_serializer(mode="wrap")
    def _without_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later fields while they are empty, so that digests stay what entries say."""
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if value or name not in _LATER}
