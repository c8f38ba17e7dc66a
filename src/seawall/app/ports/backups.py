"""Backups: where they are kept, what they are made from, and what they are restored into.

What is not async here is called on a thread: a copy is a long row of small steps,
and none of them should wait for an event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from seawall.app.ports.keys import TenantKey, WrappedKey
    from seawall.core.backup.manifest import LogAt
    from seawall.core.backup.rows import Rows, Shape
    from seawall.core.seal.envelope import Sealed


class BackupPlace(Protocol):
    """A place that keeps files by relative paths, such as a folder or a mount."""

    def claim(self, *, begin: bool = False) -> AbstractContextManager[None]:
        """Hold the place alone; `Conflict` (`backup-in-use`) if another process does.

        It is made only where one may `begin`; else one that is not there is `Unavailable`.
        """
        ...

    def size(self, path: str) -> int | None:
        """Return a file's size, or None if there is none."""
        ...

    def read(self, path: str, most: int = ...) -> bytes:
        """Return a file; `Missing` (`backup-file-missing`) if there is none.

        `Tampered` if it is longer than `most` bytes, or no file at all.
        """
        ...

    def write(self, path: str, content: bytes) -> None:
        """Write a file durably, whole or not at all, in the place of an older one."""
        ...

    def settle(self) -> None:
        """Make the names of what was written durable too."""
        ...

    def paths(self) -> Iterator[str]:
        """Yield every file that lies there, whoever wrote it."""
        ...

    def delete(self, path: str) -> None:
        """Delete a file; one that is not there is no error."""
        ...


@dataclass(frozen=True, slots=True)
class DumpedTable:
    """A table to copy: its shape, and the column by which its rows are told apart."""

    shape: Shape
    by: int


class Dump(Protocol):
    """A database at one moment, whatever is written to it meanwhile."""

    @property
    def revision(self) -> str:
        """Which step the tables have taken."""
        ...

    def logs(self) -> list[LogAt]:
        """Return where every log stands."""
        ...

    def tables(self) -> list[DumpedTable]:
        """Return the tables that are copied row by row: all but entries and keys."""
        ...

    def key_tables(self) -> list[DumpedTable]:
        """Return the tables of the key part: wrapped keys and the blind index, by tenant."""
        ...

    def rows(self, table: DumpedTable, tenant: str | None = None) -> Iterator[list[Any]]:
        """Yield a table's rows in batches; those of a tenant alone if one is named."""
        ...

    def entries(self, log: str, start: int, stop: int) -> Iterator[list[bytes]]:
        """Yield entries in batches, in order."""
        ...


class DumpSource(Protocol):
    """What a database is copied from while others write to it."""

    def reading(self) -> AbstractContextManager[Dump]:
        """Hold on to one moment of the database."""
        ...


class Loading(Protocol):
    """An empty database that is being filled; nothing of it counts before `finish`."""

    def load(self, rows: Rows) -> int:
        """Add rows of a table; return how many. `Tampered` if they do not fit it."""
        ...

    def drop_unkeyed(self) -> int:
        """Delete sealed values and index terms whose keys are gone; return how many values."""
        ...

    def finish(self) -> None:
        """Make everything durable and what it is to be, all at once."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind."""
        ...


class LoadTarget(Protocol):
    """Where a database is restored to."""

    def begin(self) -> Loading:
        """Begin to fill it; `Conflict` (`target-not-empty`) if it holds something."""
        ...


class KeyProof(Protocol):
    """Shows that what was restored opens, and hands nothing out."""

    async def prove(self, keys: Sequence[TenantKey], key: WrappedKey, sealed: Sealed) -> None:
        """Open a sealed value by a data key and these tenant keys, and let go of it.

        Errors are the key manager's, and `Tampered`.
        """
        ...
