"""Reading either database, away from the event loop.

The statements are the same but for one; what differs is how each library fails.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import bindparam, exists, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from seawall.adapters.db import finding
from seawall.adapters.db.heads import stored_range
from seawall.adapters.db.schema import (
    documents,
    entries,
    heads,
    leases,
    open_exchanges,
    payloads,
    sealed,
    tiles,
)
from seawall.adapters.db.sqlcipher import translate
from seawall.adapters.db.sqlstates import translate_state
from seawall.app.ports import SYSTEM_LOG, Head
from seawall.core.errors import Missing, Unavailable
from seawall.core.ledger.checkpoint import format_vkey
from seawall.core.ledger.tree import TILE_WIDTH, leaf_hash, partial_tiles
from seawall.core.registers.register import ALL_KINDS
from seawall.core.registers.spec import Document, Spec, read_spec
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine, Executable, Row, TextClause

    from seawall.app.ports import Archived, KeptAnswer, Published, Query
    from seawall.core.identity.session import Session

# Built once: building a statement costs more than running it.
_LOGS: Final = select(heads).order_by(heads.c.log)
_HEAD: Final = select(heads).where(heads.c.log == bindparam("log"))
_ENTRIES: Final = (
    select(entries.c.entry)
    .where(
        entries.c.log == bindparam("log"),
        entries.c.position >= bindparam("start"),
        entries.c.position < bindparam("stop"),
    )
    .order_by(entries.c.position)
)
_TILE: Final = select(tiles.c.hashes).where(
    tiles.c.log == bindparam("log"),
    tiles.c.level == bindparam("level"),
    tiles.c.position == bindparam("position"),
)
_DOCUMENTS: Final = (
    select(documents)
    .where(documents.c.tenant == bindparam("tenant"))
    .order_by(documents.c.kind, documents.c.name, documents.c.version)
)
_COUNTS: Final = select(documents.c.tenant, func.count().label("held")).group_by(documents.c.tenant)
# A log whose name holds `~` was succeeded by another one of its tenant, and is nobody's now.
_TENANTS: Final = (
    select(heads.c.log)
    .where(heads.c.log != SYSTEM_LOG, ~heads.c.log.contains("~"))
    .order_by(heads.c.log)
)
# A list of any length as one parameter: an `in` of many would be written anew each time.
_PATIENTS: Final = {
    "sqlite": text(
        "select term, patient from patients where tenant = :tenant "
        "and term in (select value from json_each(:terms))"
    ),
    "postgresql": text(
        "select term, patient from patients where tenant = :tenant and term = any(:terms)"
    ),
}
_OPEN_EXCHANGES: Final = select(open_exchanges.c.item).where(
    open_exchanges.c.tenant == bindparam("tenant")
)
_EXPIRED_EXCHANGES: Final = _OPEN_EXCHANGES.where(
    ~exists().where(
        leases.c.replica == open_exchanges.c.replica, leases.c.until_ms > bindparam("now_ms")
    )
)
_SEALED: Final = select(sealed.c.envelope).where(
    sealed.c.tenant == bindparam("tenant"),
    sealed.c.kind == bindparam("kind"),
    sealed.c.item == bindparam("item"),
)
_REFERENCE: Final = select(payloads.c.digest).where(
    payloads.c.tenant == bindparam("tenant"),
    payloads.c.kind == bindparam("kind"),
    payloads.c.item == bindparam("item"),
)
_REFERRED: Final = {
    "sqlite": text(
        "select digest from payloads where digest in (select value from json_each(:digests))"
    ),
    "postgresql": text("select digest from payloads where digest = any(:digests)"),
}


QUERY_SECONDS: Final = 5.0
"""So long a query of the ledger may take, waiting for others included."""
_QUERIES_AT_ONCE: Final = 2
EVERY_TENANT: Final = "*"
"""Stands for all tenants, where a question is about all of them; no tenant is called so."""
_STEPS: Final = 10_000
"""After so many of SQLite's instructions it is asked whether a query may go on."""


