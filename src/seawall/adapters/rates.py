"""How often something may be tried: moving windows of `limits`, in bounded memory.

The counts are this process's: of several replicas each counts for itself. The memory
that `limits` ships never lets go of a key and visits all of them each ten
milliseconds, which who sends made-up names could use; so its windows lie here.
45 CFR 164.308(a)(5)(ii)(C); the figures are practice (NIST SP 800-63B, section 3.2.2).
"""

from __future__ import annotations

from collections import OrderedDict, deque
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
    "person-place": Limit(10, 900),
    "person-strangers": Limit(100, 86_400),
    "told": Limit(1, 900),
}
"""What is counted: see `seawall.app.tries`, which names them."""

MOST_KEYS: Final = 20_000
"""So many are counted for at once; then the one that was longest still is forgotten."""


class MovingRates:
    """The Rates port in this process's memory."""

    def __init__(
        self, clock: Clock, limits: Mapping[str, Limit] = LIMITS, most_keys: int = MOST_KEYS
    ) -> None:
        self._windows = _Windows(clock, most_keys)
        self._limiter = MovingWindowRateLimiter(self._windows)
        self._limits = {
            name: RateLimitItemPerSecond(limit.amount, limit.seconds, name)
            for name, limit in limits.items()
        }

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, limit: str, *who: str) -> bool:
        """Count one more if that is within the limit, and say whether it was."""
        return self._limiter.hit(self._limits[limit], *who)

    def forget(self, limit: str, *who: str) -> None:
        """Forget what was counted, such as wrong passwords before the right one."""
        self._limiter.clear(self._limits[limit], *who)


class _Windows(Storage, MovingWindowSupport):
    """The times of what was counted, by key, by the clock that is handed in."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
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
        self._times.move_to_end(key)
        while len(self._times) > self._most:
            self._times.popitem(last=False)
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

    def _within(self, key: str, expiry: int) -> deque[float]:
        """Return the times of a key that lie within its window, and let go of older ones."""
        times = self._times.get(key, deque())
        since = self._clock.monotonic() - expiry
        while times and times[0] <= since:
            times.popleft()
        return times
