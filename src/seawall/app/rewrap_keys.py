"""Data keys come under the newest key of their tenant, in batches, while everything goes on.

What is left to do is what is still wrapped under an older version. So whatever
interrupts it, doing it again goes on, and two that do it at once do no harm.
45 CFR 164.312(a)(2)(iv) (addressable); that keys are rotated is practice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.core.errors import Conflict, Error

if TYPE_CHECKING:
    from seawall.app.ports import Clock, KeyKeeper, Ledger, Store, WrappedKeys
    from seawall.core.policy.principal import Principal

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

BATCH: Final = 1_000
"""How many data keys are wrapped anew at once: what bounds memory and a transaction."""
_STILL: Final = 3
"""So many batches in a row may move nothing before that is an error."""


def newest_version(keys: list[Any]) -> int:
    """Return the newest version among a tenant's `data` keys; 0 if it has none."""
    return max((key.version for key in keys if key.use == "data" and key.wrapped), default=0)


class RewrapKeys:
    """Wraps a tenant's data keys under the newest version of its key."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        keys: WrappedKeys,
        keeper: KeyKeeper,
        clock: Clock,
        batch: int = BATCH,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._keys = keys
        self._keeper = keeper
        self._clock = clock
        self._batch = batch

    async def left(self, tenant: str) -> int:
        """Return how many data keys are still wrapped under an older version."""
        newest = newest_version(await self._keys.tenant_keys(tenant))
        counts = await self._keys.counts(tenant)
        return sum(count for version, count in counts.items() if version < newest)

    async def all(self, principal_of: Callable[[str], Principal]) -> None:
        """Do what is left of every tenant: one round while the server serves."""
        for tenant in await self._store.tenants():
            await self.rewrap(principal_of(tenant), tenant)

    async def rewrap(
        self, principal: Principal, tenant: str, progress: Progress | None = None
    ) -> int:
        """Wrap what is left anew, recorded before and after; return how many.

        Where nothing is left nothing is recorded. An error is recorded as the outcome, with
        how many were done, and raised.
        """
        total = await self.left(tenant)
        if not total:
            return 0
        newest = newest_version(await self._keys.tenant_keys(tenant))
        receipt = await self._ledger.append(
            tenant, entry("keys.rewrap", principal, self._clock, keys=total, to=newest)
        )
        moved = still = 0
        said: dict[str, Any] = {"intent": receipt.index, "to": newest}
        try:
            while batch := await self._keys.wrapped_below(tenant, newest, limit=self._batch):
                count = await self._keeper.rewrap(tenant, batch)
                moved, still = moved + count, 0 if count else still + 1
                if still == _STILL:
                    raise _stuck()
                if progress is not None:
                    progress("rewrap", min(moved, total), total)
        except Error as error:
            said |= {"keys": moved, "outcome": "failed", "code": error.code}
            await self._ledger.append(
                tenant, entry("keys.rewrapped", principal, self._clock, **said)
            )
            raise
        said |= {"keys": moved, "outcome": "rewrapped"}
        await self._ledger.append(tenant, entry("keys.rewrapped", principal, self._clock, **said))
        return moved


def _stuck() -> Conflict:
    return Conflict(
        "rewrap-stuck",
        "data keys are still under an older key after they were wrapped anew",
        "try again; if it stays so, look into the server's log",
    )
