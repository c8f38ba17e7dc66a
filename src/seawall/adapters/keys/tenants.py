"""Tenants' own keys: unwrapped by the key manager, held for a limited time, made and re-wrapped.

One question to the key manager serves every data key of a tenant until it is
let go of, so that the key manager sees a call per tenant and ten minutes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seawall.adapters.keys.alone import Alone
from seawall.app.ports import Secret, TenantKey, tenant_root
from seawall.core.bounded import BoundedCache
from seawall.core.errors import Missing, Refused

if TYPE_CHECKING:
    from seawall.app.ports import (
        Clock,
        KeyManager,
        KeyOperator,
        Random,
        TenantKeyUse,
        WrappedKeys,
    )

HELD_SECONDS: Final = 300.0
"""So long a key is held in memory after it was unwrapped.

A data key may be unwrapped by a tenant key in its last moment, so after twice that time
nothing is held of what the key manager gave.
"""
_HELD_KEYS: Final = 4_096
NOTICED_SECONDS: Final = 30.0
"""So long a process may go on with a tenant key after another one has made a newer."""
_USES: Final[tuple[TenantKeyUse, ...]] = ("data", "index")


class TenantKeys:
    """The keys of tenants, each with its version; nothing here is shown or written in plain."""

    def __init__(
        self,
        *,
        manager: KeyManager,
        operator: KeyOperator | None,
        keys: WrappedKeys,
        clock: Clock,
        random: Random,
    ) -> None:
        self._manager = manager
        self._operator = operator
        self._keys = keys
        self._clock = clock
        self._random = random
        self._rows: BoundedCache[str, list[TenantKey]] = BoundedCache(
            limit=_HELD_KEYS, seconds=NOTICED_SECONDS
        )
        self._unwrapped: BoundedCache[tuple[str, TenantKeyUse, int], bytes] = BoundedCache(
            limit=_HELD_KEYS, seconds=HELD_SECONDS
        )
        self._alone = Alone()

    async def ensure(self, tenant: str) -> None:
        """Make what a tenant lacks of its first keys; `Refused` if it was shredded."""
        rows = await self._read(tenant)
        held = {row.use for row in rows}
        for use in _USES:
            if use not in held:
                await self._make(tenant, use, 1)

    async def newest(self, tenant: str, use: TenantKeyUse) -> tuple[int, bytes]:
        """Return the newest version of a tenant's key and the key."""
        row = self._last(await self._known(tenant), use)
        return row.version, await self._secret(row)

    async def of_version(self, tenant: str, version: int) -> bytes:
        """Return a version of a tenant's `data` key."""
        held = self._unwrapped.get((tenant, "data", version), self._clock.monotonic())
        if held is not None:
            return held
        for rows in (await self._known(tenant), await self._read(tenant)):
            for row in rows:
                if (row.use, row.version) == ("data", version):
                    return await self._secret(row)
        raise Missing(
            "tenant-key-missing",
            "the version of the tenant's key under which this was wrapped is gone",
            "it was destroyed, or the keys must be restored from their backup",
        )

    async def make_next(self, tenant: str) -> TenantKey:
        """Make the next version of a tenant's `data` key under the newest root version."""
        last = self._last(await self._read(tenant), "data")
        return await self._make(tenant, "data", last.version + 1)

    async def rewrap(self, tenant: str) -> int:
        """Wrap the newest key of each use under the newest root version; return how many moved."""
        rows = await self._read(tenant)
        root = (await self._manager.versions(tenant_root(tenant)))[-1].version
        moved = 0
        for use in _USES:
            row = self._last(rows, use)
            if row.root_version == root:
                continue
            made = await self._wrap(row, await self._secret(row))
            await self._keys.replace_tenant_key(row.root_version, made)
            moved += 1
        self.forget(tenant)
        return moved

    async def prove(self, tenant: str) -> None:
        """Have the key manager open every key of a tenant as it is kept; hold nothing."""
        rows = await self._read(tenant)
        for use in _USES:
            self._last(rows, use)
        for row in rows:
            await self.unwrap(row)

    async def unwrap(self, key: TenantKey) -> bytes:
        """Ask the key manager for a tenant key, whoever kept it, and hold nothing."""
        return await self._manager.unwrap(
            tenant_root(key.tenant), Secret(key.root_version, key.wrapped), context_of(key)
        )

    async def row(self, tenant: str) -> TenantKey:
        """Return the newest `data` key of a tenant, wrapped as it is kept."""
        return self._last(await self._read(tenant), "data")

    def forget(self, tenant: str) -> None:
        """Let go of a tenant's keys."""
        self._unwrapped.drop_if(lambda place: place[0] == tenant)
        self._rows.drop(tenant)

    async def _secret(self, row: TenantKey) -> bytes:
        place = (row.tenant, row.use, row.version)
        held = self._unwrapped.get(place, self._clock.monotonic())
        if held is not None:
            return held
        async with self._alone.with_(place):
            held = self._unwrapped.get(place, self._clock.monotonic())
            if held is None:
                held = await self.unwrap(row)
                self._unwrapped.put(place, held, self._clock.monotonic())
        return held

    async def _known(self, tenant: str) -> list[TenantKey]:
        held = self._rows.get(tenant, self._clock.monotonic())
        return held if held is not None else await self._read(tenant)

    async def _read(self, tenant: str) -> list[TenantKey]:
        async with self._alone.with_(tenant):
            rows = await self._keys.tenant_keys(tenant)
            if any(not row.wrapped for row in rows):
                raise Refused(
                    "tenant-shredded",
                    "this tenant's keys were destroyed",
                    "begin a new tenant under another name",
                )
            self._rows.put(tenant, rows, self._clock.monotonic())
        return rows

    def _last(self, rows: list[TenantKey], use: TenantKeyUse) -> TenantKey:
        mine = [row for row in rows if row.use == use]
        if not mine:
            raise Missing(
                "tenant-keys-missing",
                "this tenant has no keys",
                "open the tenant first, or restore its keys from their backup",
            )
        return max(mine, key=lambda row: row.version)

    async def _make(self, tenant: str, use: TenantKeyUse, version: int) -> TenantKey:
        made = TenantKey(tenant, use, version, 0, b"", self._clock.now_ms())
        secret = self._random.bytes(32)
        try:
            made = await self._wrap(made, secret)
        except Missing as error:
            if error.code != "root-key-missing" or version > 1:
                raise
            if self._operator is None:
                raise Refused(
                    "key-operator-needed",
                    "the key manager has no root key of this tenant, and this process may not"
                    " make one",
                    "give this command the operator's credentials of the key manager",
                ) from None
            await self._operator.make(tenant_root(tenant))
            made = await self._wrap(made, secret)
        kept = await self._keys.keep_tenant_key(made)
        self.forget(tenant)
        return kept

    async def _wrap(self, row: TenantKey, secret: bytes) -> TenantKey:
        wrapped = await self._manager.wrap(tenant_root(row.tenant), secret, context_of(row))
        return replace(row, root_version=wrapped.version, wrapped=wrapped.blob)


def context_of(key: TenantKey) -> str:
    """Return what is bound to a tenant key when it is wrapped."""
    return f"{key.tenant}\n{key.use}\n{key.version}"
