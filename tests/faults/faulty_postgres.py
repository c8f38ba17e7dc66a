"""Connections to PostgreSQL that fail or hang on purpose."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg

from seawall.adapters.db.postgres import Address, connect

if TYPE_CHECKING:
    from postgres import Server


class PostgresFaults:
    """What goes wrong with a database; hands out the connections that it goes wrong on."""

    def __init__(self, server: Server, database: str, *, limit_seconds: float = 30.0) -> None:
        self.database = database
        self._address = Address.read(server.url(database))
        self._limit = limit_seconds
        self.fail_in = 0
        """How many statements from now one fails; 0 for none."""
        self.after_the_fact = False
        """Whether the statement that fails was executed nevertheless."""
        self.error: Exception = psycopg.OperationalError("server closed the connection")
        self.refused_connections = 0
        """How many of the next attempts to connect fail."""
        self.going_on = threading.Event()
        """While not set, every commit hangs."""
        self.going_on.set()
        self.hanging = threading.Event()
        """Set as soon as a commit hangs."""
        self.statements = 0
        """How many statements there were."""

    def connect(self) -> FaultyPostgres:
        """Open a connection, unless that is what fails."""
        if self.refused_connections > 0:
            self.refused_connections -= 1
            raise psycopg.OperationalError("connection refused")
        return FaultyPostgres(
            connect(self._address, limit_seconds=self._limit, is_writing=True), self
        )

    def strike(self) -> bool:
        """Count one statement; say whether it is the one that fails."""
        self.statements += 1
        if self.fail_in > 0:
            self.fail_in -= 1
            return self.fail_in == 0
        return False


class FaultyPostgres:
    """A connection of the database's library, with faults."""

    def __init__(self, real: Any, faults: PostgresFaults) -> None:
        self._real = real
        self._faults = faults

    def execute(self, statement: str, *parameters: Any, **options: Any) -> Any:
        """Execute a statement, unless it is the one that hangs or fails."""
        if statement == "commit" and not self._faults.going_on.is_set():
            self._faults.hanging.set()
            self._faults.going_on.wait()
        struck = self._faults.strike()
        if struck and not self._faults.after_the_fact:
            raise self._faults.error
        done = self._real.execute(statement, *parameters, **options)
        if struck:
            raise self._faults.error
        return done

    def pipeline(self) -> Any:
        """Send statements without waiting for each."""
        return self._real.pipeline()

    def fileno(self) -> int:
        """Return the connection's socket."""
        return int(self._real.fileno())

    def close(self) -> None:
        """Close the connection."""
        self._real.close()
