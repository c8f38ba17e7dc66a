"""Connections that fail on purpose, and the question whether a log is still whole."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import sqlcipher3.dbapi2 as sqlcipher

from contracts import naive_tree
from embedded import DATABASE_KEY
from seawall.adapters.db.sqlcipher import connect
from seawall.core.ledger.checkpoint import Checkpoint, open_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.adapters.db.store import SqlStore


class Faults:
    """What goes wrong with a database file; hands out the connections that it goes wrong on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seawall.db"
        self.pages = 1_000_000
        """How many pages of 4 KiB the disk has room for."""
        self.fail_in = 0
        """How many statements from now one fails; 0 for none."""
        self.after_the_fact = False
        """Whether the statement that fails was executed nevertheless."""
        self.error: Exception = sqlcipher.OperationalError("disk I/O error")
        self.refused_connections = 0
        """How many of the next attempts to connect fail."""
        self.going_on = threading.Event()
        """While not set, every commit hangs."""
        self.going_on.set()
        self.hanging = threading.Event()
        """Set as soon as a commit hangs."""

    def connect(self) -> FaultyConnection:
        """Open a connection, unless that is what fails."""
        if self.refused_connections > 0:
            self.refused_connections -= 1
            raise sqlcipher.OperationalError("unable to open database file")
        return FaultyConnection(connect(self._path, DATABASE_KEY), self)

    def strike(self) -> bool:
        """Count one statement; say whether it is the one that fails."""
        if self.fail_in > 0:
            self.fail_in -= 1
            return self.fail_in == 0
        return False


class FaultyConnection:
    """A connection of the database's library, with faults."""

    def __init__(self, real: Any, faults: Faults) -> None:
        self._real = real
        self._faults = faults

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Execute a statement, unless it is the one that hangs or fails."""
        if statement == "begin immediate":
            self._real.execute(f"pragma max_page_count = {self._faults.pages}")
        if statement == "commit" and not self._faults.going_on.is_set():
            self._faults.hanging.set()
            self._faults.going_on.wait()
        struck = self._faults.strike()
        if struck and not self._faults.after_the_fact:
            raise self._faults.error
        done = self._real.execute(statement, *parameters)
        if struck:
            raise self._faults.error
        return done

    def close(self) -> None:
        """Close the connection."""
        self._real.close()


async def whole(store: SqlStore, log: str) -> list[bytes]:
    """Return a log's entries after recomputing its tree, tiles and checkpoint from them."""
    head = await store.head(log)
    entries = await store.entries(log, 0, head.size + 1)
    expected = Checkpoint(head.origin, len(entries), naive_tree.root(entries))
    assert expected == open_checkpoint(head.checkpoint, head.vkey)
    assert (len(entries), expected.root) == (head.size, head.root)
    for level in (0, 1):
        for index in range(len(entries) // 256 ** (level + 1) + 2):
            tile = naive_tree.tile(entries, level, index)
            assert tile == await store.tile(log, level, index)
    return entries
