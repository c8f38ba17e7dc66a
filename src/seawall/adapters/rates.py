"""How often something may be tried: moving windows of `limits`, in bounded memory.

The counts are this process's: of several replicas each counts for itself. The memory
that `limits` ships never lets go of a key and visits all of them each ten
milliseconds, which who sends made-up names could use; so its windows lie here. Where
there are too many keys, those that were counted least are forgotten: to have one that
was counted often forgotten, so many others would have to be counted as often.
45 CFR 164.308(a)(5)(ii)(C); the figures are practice (NIST SP 800-63B, section 3.2.2).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from limits import RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.ports import Clock


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds."""

    amount: int
    seconds: int


LIMITS: Final = {
    "network": Limit(300, 60),
    "strangers": Limit(1_200, 60),
    "links": Limit(1_200, 60),
    "person-place": Limit(10, 900),
    "person-strangers": Limit(100, 86_400),
    "person-network": Limit(100, 86_400),
    "told": Limit(1, 900),
}
"""What is counted of signing in: see `seawall.app.try_limits`, which names them."""

EVERY_LIMIT: Final = {**LIMITS, "explain": Limit(30, 60)}
"""And how often one caller gets answers of the policies explained."""

MOST_KEYS: Final = 50_000
"""Of so many one limit counts at once; of more the half that was counted least is forgotten."""


class MovingRates:
    """The Rates port in this process's memory."""

    def __init__(
        self, clock: Clock, limits: Mapping[str, Limit] = EVERY_LIMIT, most_keys: int = MOST_KEYS
    ) -> None:
        self._windows = {name: _Windows(clock, most_keys) for name in limits}
        self._limiters = {
            name: (
                MovingWindowRateLimiter(self._windows[name]),
                RateLimitItemPerSecond(limit.amount, limit.seconds, name),
            )
            for name, limit in limits.items()
        }

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))

    def take(self, limit: str, *who: str) -> bool:
        """Count one more if that is within the limit, and say whether it was."""
        limiter, item = self._limiters[limit]
        return limiter.hit(item, *who)

    def forget(self, limit: str, *who: str) -> None:
        """Forget what was counted, such as wrong passwords before the right one."""
        limiter, item = self._limiters[limit]
        limiter.clear(item, *who)


class _Windows(Storage, MovingWindowSupport):
    """The times of what was counted for one limit, by key, by the clock that is handed in."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._times: dict[str, list[float]] = {}
        super().__init__()

    def __len__(self) -> int:
        return len(self._times)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong: nothing of its own."""
        return ValueError

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` more for a key, unless that were over its limit."""
        times = self._within(key, expiry)
        if len(times) + amount > limit:
            return False
        times.extend([self._clock.monotonic()] * amount)
        self._times[key] = times
        if len(self._times) > self._most:
            self._forget_some(expiry)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002  the library's
        """Return when the window began, and how many are in it."""
        times = self._within(key, expiry)
        return (times[0] if times else self._clock.monotonic()), len(times)

    def get(self, key: str) -> int:
        """Return how many are counted."""
        return len(self._times.get(key, ()))

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count more without a limit."""
        self.acquire_entry(key, 1 << 30, int(expiry), amount)
        return self.get(key)

    def get_expiry(self, key: str) -> float:
        """Return when the last was counted."""
        times = self._times.get(key)
        return times[-1] if times else self._clock.monotonic()

    def check(self) -> bool:
        """Say that it works."""
        return True

    def reset(self) -> int:
        """Forget everything; return how many keys that were."""
        count = len(self._times)
        self._times.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one key."""
        self._times.pop(key, None)

    def _within(self, key: str, expiry: int) -> list[float]:
        """Return the times of a key that lie within its window, and let go of older ones."""
        times = self._times.get(key, [])
        return times[bisect_right(times, self._clock.monotonic() - expiry) :]

    def _forget_some(self, expiry: int) -> None:
        """Forget what is over, and then the keys that were counted least, the oldest first."""
        since = self._clock.monotonic() - expiry
        live = [(key, times) for key, times in self._times.items() if times[-1] > since]
        if len(live) > self._most // 2:
            live.sort(key=lambda one: (len(one[1]), one[1][-1]))
            live = live[-(self._most // 2) :]
        self._times = dict(live)
