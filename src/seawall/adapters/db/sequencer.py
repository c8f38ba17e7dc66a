"""The single sequencer of the embedded database: one thread commits for everyone.

A batch is what has arrived: the first waiting job and whatever came meanwhile,
at most 256. One transaction, durable (WAL, synchronous=FULL), extends every
log the batch touches, signs a checkpoint each, stores the writes that go with
the entries, and only then are the callers told. After any failure the thread
forgets what it knew, rereads the heads from the database, and goes on; a
caller that was not told must behave as if nothing was recorded.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlcipher3.dbapi2 as sqlcipher

from seawall.adapters.db.heads import load_edge, older_tiles, rows_to_keep
from seawall.adapters.db.sqlcipher import translate
from seawall.adapters.db.statements import apply_write, keep_fact, keep_key, prune
from seawall.core.errors import Conflict, Error, Missing, Refused, Tampered, Unavailable
from seawall.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.tree import Edge, extend, leaf_hash
from seawall.core.policy.grant import Receipt, receipt_mac

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seawall.app.ports import Fact, WrappedKey, Write

_KEEP_TILE: Final = (
    "insert into tiles values (?, ?, ?, ?) "
    "on conflict (log, level, position) do update set hashes = excluded.hashes"
)
_NEW_HEAD: Final = "insert into heads (size, edge, checkpoint, origin, log) values (?, ?, ?, ?, ?)"
_HEAD: Final = "update heads set size = ?, edge = ?, checkpoint = ? where origin = ? and log = ?"

BATCH: Final = 256
WAITING: Final = 4_096


@dataclass(frozen=True, slots=True)
class Signer:
    """The log-signing key as functions, and the key under which receipts are authenticated."""

    sign: Callable[[bytes], bytes] = field(repr=False)
    public_key: bytes
    receipt_key: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class _Job:
    """One caller's wish, and where its answer goes."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    log: str = ""
    entry: bytes | None = None
    writes: Sequence[Write] = ()
    key: WrappedKey | None = None
    origin: str | None = None
    facts: Sequence[Fact] = ()
    minimum: int | None = None
    abandoned: bool = False
    answer: Any = None
    error: Exception | None = None

    def expire(self) -> None:
        """Tell the caller that it takes too long."""
        if not self.future.done():
            self.future.set_exception(_too_slow())

    def deliver(self) -> None:
        """Tell the caller how it ended."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


@dataclass(slots=True)
class _Log:
    """A log within one batch: where it stood, and the entries that join it."""

    name: str
    origin: str
    edge: Edge
    joining: list[_Job] = field(default_factory=list)


class Sequencer:
    """Appends entries with their writes, in order, durably, a batch at a time."""

    def __init__(
        self, connect: Callable[[], Any], signer: Signer, *, limit_seconds: float = 5.0
    ) -> None:
        self._connect = connect
        self._signer = signer
        self._limit = limit_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._heads: dict[str, tuple[str, Edge]] = {}
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
        self._connection: Any = connect()
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

    async def prune(self, log: str, minimum: int) -> None:
        """Delete entries and full level-0 tiles below `minimum`; `Refused` without two archives."""
        await self._submit(log=log, minimum=minimum)

    async def keep(self, key: WrappedKey) -> None:
        """Keep a wrapped data key, unless its subject and kind have one of this version."""
        await self._submit(key=key)

    async def _submit(self, **wish: Any) -> Any:
        if self._jobs.qsize() >= WAITING:
            raise _too_slow()
        loop = asyncio.get_running_loop()
        job = _Job(loop, loop.create_future(), **wish)
        # A timer that is cancelled costs less than `asyncio.timeout`, on every append.
        timer = loop.call_later(self._limit, job.expire)
        try:
            self._jobs.put(job)
            return await job.future
        finally:
            timer.cancel()
            job.abandoned = True

    # --- the thread's side ----------------------------------------------------

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            stopping = False
            while len(batch) < BATCH and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    stopping = True
                    break
                batch.append(following)
            self._serve([job for job in batch if not job.abandoned])
            if stopping:
                break
        self._connection.close()

    def _serve(self, batch: list[_Job]) -> None:
        if not batch:
            return
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001  every caller gets it, and the thread must outlive it
            self._recover()
            for job in batch:
                job.error = job.error or _failure(error)
        for loop in {job.loop for job in batch}:
            mine = [job for job in batch if job.loop is loop]
            try:
                loop.call_soon_threadsafe(_deliver, mine)
            except RuntimeError:
                # The caller's loop is closed: there is nobody left to tell.
                continue

    def _commit(self, batch: list[_Job]) -> None:
        run = self._connection.execute
        run("begin immediate")
        logs: dict[str, _Log] = {}
        for job in batch:
            try:
                self._stage(job, logs, run)
            except (Conflict, Missing, Refused) as error:
                job.error = error
        extended = {log.name: (log.origin, self._extend(log, run)) for log in logs.values()}
        run("commit")
        self._heads.update(extended)

    def _stage(self, job: _Job, logs: dict[str, _Log], run: Callable[..., Any]) -> None:
        """Do a job's own writes; an entry waits for its log's turn."""
        if job.key is not None:
            keep_key(run, job.key)
        elif job.facts:
            for fact in job.facts:
                keep_fact(run, fact)
        elif job.minimum is not None:
            prune(run, job.log, job.minimum)
        elif job.origin is not None:
            if job.log not in logs and self._head(job.log, run) is None:
                logs[job.log] = _Log(job.log, job.origin, Edge(0, ()))
        else:
            log = logs.get(job.log) or self._log(job.log, run)
            if job.writes:
                run("savepoint job")
                try:
                    for write in job.writes:
                        apply_write(run, write)
                except Conflict:
                    run("rollback to job")
                    run("release job")
                    raise
                # Not in a `finally`: a full disk ends the transaction, savepoint included.
                run("release job")
            logs[job.log] = log
            log.joining.append(job)

    def _log(self, name: str, run: Callable[..., Any]) -> _Log:
        head = self._head(name, run)
        if head is None:
            raise Missing("log-unknown", "there is no such log", "see `seawall ledger list`")
        return _Log(name, *head)

    def _head(self, name: str, run: Callable[..., Any]) -> tuple[str, Edge] | None:
        if name not in self._heads:
            row = run("select origin, edge from heads where log = ?", (name,)).fetchone()
            if row is None:
                return None
            self._heads[name] = (row[0], _load(name, row[1], run))
        return self._heads[name]

    def _extend(self, log: _Log, run: Callable[..., Any]) -> Edge:
        """Write a log's new entries, tiles and head; answer its jobs with receipts."""
        hashes: list[bytes] = []
        for index, job in enumerate(log.joining, log.edge.size):
            if job.entry is None:
                raise RuntimeError("only a job with an entry joins a log")
            run("insert into entries values (?, ?, ?)", (log.name, index, job.entry))
            hashes.append(leaf_hash(job.entry))
            mac = receipt_mac(self._signer.receipt_key, log.origin, index, job.entry)
            job.answer = Receipt(log.origin, index, job.entry, mac)
        extension = extend(log.edge, hashes)
        for row in rows_to_keep(extension):
            run(_KEEP_TILE, (log.name, *row))
        edge = extension.edge
        checkpoint = sign_checkpoint(
            Checkpoint(log.origin, edge.size, edge.root()),
            log.origin,
            self._signer.sign,
            self._signer.public_key,
        )
        written = run(
            _HEAD if log.name in self._heads else _NEW_HEAD,
            (edge.size, edge.range.to_bytes(), checkpoint, log.origin, log.name),
        )
        if written.rowcount != 1:
            raise _lost_head()
        return edge

    def _recover(self) -> None:
        """Forget everything and reopen, so that the next batch starts from what is durable."""
        self._heads.clear()
        # Closing rolls back; it may fail, or have been done by an attempt that could not reopen.
        with suppress(sqlcipher.Error):
            self._connection.close()
        # If this fails, the next batch fails in its turn, and tries again to reopen.
        with suppress(sqlcipher.Error, Error):
            self._connection = self._connect()


