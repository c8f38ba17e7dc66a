"""What an access review asks, whom it asks, and what an answer does to a document.

Pure: who may do what is read from a register that is handed in. 45 CFR
164.308(a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from seawall.core.access.standing import holders
from seawall.core.access.vocabulary import Role
from seawall.core.registers.access_review import AccessReviewSpec, ReviewedGrantSpec
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from seawall.core.policy.principal import Principal
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document, Spec

_INSTEAD: Final = (Role.PRIVACY_OFFICER, Role.SECURITY_OFFICER, Role.ADMINISTRATOR)
"""Who answers where a document names nobody, or somebody who cannot, in this order."""

LEAST: Final = timedelta(days=7)
"""So long whoever is asked has for an answer, at least: practice."""


@dataclass(frozen=True, slots=True)
class Held:
    """One grant as a register says it: who holds what."""

    holder: Literal["person", "client"]
    name: str
    grant: str


def grants_of(register: Register, review: AccessReviewSpec) -> list[Held]:
    """Return the grants that a review asks about: persons by name, then clients."""
    found = [
        Held("person", one.name, f"role/{role}")
        for one in register.all(UserSpec)
        if one.spec.standing == "active"
        for role in sorted(role.value for role in one.spec.roles)
    ]
    if review.scope == "role":
        wanted = f"role/{review.role.value if review.role else ''}"
        return [one for one in found if one.grant == wanted]
    if review.scope == "persons":
        return [one for one in found if one.name in review.persons]
    return [*found, *_of_clients(register)]


def _of_clients(register: Register) -> Iterator[Held]:
    for client in register.all(ClientSpec):
        for power in sorted(client.spec.powers):
            yield Held("client", client.name, f"power/{power}")
        for case in sorted(client.spec.use_cases):
            yield Held("client", client.name, f"use-case/{case}")


def deputies(register: Register, today: date) -> list[str]:
    """Return who answers where a document names nobody who can, the first choice first."""
    return [one.name for role in _INSTEAD for one in holders(register, role, today)]


def reviewer_of(register: Register, held: Held, today: date, instead: Sequence[str]) -> str | None:
    """Return who is to answer for a grant: never its holder, nor somebody without a role.

    `instead` are the deputies, who are the same for every grant.
    """

    def may(name: str) -> bool:
        """Whether this is somebody who works here, and not the holder."""
        is_holder = held.holder == "person" and name == held.name
        return not is_holder and works_here(register, name, today)

    person = register.find(UserSpec, held.name) if held.holder == "person" else None
    named = [] if person is None or person.spec.reviewer is None else [person.spec.reviewer]
    return next((name for name in chain(named, instead) if may(name)), None)


def items_of(register: Register, review: str) -> list[Document[ReviewedGrantSpec]]:
    """Return the grants of a review, in its order."""
    return [one for one in register.all(ReviewedGrantSpec) if one.spec.review == review]


def without(spec: Spec, grant: str) -> Spec:
    """Return a person's or a client's document without a grant; the same if it has none."""
    kind, _, name = grant.partition("/")
    if kind == "role" and isinstance(spec, UserSpec):
        return spec.model_copy(update={"roles": spec.roles - {Role(name)}})
    if kind == "use-case" and isinstance(spec, ClientSpec):
        return spec.model_copy(update={"use_cases": spec.use_cases - {name}})
    if kind == "power" and isinstance(spec, ClientSpec) and name in spec.powers:
        return spec.model_copy(update={name: False})
    return spec


def holding(register: Register, item: ReviewedGrantSpec) -> Document[Spec] | None:
    """Return the document that holds a reviewed grant, or None if there is none any more."""
    if item.holder == "person":
        return register.find(UserSpec, item.name)
    return register.find(ClientSpec, item.name)


def after_change(
    by: Principal, register: Register, change: Document[Spec], now: datetime
) -> list[tuple[str, ReviewedGrantSpec]]:
    """Return what a person's change does to reviews under way, by the items' names.

    What was asked about somebody who leaves has ended. What they cannot answer any more, since
    their roles are gone by whichever way, somebody else is asked, but never whoever made the
    change; where nobody else is there it waits for the next person who can.
    """
    spec, earlier = change.spec, register.find(UserSpec, change.name)
    if not isinstance(spec, UserSpec):
        return []
    after, today = register.having([change]), now.date()
    found: list[tuple[str, ReviewedGrantSpec]] = []
    if spec.standing == "left" and earlier is not None and earlier.spec.standing != "left":
        about = ("person", change.name)
        found = [
            (held.name, held.spec.model_copy(update={"answer": "ended", "at": now}))
            for held in register.all(ReviewedGrantSpec)
            if held.spec.answer == "open" and (held.spec.holder, held.spec.name) == about
        ]
    could, can = works_here(register, change.name, today), works_here(after, change.name, today)
    if could == can:
        return found
    actor = by.name if by.kind == "user" else ""
    able = deputies(after, today)
    instead = [one for one in able if one != actor]
    ended = {name for name, _ in found}
    for held in _orphans(after, today):
        is_theirs = held.spec.reviewer == change.name
        to = instead if is_theirs else [change.name] if can and change.name in able else []
        if held.name not in ended and (one := _asking(after, held, to, today, but=actor)):
            found.append(one)
    return found


def moved(register: Register, today: date) -> list[tuple[str, ReviewedGrantSpec]]:
    """Return the questions of those whose own last day is over, for whom is asked instead.

    By a day that is over nobody gains anything. What a change took from somebody is moved
    with that change, so that it does not come to whoever made it by waiting.
    """
    instead, found = deputies(register, today), list[tuple[str, ReviewedGrantSpec]]()
    for held in _orphans(register, today):
        person = register.find(UserSpec, held.spec.reviewer)
        if person is None or person.spec.standing != "active" or not person.spec.roles:
            continue
        if one := _asking(register, held, instead, today):
            found.append(one)
    return found


def _orphans(register: Register, today: date) -> Iterator[Document[ReviewedGrantSpec]]:
    """Yield the open questions whose reviewer has no role, of reviews that are not over."""
    reviews = {one.name: one.spec for one in register.all(AccessReviewSpec)}
    for held in register.all(ReviewedGrantSpec):
        review = reviews.get(held.spec.review)
        is_over = review is None or review.state == "closed" or today > review.due
        is_open = held.spec.answer == "open" and not is_over
        if is_open and not works_here(register, held.spec.reviewer, today):
            yield held


def _asking(
    register: Register,
    held: Document[ReviewedGrantSpec],
    instead: Sequence[str],
    today: date,
    but: str = "",
) -> tuple[str, ReviewedGrantSpec] | None:
    """Return a question as somebody else is asked it, but for one person; None for nobody."""
    item = held.spec
    other = reviewer_of(register, Held(item.holder, item.name, item.grant), today, instead)
    if other is None or other == but:
        return None
    return held.name, item.model_copy(update={"reviewer": other, "asked": today})


def works_here(register: Register, name: str, today: date) -> bool:
    """Whether a person has a role on a day: without one nobody answers for anything."""
    found = register.find(UserSpec, name)
    return found is not None and bool(found.spec.roles_on(today))


def could_answer(register: Register, item: ReviewedGrantSpec, due: date) -> bool:
    """Whether somebody who could answer was asked for so long as a review lasts at least.

    Where nobody was, no answer says nothing about a grant.
    """
    is_late = item.asked is not None and due - item.asked < LEAST
    return not is_late and works_here(register, item.reviewer, due)
