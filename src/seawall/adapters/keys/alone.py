"""One at a time, per thing: so that many who need the same key ask for it once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable


class Alone:
    """Locks by name that exist only while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def with_(self, what: Hashable) -> AsyncIterator[None]:
        """Hold one thing while the context lasts."""
        lock, holders = self._locks.get(what, (asyncio.Lock(), 0))
        self._locks[what] = (lock, holders + 1)
        try:
            async with lock:
                yield
        finally:
            lock, holders = self._locks[what]
            if holders == 1:
                del self._locks[what]
            else:
                self._locks[what] = (lock, holders - 1)
