"""A witness's memory: one SQLite file, whose commits are durable before anyone is told.

It holds public things alone (keys, checkpoints), so it is not encrypted. Check and
keep are one `begin immediate` transaction, so that two requests, in two processes
even, cannot roll a log back; `synchronous=full` and a rollback journal let a killed
process lose nothing that was answered.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seawall.core.errors import Conflict, Missing, Tampered, Unavailable
from seawall.core.ledger.witness import Latest, origin_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ValueT = TypeVar("ValueT")

_BUSY_SECONDS: Final = 5.0
_TABLES: Final = """
create table witness (vkey text primary key);
create table trusted (vkey text primary key, origin text not null);
create table latest (
    origin text primary key,
    hash text not null unique,
    size integer not null,
    root blob not null,
    note text not null
);
create trigger latest_refuses_rollback before update on latest
    when new.size < old.size or (new.size = old.size and new.root <> old.root)
    begin select raise(abort, 'a witness does not go back'); end;
create trigger latest_refuses_delete before delete on latest
    begin select raise(abort, 'a witness does not forget'); end;
"""
_LATEST: Final = "select origin, size, root, note from latest where "


class WitnessFile:
    """The WitnessBook port over one SQLite file, and what the command line needs of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def create(cls, path: Path, vkeys: list[str]) -> WitnessFile:
        """Make the file of a new witness with its own verifier keys; `Conflict` if it exists."""
        if path.exists():
            raise Conflict(
                "witness-exists",
                "this folder already has a witness",
                "use the folder as it is, or choose an empty one",
            )
        aside = path.with_name(f"{path.name}.new")
        aside.unlink(missing_ok=True)

        def work(connection: sqlite3.Connection) -> None:
            """Make the tables, then name the keys."""
            for statement in _statements(_TABLES):
                connection.execute(statement)
            connection.executemany("insert into witness values (?)", [(vkey,) for vkey in vkeys])

        new = cls(aside)
        new._changing(work, must_exist=False)
        # A file of this name is a whole one, whenever this was ended.
        aside.replace(path)
        return cls(path)

    def vkeys(self) -> list[str]:
        """Return the witness's own verifier keys."""
        rows = self._read("select vkey from witness order by rowid")
        return [str(vkey) for (vkey,) in rows]

    def logs(self) -> list[tuple[str, str, int | None]]:
        """Return every trusted key with its log's origin and the size last cosigned."""
        return self._read(
            "select vkey, trusted.origin, size from trusted "
            "left join latest on latest.origin = trusted.origin order by trusted.origin, vkey"
        )

    def trust(self, vkey: str, origin: str) -> None:
        """Trust a key for a log; nothing changes if it is trusted."""
        statement = "insert into trusted values (?, ?) on conflict do nothing"
        self._changing(lambda connection: connection.execute(statement, (vkey, origin)))

    def distrust(self, vkey: str) -> None:
        """Trust a key no more; `Missing` if it was not. What was cosigned stays remembered."""
        removed: int = self._changing(
            lambda connection: connection.execute("delete from trusted where vkey = ?", (vkey,))
        ).rowcount
        if not removed:
            raise Missing(
                "witness-key-unknown",
                "this key is not trusted",
                "see the list with `seawall witness trust`",
            )

    async def trusted(self, origin: str) -> list[str]:
        """Return the verifier keys that are trusted for a log; none if it is unknown."""
        rows = await asyncio.to_thread(
            self._read, "select vkey from trusted where origin = ?", origin
        )
        return [str(vkey) for (vkey,) in rows]

    async def latest(self, origin: str) -> Latest | None:
        """Return the latest checkpoint of a log that was cosigned, or None."""
        return _one(await asyncio.to_thread(self._read, f"{_LATEST}origin = ?", origin))

    async def latest_by_hash(self, origin_hash: str) -> Latest | None:
        """Return it by the SHA-256 of the origin, in hex."""
        return _one(await asyncio.to_thread(self._read, f"{_LATEST}hash = ?", origin_hash))

    async def replace(self, before: Latest | None, after: Latest) -> bool:
        """Keep `after` durably if `before` is still the latest, both as one; say whether it was."""

        def work(connection: sqlite3.Connection) -> bool:
            """Compare and keep, under the lock that `begin immediate` took."""
            rows = connection.execute(f"{_LATEST}origin = ?", (after.origin,)).fetchall()
            if _one(rows) != before:
                return False
            connection.execute(
                "insert into latest values (?1, ?2, ?3, ?4, ?5) on conflict (origin) do update "
                "set size = ?3, root = ?4, note = ?5",
                (after.origin, origin_hash(after.origin), after.size, after.root, after.note),
            )
            return True

        return await asyncio.to_thread(self._changing, work)

    def _read(self, query: str, *values: str) -> list[Any]:
        def work(connection: sqlite3.Connection) -> list[Any]:
            """Read."""
            return connection.execute(query, values).fetchall()

        return self._with_file(work, must_exist=True)

    def _changing(
        self, work: Callable[[sqlite3.Connection], ValueT], *, must_exist: bool = True
    ) -> ValueT:
        def changing(connection: sqlite3.Connection) -> ValueT:
            """Do the work in one transaction that nobody else is in."""
            connection.execute("begin immediate")
            try:
                done = work(connection)
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")
            return done

        return self._with_file(changing, must_exist=must_exist)

    def _with_file(
        self, work: Callable[[sqlite3.Connection], ValueT], *, must_exist: bool
    ) -> ValueT:
        """Run a piece of work on a connection of its own; the library's errors become ours."""
        if must_exist and not self._path.exists():
            raise Missing(
                "witness-missing",
                "there is no witness in this folder",
                "name the right folder with --dir, or make one with `seawall witness init`",
            )
        try:
            with closing(
                sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_SECONDS)
            ) as connection:
                connection.execute("pragma synchronous = full")
                return work(connection)
        except sqlite3.DatabaseError as error:
            raise _ours(error) from None


def _statements(script: str) -> list[str]:
    """Split a script into its statements; a trigger's body ends with its own `end;`."""
    statements, held = [], ""
    for piece in script.split(";"):
        held += f"{piece};"
        if sqlite3.complete_statement(held):
            statements.append(held)
            held = ""
    return statements


def _one(rows: list[Any]) -> Latest | None:
    return Latest(*rows[0]) if rows else None


def _ours(error: sqlite3.DatabaseError) -> Tampered | Unavailable:
    if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError):
        return Unavailable(
            "witness-store-unavailable",
            "the witness's file does not answer as it should",
            "check the disk and the folder's permissions; nothing was cosigned",
        )
    return Tampered(
        "witness-store-tampered",
        "the witness's file is not as Seawall wrote it",
        "keep it, and begin a new witness with a new name: this one may no longer be believed",
    )
