"""Reading the embedded database, away from the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from sqlalchemy import and_, select

from seawall.adapters.db.schema import (
    data_keys,
    documents,
    entries,
    heads,
    open_exchanges,
    patients,
    sealed,
    tiles,
)
from seawall.adapters.db.sqlcipher import foreign_errors
from seawall.app.ports import Head, WrappedKey
from seawall.core.errors import Missing
from seawall.core.ledger.checkpoint import format_vkey
from seawall.core.ledger.tree import Edge
from seawall.core.registers.register import KINDS
from seawall.core.registers.spec import Document, Spec, read_spec
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine, Row, Select

    from seawall.adapters.db.sequencer import Sequencer

T = TypeVar("T")


class EmbeddedStore:
    """The Store port over SQLCipher."""

    def __init__(self, engine: Engine, public_key: bytes) -> None:
        self._engine = engine
        self._public_key = public_key

    async def logs(self) -> list[Head]:
        """Return every log."""
        rows = await self._all(select(heads).order_by(heads.c.log))
        return [self._head(row) for row in rows]

    async def head(self, log: str) -> Head:
        """Return one log; `Missing` if there is none of this name."""
        rows = await self._all(select(heads).where(heads.c.log == log))
        if not rows:
            raise Missing(
                "log-unknown",
                "there is no log of this name",
                "name a tenant with --tenant, or the system's log with --system",
            )
        return self._head(rows[0])

    async def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Return the entries `start` to `stop` (exclusive), as they were hashed."""
        position = entries.c.position
        rows = await self._all(
            select(entries.c.entry)
            .where(and_(entries.c.log == log, position >= start, position < stop))
            .order_by(position)
        )
        return [row.entry for row in rows]

    async def tile(self, log: str, level: int, index: int) -> bytes:
        """Return the hashes of a tile, as many as there are; empty if there are none."""
        rows = await self._all(
            select(tiles.c.hashes).where(
                and_(tiles.c.log == log, tiles.c.level == level, tiles.c.position == index)
            )
        )
        return bytes(rows[0].hashes) if rows else b""

    async def documents(self, tenant: str) -> list[Document[Spec]]:
        """Return every version of every document of a tenant, oldest first."""
        table = documents
        rows = await self._all(
            select(table)
            .where(table.c.tenant == tenant)
            .order_by(table.c.kind, table.c.name, table.c.version)
        )
        return [
            Document(
                row.kind,
                row.name,
                row.version,
                read_spec(KINDS[row.kind], row.kind, row.name, orjson.loads(row.spec)),
            )
            for row in rows
        ]

    async def tenants(self) -> list[str]:
        """Return the names of all tenants."""
        rows = await self._all(select(heads.c.log).where(heads.c.log != "system"))
        return sorted(row.log for row in rows)

    async def patients(self, tenant: str, terms: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return, for each blind index term that is known, the ledger ids of its patients."""
        table = patients
        rows = await self._all(
            select(table.c.term, table.c.patient).where(
                and_(table.c.tenant == tenant, table.c.term.in_(terms))
            )
        )
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(row.term, set()).add(row.patient)
        return {term: frozenset(whose) for term, whose in found.items()}

    async def open_exchanges(self, tenant: str) -> list[str]:
        """Return the items of exchanges whose outcome is awaited."""
        table = open_exchanges
        rows = await self._all(select(table.c.item).where(table.c.tenant == tenant))
        return [row.item for row in rows]

    async def sealed(self, tenant: str, kind: str, item: str) -> Sealed | None:
        """Return a sealed value, or None if there is none."""
        table = sealed
        rows = await self._all(
            select(table.c.envelope).where(
                and_(table.c.tenant == tenant, table.c.kind == kind, table.c.item == item)
            )
        )
        return Sealed(bytes(rows[0].envelope)) if rows else None

    def _head(self, row: Row[Any]) -> Head:
        return Head(
            log=row.log,
            origin=row.origin,
            size=row.size,
            root=Edge.from_bytes(row.edge).root(),
            checkpoint=row.checkpoint,
            vkey=format_vkey(row.origin, self._public_key),
        )

    async def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return await _away(self._engine, lambda connection: connection.execute(query).all())


class EmbeddedKeys:
    """The WrappedKeys port: reads from the database, writes through the sequencer."""

    def __init__(self, engine: Engine, sequencer: Sequencer) -> None:
        self._engine = engine
        self._sequencer = sequencer

    async def current(self, tenant: str, subject: str, kind: str) -> WrappedKey | None:
        """Return the newest data key of a subject and kind."""
        table = data_keys
        return await self._one(
            select(table)
            .where(and_(table.c.tenant == tenant, table.c.subject == subject, table.c.kind == kind))
            .order_by(table.c.version.desc())
            .limit(1)
        )

    async def by_id(self, tenant: str, key_id: str) -> WrappedKey | None:
        """Return a data key by its id."""
        table = data_keys
        return await self._one(
            select(table).where(and_(table.c.key_id == key_id, table.c.tenant == tenant))
        )

    async def keep(self, key: WrappedKey) -> WrappedKey:
        """Keep a new data key durably; return the one that is current afterwards."""
        await self._sequencer.keep(key)
        kept = await self.current(key.tenant, key.subject, key.kind)
        if kept is None:
            raise RuntimeError("a data key was kept and is not there")
        return kept

    async def _one(self, query: Select[Any]) -> WrappedKey | None:
        rows = await _away(self._engine, lambda connection: connection.execute(query).all())
        return WrappedKey(**rows[0]._mapping) if rows else None  # noqa: SLF001  public, despite its name


async def _away(engine: Engine, read: Callable[[Connection], T]) -> T:
    """Run a read on a thread with a connection of the pool."""

    def work() -> T:
        with foreign_errors(), engine.connect() as connection:
            return read(connection)

    return await asyncio.to_thread(work)
