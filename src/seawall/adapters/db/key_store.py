"""Wrapped keys in either database: read from the pool, changed through the one writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import bindparam, func, select

from seawall.adapters.db.schema import data_keys, tenant_keys
from seawall.adapters.db.store import read, read_all
from seawall.app.ports import (
    KeepRewrapped,
    KeepTenantKey,
    ReplaceTenantKey,
    ReserveUses,
    TenantKey,
    WrappedKey,
)
from seawall.core.errors import Conflict, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine, Row

    from seawall.app.ports import Fact, Rewrapped

# Built once: building a statement costs more than running it.
_CURRENT: Final = (
    select(data_keys)
    .where(
        data_keys.c.tenant == bindparam("tenant"),
        data_keys.c.subject == bindparam("subject"),
        data_keys.c.kind == bindparam("kind"),
    )
    .order_by(data_keys.c.version.desc())
    .limit(1)
)
_KEY: Final = select(data_keys).where(
    data_keys.c.key_id == bindparam("key_id"), data_keys.c.tenant == bindparam("tenant")
)
_BELOW: Final = (
    select(data_keys)
    .where(
        data_keys.c.tenant == bindparam("tenant"),
        data_keys.c.tenant_key_version < bindparam("version"),
    )
    .order_by(data_keys.c.tenant_key_version, data_keys.c.key_id)
    .limit(bindparam("most"))
)
_COUNTS: Final = (
    select(data_keys.c.tenant_key_version, func.count().label("held"))
    .where(data_keys.c.tenant == bindparam("tenant"))
    .group_by(data_keys.c.tenant_key_version)
)
_ALL_TENANT_KEYS: Final = select(tenant_keys).order_by(
    tenant_keys.c.tenant, tenant_keys.c.use, tenant_keys.c.version
)
_TENANT_KEYS: Final = _ALL_TENANT_KEYS.where(tenant_keys.c.tenant == bindparam("tenant"))


class Keeping(Protocol):
    """What makes wrapped keys durable: the writer of either database."""

    async def keep(self, key: WrappedKey) -> None:
        """Keep a wrapped data key, unless its subject and kind have one of this version."""
        ...

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Make facts durable, all of them or none."""
        ...


class SqlKeys:
    """The WrappedKeys port: reads from the database, writes through its one writer."""

    def __init__(self, engine: Engine, writer: Keeping) -> None:
        self._engine = engine
        self._writer = writer

    async def current(self, tenant: str, subject: str, kind: str) -> WrappedKey | None:
        """Return the newest data key of a subject and kind."""
        return _key(await read(self._engine, _CURRENT, tenant=tenant, subject=subject, kind=kind))

    async def by_id(self, tenant: str, key_id: str) -> WrappedKey | None:
        """Return a data key by its id."""
        return _key(await read(self._engine, _KEY, tenant=tenant, key_id=key_id))

    async def keep(self, key: WrappedKey) -> WrappedKey:
        """Keep a new data key durably; return the one that is current afterwards.

        `Conflict` (`tenant-key-gone`) if the tenant key under which it is was dropped.
        """
        await self._writer.keep(key)
        kept = await self.current(key.tenant, key.subject, key.kind)
        if kept is None or kept.version < key.version:
            raise Conflict(
                "tenant-key-gone",
                "the tenant's key was replaced while a data key was made under it",
                "try again: the new key is used",
            )
        return kept

    async def reserve(self, tenant: str, key_id: str, uses: int) -> None:
        """Count so many more sealings against a data key, durably, before they are made."""
        await self._writer.remember([ReserveUses(tenant, key_id, uses)])

    async def tenant_keys(self, tenant: str | None = None) -> list[TenantKey]:
        """Return the keys of one tenant or of all, by tenant, use and version."""
        if tenant is None:
            rows = await read_all(self._engine, _ALL_TENANT_KEYS)
        else:
            rows = await read(self._engine, _TENANT_KEYS, tenant=tenant)
        return [
            TenantKey(
                row.tenant, row.use, row.version, row.root_version, bytes(row.wrapped), row.made_ms
            )
            for row in rows
        ]

    async def keep_tenant_key(self, key: TenantKey) -> TenantKey:
        """Keep a new tenant key durably, unless its version exists; return the one that is kept.

        `Refused` (`tenant-shredded`) if the tenant was shredded.
        """
        await self._writer.remember([KeepTenantKey(key)])
        for kept in await self.tenant_keys(key.tenant):
            if (kept.use, kept.version) == (key.use, key.version) and kept.wrapped:
                return kept
        raise Refused(
            "tenant-shredded",
            "this tenant's keys were destroyed",
            "begin a new tenant under another name",
        )

    async def replace_tenant_key(self, before: int, key: TenantKey) -> None:
        """Replace a tenant key by the same one, unless its root version is not `before`."""
        await self._writer.remember([ReplaceTenantKey(before, key)])

    async def replace(self, keys: Sequence[Rewrapped]) -> None:
        """Replace data keys by the same ones, wrapped anew; what changed meanwhile is left."""
        await self._writer.remember([KeepRewrapped(tuple(keys))])

    async def wrapped_below(
        self, tenant: str, tenant_key_version: int, *, limit: int
    ) -> list[WrappedKey]:
        """Return some of the data keys that are wrapped under an older version."""
        rows = await read(
            self._engine, _BELOW, tenant=tenant, version=tenant_key_version, most=limit
        )
        return [_wrapped(row) for row in rows]

    async def counts(self, tenant: str) -> dict[int, int]:
        """Return how many data keys are wrapped under each version of the tenant's key."""
        rows = await read(self._engine, _COUNTS, tenant=tenant)
        return {row.tenant_key_version: row.held for row in rows}


def _key(rows: Sequence[Row[Any]]) -> WrappedKey | None:
    return _wrapped(rows[0]) if rows else None


def _wrapped(row: Row[Any]) -> WrappedKey:
    return WrappedKey(**{**row._mapping, "wrapped": bytes(row.wrapped)})  # noqa: SLF001  public, despite its name
