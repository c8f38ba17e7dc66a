"""A cache with a time limit and a size limit; the time is handed in."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps at most `limit` values, each for at most `seconds`; the oldest goes first.

    `now` is in seconds of a clock that never goes back.
    """

    __slots__ = ("_held", "_limit", "_seconds")

    def __init__(self, *, limit: int, seconds: float) -> None:
        self._held: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._limit = limit
        self._seconds = seconds

    def __repr__(self) -> str:
        return f"<BoundedCache of {len(self._held)}>"

    def get(self, key: K, now: float) -> V | None:
        """Return the value if it is still fresh."""
        held = self._held.get(key)
        if held is None:
            return None
        if held[0] <= now:
            del self._held[key]
            return None
        return held[1]

    def put(self, key: K, value: V, now: float) -> None:
        """Keep a value from `now` on, dropping the oldest if there are too many."""
        self._held.pop(key, None)
        self._held[key] = (now + self._seconds, value)
        while len(self._held) > self._limit:
            self._held.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget a value, if it is held."""
        self._held.pop(key, None)

    def drop_if(self, is_unwanted: Callable[[K], bool]) -> None:
        """Forget every value whose key is unwanted."""
        for key in [key for key in self._held if is_unwanted(key)]:
            del self._held[key]
