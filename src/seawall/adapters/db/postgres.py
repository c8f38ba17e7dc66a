"""Connecting to PostgreSQL: encrypted to a verified server, durable, and bounded in time.

This module is the one place where the library's exceptions become ours. What a
server says is matched by its SQLSTATE and never passed on.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from seawall.adapters.db.schema import OF_TENANTS
from seawall.adapters.db.sqlstates import translate_state
from seawall.core.errors import Invalid, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What fails is raised; the library's own words about it are passed to nobody.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

_ALLOWED: Final = frozenset(
    {"host", "port", "user", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey"}
)
_OLDEST: Final = 170_000
"""The first with `transaction_timeout`, which alone ends a transaction whose client stopped."""
_CONNECT_SECONDS: Final = 2
"""The shortest time that the library knows."""
READ_SECONDS: Final = 30.0
_SESSION: Final = """
select set_config('search_path', 'public, pg_temp', false),
  set_config('statement_timeout', %s, false),
  set_config('lock_timeout', %s, false),
  set_config('transaction_timeout', %s, false),
  current_setting('synchronous_commit'), current_setting('fsync'),
  current_setting('full_page_writes')
"""
_RIGHTS: Final = """
select bool_or(has_table_privilege(relation.oid, 'update, delete, truncate, trigger')
  or pg_has_role(relation.relowner, 'member') or has_schema_privilege(space.oid, 'create'))
from pg_class as relation join pg_namespace as space on space.oid = relation.relnamespace
where space.nspname = 'public' and relation.relname = 'entries'
"""
_APART: Final = """
select not (select rolbypassrls from pg_roles where rolname = current_user)
  and count(*) = cardinality(%s::text[])
from pg_class as relation join pg_namespace as space on space.oid = relation.relnamespace
where space.nspname = 'public' and relation.relname = any(%s::text[])
  and relation.relrowsecurity and relation.relforcerowsecurity
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a PostgreSQL database is, and as whom: what a URL without a password says."""

    parameters: Mapping[str, str]
    password: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, url: str, password: str | None = None) -> Address:
        """Read a URL; `Invalid` unless TLS verifies every host that is not this machine.

        `sslmode` is verify-full for such hosts, and cannot be weakened (45 CFR 164.312(e)(1)).
        """
        try:
            found = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        except psycopg.Error:
            raise _wrong("use postgresql://USER@HOST/NAME") from None
        if not found.keys() <= _ALLOWED or not {"user", "dbname", "host"} <= found.keys():
            raise _wrong(
                "use postgresql://USER@HOST/NAME, and no parameters but host, sslmode, "
                "sslrootcert, sslcert and sslkey"
            )
        if not all(map(_is_here, found["host"].split(","))):
            if found.setdefault("sslmode", "verify-full") != "verify-full":
                raise _wrong("leave sslmode out: a server elsewhere is verified in full")
            found.setdefault("sslrootcert", "system")
        return cls(found, password)

    @property
    def given(self) -> dict[str, Any]:
        """What the library is given, the password included."""
        return {**self.parameters, **({"password": self.password} if self.password else {})}

    def as_role(self, role: str, password: str | None) -> Address:
        """Return the same database for another role."""
        return Address({**self.parameters, "user": role}, password)


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that ends with the pool that is forgotten, as SQLite's do, without a warning."""

    def __del__(self, *_: Any) -> None:
        # The library's only warns here; its C part closes what is still open.
        pass


def connect(
    address: Address, *, limit_seconds: float = READ_SECONDS, is_writing: bool = False
) -> Any:
    """Open a connection whose statements, transactions and silences end in time; 0 is no limit.

    For one that writes `Refused` if the server would not make every commit durable.
    """
    milliseconds = str(round(limit_seconds * 1000))
    with foreign_errors():
        connection = _Connection.connect(
            make_conninfo(**address.given),
            autocommit=True,
            application_name="seawall",
            connect_timeout=_CONNECT_SECONDS,
            gssencmode="disable",
            # Empty, so that neither PGHOSTADDR nor a service file leads to another machine
            # under the name of this one, and PGOPTIONS sets nothing for the session.
            hostaddr="",
            options="",
            # Said here, so that no variable of the environment lowers it.
            ssl_min_protocol_version="TLSv1.2",
            target_session_attrs="read-write" if is_writing else "any",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=milliseconds,
        )
        if connection.info.server_version < _OLDEST:
            connection.close()
            raise Refused(
                "database-version",
                "the database server is older than PostgreSQL 17",
                "use PostgreSQL 17 or newer",
            )
        row = connection.execute(_SESSION, (milliseconds,) * 3).fetchone() or ()
    # `local` and `remote_write` lose what was acknowledged when a standby takes over.
    is_durable = row[-3] in {"on", "remote_apply"} and row[-2:] == ("on", "on")
    if is_writing and not is_durable:
        connection.close()
        raise Refused(
            "database-not-durable",
            "the database server does not make every commit durable",
            "set synchronous_commit, fsync and full_page_writes to on, for this role too",
        )
    return connection


def check_rights(connection: Any) -> None:
    """Raise `Refused` if the role could change entries, or get round what forbids it.

    Or if tenants are not kept apart: row-level security must hold, and for this role.
    """
    tables = [table.name for table in OF_TENANTS]
    with foreign_errors():
        row = connection.execute(_RIGHTS).fetchone()
        apart = connection.execute(_APART, (tables, tables)).fetchone()
    if row is None or row[0] is not False or apart is None or apart[0] is not True:
        raise Refused(
            "database-rights",
            "the server's role may do more in the database than it should, or tables are missing",
            "let the owner run `seawall database prepare`, and serve as another role",
        )


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn the library's exceptions into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise translate_state(error.sqlstate) from None


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(help_text: str) -> Invalid:
    return Invalid("wrong-setting", "the setting database is not usable", help_text)
