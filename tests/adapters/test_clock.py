"""The machine's clock and randomness."""

from __future__ import annotations

from datetime import UTC, timedelta

from seawall.adapters.clock import SystemClock, SystemRandom


def test_the_clock_tells_one_time_in_all_its_forms() -> None:
    """Date, time and milliseconds agree, in UTC."""
    clock = SystemClock()
    before, ms, after = clock.now(), clock.now_ms(), clock.now()
    assert before.utcoffset() == timedelta(0)
    assert int(before.timestamp() * 1000) <= ms <= int(after.timestamp() * 1000) + 1
    assert clock.today() in {before.date(), clock.now().astimezone(UTC).date()}


def test_the_monotonic_clock_never_goes_back() -> None:
    """Later readings are never smaller."""
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert sorted(readings) == readings


def test_random_bytes_are_as_many_as_asked_and_never_the_same() -> None:
    """Each call gives new bytes of the asked length."""
    random = SystemRandom()
    drawn = [random.bytes(16) for _ in range(100)]
    assert {16} == set(map(len, drawn))
    assert len(set(drawn)) == 100