class SqlStore:
    """The Store port over either database's pool of reading connections."""

    def __init__(
        self, engine: Engine, public_key: bytes, *, query_seconds: float = QUERY_SECONDS
    ) -> None:
        self._engine = engine
        self._public_key = public_key
        self._query_seconds = query_seconds
        # Threads of their own: a slow query must not hold those that an exchange reads with.
        self._asking = ThreadPoolExecutor(_QUERIES_AT_ONCE, "ledger-query")

    async def logs(self) -> list[Head]:
        """Return every log."""
        return [self._head(row) for row in await read(self._engine, _LOGS)]

    async def head(self, log: str) -> Head:
        """Return one log; `Missing` if there is none of this name."""
        rows = await read(self._engine, _HEAD, log=log)
        if not rows:
            raise Missing(
                "log-unknown",
                "there is no log of this name",
                "name a tenant with --tenant, or the system's log with --system",
            )
        return self._head(rows[0])

    async def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Return the entries `start` to `stop` (exclusive), as they were hashed."""
        rows = await read(self._engine, _ENTRIES, log=log, start=start, stop=stop)
        return [row.entry for row in rows]

    async def tile(self, log: str, level: int, index: int) -> bytes:
        """Return the hashes of a tile, as many as there are; empty if there are none.

        Tiles are rows, but for the incomplete one of level 0, which the last entries make.
        """
        rows = await read(self._engine, _TILE, log=log, level=level, position=index)
        if rows:
            return bytes(rows[0].hashes)
        found = await read(self._engine, _HEAD, log=log)
        if not found:
            return b""
        size, older = found[0].size, partial_tiles(found[0].edge)
        if index != size // TILE_WIDTH ** (level + 1):
            return b""
        if older is not None:
            return older[level] if level < len(older) else b""
        if level:
            return b""
        return b"".join(map(leaf_hash, await self.entries(log, index * TILE_WIDTH, size)))

    async def find(self, log: str, query: Query) -> list[tuple[int, bytes]]:
        """Return the entries that a query finds among those indexed, in the order of the log.

        `Unavailable` if it takes too long, as the search for two frequent things may that
        hardly ever meet.
        """
        until = time.monotonic() + self._query_seconds
        counts = {
            (facet, value): (
                await self._ask(until, log, finding.COUNT, log=log, facet=facet, value=value)
            )[0][0]
            for facet, value in (query.facets if len(query.facets) > 1 else ())
        }
        rarest = min(query.facets, key=lambda pair: counts.get(pair, 0), default=None)
        rows = await self._ask(until, log, finding.finding(log, query, rarest))
        return sorted((row.position, bytes(row.entry)) for row in rows)

    async def indexed(self, log: str) -> int:
        """Return up to which entry (exclusive) a log is indexed."""
        rows = await read(self._engine, finding.INDEXED, log=log)
        return int(rows[0].upto) if rows else 0

    async def has_facet(self, log: str, facet: str, value: str) -> bool:
        """Return whether any indexed entry has this facet with this value."""
        until = time.monotonic() + self._query_seconds
        values = {"log": log, "facet": facet, "value": value}
        return bool(await self._ask(until, log, finding.FACET, **values))

    async def published(
        self, log: str, *, above: int = -1, limit: int | None = None
    ) -> list[Published]:
        """Return the first `limit` published checkpoints of sizes over `above`, oldest first."""
        most = finding.ALL if limit is None else limit
        rows = await read(self._engine, finding.PUBLISHED, log=log, above=above, most=most)
        return [finding.published_of(row) for row in rows]

    async def last_published(self, log: str, size: int) -> Published | None:
        """Return the newest published checkpoint of at most this size, witnessed or not."""
        rows = await read(self._engine, finding.LAST_PUBLISHED, log=log, size=size)
        return finding.published_of(rows[0]) if rows else None

    async def newest_witnessed(self, log: str, covering: int) -> Published | None:
        """Return the newest published checkpoint that is witnessed, of at least this size."""
        rows = await read(self._engine, finding.WITNESSED, log=log, covering=covering)
        return finding.published_of(rows[0]) if rows else None

    async def archived(self, log: str) -> list[Archived]:
        """Return what archives hold of a log, by bundle and archive."""
        return [
            finding.archived_of(row) for row in await read(self._engine, finding.ARCHIVED, log=log)
        ]

    async def documents(self, tenant: str) -> list[Document[Spec]]:
        """Return every version of every document of a tenant, oldest first."""
        return [
            Document(
                row.kind,
                row.name,
                row.version,
                read_spec(ALL_KINDS[row.kind], row.kind, row.name, orjson.loads(row.spec)),
            )
            for row in await read(self._engine, _DOCUMENTS, tenant=tenant)
        ]

    async def document_counts(self) -> dict[str, int]:
        """Return how many versions of documents each tenant has; it grows with every change."""
        return {row.tenant: row.held for row in await read_all(self._engine, _COUNTS)}

    async def tenants(self) -> list[str]:
        """Return the names of all tenants."""
        return [row.log for row in await read(self._engine, _TENANTS)]

    async def patients(self, tenant: str, terms: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return, for each blind index term that is known, the ledger ids of its patients."""
        found: dict[str, set[str]] = {}
        query, given = self._listed(_PATIENTS, terms)
        for row in await read(self._engine, query, tenant=tenant, terms=given):
            found.setdefault(row.term, set()).add(row.patient)
        return {term: frozenset(whose) for term, whose in found.items()}

    async def open_exchanges(self, tenant: str, *, expired_at_ms: int | None = None) -> list[str]:
        """Return the items of exchanges whose outcome is awaited.

        With `expired_at_ms`, only those whose replica holds no lease at that moment.
        """
        if expired_at_ms is None:
            found = await read(self._engine, _OPEN_EXCHANGES, tenant=tenant)
        else:
            found = await read(
                self._engine, _EXPIRED_EXCHANGES, tenant=tenant, now_ms=expired_at_ms
            )
        return [row.item for row in found]

    async def sealed(self, tenant: str, kind: str, item: str) -> Sealed | None:
        """Return a sealed value, or None if there is none."""
        rows = await read(self._engine, _SEALED, tenant=tenant, kind=kind, item=item)
        return Sealed(bytes(rows[0].envelope)) if rows else None

    async def reference(self, tenant: str, kind: str, item: str) -> str | None:
        """Return the digest of a sealed value that lies in the payload store, or None."""
        rows = await read(self._engine, _REFERENCE, tenant=tenant, kind=kind, item=item)
        return str(rows[0].digest) if rows else None

    async def session(self, digest: str) -> Session | None:
        """Return a session by the digest of its name, whether it is live or not."""
        rows = await read(self._engine, finding.SESSION, digest=digest)
        return finding.session_of(rows[0]) if rows else None

    async def sessions(self, tenant: str, user: str | None = None) -> list[Session]:
        """Return a tenant's sessions, or one person's, oldest first, live or not."""
        rows = await read(self._engine, finding.SESSIONS, tenant=tenant, person=user)
        return [finding.session_of(row) for row in rows]

    async def answer(self, digest: str) -> KeptAnswer | None:
        """Return what is known of an idempotency key."""
        rows = await read(self._engine, finding.ANSWER, digest=digest)
        return finding.answer_of(rows[0]) if rows else None

    async def spent_from(self, first: str, now_ms: int) -> frozenset[str]:
        """Return the digests of spent assertions from `first` on whose time is not over."""
        rows = await read(self._engine, finding.SPENT_FROM, first=first, now_ms=now_ms)
        return frozenset(row.digest for row in rows)

    async def referred(self, digests: Sequence[str]) -> frozenset[str]:
        """Return those of these digests that a reference names, whichever tenant's."""
        query, given = self._listed(_REFERRED, digests)
        rows = await read_all(self._engine, query, digests=given)
        return frozenset(row.digest for row in rows)

    def _listed(
        self, queries: Mapping[str, TextClause], wanted: Sequence[str]
    ) -> tuple[TextClause, list[str] | str]:
        """Return this database's query about a list, and the list as it takes it."""
        name = self._engine.dialect.name
        given = list(wanted)
        return queries[name], given if name == "postgresql" else orjson.dumps(given).decode()

    async def _ask(
        self, until: float, tenants: str, query: Executable, **values: Any
    ) -> Sequence[Row[Any]]:
        """Run a query of one log, beside all other reading, until a moment."""

        def work() -> Sequence[Row[Any]]:
            return read_now(self._engine, query, values, tenants, until)

        return await asyncio.get_running_loop().run_in_executor(self._asking, work)

    def _head(self, row: Row[Any]) -> Head:
        return Head(
            log=row.log,
            origin=row.origin,
            size=row.size,
            root=stored_range(row.edge).root(),
            checkpoint=row.checkpoint,
            vkey=format_vkey(row.origin, self._public_key),
            minimum=row.minimum,
        )


