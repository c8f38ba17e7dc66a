"""Filling an empty database from a backup, for both databases; nothing counts before the end.

The embedded database is a file under another name until it is whole. PostgreSQL
is filled in one transaction by the owner of the tables, since the server's own
role could not write what a log already held.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from seawall.adapters.db.dump import shape_of
from seawall.adapters.db.revisions import STAMP_TABLE
from seawall.adapters.db.schema import APPEND_ONLY, OF_TENANTS, REVISION, metadata
from seawall.adapters.db.sqlcipher import foreign_errors
from seawall.core.backup.rows import Rows, Shape, malformed
from seawall.core.errors import Conflict, Error, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

# By subject, which is in an index: reading the table would read every sealed value.
_UNKEYED: Final = tuple(
    f"delete from {table} where (tenant, subject) in (select tenant, subject from {table} "  # noqa: S608  names of ours
    "except select tenant, subject from data_keys)"
    for table in ("sealed", "payloads")
)
_UNFOUND: Final = (
    "delete from patients where not exists (select 1 from sealed where "
    "sealed.tenant = patients.tenant and sealed.subject = patients.patient) "
    "and not exists (select 1 from payloads where "
    "payloads.tenant = patients.tenant and payloads.subject = patients.patient)"
)


def fitted(rows: Rows) -> tuple[Shape, list[tuple[Any, ...]]]:
    """Return rows with the columns that the table has; `Tampered` if it has not all of them.

    Columns that came with a later step have their defaults; entries have their places.
    """
    if rows.shape.table == "entries":
        shape = shape_of(metadata.tables["entries"])
        placed = enumerate((row[0] for row in rows.rows), rows.start)
        return shape, [(entry, rows.log, position) for position, entry in placed]
    table = metadata.tables.get(rows.shape.table)
    if table is None or not set(rows.shape.columns) <= set(shape_of(table).columns):
        raise malformed()
    return rows.shape, rows.rows


class FileTarget:
    """The LoadTarget port over a new SQLCipher file.

    `connect` opens a file of this path, under the key that it is to have.
    """

    def __init__(self, path: Path, connect: Callable[[Path], Any]) -> None:
        self._path = path
        self._connect = connect

    def begin(self) -> FileLoading:
        """Begin a new file; `Conflict` if the database is there, or what belongs to one."""
        if any(place.exists() for place in _belonging(self._path)):
            raise not_empty()
        return FileLoading(self._path, self._connect)


class FileLoading:
    """The Loading port over a file of its own, which gets the database's name at the end."""

    def __init__(self, path: Path, connect: Callable[[Path], Any]) -> None:
        self._path = path
        self._connect = connect
        self._aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.restoring")
        with foreign_errors():
            self._connection = connect(self._aside)
            # What is half is thrown away: nothing of it need survive anything.
            self._connection.execute("pragma journal_mode = off")
            self._connection.execute("pragma synchronous = off")
            self._connection.execute("pragma cache_size = -131072")
            self._connection.execute("begin exclusive")
            for table in metadata.sorted_tables:
                self._connection.execute(_written(CreateTable(table)))
                # Made afterwards they would read everything once more.
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    self._connection.execute(_written(CreateIndex(index)))

    def load(self, rows: Rows) -> int:
        """Add rows of a table; return how many."""
        shape, values = fitted(rows)
        names = ", ".join(f'"{name}"' for name, _ in shape.columns)
        marks = ", ".join("?" * len(shape.columns))
        with foreign_errors():
            self._connection.executemany(
                f'insert into "{shape.table}" ({names}) values ({marks})',  # noqa: S608  names of ours
                values,
            )
        return len(values)

    def drop_unkeyed(self) -> int:
        """Delete sealed values and index terms whose keys are gone; return how many values."""
        with foreign_errors():
            gone = sum(self._connection.execute(query).rowcount for query in _UNKEYED)
            self._connection.execute(_UNFOUND)
        return int(gone)

    def finish(self) -> None:
        """Make the triggers, flush the file, give it its name, and see that it opens under it.

        `Conflict` if a file has got that name meanwhile: it is left as it is.
        """
        run = self._connection.execute
        with foreign_errors():
            for statement in APPEND_ONLY:
                run(statement)
            run(STAMP_TABLE)
            run("insert into alembic_version values (?)", (REVISION,))
            run(f"pragma user_version = {int(REVISION)}")
            run("commit")
            run("pragma journal_mode = wal")
            self._connection.close()
        if any(place.exists() for place in _belonging(self._path)):
            raise not_empty()
        try:
            _flush(self._aside)
            os.link(self._aside, self._path)
            self._aside.unlink()
            _flush(self._path.parent)
        except FileExistsError:
            raise not_empty() from None
        except OSError as error:
            raise _unwritable(error) from None
        self._open()

    def abandon(self) -> None:
        """Throw the file away."""
        with suppress(sqlcipher.Error):
            self._connection.close()
        for place in _belonging(self._aside):
            place.unlink(missing_ok=True)

    def _open(self) -> None:
        """Open the database under its name; whatever is wrong with it then, it goes."""
        try:
            with foreign_errors():
                connection = self._connect(self._path)
                try:
                    connection.execute("select version_num from alembic_version").fetchone()
                    connection.execute("select count(*) from heads").fetchone()
                finally:
                    connection.close()
        except Error:
            self._path.unlink(missing_ok=True)
            raise


