"""Copying either database while others write to it, from one moment of it.

SQLite's readers in WAL mode see the moment at which their transaction began;
PostgreSQL's do in REPEATABLE READ. Rows come in the order in which the database
keeps them, which is fast, and which moves little from one backup to the next.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Boolean, LargeBinary, Table, Text

from seawall.adapters.db.schema import REVISION, entries, metadata
from seawall.app.ports import DumpedTable
from seawall.core.backup.manifest import LogAt
from seawall.core.backup.rows import Shape
from seawall.core.errors import Tampered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from seawall.core.backup.rows import Kind

KEY_TABLES: Final = ("tenant_keys", "data_keys", "patients")
"""The key part: without these nothing opens and nobody is found."""
DERIVED: Final = frozenset(
    {"heads", "entries", "facets", "indexed", "leases", "sessions", "answers"}
)
"""What is not copied row by row: logs have a form of their own, the rest is made anew.

Nor does a session come back from a backup: it may have been ended since.
"""
_BATCH: Final = 500
_ENTRIES: Final = 2_000


def shape_of(table: Table) -> Shape:
    """Return a table's columns with their kinds, by name."""
    columns = sorted(table.columns, key=lambda column: column.name)
    return Shape(table.name, tuple((column.name, _kind(column.type)) for column in columns))


def _kind(given: Any) -> Kind:
    if isinstance(given, Text):
        return "text"
    if isinstance(given, LargeBinary):
        return "bytes"
    return "boolean" if isinstance(given, Boolean) else "integer"


class SqlDumpSource:
    """The DumpSource port; `connect` opens a connection of the database's own library.

    `errors` turns that library's exceptions into ours.
    """

    def __init__(
        self, connect: Callable[[], Any], errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._connect = connect
        self._errors = errors

    @contextmanager
    def reading(self) -> Iterator[SqlDump]:
        """Hold on to one moment of the database."""
        connection = self._connect()
        try:
            yield SqlDump(connection, self._errors)
        finally:
            connection.close()


class SqlDump:
    """The Dump port over one connection."""

    def __init__(self, connection: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._errors = errors
        self._is_postgres = hasattr(connection, "pgconn")
        with self._errors():
            if self._is_postgres:
                connection.execute("begin isolation level repeatable read read only")
                connection.execute("set local synchronize_seqscans = off")
                connection.execute("set local seawall.tenants = '*'")
            else:
                connection.execute("begin")
            # The moment is that of the first reading.
            self._logs = [
                LogAt(*row)
                for row in connection.execute(
                    "select log, origin, size, checkpoint, minimum from heads order by log"
                ).fetchall()
            ]

    @property
    def revision(self) -> str:
        """Which step the tables have taken: this program's, or it could not read them."""
        return REVISION

    def logs(self) -> list[LogAt]:
        """Return where every log stands."""
        return list(self._logs)

    def tables(self) -> list[DumpedTable]:
        """Return the tables that are copied row by row."""
        apart = {*DERIVED, *KEY_TABLES}
        return [_dumped(table) for table in metadata.sorted_tables if table.name not in apart]

    def key_tables(self) -> list[DumpedTable]:
        """Return the tables of the key part."""
        return [_dumped(metadata.tables[name]) for name in KEY_TABLES]

    def rows(self, table: DumpedTable, tenant: str | None = None) -> Iterator[list[Any]]:
        """Yield a table's rows in batches; those of a tenant alone if one is named.

        Of the tree's tiles only those of pruned logs, and no leaves: the others follow
        from the entries.
        """
        shape = table.shape
        names = ", ".join(f'"{name}"' for name, _ in shape.columns)
        values: tuple[str, ...] = ()
        query = f'select {names} from "{shape.table}"'  # noqa: S608  names of ours
        if shape.table == "tiles":
            query += " where level > 0 and log in (select log from heads where minimum > 0)"
        elif tenant is not None:
            query, values = f"{query} where tenant = {self._mark}", (tenant,)
        return self._read(query, values, _BATCH)

    def entries(self, log: str, start: int, stop: int) -> Iterator[list[bytes]]:
        """Yield entries in batches, in order; `Tampered` if one of them is not there."""
        mark = self._mark
        query = (
            f"select entry from {entries.name} where log = {mark} and position >= {mark} "  # noqa: S608  names of ours
            f"and position < {mark} order by position"
        )
        for at in range(start, stop, _ENTRIES):
            end = min(at + _ENTRIES, stop)
            for batch in self._read(query, (log, at, end), _ENTRIES):
                # Whether rows are hidden from this role, or gone: a smaller copy is none.
                if len(batch) != end - at:
                    raise Tampered(
                        "ledger-tampered",
                        f"entries between {at} and {end} are not there",
                        "keep the database as it is, and treat it as an incident",
                    )
                yield [row[0] for row in batch]

    @property
    def _mark(self) -> str:
        return "%s" if self._is_postgres else "?"

    def _read(self, query: str, values: tuple[Any, ...], count: int) -> Iterator[list[Any]]:
        with self._errors():
            cursor = self._cursor(query)
            try:
                cursor.execute(query, values)
                while batch := cursor.fetchmany(count):
                    yield batch
            finally:
                cursor.close()

    def _cursor(self, query: str) -> Any:
        """Return a cursor that holds a batch at a time, in binary where there is a choice."""
        if not self._is_postgres:
            return self._connection.cursor()
        cursor = self._connection.cursor(f"backup_{len(query)}", binary=True)
        cursor.itersize = _BATCH
        return cursor


def _dumped(table: Table) -> DumpedTable:
    shape = shape_of(table)
    names = [name for name, _ in shape.columns]
    last = list(table.primary_key.columns)[-1].name
    return DumpedTable(shape, names.index(last))
