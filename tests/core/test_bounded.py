"""A cache that is bounded in time and in size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from seawall.core.bounded import BoundedCache

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = st.sampled_from("abcde")
STEPS = st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), KEYS, st.integers(0, 4)))


def cache(*, limit: int = 2, seconds: float = 10) -> BoundedCache[str, int]:
    """Return a small cache."""
    return BoundedCache(limit=limit, seconds=seconds)


def test_value_is_held_until_its_time_is_over() -> None:
    """A value is there up to, and not at, the end of its time."""
    held = cache(seconds=10)
    held.put("a", 1, now=100)

    assert [1, None] == [held.get("a", now=109.9), held.get("a", now=110)]


def test_expired_value_stays_away() -> None:
    """A value that expired is forgotten, even for a clock that would go back."""
    held = cache(seconds=10)
    held.put("a", 1, now=100)
    held.get("a", now=110)

    assert held.get("a", now=100) is None


def test_reading_does_not_prolong() -> None:
    """Reading a value does not renew its time."""
    held = cache(seconds=10)
    held.put("a", 1, now=0)
    held.get("a", now=9)

    assert held.get("a", now=11) is None


def test_oldest_goes_first() -> None:
    """Beyond the limit, the value that was put first is dropped."""
    held = cache(limit=2)
    for value, key in enumerate("abc"):
        held.put(key, value, now=0)

    assert [None, 1, 2] == [held.get(key, now=1) for key in "abc"]


def test_putting_again_renews() -> None:
    """A value that is put again counts as the newest, with a new time."""
    held = cache(limit=2)
    for key in "abac":
        held.put(key, 7, now=0)

    assert [7, None, 7] == [held.get(key, now=1) for key in "abc"]


def test_dropped_value_is_gone() -> None:
    """A value that is dropped is gone, and dropping what is not held is nothing."""
    held = cache()
    held.put("a", 1, now=0)
    held.drop("a")
    held.drop("b")

    assert held.get("a", now=1) is None


def test_text_shows_only_a_count() -> None:
    """Printed, a cache shows how many values it holds and none of them."""
    held: BoundedCache[str, str] = BoundedCache(limit=2, seconds=10)
    held.put("key-marker", "value-marker", now=0)

    assert repr(held) == "<BoundedCache of 1>"


@given(STEPS)
def test_cache_behaves_like_a_list_of_pairs(steps: Sequence[tuple[str, str, int]]) -> None:
    """Any sequence of steps gives what a plain list of (key, end, value) gives."""
    held, model, now = cache(limit=3, seconds=5), list[tuple[str, int, int]](), 0
    for value, (step, key, passed) in enumerate(steps):
        now += passed
        found = next((v for k, end, v in model if k == key and end > now), None)
        if step == "get":
            assert found == held.get(key, now)
        if step != "get" or found is None:
            model = [pair for pair in model if pair[0] != key]
        if step == "put":
            held.put(key, value, now)
            model = [*model, (key, now + 5, value)][-3:]
        if step == "drop":
            held.drop(key)
