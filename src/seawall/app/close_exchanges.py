"""Exchanges that were left open: closed by an entry that says what is known.

After a crash, what left may have arrived, and nobody knows: `unknown`, with an
alarm. While the process lives, an intent or an outcome that the ledger was too
slow to acknowledge is closed as soon as the ledger answers again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from seawall.app.entries import entry
from seawall.app.ports import CloseExchange, KeepLease
from seawall.core.errors import Error
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.app.ports import Clock, Ledger, Notifier, Store


LEASE_MS: Final = 60_000
"""How long a replica speaks for its exchanges without saying so again."""
_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0


class CloseExchanges:
    """Closes what an earlier process, or a slow ledger, left open."""

    def __init__(self, *, store: Store, ledger: Ledger, clock: Clock, notifier: Notifier) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._notifier = notifier
        self._closing: set[asyncio.Task[None]] = set()
        self.first_seconds = _FIRST_SECONDS
        """How long to wait before closing is tried first; then twice as long, and so on."""

    def close_later(
        self, tenant: str, item: str, outcome: Literal["not-sent", "unrecorded"]
    ) -> None:
        """Close an exchange that the ledger may hold open, once the ledger answers again.

        `not-sent`: the intent was not acknowledged, so nothing left. `unrecorded`: it was
        sent, and how it ended is not recorded.
        """
        task = asyncio.create_task(self._close_when_possible(tenant, item, outcome))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def stop(self) -> None:
        """Give up what is waiting: the next process finds it open, and closes it."""
        for task in self._closing:
            task.cancel()

    async def _close_when_possible(self, tenant: str, item: str, outcome: str) -> None:
        principal, seconds = Principal("system", "seawall", tenant), self.first_seconds
        while True:
            await asyncio.sleep(seconds)
            seconds = min(seconds * 2, _LONGEST_SECONDS)
            try:
                if item in await self._store.open_exchanges(tenant):
                    await self._close(principal, item, outcome)
            except Error:
                continue
            return

    async def claim(self, replica: str) -> None:
        """Keep this replica's open exchanges its own for the next minute."""
        lease = KeepLease(replica, self._clock.now_ms() + LEASE_MS)
        await self._ledger.remember([lease])

    async def close_expired(self) -> int:
        """Close what replicas left open that hold no lease any more; return how many there were.

        For a database that several replicas share, at any time.
        """
        return await self.close_open(expired_at_ms=self._clock.now_ms())

    async def close_open(self, *, expired_at_ms: int | None = None) -> int:
        """Close every open exchange of every tenant; return how many there were.

        Without a moment only the process that holds the data folder may call this, before
        it serves; with one, those whose replica holds no lease at that moment are meant.
        """
        count = 0
        for tenant in await self._store.tenants():
            principal = Principal("system", "seawall", tenant)
            for item in await self._store.open_exchanges(tenant, expired_at_ms=expired_at_ms):
                index = await self._close(principal, item, "unknown")
                self._notifier.alarm("outcome-unknown", tenant, index)
                count += 1
        return count

    async def _close(self, principal: Principal, item: str, outcome: str) -> int:
        receipt = await self._ledger.append(
            principal.tenant,
            entry("exchange.outcome", principal, self._clock, item=item, outcome=outcome),
            [CloseExchange(principal.tenant, item)],
        )
        return receipt.index
