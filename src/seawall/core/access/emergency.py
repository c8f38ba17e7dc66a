"""An emergency, from its beginning to its review: the states, the numbers, the words.

Three things are emergencies here: a person opens one patient's record without being of
the care team; the tenant works in emergency mode; somebody signs in with codes that were
made in advance, because the identity provider is down. Each ends by itself, and each is
reviewed by somebody else. That there is a procedure is law (45 CFR 164.312(a)(2)(ii),
164.308(a)(7)(ii)(C)), and so is that activity is reviewed (164.308(a)(1)(ii)(D)); one
patient, 60 minutes and 72 hours are practice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from seawall.core.errors import Conflict, Invalid
from seawall.core.identity.session import ABSOLUTE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCESS_MS: Final = 3_600_000
"""How long an emergency access lasts: 60 minutes, and no renewal."""
MOST_ACCESSES: Final = 3
"""So many accesses a person begins in the time of one: a script opens no clinic's records."""
OFFLINE_MS: Final = ABSOLUTE_SECONDS * 1_000
"""How long a sign-in by an offline factor is under way: as long as its session can last."""
MODE_MS: Final = 86_400_000
"""How long emergency mode lasts, unless it is renewed."""
REVIEW_HOURS: Final = 72
"""Within how many hours of its end an emergency is reviewed; an installation may set less."""
TYPED_LEAST: Final = 8
TYPED_MOST: Final = 500


class State(StrEnum):
    """Where an emergency stands."""

    BEGUN = "begun"
    ENDED = "ended"
    """Somebody ended it; its review is due."""
    EXPIRED = "expired"
    """Its time is over; its review is due."""
    OVERDUE = "review-overdue"
    REVIEWED = "reviewed"


class Happening(StrEnum):
    """What moves an emergency from one state to another."""

    RENEW = "renew"
    """Emergency mode goes on; an emergency access never does."""
    END = "end"
    LAPSE = "lapse"
    """Its time is over."""
    DEADLINE = "deadline"
    """The time for its review is over."""
    REVIEW = "review"


TRANSITIONS: Final[Mapping[State, Mapping[Happening, State]]] = {
    State.BEGUN: {
        Happening.RENEW: State.BEGUN,
        Happening.END: State.ENDED,
        Happening.LAPSE: State.EXPIRED,
    },
    State.ENDED: {Happening.REVIEW: State.REVIEWED, Happening.DEADLINE: State.OVERDUE},
    State.EXPIRED: {Happening.REVIEW: State.REVIEWED, Happening.DEADLINE: State.OVERDUE},
    State.OVERDUE: {Happening.REVIEW: State.REVIEWED},
    State.REVIEWED: {},
}
"""What may follow what; what is not here does not happen."""


class Reason(StrEnum):
    """Why, from a closed list; the rest is typed, and sealed."""

    PATIENT_UNCONSCIOUS = "patient-unconscious"
    PROVIDER_DOWN = "provider-down"
    CARE_TEAM_NOT_RECORDED = "care-team-not-recorded"
    DISASTER = "disaster"
    OTHER = "other-typed"


class Finding(StrEnum):
    """What a review found."""

    APPROPRIATE = "appropriate"
    INAPPROPRIATE = "inappropriate"
    UNCLEAR = "unclear"


WARNING: Final = "1"
"""The version of the warning that is shown now."""
WARNINGS: Final[Mapping[str, str]] = {
    "1": (
        "You are about to open the record of one patient whose care team you are not of. "
        "Do this only to treat this patient now, when waiting could do harm. "
        "It lasts 60 minutes and opens this one record. "
        "The privacy officer is told at once, and everything you do in it is recorded as an "
        "emergency access under your name. Somebody else reviews it. "
        "Opening a record without need is a violation, and can be a breach that is reported."
    ),
}
"""Every warning that was ever shown, by version: an entry names which one was acknowledged."""


class Course(Protocol):
    """The moments of an emergency, in milliseconds since 1970."""

    @property
    def until_ms(self) -> int:
        """When it ends by itself."""
        ...

    @property
    def ended_ms(self) -> int | None:
        """When somebody ended it."""
        ...

    @property
    def reviewed_ms(self) -> int | None:
        """When it was reviewed."""
        ...

    @property
    def review_hours(self) -> int:
        """Within how many hours of its end it is to be reviewed."""
        ...


def follow(state: State, happening: Happening) -> State:
    """Return the state that follows; `Conflict` (`emergency-state`) if none does."""
    try:
        return TRANSITIONS[state][happening]
    except KeyError:
        raise Conflict(
            "emergency-state",
            f"an emergency that is {state.value} cannot have this happen: {happening.value}",
            "see where it stands with `seawall emergency list`",
        ) from None


def over_ms(course: Course) -> int:
    """Return when an emergency is over: when somebody ended it, or by itself."""
    return course.until_ms if course.ended_ms is None else min(course.ended_ms, course.until_ms)


def review_by_ms(course: Course) -> int:
    """Return by when an emergency is to be reviewed."""
    return over_ms(course) + course.review_hours * 3_600_000


def state_at(course: Course, now_ms: int) -> State:
    """Return where an emergency stands at a moment, by what happened up to it."""
    state = State.BEGUN
    if course.ended_ms is not None:
        state = follow(state, Happening.END)
    elif now_ms >= course.until_ms:
        state = follow(state, Happening.LAPSE)
    if course.reviewed_ms is not None:
        return follow(state, Happening.REVIEW)
    if state is not State.BEGUN and now_ms >= review_by_ms(course):
        return follow(state, Happening.DEADLINE)
    return state


def check_typed(text: str) -> str:
    """Return a typed reason on one line; `Invalid` unless it has 8 to 500 characters.

    What was typed is in no error.
    """
    said = " ".join(text.split())
    if not TYPED_LEAST <= len(said) <= TYPED_MOST or not said.isprintable():
        raise Invalid(
            "emergency-reason",
            "the typed reason is not 8 to 500 printable characters",
            "say in one sentence why this is needed now; it is sealed, and shown to the reviewer",
        )
    return said


def check_acknowledged(version: str | None) -> str:
    """Return the version of the warning that was acknowledged; `Invalid` unless it is today's."""
    if version != WARNING:
        raise Invalid(
            "emergency-unacknowledged",
            "the warning that is shown now was not acknowledged",
            "show the warning, and send its version in `acknowledged`",
        )
    return WARNING
