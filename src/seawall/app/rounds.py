"""Work that is done again and again beside the serving: indexing, witnessing, archiving.

A round that fails is tried again in the next one; the first failure of a row
raises an alarm, so that a tired operator is told once and not each minute.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seawall.app.ports import Notifier


class Rounds:
    """One piece of work, every so many seconds while it is started.

    `name` is what alarms are called by: `NAME-failed`, without a tenant or an entry.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        seconds: float,
        notifier: Notifier,
    ) -> None:
        self.name = name
        self._work = work
        self._seconds = seconds
        self._notifier = notifier
        self._is_failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a round at once; nothing changes if it is started."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End within the present round's next await; nothing of it is half done but retried."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def once(self) -> None:
        """Do one round; whatever fails is an alarm, and the next round is done all the same."""
        try:
            await self._work()
        except Exception:  # noqa: BLE001  a mistake in one round must not end all that follow
            if not self._is_failing:
                self._notifier.alarm(f"{self.name}-failed", "", None)
            self._is_failing = True
        else:
            self._is_failing = False

    async def _run(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(self._seconds)
