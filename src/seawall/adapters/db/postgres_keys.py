"""Keys in PostgreSQL: keeping, wrapping anew, shredding.

Nothing here sees a key that is not wrapped. Whoever keeps a data key locks its
tenant key's row meanwhile, and whoever drops tenant keys locks them first: so
no replica that slept can leave a data key under a tenant key that is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

from seawall.adapters.db.postgres_statement import Statement, columns_of
from seawall.adapters.db.statements import OF_SUBJECTS, OF_TENANT, tenant_key_row
from seawall.app.ports import (
    DropDataKeys,
    DropTenantKeys,
    KeepRewrapped,
    KeepTenantKey,
    ReplaceTenantKey,
    ReserveUses,
    ShredSubjects,
    ShredTenant,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seawall.app.ports import WrappedKey, Write

_KEEP: Final = (
    "insert into data_keys (key_id, tenant, subject, kind, version, tenant_key_version, wrapped, "
    "uses, made_ms) select new.* from unnest(%b::text[], %b::text[], %b::text[], %b::text[], "
    "%b::int[], %b::int[], %b::bytea[], %b::bigint[], %b::bigint[]) as new (key_id, tenant, "
    "subject, kind, version, tenant_key_version, wrapped, uses, made_ms) "
    "join tenant_keys as held on held.tenant = new.tenant and held.use = 'data' "
    "and held.version = new.tenant_key_version and length(held.wrapped) > 0 "
    "for share of held on conflict do nothing"
)
_REWRAP: Final = (
    "update data_keys set tenant_key_version = new.upto, wrapped = new.wrapped "
    "from unnest(%b::text[], %b::text[], %b::int[], %b::int[], %b::bytea[]) "
    "as new (tenant, key_id, since, upto, wrapped) where data_keys.key_id = new.key_id "
    "and data_keys.tenant = new.tenant and data_keys.tenant_key_version = new.since "
    "and exists (select 1 from tenant_keys as held where held.tenant = new.tenant "
    "and held.use = 'data' and held.version = new.upto and length(held.wrapped) > 0)"
)


def of_keys(keys: Sequence[WrappedKey]) -> Statement:
    """Keep data keys unless one of their version exists; the first one wins."""
    rows = sorted(
        (
            (
                key.key_id,
                key.tenant,
                key.subject,
                key.kind,
                key.version,
                key.tenant_key_version,
                key.wrapped,
                key.uses,
                key.made_ms,
            )
            for key in keys
        ),
        key=lambda row: row[1:5],
    )
    return Statement(_KEEP, columns_of(rows))


def locks(writes: Iterable[Write]) -> Iterator[Statement]:
    """Yield what locks the tenant keys that these writes end, before anything else is asked."""
    tenants = {write.tenant for write in writes if isinstance(write, DropTenantKeys | ShredTenant)}
    if tenants:
        query = (
            "select 1 from tenant_keys where tenant = any(%b::text[]) "
            "order by tenant, use, version for update"
        )
        yield Statement(query, (sorted(tenants),))


def shredding(
    write: ShredSubjects | ShredTenant | DropTenantKeys | DropDataKeys,
) -> Iterator[Statement]:
    """Yield what deletes keys, and what they sealed."""
    match write:
        case ShredSubjects(tenant, subjects):
            for table, column in OF_SUBJECTS:
                query = f"delete from {table} where tenant = %b and {column} = any(%b::text[])"  # noqa: S608  names of ours
                yield Statement(query, (tenant, list(subjects)))
        case ShredTenant(tenant):
            for table in OF_TENANT:
                yield Statement(f"delete from {table} where tenant = %b", (tenant,))  # noqa: S608  names of ours
            yield Statement(
                "delete from tenant_keys where tenant = %b and (use, version) not in "
                "(select use, max(version) from tenant_keys where tenant = %b group by use)",
                (tenant, tenant),
            )
            yield Statement("update tenant_keys set wrapped = '' where tenant = %b", (tenant,))
        case DropTenantKeys(tenant, below):
            yield Statement(
                "delete from tenant_keys where tenant = %b and use = 'data' and version < %b",
                (tenant, below),
            )
        case DropDataKeys(tenant, key_ids, below):
            yield Statement(
                "delete from data_keys where tenant = %b and key_id = any(%b::text[]) "
                "and tenant_key_version < %b",
                (tenant, sorted(key_ids), below),
            )
        case _:
            assert_never(write)


def of_key_fact(
    fact: KeepTenantKey | ReplaceTenantKey | KeepRewrapped | ReserveUses,
) -> Statement:
    """Return what keeps one fact about keys."""
    match fact:
        case KeepTenantKey(key):
            # A tenant that was shredded gets no keys any more, of whatever version.
            return Statement(
                "insert into tenant_keys (tenant, use, version, root_version, wrapped, made_ms) "
                "select %b, %b, %b, %b, %b, %b where not exists (select 1 from tenant_keys "
                "where tenant = %b and length(wrapped) = 0) on conflict do nothing",
                (*tenant_key_row(key), key.tenant),
            )
        case ReplaceTenantKey(before, key):
            return Statement(
                "update tenant_keys set root_version = %b, wrapped = %b where tenant = %b "
                "and use = %b and version = %b and root_version = %b and length(wrapped) > 0",
                (key.root_version, key.wrapped, key.tenant, key.use, key.version, before),
            )
        case KeepRewrapped(keys):
            rows: list[tuple[Any, ...]] = sorted(
                (key.tenant, key.key_id, key.from_version, key.to_version, key.wrapped)
                for key in keys
            )
            return Statement(_REWRAP, columns_of(rows) if rows else ([], [], [], [], []))
        case ReserveUses(tenant, key_id, uses):
            return Statement(
                "update data_keys set uses = uses + %b where key_id = %b and tenant = %b",
                (uses, key_id, tenant),
            )
        case _:
            assert_never(fact)
