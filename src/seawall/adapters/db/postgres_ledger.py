"""The ledger on PostgreSQL: one thread per replica commits for everyone who waits there.

A batch is what has arrived, at most 256 jobs, in one transaction that is
durable before anyone is told (`synchronous_commit`). Replicas share a log by
the lock on its head row. After a failure the thread forgets what it knew and
connects anew; a caller that was not told must behave as if nothing was
recorded, also when the commit's own answer was what got lost.
"""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from seawall.adapters.db.postgres_batch import Batch, OvertakenError
from seawall.adapters.db.postgres_jobs import Job, too_slow
from seawall.adapters.db.sqlstates import translate_state
from seawall.app.ports import DropDataKeys, DropTenantKeys, ShredSubjects, ShredTenant
from seawall.core.errors import Error
from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from seawall.adapters.db.sequencer import Signer
    from seawall.app.ports import Fact, WrappedKey, Write
    from seawall.core.ledger.tree import Edge
    from seawall.core.policy.grant import Receipt

BATCH: Final = 256
WAITING: Final = 4_096
_AGAIN: Final = (
    OvertakenError,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
"""Failures after which nothing was recorded for certain, and a second try may do."""


class PostgresLedger:
    """Appends entries with their writes, in order, durably, a batch at a time."""

    def __init__(
        self, connect: Callable[[], Any], signer: Signer, *, limit_seconds: float = 5.0
    ) -> None:
        self._connect = connect
        self._signer = signer
        self._limit = limit_seconds
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._edges: dict[str, Edge] = {}
        self._changing = threading.Lock()
        """Held while the connection is replaced, and while it is given up from outside."""
        self._busy_since: float | None = None
        self._connection: Any = connect()
        self._thread = threading.Thread(target=self._run, name="postgres-ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what is waiting, then stop."""
        self._jobs.put(None)
        self._thread.join()

    # --- the callers' side, on an event loop ----------------------------------

    async def append(
        self, log: str, entry: Mapping[str, Any], writes: Sequence[Write] = ()
    ) -> Receipt:
        """Make an entry and its writes durable, then return the receipt."""
        receipt: Receipt = await self._submit(log=log, entry=encode(entry), writes=writes)
        return receipt

    async def open_log(self, log: str, origin: str) -> None:
        """Begin a log; nothing changes if it exists."""
        await self._submit(log=log, origin=origin)

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Make facts durable, all of them or none."""
        await self._submit(facts=facts)

    async def keep(self, key: WrappedKey) -> None:
        """Keep a wrapped data key, unless its subject and kind have one of this version."""
        await self._submit(key=key)

    async def _submit(self, **wish: Any) -> Any:
        if self._jobs.qsize() >= WAITING:
            raise too_slow()
        loop = asyncio.get_running_loop()
        job = Job(loop, loop.create_future(), **wish)
        timer = loop.call_later(self._limit, self._expire, job)
        try:
            self._jobs.put(job)
            return await job.future
        finally:
            timer.cancel()
            job.is_abandoned = True

    def _expire(self, job: Job) -> None:
        """Tell a caller that it takes too long, and give a server up that says nothing.

        The server's own time limits end a statement; this ends the silence of a server that
        is stopped or cannot be reached. Whoever expires while a batch is that old does it.
        """
        job.expire()
        with self._changing:
            since = self._busy_since
            if since is not None and time.monotonic() - since > 2 * self._limit:
                self._busy_since = None
                _hang_up(self._connection)

    # --- the thread's side ----------------------------------------------------

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            is_stopping = False
            while len(batch) < BATCH and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    is_stopping = True
                    break
                batch.append(following)
            for apart in _in_turn(batch):
                self._serve([job for job in apart if not job.is_abandoned])
            if is_stopping:
                break
        with suppress(psycopg.Error):
            self._connection.close()

    def _serve(self, batch: list[Job]) -> None:
        if not batch:
            return
        self._busy_since = time.monotonic()
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001  every caller gets it, and the thread must outlive it
            for job in batch:
                job.answer, job.error = None, _failure(error)
            self._tell(batch)
            self._recover()
        else:
            self._tell(batch)
        finally:
            self._busy_since = None

    def _commit(self, batch: list[Job]) -> None:
        try:
            edges = Batch(self._connection, self._signer, self._edges, batch).commit()
        except _AGAIN:
            self._connection.execute("rollback")
            edges = Batch(self._connection, self._signer, self._edges, batch).commit()
        self._edges.update(edges)

    def _tell(self, batch: list[Job]) -> None:
        for loop in {job.loop for job in batch}:
            mine = [job for job in batch if job.loop is loop]
            # Where the caller's loop is closed there is nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_deliver, mine)

    def _recover(self) -> None:
        """Forget everything and connect anew, so that the next batch starts from what is durable.

        The server rolls back what a closed connection left. If connecting fails, the next
        batch fails in its turn, and tries again.
        """
        self._edges.clear()
        with self._changing, suppress(psycopg.Error):
            self._connection.close()
        with suppress(psycopg.Error, Error):
            made = self._connect()
            with self._changing:
                self._connection = made


_ENDING: Final = (ShredSubjects, ShredTenant, DropTenantKeys, DropDataKeys)


def _in_turn(batch: Sequence[Job]) -> Iterator[list[Job]]:
    """Yield a batch in parts: what deletes keys comes apart from what is before and after it.

    Within a part all that is made is made at once, whatever the order of its jobs.
    """
    part: list[Job] = []
    for job in batch:
        if any(isinstance(write, _ENDING) for write in job.writes):
            yield part
            yield [job]
            part = []
        else:
            part.append(job)
    yield part


def _hang_up(connection: Any) -> None:
    """End a connection's silence: whoever waits on it is told at once that it broke."""
    # Closing it here would pull the library's memory from under the thread that waits.
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


def _failure(error: Exception) -> Exception:
    """Return what a caller of a failed batch is told: an error of its own, or that it is a bug."""
    if isinstance(error, Error):
        return type(error)(error.code, error.message, error.help)
    if isinstance(error, psycopg.Error | OvertakenError):
        return translate_state(getattr(error, "sqlstate", None))
    bug = RuntimeError("a batch of the ledger failed by a mistake of the program")
    bug.__cause__ = error
    return bug


def _deliver(jobs: list[Job]) -> None:
    for job in jobs:
        job.deliver()