def _too_slow() -> Unavailable:
    return Unavailable(
        "ledger-unavailable",
        "the ledger cannot record within its time limit",
        "nothing was sent; try again, or go on without AI",
    )


def _lost_head() -> Tampered:
    return Tampered(
        "database-tampered",
        "a log that was there is gone from the database",
        "restore a backup; treat it as an incident",
    )


def _load(name: str, raw: bytes, run: Callable[..., Any]) -> Edge:
    """Return a log's edge, and keep as rows what an older head row alone held."""

    def entries(start: int) -> list[bytes]:
        """Return the entries from an index on."""
        query = "select entry from entries where log = ? and position >= ? order by position"
        return [row[0] for row in run(query, (name, start))]

    def tile(level: int, index: int) -> bytes:
        """Return a tile's row, or nothing."""
        query = "select hashes from tiles where log = ? and level = ? and position = ?"
        row = run(query, (name, level, index)).fetchone()
        return row[0] if row else b""

    edge = load_edge(raw, entries, tile)
    for row in older_tiles(raw):
        run(_KEEP_TILE, (name, *row))
    return edge


def _failure(error: Exception) -> Exception:
    """Return what a caller of a failed batch is told: an error of its own, or that it is a bug."""
    if isinstance(error, Error):
        return type(error)(error.code, error.message, error.help)
    if isinstance(error, sqlcipher.Error):
        return translate(error)
    bug = RuntimeError("a batch of the ledger failed by a mistake of the program")
    bug.__cause__ = error
    return bug


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()
