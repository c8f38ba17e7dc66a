"""Readings that come many a minute: the first is an entry at once, the rest a total.

Following a log and fetching its tiles are recorded per principal and minute.
The first fetch of a minute waits for its entry; those that follow are counted
in memory, and their number is an entry once the minute is over, or when the
server stops. A crash loses a total, never the fact that somebody read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seawall.app.ports import Clock
    from seawall.app.record_reading import Reading
    from seawall.core.policy.principal import Principal

MOST: Final = 1_024
"""So many principals' minutes are counted at once; what exceeds them is an entry each."""

_Key = tuple["Principal", "Reading"]


@dataclass(slots=True)
class _Minute:
    """One principal's fetches of one sort within one minute."""

    reading: Reading
    fetches: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class CountReadings:
    """Records the first fetch of each principal's minute, and counts the others."""

    def __init__(
        self,
        record: Callable[[Principal, Reading], Awaitable[object]],
        clock: Clock,
        most: int = MOST,
    ) -> None:
        self._record = record
        self._clock = clock
        self._most = most
        self._minutes: dict[_Key, _Minute] = {}

    async def fetch(self, principal: Principal, reading: Reading) -> None:
        """Have a fetch recorded, before anything of it is served; raises if that fails.

        `reading` is without a minute: the clock says which it is.
        """
        key, minute = (principal, reading), self._now()
        while True:
            held = self._minutes.get(key)
            if held is not None and held.reading.minute != minute:
                await self._close(key, held)
                continue
            if held is None:
                held = _Minute(replace(reading, minute=minute))
                if len(self._minutes) >= self._most:
                    await self._record(principal, held.reading)
                    return
                self._minutes[key] = held
            async with held.turn:
                if self._minutes.get(key) is not held:
                    continue  # closed while this waited for its turn: begin again
                if held.fetches == 0:
                    await self._record(principal, held.reading)
                held.fetches += 1
                return

    async def close_minutes(self) -> None:
        """Write the totals of the minutes that are over: a round while the server serves."""
        now = self._now()
        for key, held in list(self._minutes.items()):
            if held.reading.minute != now:
                await self._close(key, held)

    async def close(self) -> None:
        """Write every total: the server stops, or the reader does."""
        for key, held in list(self._minutes.items()):
            await self._close(key, held)

    async def _close(self, key: _Key, held: _Minute) -> None:
        """Write one minute's total, unless its first entry says all; kept if that fails."""
        async with held.turn:
            if self._minutes.get(key) is not held:
                return
            if held.fetches > 1:
                await self._record(key[0], replace(held.reading, fetches=held.fetches))
            del self._minutes[key]

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%MZ")
