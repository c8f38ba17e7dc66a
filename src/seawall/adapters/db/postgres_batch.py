"""One transaction of PostgreSQL's writer: everything that a batch of jobs asks for, or nothing.

Three trips to the server, whatever the batch: lock the heads of the logs
concerned and ask what exists; write; commit. The heads are read anew under
their locks, since other replicas append to the same logs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.adapters.db.heads import load_edge, rows_to_keep
from seawall.adapters.db.postgres_changes import (
    Changes,
    NotAWriteError,
    taken_queries,
)
from seawall.adapters.db.postgres_keys import locks
from seawall.adapters.db.postgres_statement import Statement, insert
from seawall.adapters.db.postgres_tenants import NAME, named, tenants_of
from seawall.core.errors import Conflict, Missing
from seawall.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from seawall.core.ledger.tree import Edge, extend, leaf_hash
from seawall.core.policy.grant import Receipt, receipt_mac

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from seawall.adapters.db.postgres_jobs import Job
    from seawall.adapters.db.sequencer import Signer

_LOCK: Final = (
    "select log, origin, edge from heads where log = any(%b::text[]) order by log for update"
)
_ENTRIES: Final = "select entry from entries where log = %b and position >= %b order by position"
_TILE: Final = "select hashes from tiles where log = %b and level = %b and position = %b"
_HEADS: Final = (
    "update heads set size = new.size, edge = new.edge, checkpoint = new.checkpoint "
    "from unnest(%b::text[], %b::bigint[], %b::bytea[], %b::text[]) "
    "as new (log, size, edge, checkpoint) where heads.log = new.log"
)
_CATCH_UP: Final = 1_024
"""So many entries of other replicas are read to go on from a known edge; else it is loaded."""


class OvertakenError(Exception):
    """Another replica wrote in between what was asked for and what was written: begin again."""


@dataclass(slots=True)
class _Log:
    """A log within one batch: where it stands, and the entries that join it."""

    name: str
    origin: str
    edge: Edge
    joining: list[Job] = field(default_factory=list)


class Batch:
    """What one transaction does for its jobs; each gets its answer or its own error.

    `edges` are those that this process wrote or read last; they are trusted only where
    they are the database's.
    """

    def __init__(
        self, connection: Any, signer: Signer, edges: Mapping[str, Edge], jobs: Sequence[Job]
    ) -> None:
        self._connection = connection
        self._signer = signer
        self._edges = edges
        self._jobs = jobs
        self._changes = Changes()
        self._logs: dict[str, _Log] = {}

    def commit(self) -> dict[str, Edge]:
        """Make the batch durable; return the edges that the logs have now."""
        for job in self._jobs:
            job.answer = job.error = None
        self._begin()
        for job in self._jobs:
            # Locks may have taken the time that its caller had; what nobody awaits is not done.
            if job.is_abandoned:
                continue
            try:
                self._take(job)
            except (Conflict, Missing, NotAWriteError) as error:
                job.error = error
        extended = {log.name: self._extend(log) for log in self._logs.values() if log.joining}
        self._write([*self._changes.statements(), *self._statements_of_logs(extended)])
        self._connection.execute("commit")
        return {name: edge for name, (edge, _) in extended.items()}

    def _begin(self) -> None:
        """Lock what the jobs are about, and learn what is there."""
        run = self._connection.execute
        names = sorted({job.log for job in self._jobs if job.log})
        queries = taken_queries(write for job in self._jobs for write in job.writes)
        with self._connection.pipeline():
            run("begin")
            tenants = named(tenant for job in self._jobs for tenant in tenants_of(job))
            run(NAME, (tenants,), prepare=True)
            for statement in self._openings():
                run(statement.query, statement.parameters, prepare=True)
            locked = run(_LOCK, (names,), prepare=True) if names else None
            for lock in locks(write for job in self._jobs for write in job.writes):
                run(lock.query, lock.parameters, prepare=True)
            # Asked after the locks are held: what a tenant's log guards cannot change any more.
            found = [run(query.query, query.parameters, prepare=True) for query in queries]
        for name, origin, edge in locked.fetchall() if locked else ():
            self._logs[name] = _Log(name, origin, self._edge(name, edge))
        for cursor in found:
            self._changes.know(cursor.fetchall())

    def _openings(self) -> Iterator[Statement]:
        """Yield what begins logs that do not exist; of two in one batch the first counts."""
        origins: dict[str, str] = {}
        for job in self._jobs:
            if job.origin is not None:
                origins.setdefault(job.log, job.origin)
        empty = Edge(0, ())
        rows = [
            (log, origin, 0, empty.range.to_bytes(), self._checkpoint(origin, empty))
            for log, origin in sorted(origins.items())
        ]
        if rows:
            columns = "heads (log, origin, size, edge, checkpoint)"
            yield insert(columns, ("text", "text", "bigint", "bytea", "text"), rows)

    def _take(self, job: Job) -> None:
        if job.key is not None:
            self._changes.keys.append(job.key)
        self._changes.facts += job.facts
        if job.entry is not None:
            log = self._logs.get(job.log)
            if log is None:
                raise Missing("log-unknown", "there is no such log", "see `seawall ledger list`")
            self._changes.take(job.writes)
            log.joining.append(job)

    def _edge(self, name: str, raw: bytes) -> Edge:
        """Return a log's edge: the one known, or caught up with other replicas, or loaded."""
        run = self._connection.execute

        def entries(start: int) -> Iterable[bytes]:
            """Return the entries from an index on."""
            return (row[0] for row in run(_ENTRIES, (name, start), prepare=True))

        def tile(level: int, index: int) -> bytes:
            """Return a tile's row, or nothing."""
            row = run(_TILE, (name, level, index), prepare=True).fetchone()
            return row[0] if row else b""

        known = self._edges.get(name)
        if known is not None and known.range.to_bytes() == raw:
            return known
        size = int.from_bytes(raw[:8], "big")
        if known is not None and known.size < size <= known.size + _CATCH_UP:
            grown = extend(known, [leaf_hash(entry) for entry in entries(known.size)]).edge
            if grown.range.to_bytes() == raw:
                return grown
        return load_edge(raw, entries, tile)

    def _extend(self, log: _Log) -> tuple[Edge, list[tuple[int, int, bytes]]]:
        """Answer a log's jobs with receipts; return its new edge, and the tiles to keep."""
        hashes: list[bytes] = []
        for index, job in enumerate(log.joining, log.edge.size):
            entry = job.entry or b""
            hashes.append(leaf_hash(entry))
            mac = receipt_mac(self._signer.receipt_key, log.origin, index, entry)
            job.answer = Receipt(log.origin, index, entry, mac)
        extension = extend(log.edge, hashes)
        return extension.edge, list(rows_to_keep(extension))

    def _statements_of_logs(
        self, extended: Mapping[str, tuple[Edge, list[tuple[int, int, bytes]]]]
    ) -> Iterator[Statement]:
        entries = [
            (name, index, job.entry)
            for name in sorted(extended)
            for index, job in enumerate(self._logs[name].joining, self._logs[name].edge.size)
        ]
        if not entries:
            return
        # A position that is taken means that a lock was got round: that fails loudly.
        query = "insert into entries select * from unnest(%b::text[], %b::bigint[], %b::bytea[])"
        yield Statement(query, tuple(list(column) for column in zip(*entries, strict=True)))
        tiles = [(name, *row) for name, (_, rows) in sorted(extended.items()) for row in rows]
        if tiles:
            then = "(log, level, position) do update set hashes = excluded.hashes"
            yield insert("tiles", ("text", "int", "bigint", "bytea"), tiles, then)
        heads = [
            (
                name,
                edge.size,
                edge.range.to_bytes(),
                self._checkpoint(self._logs[name].origin, edge),
            )
            for name, (edge, _) in sorted(extended.items())
        ]
        columns = tuple(list(column) for column in zip(*heads, strict=True))
        yield Statement(_HEADS, columns, len(heads))

    def _checkpoint(self, origin: str, edge: Edge) -> str:
        return sign_checkpoint(
            Checkpoint(origin, edge.size, edge.root()),
            origin,
            self._signer.sign,
            self._signer.public_key,
        )

    def _write(self, statements: Sequence[Statement]) -> None:
        run = self._connection.execute
        with self._connection.pipeline():
            cursors = [
                run(statement.query, statement.parameters, prepare=True) for statement in statements
            ]
        for cursor, statement in zip(cursors, statements, strict=True):
            if statement.rows is not None and cursor.rowcount != statement.rows:
                raise OvertakenError
