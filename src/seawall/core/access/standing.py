"""What every change of a person keeps to, by whichever path it comes: a page, SCIM, a file.

Somebody stays who administers, and somebody who answers for security; nobody changes
their own roles; who leaves loses access in the same moment, and how long that took is
said. 45 CFR 164.308(a)(2), (a)(3)(ii)(A)-(C) (addressable), (a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.core.access.vocabulary import Role
from seawall.core.errors import Refused
from seawall.core.ledger.facets import moment_text
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from datetime import date, datetime

    from seawall.core.policy.principal import Principal
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document, Spec

GUARDED: Final = (Role.ADMINISTRATOR, Role.SECURITY_OFFICER)
"""Roles that somebody always holds, once anybody does: without one nobody could help."""

_OWN: Final = ("roles", "standing", "until", "reviewer", "left_at")
"""The fields of their own document that a person may not change."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A person whose last day has passed, and whose document still says that they work here.

    They may do nothing any more; the document is to be closed all the same.
    """

    person: str
    until: date
    days: int


def holders(register: Register, role: Role, today: date) -> list[Document[UserSpec]]:
    """Return who holds a role on a day, by name."""
    return [one for one in register.all(UserSpec) if role in one.spec.roles_on(today)]


def check_leaves_someone(register: Register, change: Document[Spec], today: date) -> None:
    """Raise `Refused` (`last-administrator`) if nobody would hold a role that somebody holds.

    Nor may the last one without an end be given an end. One function for every path: leaving,
    suspending, other roles, SCIM, a review that lapses, a file that is applied.
    """
    lost = _lost(register, change, today)
    if not lost:
        return
    after = register.having([change])
    for role in lost:
        now, then = holders(register, role, today), holders(after, role, today)
        lasting = any(one.spec.until is None for one in now)
        if (now and not then) or (lasting and all(one.spec.until is not None for one in then)):
            raise Refused(
                "last-administrator",
                f"nobody would be {role.value} any more, or only for a time",
                f"give the role {role.value} to somebody else first",
            )


def check_not_own(by: Principal, register: Register, change: Document[Spec]) -> None:
    """Raise `Refused` (`own-roles`) if a person changes what they themselves may do."""
    spec = change.spec
    if by.kind != "user" or by.name != change.name or not isinstance(spec, UserSpec):
        return
    earlier = register.find(UserSpec, change.name)
    if earlier is None or any(getattr(earlier.spec, one) != getattr(spec, one) for one in _OWN):
        raise Refused(
            "own-roles",
            "nobody changes their own roles or standing",
            "ask a security officer",
        )


def check_left(change: Document[Spec], now: datetime) -> None:
    """Raise `Refused` (`left-in-future`) if somebody is said to have left later than now."""
    spec = change.spec
    if isinstance(spec, UserSpec) and spec.left_at is not None and spec.left_at > now:
        raise Refused(
            "left-in-future",
            "nobody has left at a moment that is still to come",
            "set `until` to the last day: the roles end by themselves after it",
        )


def guarded_by(register: Register, change: Document[Spec], today: date) -> str | None:
    """Return a digest of who holds guarded roles, if a change takes one away; else None.

    Of two changes that saw the same holders only one may be kept, so that two
    administrators who remove each other at the same time do not both succeed.
    """
    seen = [
        f"{role.value} {' '.join(one.reference for one in holders(register, role, today))}"
        for role in _lost(register, change, today)
    ]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest() if seen else None


def _lost(register: Register, change: Document[Spec], today: date) -> list[Role]:
    """Return the guarded roles that a change takes from somebody, or gives another end.

    Most changes take none, and then nobody else has to be looked at.
    """
    earlier = register.find(UserSpec, change.name)
    if earlier is None or not isinstance(change.spec, UserSpec):
        return []
    has, keeps = earlier.spec.roles_on(today), change.spec.roles_on(today)
    is_same = earlier.spec.until == change.spec.until
    return [role for role in GUARDED if role in has and not (is_same and role in keeps)]


def ends_sessions(earlier: UserSpec | None, spec: UserSpec) -> bool:
    """Whether a change of standing ends every session of the person."""
    return earlier is not None and spec.standing != "active" and earlier.standing == "active"


def recorded(
    earlier: UserSpec | None, change: Document[UserSpec], now: datetime
) -> tuple[str, dict[str, Any]]:
    """Return the action and the fields by which an entry says what a person's change did.

    When somebody leaves, `delay_ms` is the time from then until access ended, which is now:
    164.308(a)(3)(ii)(C).
    """
    spec = change.spec
    fields: dict[str, Any] = {"person": change.name, "standing": spec.standing}
    fields["roles"] = sorted(role.value for role in spec.roles)
    before = frozenset() if earlier is None else earlier.roles
    fields["gained"] = sorted(role.value for role in spec.roles - before)
    fields["lost"] = sorted(role.value for role in before - spec.roles)
    if spec.until is not None:
        fields["until"] = spec.until.isoformat()
    if ends_sessions(earlier, spec):
        fields["sessions"] = "all"
    if earlier is None:
        return "person.join", fields
    if spec.standing != "left" or earlier.standing == "left":
        return "person.change", fields
    left_at = now if spec.left_at is None else spec.left_at
    fields["left"] = moment_text(milliseconds(left_at))
    fields["delay_ms"] = max(0, milliseconds(now) - milliseconds(left_at))
    return "person.leave", fields


def milliseconds(at: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    return int(at.astimezone(UTC).timestamp() * 1000)


def overdue(register: Register, today: date) -> list[Overdue]:
    """Return whose last day has passed while the document still says active, longest first."""
    found = [
        Overdue(one.name, one.spec.until, (today - one.spec.until) // timedelta(days=1))
        for one in register.all(UserSpec)
        if one.spec.standing == "active" and one.spec.until is not None and one.spec.until < today
    ]
    return sorted(found, key=lambda one: (-one.days, one.person))
