"""The end of root versions in the key manager, believed only as far as the service itself sees it.

An operator's credentials may lead to another server or account than the service's, may
be gone, or may be answered by nothing at all. So nothing counts as destroyed because
an operator's call returned, or found nothing there: the key manager that the service
wraps and unwraps with must say so. 45 CFR 164.310(d)(2)(i).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from seawall.app.ports import Destruction, tenant_root
from seawall.core.errors import Conflict, Missing, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from seawall.app.ports import (
        Clock,
        KeyKeeper,
        KeyManager,
        KeyOperator,
        RootVersion,
        WrappedKeys,
    )

_TRIES: Final = 5
_PAUSE_SECONDS: Final = 1.0
"""So often, and after such pauses, the key manager is asked: it may be known late everywhere."""


class DestroyRoots:
    """Rotates and destroys root keys, once it is shown that nothing which stays needs them."""

    def __init__(
        self,
        *,
        keys: WrappedKeys,
        keeper: KeyKeeper,
        manager: KeyManager,
        operator: KeyOperator,
        clock: Clock,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._keys = keys
        self._keeper = keeper
        self._manager = manager
        self._operator = operator
        self._clock = clock
        self._wait = wait

    async def versions(self, tenant: str) -> tuple[int, ...]:
        """Return the versions of the root key, empty if it is gone.

        `Refused` (`key-manager-differs`) unless the service and the operator see the same
        ones, and every key of the tenant is under one of them. Nothing is changed by asking.
        """
        ours = await _seen(self._manager, tenant)
        if _told(ours) != _told(await _seen(self._operator, tenant)):
            raise _elsewhere()
        versions = tuple(one.version for one in ours)
        rows = await self._keys.tenant_keys(tenant)
        if any(row.wrapped and row.root_version not in versions for row in rows):
            raise _elsewhere()
        return versions

    async def rotate(self, tenant: str) -> int:
        """Make a new version of the root key, which the service must see; return it."""
        before = await _seen(self._manager, tenant)
        made = await self._operator.rotate(tenant_root(tenant))
        if any(one.version >= made for one in before):
            raise _elsewhere()
        for _ in range(_TRIES):
            if any(one.version == made for one in await _seen(self._manager, tenant)):
                return made
            await self._wait(_PAUSE_SECONDS)
        raise _elsewhere()

    async def carry_over(self, tenant: str, below: int) -> list[int]:
        """Bring the tenant's keys under a root version; return which older ones there are.

        They open there, shown anew by the key manager. `Conflict` (`keys-in-use`) if one stays.
        """
        for _ in range(_TRIES):
            if not await self._under_older(tenant, below):
                break
            await self._keeper.rewrap_tenant_keys(tenant)
        else:
            raise keys_in_use()
        await self._keeper.prove_tenant_keys(tenant)
        return [one.version for one in await _seen(self._manager, tenant) if one.version < below]

    async def destroy(
        self, tenant: str, below: int | None, versions: Sequence[int]
    ) -> tuple[Destruction, tuple[int, ...]]:
        """Destroy the versions below one, or all; return that, and which versions are gone.

        `versions` are those that were to go. `Refused` (`destruction-unconfirmed`) while the
        service's own key manager still has one of them; what waits for its end counts as gone.
        """
        if below is not None and await self._under_older(tenant, below):
            raise keys_in_use()
        name = tenant_root(tenant)
        try:
            destroyed = await self._operator.destroy(name, below)
        except Missing as error:
            if error.code != "root-key-missing":
                raise
            # An earlier attempt may have done it: what follows tells.
            destroyed = Destruction(name, (), self._clock.now(), "destroyed before")
        gone = {*versions, *destroyed.versions}
        for _ in range(_TRIES):
            left = await _seen(self._manager, tenant)
            usable = [one.version for one in left if one.state != "pending-destruction"]
            if not any(below is None or one < below or one in gone for one in usable):
                return destroyed, tuple(sorted(gone))
            await self._wait(_PAUSE_SECONDS)
        raise Refused(
            "destruction-unconfirmed",
            "the key manager still has what was to be destroyed, so there is no certificate",
            "see that the operator's credentials lead to the key manager that the service uses, "
            "and that nobody restored it; then `seawall keys shred --resume`",
        )

    async def _under_older(self, tenant: str, below: int) -> bool:
        rows = await self._keys.tenant_keys(tenant)
        return any(row.wrapped and row.root_version < below for row in rows)


async def _seen(asked: KeyManager | KeyOperator, tenant: str) -> list[RootVersion]:
    """Return the versions of a tenant's root key; none if there is no such key."""
    try:
        return await asked.versions(tenant_root(tenant))
    except Missing as error:
        if error.code != "root-key-missing":
            raise
        return []


def _told(versions: Sequence[RootVersion]) -> list[tuple[int, datetime | None]]:
    return [(one.version, one.made) for one in versions]


def _elsewhere() -> Refused:
    return Refused(
        "key-manager-differs",
        "the operator's credentials, or the tenant's keys, are of another key manager than "
        "the service's",
        "see that both lead to the same server or account, and the same prefix",
    )


def keys_in_use() -> Conflict:
    """Return what it is to end keys that others still need."""
    return Conflict(
        "keys-in-use",
        "keys are still wrapped under the ones that were to go",
        "try `seawall keys shred --resume` again; what is left is done",
    )
