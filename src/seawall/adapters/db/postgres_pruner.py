"""Pruning on PostgreSQL, as the one role that may delete entries, on its own connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from seawall.adapters.db.postgres import foreign_errors
from seawall.core.errors import Missing, Refused
from seawall.core.ledger.tree import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_ONCE: Final = 64 * TILE_WIDTH
"""Entries that one transaction deletes, so that none lasts long."""


class PostgresPruner:
    """Deletes what retention no longer asks for; appends nothing, and can change no entry."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    async def prune(self, log: str, minimum: int) -> None:
        """Delete the entries and full level-0 tiles below `minimum`, a multiple of 256.

        C2SP tlog-tiles, "Pruning". `Refused` by the database's triggers unless two
        archives hold every bundle below it. The minimum moves first, so that a reader
        never takes what is half deleted for what is there; done again, it goes on.
        """
        await asyncio.to_thread(self._prune, log, minimum)

    def _prune(self, log: str, minimum: int) -> None:
        connection = self._connect()
        run = connection.execute
        try:
            with foreign_errors():
                run("select set_config('seawall.tenants', %s, false)", (log,))
                try:
                    run(
                        "update heads set minimum = %s where log = %s and minimum < %s",
                        (minimum, log, minimum),
                    )
                except psycopg.errors.CheckViolation:
                    raise _refused() from None
                row = run("select minimum from heads where log = %s", (log,)).fetchone()
                if row is None:
                    raise Missing(
                        "log-unknown", "there is no such log", "see `seawall ledger list`"
                    )
                self._delete(run, log, min(minimum, row[0]))
        finally:
            with suppress(psycopg.Error):
                connection.close()

    def _delete(self, run: Callable[..., Any], log: str, minimum: int) -> None:
        first = run("select min(position) from entries where log = %s", (log,)).fetchone()[0]
        for upto in [*range((first or 0) + _AT_ONCE, minimum, _AT_ONCE), minimum]:
            run("delete from facets where log = %s and position < %s", (log, upto))
            run(
                "delete from tiles where log = %s and level = 0 and position < %s",
                (log, upto // TILE_WIDTH),
            )
            run("delete from entries where log = %s and position < %s", (log, upto))


def _refused() -> Refused:
    return Refused(
        "prune-refused",
        "the database keeps what two archives do not hold",
        "archive the log to two archives first: `seawall ledger archive`",
    )
