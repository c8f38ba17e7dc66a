"""Preparing a PostgreSQL database: the owner takes the steps and says who may do what.

Three roles, which the database's administrator makes: the owner of the tables,
the service, which appends and reads, and the pruner, which alone may delete
what two archives hold. Nothing here makes a role or knows a password of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import sql
from sqlalchemy import create_engine

from seawall.adapters.db.postgres import connect, foreign_errors
from seawall.adapters.db.revisions import check_known, upgrade
from seawall.adapters.db.schema import OF_TENANTS, REVISION, metadata
from seawall.adapters.db.store import translated
from seawall.core.errors import Conflict, Invalid, Refused

if TYPE_CHECKING:
    from seawall.adapters.db.postgres import Address

_LOCK: Final = 0x5EA_3A11
"""Which advisory lock keeps two owners from preparing at once; any number does."""

_SERVICE: Final = {
    "alembic_version": "select",
    "heads": "select, insert (log, origin, size, edge, checkpoint), "
    "update (size, edge, checkpoint)",
    "entries": "select, insert",
    "tiles": "select, insert, update",
    "facets": "select, insert",
    "indexed": "select, insert, update",
    "published": "select, insert, update",
    "archived": "select, insert, update",
    "leases": "select, insert, update, delete",
    "documents": "select, insert",
    "patients": "select, insert, delete",
    "sealed": "select, insert, update, delete",
    "payloads": "select, insert, update, delete",
    "data_keys": "select, insert, update (tenant_key_version, wrapped, uses), delete",
    "tenant_keys": "select, insert, update (root_version, wrapped), delete",
    "installation": "select, insert",
    "assertions": "select, insert, delete",
    "sessions": "select, insert, update (seen_ms), delete",
    "answers": "select, insert, update (status, body), delete",
    "open_exchanges": "select, insert, delete",
}
_PRUNER: Final = {
    "alembic_version": "select",
    "heads": "select, update (minimum)",
    "entries": "select, delete",
    "tiles": "select, delete",
    "facets": "select, delete",
    "archived": "select",
}


def prepare_database(owner: Address, service: str, pruner: str | None = None) -> None:
    """Make the tables or take the steps they lack, and set each role's rights anew.

    `Invalid` if the service or the pruner is the owner, or both are one role: an owner
    could undo what keeps entries. `Refused` if one could create what gets round it, and
    the owner cannot take that right away. Doing it again changes nothing.
    """
    named = [owner.parameters["user"], service, *([pruner] if pruner else [])]
    if len(set(named)) < len(named):
        raise Invalid(
            "database-roles",
            "owner, service and pruner must be different roles of the database",
            "create a role for each; see docs/how-to/use-postgresql.md",
        )
    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(owner, limit_seconds=0))
    try:
        with translated(), engine.begin() as connection:
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
            raw = connection.connection.driver_connection
            check_known(revision(raw))
            upgrade(connection)
            with foreign_errors():
                _grant(raw, service, _SERVICE)
                _let_read_every_tenant(raw, service)
                if pruner:
                    _grant(raw, pruner, _PRUNER)
    finally:
        engine.dispose()


def check_prepared(connection: Any) -> None:
    """Raise `Conflict` unless the database has taken the newest step, and no newer one."""
    with foreign_errors():
        found = revision(connection)
    check_known(found)
    if found != REVISION:
        raise Conflict(
            "schema-version",
            "the database was not prepared for this program",
            "let the owner run `seawall database prepare`",
        )


def revision(connection: Any) -> str | None:
    """Return which step a database is at; None for an empty one."""
    query = "select to_regclass('public.alembic_version') is not null"
    if not connection.execute(query).fetchone()[0]:
        return None
    row = connection.execute("select version_num from public.alembic_version").fetchone()
    return str(row[0]) if row else None


def _let_read_every_tenant(connection: Any, service: str) -> None:
    """Let the service and the owner read where `*` names every tenant; nobody writes so."""
    roles = sql.SQL("{}, current_user").format(sql.Identifier(service))
    for table in OF_TENANTS:
        place = sql.Identifier("public", table.name)
        connection.execute(sql.SQL("drop policy if exists every_tenant on {}").format(place))
        connection.execute(
            sql.SQL(
                "create policy every_tenant on {} for select to {} "
                "using ((select current_setting('seawall.tenants', true)) = '*')"
            ).format(place, roles)
        )


def _grant(connection: Any, role: str, rights: dict[str, str]) -> None:
    name = sql.Identifier(role)
    run = connection.execute
    database = sql.Identifier(run("select current_database()").fetchone()[0])
    run(sql.SQL("grant connect on database {} to {}").format(database, name))
    # What a role could make here would be found in place of what the owner made.
    run(sql.SQL("revoke create on schema public from public, {}").format(name))
    run(sql.SQL("grant usage on schema public to {}").format(name))
    if run("select has_schema_privilege(%s, 'public', 'create')", (role,)).fetchone()[0]:
        raise Refused(
            "database-rights",
            "a role of the database may create things beside the tables",
            "let the database's administrator revoke create on schema public",
        )
    for table in ("alembic_version", *metadata.tables):
        place = sql.Identifier("public", table)
        run(sql.SQL("revoke all on {} from public, {}").format(place, name))
        if table in rights:
            granted = sql.SQL(rights[table])
            run(sql.SQL("grant {} on {} to {}").format(granted, place, name))
