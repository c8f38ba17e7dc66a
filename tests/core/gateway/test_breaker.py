"""The circuit breaker, with the time handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.gateway.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Sequence

CLOSED = Breaker(limit=3, rest=10.0)


def failed(times: int, now: float = 100.0) -> Breaker:
    """Return a breaker after some failures in a row."""
    breaker = CLOSED
    for _ in range(times):
        breaker = breaker.calling(now).failed(now)
    return breaker


@pytest.mark.parametrize(("failures", "expected"), [(0, True), (2, True), (3, False)])
def test_it_opens_at_the_limit(failures: int, *, expected: bool) -> None:
    """A breaker lets calls out until as many failed in a row as its limit."""
    assert expected == failed(failures).may_call(100.0)


@pytest.mark.parametrize(
    ("now", "expected"), [(100.0, False), (109.9, False), (110.0, True), (500.0, True)]
)
def test_it_rests(now: float, *, expected: bool) -> None:
    """An open breaker refuses until its rest is over."""
    assert expected == failed(3).may_call(now)


def test_success_in_between_begins_anew() -> None:
    """A call that is answered makes the count begin at nothing."""
    breaker = failed(2).succeeded().calling(101).failed(101).calling(102).failed(102)

    assert breaker.may_call(102)


def test_one_trial_at_a_time() -> None:
    """After the rest one call goes out, and no second while it has not ended."""
    trying = failed(3).calling(110.0)

    assert not trying.may_call(500.0)


def test_trial_that_is_answered_closes() -> None:
    """A trial that is answered closes the breaker."""
    assert CLOSED == failed(3).calling(110.0).succeeded()


def test_trial_that_fails_opens_again() -> None:
    """A trial that fails opens the breaker for a whole rest from then on."""
    breaker = failed(3).calling(110.0).failed(112.0)

    assert [False, True] == [breaker.may_call(121.9), breaker.may_call(122.0)]


def test_trial_that_tells_nothing_leaves_another() -> None:
    """A trial that ended without a word of the endpoint lets another one out."""
    assert failed(3).calling(110.0).abandoned().may_call(110.0)


def test_abandoned_call_counts_for_nothing() -> None:
    """A call that was abandoned is neither a failure nor a success."""
    assert failed(2) == failed(2).calling(101.0).abandoned()


def test_late_failure_prolongs_the_rest() -> None:
    """A call from before the breaker opened that fails later makes it rest from then on."""
    assert not failed(3).failed(105.0).may_call(114.9)


def test_calling_while_open_is_a_bug() -> None:
    """Who does not ask before calling has made a mistake."""
    with pytest.raises(RuntimeError):
        failed(3).calling(101.0)


def test_breaker_does_not_change() -> None:
    """Each event makes another breaker and leaves the one before as it was."""
    before = failed(2)
    before.failed(100.0)

    assert before == failed(2)


@given(st.lists(st.tuples(st.sampled_from(["failed", "succeeded", "abandoned"]), st.floats(0, 20))))
def test_breaker_behaves_like_a_story(steps: Sequence[tuple[str, float]]) -> None:
    """For calls one after the other, a breaker refuses exactly while it rests."""
    breaker, now, row, opened = CLOSED, 0.0, 0, -1e9
    for outcome, passed in steps:
        now += passed
        resting = row >= 3 and now - opened < 10
        assert breaker.may_call(now) is not resting
        if resting:
            continue
        breaker = breaker.calling(now)
        if outcome == "failed":
            breaker, row, opened = breaker.failed(now), row + 1, now
        elif outcome == "succeeded":
            breaker, row = breaker.succeeded(), 0
        else:
            breaker = breaker.abandoned()
