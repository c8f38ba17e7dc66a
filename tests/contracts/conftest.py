"""Every implementation of a port, so that each suite here runs against all of them.

A new adapter joins by one more entry in the list of its port.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

import embedded
import postgres
from contracts.key_managers import KEY_MANAGERS, file, openbao_transit
from embedded import ORIGIN
from fake_keys import RECEIPT_KEY, MemoryKeyRing, MemoryKeys
from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.adapters.keys.ring import EnvelopeKeyRing
from seawall.adapters.tokens import SignedTokens
from seawall.app.ports import TenantKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from contracts.key_managers import Keys
    from postgres import Server
    from seawall.app.ports import KeyRing, Ledger, Store, Tokens, WrappedKeys


@dataclass(frozen=True)
class Books:
    """A ledger with the log `clinic`, the store that reads what it records, and wrapped keys."""

    ledger: Ledger
    store: Store
    keys: WrappedKeys


@dataclass(frozen=True)
class Ring:
    """A key ring with the tenant `clinic`, and the clock by which its grants expire."""

    keys: KeyRing
    clock: FakeClock


@asynccontextmanager
async def memory_books(_request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield the fakes."""
    ledger = MemoryLedger()
    yield Books(ledger, MemoryStore(ledger), ledger.keys)


@asynccontextmanager
async def embedded_books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield the SQLCipher database."""
    async with embedded.opened(request.getfixturevalue("tmp_path")) as database:
        yield Books(database.ledger, database.store, database.keys)


@asynccontextmanager
async def postgres_books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield a PostgreSQL database."""
    server: Server = request.getfixturevalue("postgres_server")
    async with postgres.opened(server, server.new_database()) as database:
        yield Books(database.ledger, database.store, database.keys)


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


@asynccontextmanager
async def memory_ring(_: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[KeyRing]:
    """Yield the fake."""
    yield MemoryKeyRing(clock, FakeRandom())


def envelope_ring(
    keeping: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[WrappedKeys]],
    managing: Callable[[pytest.FixtureRequest], AbstractContextManager[Keys]],
) -> Callable[[pytest.FixtureRequest, FakeClock], AbstractAsyncContextManager[KeyRing]]:
    """Return what makes the product's key ring, of one database and one key manager."""

    @asynccontextmanager
    async def made(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[KeyRing]:
        """Yield the key ring."""
        async with keeping(request) as wrapped:
            with managing(request) as root:
                yield EnvelopeKeyRing(
                    manager=root.manager,
                    operator=root.operator,
                    keys=wrapped,
                    receipt_key=RECEIPT_KEY,
                    clock=clock,
                    random=FakeRandom(),
                )

    made.__name__ = f"{keeping.__name__}-{managing.__name__}"
    return made


RINGS: Final = [
    memory_ring,
    *(envelope_ring(memory_wrapped_keys, managing) for managing in KEY_MANAGERS),
    envelope_ring(embedded_wrapped_keys, file),
    envelope_ring(postgres_wrapped_keys, openbao_transit),
]


@pytest.fixture(params=[memory_books, embedded_books, postgres_books])
async def books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    """Yield each pair of Ledger and Store, with the log `clinic` open."""
    async with request.param(request) as made:
        await made.ledger.open_log("clinic", ORIGIN)
        yield made


@pytest.fixture(params=[memory_wrapped_keys, embedded_wrapped_keys, postgres_wrapped_keys])
async def wrapped_keys(request: pytest.FixtureRequest) -> AsyncIterator[WrappedKeys]:
    """Yield each WrappedKeys, with two versions of the keys of two tenants and no data key."""
    async with request.param(request) as made:
        for tenant in ("clinic", "school"):
            for version in (1, 2):
                await made.keep_tenant_key(TenantKey(tenant, "data", version, 1, b"wrapped"))
        yield made


@pytest.fixture(params=RINGS, ids=lambda made: made.__name__)
async def ring(request: pytest.FixtureRequest) -> AsyncIterator[Ring]:
    """Yield each KeyRing with the tenant `clinic`."""
    clock = FakeClock()
    async with request.param(request, clock) as keys:
        await keys.prepare("clinic")
        yield Ring(keys, clock)


@pytest.fixture(params=[SignedTokens])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    """Return each Tokens under the seed of 32 bytes `01`."""
    made: Tokens = request.param(b"\x01" * 32, FakeClock())
    return made