def _belonging(path: Path) -> list[Path]:
    """Return a database's file, and what SQLite would read beside it."""
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal")]


_TRIGGERS: Final = (
    "select format('alter table %I enable always trigger %I', relname, tgname) "
    "from pg_trigger join pg_class on pg_class.oid = tgrelid "
    "where not tgisinternal and relnamespace = 'public'::regnamespace"
)


class PostgresTarget:
    """The LoadTarget port over a prepared PostgreSQL database, as the owner of its tables."""

    def __init__(
        self, connect: Callable[[], Any], errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._connect = connect
        self._errors = errors

    def begin(self) -> PostgresLoading:
        """Begin a transaction; `Conflict` if a table holds a row."""
        return PostgresLoading(self._connect(), self._errors)


class PostgresLoading:
    """The Loading port over one transaction, which keeps everybody else from the tables."""

    def __init__(self, connection: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._errors = errors
        with self._errors():
            connection.execute("begin")
            for name in metadata.tables:
                connection.execute(f'lock table "{name}" in access exclusive mode')
            # The owner is subject to row-level security: it would see no row where there are
            # some, and nothing is copied in. It is forced again before anybody else sees them.
            for table in OF_TENANTS:
                connection.execute(f'alter table "{table.name}" no force row level security')
            for name in metadata.tables:
                if connection.execute(f'select 1 from "{name}" limit 1').fetchone():  # noqa: S608  names of ours
                    connection.close()
                    raise not_empty()
            # What keeps entries from being written where a log has been is of no use before
            # there is one. All is as it was before anybody else sees the tables.
            for name in metadata.tables:
                connection.execute(f'alter table "{name}" disable trigger user')

    def load(self, rows: Rows) -> int:
        """Add rows of a table; return how many."""
        shape, values = fitted(rows)
        table = metadata.tables[shape.table]
        names = ", ".join(f'"{name}"' for name, _ in shape.columns)
        types = [_POSTGRES[type(table.c[name].type).__name__] for name, _ in shape.columns]
        with self._errors(), self._connection.cursor() as cursor:
            query = f'copy "{shape.table}" ({names}) from stdin (format binary)'
            with cursor.copy(query) as copying:
                copying.set_types(types)
                for row in values:
                    copying.write_row(row)
        return len(values)

    def drop_unkeyed(self) -> int:
        """Delete sealed values and index terms whose keys are gone; return how many values."""
        with self._errors():
            gone = sum(self._connection.execute(query).rowcount for query in _UNKEYED)
            self._connection.execute(_UNFOUND)
        return int(gone)

    def finish(self) -> None:
        """Commit, durably."""
        with self._errors():
            # Always: `enable trigger user` alone would let a replication's setting turn them off.
            for statement in self._connection.execute(_TRIGGERS).fetchall():
                self._connection.execute(statement[0])
            for table in OF_TENANTS:
                self._connection.execute(f'alter table "{table.name}" force row level security')
            self._connection.execute("commit")
            # The planner knows nothing of what came all at once.
            self._connection.execute("analyze")
            self._connection.close()

    def abandon(self) -> None:
        """Leave the tables as empty as they were."""
        self._connection.close()


_POSTGRES: Final = {
    "Text": "text",
    "LargeBinary": "bytea",
    "BigInteger": "int8",
    "Integer": "int4",
    "Boolean": "bool",
}


def _written(statement: Any) -> str:
    """Return a statement about the tables as SQLite reads it."""
    return str(statement.compile(dialect=sqlite.dialect()))


def not_empty() -> Conflict:
    """Return what it is to restore over something."""
    return Conflict(
        "target-not-empty",
        "what is to be restored into is not empty",
        "name a new folder, which holds seawall.toml and secrets/ at most, or an empty database; "
        "nothing was changed",
    )


def _flush(path: Path) -> None:
    held = os.open(path, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _unwritable(error: OSError) -> Unavailable:
    return Unavailable(
        "target-unwritable",
        f"what is restored cannot be written ({error.strerror})",
        "free space on the disk, and restore again; what was half restored is thrown away",
    )
