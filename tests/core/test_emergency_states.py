"""The course of an emergency: the table, the moments, and that nothing else happens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.access.emergency import (
    ACCESS_MS,
    MODE_MS,
    TRANSITIONS,
    WARNING,
    Happening,
    State,
    check_typed,
    follow,
    over_ms,
    review_by_ms,
)
from seawall.core.errors import Conflict, Error, Invalid, Refused
from seawall.core.registers.emergency import EmergencySpec
from seawall.core.registers.retention import RetentionSpec

DIGEST = "sha256:" + "0" * 64
BEGAN = 1_772_443_800_000
HOUR_MS = 3_600_000


def spec(**changed: Any) -> EmergencySpec:
    """Return an emergency access, with changes."""
    said: dict[str, Any] = {
        "what": "access",
        "person": "carla",
        "patient": "a" * 24,
        "reason": "disaster",
        "told": DIGEST,
        "warning": WARNING,
        "began_ms": BEGAN,
        "until_ms": BEGAN + ACCESS_MS,
    }
    return EmergencySpec.model_validate({**said, **changed})


def mode(**changed: Any) -> EmergencySpec:
    """Return an emergency mode, with changes."""
    own = {"what": "mode", "patient": None, "warning": None, "until_ms": BEGAN + MODE_MS}
    return spec(**{**own, **changed})


def step(at_ms: int, **more: Any) -> dict[str, Any]:
    """Return a step that somebody took."""
    return {"by": "pia", "at_ms": at_ms, "told": DIGEST, **more}


def change(earlier: EmergencySpec, **changed: Any) -> str:
    """Return the code with which a next version is refused; empty if it is none."""
    try:
        EmergencySpec.model_validate({**earlier.model_dump(), **changed}).check_change(earlier)
    except Error as error:
        return error.code
    return ""


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("happening", Happening)
def test_what_the_table_lacks_does_not_happen(state: State, happening: Happening) -> None:
    """Every pair is either in the table or a conflict."""
    if happening in TRANSITIONS[state]:
        assert TRANSITIONS[state][happening] is follow(state, happening)
    else:
        with pytest.raises(Conflict, match="emergency-state"):
            follow(state, happening)


@given(happenings=st.lists(st.sampled_from(Happening), max_size=30))
def test_no_way_through_the_table_avoids_a_review(happenings: list[Happening]) -> None:
    """Only a review leads to the last state, nothing leaves it, and what ended never reopens."""
    state, way = State.BEGUN, [State.BEGUN]
    for happening in happenings:
        if happening in TRANSITIONS[state]:
            before, state = state, follow(state, happening)
            way.append(state)
            assert (state is State.REVIEWED) == (happening is Happening.REVIEW)
            assert before is not State.REVIEWED
    assert State.BEGUN not in way[next((i for i, s in enumerate(way) if s != way[0]), len(way)) :]


@given(
    ended=st.none() | st.integers(0, ACCESS_MS - 1),
    reviewed=st.none() | st.integers(0, 200 * HOUR_MS),
    moments=st.lists(st.integers(0, 200 * HOUR_MS), min_size=2, max_size=2),
)
def test_time_only_goes_on(ended: int | None, reviewed: int | None, moments: list[int]) -> None:
    """A later moment is never an earlier state, and open is exactly: before its end."""
    over = BEGAN + (ACCESS_MS if ended is None else ended)
    made = spec(
        ended=None if ended is None else step(BEGAN + ended),
        review=None if reviewed is None else step(over + reviewed, finding="unclear"),
    )
    order = [State.BEGUN, State.ENDED, State.EXPIRED, State.OVERDUE, State.REVIEWED]
    first, second = (BEGAN + moment for moment in sorted(moments))
    as_known = made if reviewed is None else spec(ended=made.ended)
    assert order.index(as_known.state(first)) <= order.index(as_known.state(second))
    assert (ended is None and first < over) == as_known.is_open(first)


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (BEGAN + ACCESS_MS - 1, State.BEGUN),
        (BEGAN + ACCESS_MS, State.EXPIRED),
        (BEGAN + ACCESS_MS + 72 * HOUR_MS - 1, State.EXPIRED),
        (BEGAN + ACCESS_MS + 72 * HOUR_MS, State.OVERDUE),
    ],
)
def test_each_boundary_is_to_the_millisecond(at_ms: int, expected: State) -> None:
    """Sixty minutes, and seventy-two hours from then."""
    assert expected is spec().state(at_ms)


def test_one_that_begins_later_is_not_open() -> None:
    """As after a clock that was set back."""
    assert not spec().is_open(BEGAN - 1)


def test_an_early_end_brings_the_review_forward() -> None:
    """It is due from the end on, not from when it would have ended."""
    made = spec(ended=step(BEGAN + 5), review_hours=24)
    assert (BEGAN + 5, BEGAN + 5 + 24 * HOUR_MS) == (over_ms(made), review_by_ms(made))


@pytest.mark.parametrize(
    "changed",
    [
        {"patient": None},
        {"until_ms": BEGAN + ACCESS_MS + 1},
        {"until_ms": BEGAN - 1},
        {"warning": None},
        {"warning": "0"},
        {"told": None},
        {"review_hours": 73},
        {"review_hours": 0},
        {"renewed": [step(BEGAN)]},
        {"what": "mode"},
        {"what": "offline"},
    ],
)
def test_what_is_no_emergency_is_refused(changed: dict[str, Any]) -> None:
    """A patient for an access alone, no longer than it may be, and everything that was said."""
    with pytest.raises(ValueError, match=r"these fields|less than|greater than"):
        spec(**changed)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ended": step(BEGAN + 1)}, ""),
        ({"ended": step(BEGAN + ACCESS_MS)}, "emergency-state"),
        ({"review": step(BEGAN + ACCESS_MS, finding="unclear")}, ""),
        ({"review": step(BEGAN + 100 * HOUR_MS, finding="unclear")}, ""),
        ({"review": step(BEGAN + 1, finding="unclear")}, "emergency-state"),
        ({"patient": "b" * 24}, "emergency-rewritten"),
        ({"person": "cyrus"}, "emergency-rewritten"),
        ({"until_ms": BEGAN + 1}, "emergency-rewritten"),
        ({"reason": "other-typed", "ended": step(BEGAN + 1)}, "emergency-rewritten"),
    ],
)
def test_a_next_version_is_one_step_of_the_table(changed: dict[str, Any], expected: str) -> None:
    """Nothing that was recorded changes with it."""
    assert expected == change(spec(), **changed)


def test_an_end_and_a_review_are_never_taken_back() -> None:
    """Nor replaced by another."""
    ended = spec(ended=step(BEGAN + 9))
    reviewed = spec(ended=step(BEGAN + 9), review=step(BEGAN + 10, finding="inappropriate"))
    codes = [
        change(ended, ended=None),
        change(ended, ended=step(BEGAN + 10)),
        change(reviewed, review=step(BEGAN + 10, finding="appropriate")),
        change(reviewed, review=None),
    ]
    assert ["emergency-rewritten"] * 4 == codes


def test_a_review_is_not_of_before_the_end() -> None:
    """Whatever a clock said that was set back."""
    ended = spec(ended=step(BEGAN + 9))
    assert "emergency-rewritten" == change(ended, review=step(BEGAN + 5, finding="unclear"))


def test_only_an_emergency_has_a_course() -> None:
    """Another kind of document before it says nothing about what may follow."""
    spec().check_change(RetentionSpec(years=7))


def test_a_renewal_is_added_and_moves_the_end() -> None:
    """While the mode is on, by a day from then at most."""
    later = BEGAN + 5 * HOUR_MS
    renewed = {"renewed": [step(later)], "until_ms": later + MODE_MS}
    late = BEGAN + MODE_MS
    codes = [
        change(mode(), **renewed),
        change(mode(), renewed=[step(late)], until_ms=late + MODE_MS),
        change(mode(**renewed), renewed=[], until_ms=BEGAN + MODE_MS),
    ]
    assert ["", "emergency-state", "emergency-rewritten"] == codes


@given(text=st.text(max_size=600))
def test_a_typed_reason_is_a_line_of_its_length(text: str) -> None:
    """Spaces count once, and an error never repeats what was typed."""
    said = " ".join(text.split())
    if 8 <= len(said) <= 500 and said.isprintable():
        assert said == check_typed(text)
    else:
        with pytest.raises(Invalid) as refused:
            check_typed(text)
        told = f"{refused.value.message} {refused.value.help}"
        assert len(said) < 8 or said not in told


def test_an_emergency_stays_the_same_persons() -> None:
    """Whose emergency it is stays."""
    with pytest.raises(Refused, match="emergency-rewritten"):
        spec(person="cyrus").check_change(spec())
