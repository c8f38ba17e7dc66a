"""Connections that have not shaken hands, or are too many, do not keep others out."""

from __future__ import annotations

import asyncio
import resource
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from certified import Pair, TestAuthority
from seawall.http.accepting import HANDSHAKE_SECONDS, MOST_CONNECTIONS, most_connections
from seawall.http.server import listen, run, serving
from seawall.tls import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HANGING: Final = 10.0


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer every request."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """Return an authority of servers."""
    return TestAuthority(tmp_path_factory.mktemp("accepting"))


@pytest.fixture(scope="module")
def pair(authority: TestAuthority) -> Pair:
    """Return the server's certificate."""
    return authority.server()


@asynccontextmanager
async def served(pair: Pair, *, seconds: float = HANGING, most: int = 64) -> AsyncIterator[int]:
    """Serve with such limits; yield the port."""
    listener = listen("127.0.0.1", 0)
    context = server_context(pair.certificate, pair.key)
    async with serving(application, listener, context, handshake_seconds=seconds, most=most):
        yield listener.getsockname()[1]


async def answered(port: int, trusted: Path) -> bool:
    """Say whether a connection of its own is answered."""
    try:
        reader, writer = await asyncio.open_connection(
            "localhost", port, ssl=client_context(trusted)
        )
    except OSError:
        return False
    writer.write(REQUEST)
    line = await asyncio.wait_for(reader.readline(), HANGING)
    writer.close()
    return line == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "a beginning"])
def test_a_connection_without_a_handshake_is_closed(pair: Pair, said: bytes) -> None:
    """Who connects and does not shake hands is hung up on within the limit, on the real loop."""

    async def connect() -> None:
        """Connect without TLS, and wait for the end."""
        async with served(pair, seconds=0.2) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            assert b"" == await asyncio.wait_for(reader.read(), HANGING / 2)
            writer.close()

    run(connect())


def test_the_limit_of_the_server_is_the_stated_one() -> None:
    """The server itself waits eight seconds for a handshake, as docs/how-to says."""
    assert 8.0 == HANDSHAKE_SECONDS


def test_one_host_does_not_fill_the_server(pair: Pair, authority: TestAuthority) -> None:
    """Above its share a host is hung up on at once; when its connections end, it is served."""

    async def fill() -> list[bool]:
        """Hold three of four places in silence, ask, let go of them, ask again."""
        async with served(pair, most=4) as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            full = await answered(port, authority.certificate)
            for _, writer in held:
                writer.close()
            await asyncio.sleep(0.2)
            free = [await answered(port, authority.certificate) for _ in range(8)]
            return [full, *free]

    found: list[list[bool]] = []

    async def keep() -> None:
        """Keep what was found."""
        found.append(await fill())

    run(keep())
    assert [[False, *[True] * 8]] == found


def test_failed_handshakes_give_their_places_back(pair: Pair, authority: TestAuthority) -> None:
    """However many handshakes come to nothing, the server's places are free again."""
    found: list[bool] = []

    async def fail() -> None:
        """Trust another authority, ten times, and the right one then."""
        context = ssl.create_default_context()
        async with served(pair, most=4) as port:
            for _ in range(10):
                with pytest.raises(ssl.SSLError):
                    await asyncio.open_connection("localhost", port, ssl=context)
            await asyncio.sleep(0.2)
            found.append(await answered(port, authority.certificate))

    run(fail())
    assert [True] == found


def test_connections_leave_files_for_everything_else() -> None:
    """Of the files that a process may open, a quarter at least is not for connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
        assert 768 == most_connections()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert most_connections() <= MOST_CONNECTIONS
