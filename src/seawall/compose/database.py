"""Which database an installation has: the data folder's own, or PostgreSQL, shared by replicas."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from seawall.adapters.db.claiming import claim_for
from seawall.adapters.db.dump import SqlDumpSource
from seawall.adapters.db.sequencer import Sequencer
from seawall.adapters.db.sqlcipher import FolderLock, connect, foreign_errors, prepare_schema
from seawall.app.ports import Ledger
from seawall.core.errors import Conflict, Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

    from seawall.adapters.db.sequencer import Signer
    from seawall.adapters.keys.ring_file import RingFile
    from seawall.app.ports import DumpSource, Pruner, WrappedKey
    from seawall.config import Settings

DATABASE: Final = "seawall.db"
LOCK: Final = "lock"
RESTORING: Final = "restoring"
"""A file of a folder that is being restored: it is not served."""


class Appending(Ledger, Protocol):
    """What either database appends by: the Ledger port, data keys, and an end."""

    async def keep(self, key: WrappedKey) -> None:
        """Keep a wrapped data key, unless its subject and kind have one of this version."""
        ...

    def close(self) -> None:
        """Commit what is waiting, then stop."""
        ...


class Database(Protocol):
    """What an installation asks of its database."""

    @property
    def is_shared(self) -> bool:
        """Whether other replicas may write meanwhile."""
        ...

    @property
    def engine(self) -> Engine:
        """The pool of reading connections."""
        ...

    def claim(self) -> AbstractContextManager[None]:
        """Hold what only one process may write to, where that is so; `Conflict` otherwise."""
        ...

    def prepare(self) -> None:
        """Make the tables or take the steps that they lack, or refuse what is not prepared."""
        ...

    def claim_for(self, ring: str) -> None:
        """Note whose key ring this database goes with; `Conflict` if it is another's."""
        ...

    def appending(self, signer: Signer) -> Appending:
        """Begin to append."""
        ...

    def pruner(self, appending: Appending) -> Pruner:
        """Return what deletes; `Invalid` where nothing is set up to."""
        ...

    def dump_source(self) -> DumpSource:
        """Return what a backup is made from; it takes no claim."""
        ...


class FolderDatabase:
    """The data folder's own: SQLCipher, one process."""

    is_shared: Final = False

    def __init__(self, settings: Settings, ring: RingFile) -> None:
        self._settings = settings
        self._ring = ring

    @cached_property
    def engine(self) -> Engine:
        """The pool of reading connections."""
        return create_engine(
            "sqlite://", module=sqlcipher, creator=self._connect, poolclass=QueuePool, pool_size=4
        )

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the folder; `Conflict` if another process holds it."""
        lock = FolderLock(self._settings.data_dir / LOCK)
        try:
            yield
        finally:
            lock.release()

    def prepare(self) -> None:
        """Make the tables or take the steps that they lack."""
        prepare_schema(self.engine)

    def claim_for(self, ring: str) -> None:
        """Note whose key ring this database goes with; `Conflict` if it is another's."""
        claim_for(self.engine, ring)

    def appending(self, signer: Signer) -> Sequencer:
        """Begin to append."""
        return Sequencer(self._connect, signer, limit_seconds=self._settings.ledger_seconds)

    def pruner(self, appending: Appending) -> Pruner:
        """Return the sequencer: the database's triggers are what restrains it."""
        if not isinstance(appending, Sequencer):
            raise TypeError("a folder's database is appended to by its sequencer")
        return appending

    def dump_source(self) -> SqlDumpSource:
        """Return what a backup is made from: a reader beside whoever writes."""
        return SqlDumpSource(self._connect, foreign_errors)

    def _connect(self) -> Any:
        return connect(
            self._settings.data_dir / DATABASE,
            self._ring.key("database"),
            max_pages=self._settings.database_pages or None,
        )


def database_of(settings: Settings, ring: RingFile) -> Database:
    """Return the database that the settings name; `Invalid` if what it needs is not installed."""
    if not settings.database:
        return FolderDatabase(settings, ring)
    with needing_the_library():
        from seawall.compose.shared import SharedDatabase  # noqa: PLC0415  the library is an extra
    return SharedDatabase(settings)


def prepare_shared(settings: Settings, owner: str, pruner: str | None) -> None:
    """Make or update PostgreSQL's tables as their owner, and grant the roles their rights."""
    if not settings.database:
        raise Invalid(
            "wrong-setting",
            "the setting database is not set",
            "set it to postgresql://USER@HOST/NAME; the data folder's own needs no preparation",
        )
    with needing_the_library():
        from seawall.compose.shared import prepare_as_owner  # noqa: PLC0415  as above
    prepare_as_owner(settings, owner, pruner)


def half_restored() -> Conflict:
    """Return what it is to use a folder whose restoring has not ended."""
    return Conflict(
        "restore-incomplete",
        "this data folder is being restored, or its restoring was ended",
        "restore again: it begins anew and harms nothing",
    )


@contextmanager
def needing_the_library() -> Iterator[None]:
    """Turn the absence of an extra into `Invalid`."""
    try:
        yield
    except ImportError:
        raise Invalid(
            "wrong-setting",
            "the setting database needs a library that is not installed",
            "install seawall[postgres]",
        ) from None
