"""Every implementation of a port, so that each suite here runs against all of them.

A new adapter joins by one more entry in the list of its port.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import embedded
import postgres
from embedded import ORIGIN
from fakes import (
    RECEIPT_KEY,
    FakeClock,
    FakeRandom,
    MemoryKeyRing,
    MemoryKeys,
    MemoryLedger,
    MemoryStore,
)
from seawall.adapters.keys.file import FileKeyRing
from seawall.adapters.keys.ring_file import RingFile
from seawall.adapters.tokens import SignedTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from postgres import Server
    from seawall.app.ports import KeyRing, Ledger, Store, Tokens, WrappedKeys


@dataclass(frozen=True)
class Books:
    """A ledger with the log `clinic`, and the store that reads what it records."""

    ledger: Ledger
    store: Store


@dataclass(frozen=True)
class Ring:
    """A key ring with the tenant `clinic`, and the clock by which its grants expire."""

    keys: KeyRing
    clock: FakeClock


@asynccontextmanager
async def memory_books(_request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield the fakes."""
    ledger = MemoryLedger()
    yield Books(ledger, MemoryStore(ledger))


@asynccontextmanager
async def embedded_books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield the SQLCipher database."""
    async with embedded.opened(request.getfixturevalue("tmp_path")) as database:
        yield Books(database.ledger, database.store)


@asynccontextmanager
async def postgres_books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield a PostgreSQL database."""
    server: Server = request.getfixturevalue("postgres_server")
    async with postgres.opened(server, server.new_database()) as database:
        yield Books(database.ledger, database.store)


@asynccontextmanager
async def memory_wrapped_keys(_request: pytest.FixtureRequest) -> AsyncIterator[WrappedKeys]:
    """Yield the fake."""
    yield MemoryKeys()


@asynccontextmanager
async def embedded_wrapped_keys(request: pytest.FixtureRequest) -> AsyncIterator[WrappedKeys]:
    """Yield the SQLCipher database's."""
    async with embedded.opened(request.getfixturevalue("tmp_path")) as database:
        yield database.keys


@asynccontextmanager
async def postgres_wrapped_keys(request: pytest.FixtureRequest) -> AsyncIterator[WrappedKeys]:
    """Yield a PostgreSQL database's."""
    server: Server = request.getfixturevalue("postgres_server")
    async with postgres.opened(server, server.new_database()) as database:
        yield database.keys


def memory_ring(_folder: Path, clock: FakeClock) -> KeyRing:
    """Return the fake."""
    return MemoryKeyRing(clock, FakeRandom())


def file_ring(folder: Path, clock: FakeClock) -> KeyRing:
    """Return the key ring over a ring file."""
    random = FakeRandom()
    return FileKeyRing(
        ring=RingFile.create(folder / "ring.json", b"passphrase", random),
        keys=MemoryKeys(),
        receipt_key=RECEIPT_KEY,
        clock=clock,
        random=random,
    )


@pytest.fixture(params=[memory_books, embedded_books, postgres_books])
async def books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield each pair of Ledger and Store, with the log `clinic` open."""
    async with request.param(request) as made:
        await made.ledger.open_log("clinic", ORIGIN)
        yield made


@pytest.fixture(params=[memory_wrapped_keys, embedded_wrapped_keys, postgres_wrapped_keys])
async def wrapped_keys(request: pytest.FixtureRequest) -> AsyncIterator[WrappedKeys]:
    """Yield each WrappedKeys, empty."""
    async with request.param(request) as made:
        yield made


@pytest.fixture(params=[memory_ring, file_ring])
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> Ring:
    """Return each KeyRing with the tenant `clinic`."""
    clock = FakeClock()
    keys: KeyRing = request.param(tmp_path, clock)
    keys.prepare("clinic")
    return Ring(keys, clock)


@pytest.fixture(params=[SignedTokens])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    """Return each Tokens under the seed of 32 bytes `01`."""
    made: Tokens = request.param(b"\x01" * 32, FakeClock())
    return made
