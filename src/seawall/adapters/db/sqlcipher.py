"""Opening the embedded database: SQLCipher, durable, one writing process.

AES-256 with a MAC per page (45 CFR 164.312(a)(2)(iv), 164.312(c)(1)): a changed
byte is an error and never a different value. `foreign_errors` is the one
place where the library's exceptions become ours.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy.exc import DBAPIError

from seawall.adapters.db.revisions import check_known, stamp, upgrade
from seawall.adapters.db.schema import APPEND_ONLY, REVISION, metadata
from seawall.core.errors import Conflict, Error, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

_BUSY_MS: Final = 2_000
_FULL: Final = "full"
_BROKEN: Final = ("malformed", "not a database", "corrupt", "hmac")


def connect(path: Path, key: bytes, *, max_pages: int | None = None) -> Any:
    """Open a connection, proving the key; `max_pages` bounds the file (4 KiB pages)."""
    with foreign_errors():
        connection = sqlcipher.connect(
            str(path), isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000
        )
        connection.execute(f"pragma key = \"x'{key.hex()}'\"")
        connection.execute("select count(*) from sqlite_master").fetchone()
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        # A short log is written over and over where it is; a long one grows into new blocks,
        # which costs each flush more than moving its pages now and then.
        connection.execute("pragma wal_autocheckpoint = 250")
        connection.execute("pragma trusted_schema = off")
        connection.execute("pragma temp_store = memory")
        if max_pages is not None:
            connection.execute(f"pragma max_page_count = {int(max_pages)}")
    return connection


def prepare_schema(engine: Engine) -> None:
    """Make the tables in an empty database, or take the steps that an older one lacks.

    `Conflict` if the database is of a newer program. A process that is ended meanwhile
    leaves the database as it was.
    """
    with foreign_errors(), engine.begin() as connection:
        if _revision(connection) == REVISION:
            return
        # The library begins no transaction of its own. Another process may have been faster.
        connection.exec_driver_sql("begin immediate")
        revision = _revision(connection)
        check_known(revision)
        if revision is None:
            metadata.create_all(connection)
            for statement in APPEND_ONLY:
                connection.exec_driver_sql(statement)
            stamp(connection, REVISION)
        elif revision != REVISION:
            # The first release noted its version where SQLite does, and no step.
            stamp(connection, revision)
            upgrade(connection)
        connection.exec_driver_sql(f"pragma user_version = {int(REVISION)}")


def _revision(connection: Connection) -> str | None:
    """Return which step a database is at; None for an empty one.

    SQLite's own number is the step's: a program from before the steps knows that one alone.
    """
    version = int(connection.exec_driver_sql("pragma user_version").scalar_one())
    return f"{version:04}" if version else None


class FolderLock:
    """The claim of one process on a data folder, let go when the process ends."""

    def __init__(self, path: Path) -> None:
        """Take the claim; `Conflict` if another process holds it."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise Conflict(
                "folder-in-use",
                "another Seawall process uses this data folder",
                "stop it first, or ask it over its API",
            ) from None
        except OSError as error:
            raise Unavailable(
                "folder-unusable",
                f"the data folder cannot be used ({error.strerror})",
                "check that the folder exists and that you may write to it",
            ) from None

    def release(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn the library's exceptions into `Unavailable` or `Tampered`."""
    try:
        yield
    except sqlcipher.Error as error:
        raise translate(error) from None
    except DBAPIError as error:
        raise translate(error.orig) from None


def translate(error: BaseException | None) -> Error:
    """Return our error for one of the library's; its text is matched and never passed on."""
    text = str(error).lower()
    if any(word in text for word in _BROKEN):
        return Tampered(
            "database-tampered",
            "the database does not open or was changed outside Seawall",
            "check the data folder and its key ring; restore a backup; treat it as an incident",
        )
    if _FULL in text:
        return Unavailable(
            "database-full",
            "there is no space left for the database",
            "free space on the disk; nothing was recorded and nothing was sent",
        )
    return Unavailable(
        "database-unavailable",
        "the database does not answer as it should",
        "check the disk and the log of the server; nothing was recorded and nothing was sent",
    )
