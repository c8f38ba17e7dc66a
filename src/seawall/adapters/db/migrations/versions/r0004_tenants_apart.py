"""PostgreSQL shows and takes rows of the tenants that a unit of work names, and no others.

The setting `seawall.tenants` holds for one transaction; where it is empty, nothing
is visible. The owner is subject to it too. Who may read every tenant's rows at
once is said with the rights, since it names roles.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

_OF_TENANTS: Final = {
    **dict.fromkeys(
        (
            "documents",
            "patients",
            "sealed",
            "payloads",
            "data_keys",
            "tenant_keys",
            "open_exchanges",
        ),
        "tenant",
    ),
    # A log is a tenant's, or the system's; entries are handled as PHI.
    **dict.fromkeys(("entries", "facets"), "log"),
}
_NAMED: Final = "string_to_array(current_setting('seawall.tenants', true), ',')"


def upgrade() -> None:
    """Find payloads by their digest; on PostgreSQL, keep tenants apart."""
    op.create_index("payloads_by_digest", "payloads", ["digest"])
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, column in _OF_TENANTS.items():
        # The subquery is asked once in a statement, and not for each row.
        is_named = f"{column} = any((select {_NAMED})::text[])"
        for statement in (
            f"alter table public.{table} enable row level security",
            f"alter table public.{table} force row level security",
            f"create policy named_tenants on public.{table} using ({is_named})",
        ):
            op.get_bind().exec_driver_sql(statement)