async def read(engine: Engine, query: Executable, **values: Any) -> Sequence[Row[Any]]:
    """Run a read of the tenant or the log that `values` name, on a thread with a pool's connection.

    Where they name none, PostgreSQL shows no row that is a tenant's.
    """
    tenants = values.get("tenant", values.get("log", ""))
    return await asyncio.to_thread(read_now, engine, query, values, tenants)


async def read_all(engine: Engine, query: Executable, **values: Any) -> Sequence[Row[Any]]:
    """Run a read that is about the rows of every tenant at once."""
    return await asyncio.to_thread(read_now, engine, query, values, EVERY_TENANT)


def read_now(
    engine: Engine,
    query: Executable,
    values: Mapping[str, Any],
    tenants: str,
    until: float | None = None,
) -> Sequence[Row[Any]]:
    """Run a read as `tenants`, which is ended at the moment `until` if there is one."""
    # Before a connection is waited for: what waits behind must end in time as well.
    if until is not None and time.monotonic() >= until:
        raise _too_slow()
    with translated():
        try:
            if engine.dialect.name == "postgresql":
                # The library is an extra, which the other database does without.
                from seawall.adapters.db.postgres_tenants import ask  # noqa: PLC0415

                return ask(engine, query, values, tenants=tenants, until=until)
            with engine.connect() as connection, _ending(connection, until):
                return connection.execute(query, values).all()
        except (DBAPIError, Unavailable):
            if until is not None and time.monotonic() >= until:
                raise _too_slow() from None
            raise


@contextmanager
def _ending(connection: Connection, until: float | None) -> Iterator[None]:
    """End what a connection of SQLite does at a moment."""
    if until is None:
        yield
        return
    raw: Any = connection.connection.driver_connection
    raw.set_progress_handler(lambda: time.monotonic() >= until, _STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def _too_slow() -> Unavailable:
    return Unavailable(
        "query-too-slow",
        "the ledger does not find this within its time limit",
        "narrow the query: a shorter time, or one more condition that few entries meet",
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn exceptions of either library, and what is around them, into ours."""
    try:
        yield
    except DBAPIError as error:
        # Only PostgreSQL's errors have a state, which is None where the connection broke.
        if hasattr(error.orig, "sqlstate"):
            raise translate_state(getattr(error.orig, "sqlstate", None)) from None
        raise translate(error.orig) from None
    except SQLAlchemyError:
        # Such as no connection of the pool that is free in time.
        raise translate_state(None) from None
    except sqlcipher.Error as error:
        raise translate(error) from None
