"""Data keys come under the newest key of their tenant, in batches, while everything goes on.

What is left to do is what is still wrapped under an older version. So whatever
interrupts it, doing it again goes on, and two that do it at once do no harm.
A data key that is damaged opens nothing, whatever is done: it stays, keeps no other
from moving, and is deleted only where an operator says so.
45 CFR 164.312(a)(2)(iv) (addressable); that keys are rotated is practice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import DropDataKeys
from seawall.core.errors import Error, Tampered

if TYPE_CHECKING:
    from seawall.app.ports import Clock, KeyKeeper, Ledger, Store, WrappedKeys, Write
    from seawall.core.policy.principal import Principal

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

BATCH: Final = 1_000
"""How many data keys are wrapped anew at once: what bounds memory and a transaction."""
_MOST_DAMAGED: Final = 10_000
"""With so many that do not move an attempt ends: what bounds its memory."""


def newest_version(keys: list[Any]) -> int:
    """Return the newest version among a tenant's `data` keys; 0 if it has none."""
    return max((key.version for key in keys if key.use == "data" and key.wrapped), default=0)


@dataclass(slots=True)
class _Moving:
    """How far an attempt is."""

    newest: int
    total: int
    moved: int = 0
    damaged: set[str] = field(default_factory=set)
    """Which data keys stayed where they were when they were to move."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """How the last attempt for a tenant failed, and what was left then."""

    code: str
    newest: int
    left: int


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
        self._failed: dict[str, _Failed] = {}

    async def left(self, tenant: str) -> int:
        """Return how many data keys are still wrapped under an older version."""
        return (await self._state(tenant))[1]

    async def all(self, principal_of: Callable[[str], Principal]) -> None:
        """Do what is left of every tenant: one round while the server serves.

        What fails for one tenant keeps no other waiting, and is raised at the end. It is
        recorded once, and again only when it fails otherwise than before.
        """
        failed: list[Error] = []
        for tenant in await self._store.tenants():
            try:
                if not await self._fails_as_before(tenant):
                    await self.rewrap(principal_of(tenant), tenant)
            except Error as error:
                failed.append(error)
        if failed:
            raise failed[0]

    async def rewrap(
        self,
        principal: Principal,
        tenant: str,
        progress: Progress | None = None,
        *,
        drop_damaged: bool = False,
        access: Mapping[str, Any] | None = None,
    ) -> int:
        """Wrap what is left anew, recorded before and after; return how many.

        Where nothing is left nothing is recorded. An error is recorded as the outcome, with
        how many were done, and raised: `Tampered` (`data-keys-damaged`) if some do not
        open, once all the others moved. With `drop_damaged` those are deleted instead.
        """
        newest, total = await self._state(tenant)
        if not total:
            self._failed.pop(tenant, None)
            return 0
        more = {} if access is None else {"access": access}
        ordered = entry("keys.rewrap", principal, self._clock, keys=total, to=newest, **more)
        receipt = await self._ledger.append(tenant, ordered)
        moving = _Moving(newest, total)
        said: dict[str, Any] = {"intent": receipt.index, "to": newest}
        writes: list[Write] = []
        try:
            await self._move(tenant, moving, progress)
            if moving.damaged and not drop_damaged:
                raise _damaged(len(moving.damaged))
            if moving.damaged:
                # What does not open under a key that is not there is not damaged.
                await self._keeper.prove_tenant_keys(tenant)
        except Error as error:
            said |= {"keys": moving.moved, "outcome": "failed", "code": error.code}
            said |= {"damaged": len(moving.damaged)} if moving.damaged else {}
            await self._ledger.append(
                tenant, entry("keys.rewrapped", principal, self._clock, **said)
            )
            self._failed[tenant] = _Failed(error.code, *await self._state(tenant))
            raise
        said |= {"keys": moving.moved, "outcome": "rewrapped"}
        if moving.damaged:
            said["dropped"] = len(moving.damaged)
            writes.append(DropDataKeys(tenant, tuple(sorted(moving.damaged)), newest))
        await self._ledger.append(
            tenant, entry("keys.rewrapped", principal, self._clock, **said), writes
        )
        self._failed.pop(tenant, None)
        return moving.moved

    async def _move(self, tenant: str, moving: _Moving, progress: Progress | None) -> None:
        """Move batch after batch; whoever was tried and is still there is damaged."""
        # Tenant keys are read anew: a process that knows an older newest one moves nothing.
        self._keeper.forget(tenant)
        tried: set[str] = set()
        while len(moving.damaged) < _MOST_DAMAGED:
            limit = self._batch + len(moving.damaged)
            listed = await self._keys.wrapped_below(tenant, moving.newest, limit=limit)
            moving.damaged |= {key.key_id for key in listed if key.key_id in tried}
            batch = [key for key in listed if key.key_id not in moving.damaged][: self._batch]
            if not batch:
                # Where all that was listed is damaged, there may be more behind it.
                if len(listed) < limit:
                    return
                continue
            tried = {key.key_id for key in batch}
            moving.moved += await self._keeper.rewrap(tenant, batch)
            if progress is not None:
                progress("rewrap", min(moving.moved, moving.total), moving.total)

    async def _fails_as_before(self, tenant: str) -> bool:
        """Whether another attempt is for nothing; raise what keeps it so, where that is asked."""
        failed = self._failed.get(tenant)
        if failed is None:
            return False
        if failed.code == "data-keys-damaged":
            if (failed.newest, failed.left) != await self._state(tenant):
                return False
            raise _damaged(failed.left)
        try:
            await self._keeper.prove_tenant_keys(tenant)
        except Error as error:
            if error.code == failed.code:
                raise
        return False

    async def _state(self, tenant: str) -> tuple[int, int]:
        """Return the newest version of a tenant's key, and how many data keys are below."""
        newest = newest_version(await self._keys.tenant_keys(tenant))
        counts = await self._keys.counts(tenant)
        return newest, sum(count for version, count in counts.items() if version < newest)


def _damaged(count: int) -> Tampered:
    return Tampered(
        "data-keys-damaged",
        f"{count} data keys do not open, and stay under an older key; all the others were moved",
        "restore them from a backup; or delete them, as they open nothing, with "
        "`seawall keys rewrap --drop-damaged`",
    )
