"""The embedded database in a folder of a test, as the program composes it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from fake_keys import RECEIPT_KEY
from fakes import PUBLIC_KEY, SIGNING_KEY
from seawall.adapters.db.key_store import SqlKeys
from seawall.adapters.db.sequencer import Sequencer, Signer
from seawall.adapters.db.sqlcipher import connect, prepare_schema
from seawall.adapters.db.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

DATABASE_KEY: Final = bytes(range(64, 96))
"""The key of every test's database."""

ORIGIN: Final = "localhost/log/0123456789abcdef"
"""Where the log `clinic` of these tests is."""


@dataclass(frozen=True)
class Embedded:
    """An open database: what writes, what reads, and its key store."""

    path: Path
    ledger: Sequencer
    store: SqlStore
    keys: SqlKeys


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    connecting: Callable[[], Any] | None = None,
    limit_seconds: float = 30.0,
) -> AsyncIterator[Embedded]:
    """Open the database of a folder, making it first; `connecting` replaces the writer's way in.

    The time limit is so long by default that a busy machine makes no test fail.
    """
    path = folder / "seawall.db"

    def connecting_to_file() -> Any:
        """Connect to the folder's database."""
        return connect(path, DATABASE_KEY)

    engine = create_engine(
        "sqlite://", module=sqlcipher, creator=connecting_to_file, poolclass=QueuePool
    )
    try:
        prepare_schema(engine)
        signer = Signer(SIGNING_KEY.sign, PUBLIC_KEY, RECEIPT_KEY)
        ledger = Sequencer(connecting or connecting_to_file, signer, limit_seconds=limit_seconds)
        try:
            store = SqlStore(engine, PUBLIC_KEY)
            yield Embedded(path, ledger, store, SqlKeys(engine, ledger))
        finally:
            await asyncio.to_thread(ledger.close)
    finally:
        engine.dispose()
