"""After a crash: every exchange that was left open is closed as unknown, with an alarm.

What left may have arrived; nobody knows. The entry says so, and a person looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.app.entries import entry
from seawall.app.ports import CloseExchange
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.app.ports import Clock, Ledger, Notifier, Store


class CloseExchanges:
    """Closes what an earlier process of the same data folder left open."""

    def __init__(self, *, store: Store, ledger: Ledger, clock: Clock, notifier: Notifier) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._notifier = notifier

    async def close_open(self) -> int:
        """Close every open exchange of every tenant; return how many there were.

        Only the process that holds the data folder may call this, before it serves.
        """
        count = 0
        for tenant in await self._store.tenants():
            principal = Principal("system", "seawall", tenant)
            for item in await self._store.open_exchanges(tenant):
                receipt = await self._ledger.append(
                    tenant,
                    entry("exchange.outcome", principal, self._clock, item=item, outcome="unknown"),
                    [CloseExchange(tenant, item)],
                )
                self._notifier.alarm("outcome-unknown", tenant, receipt.index)
                count += 1
        return count
