"""Accepting connections: few enough for the process, a share for each caller, a timed handshake.

uvicorn's way leaves a connection a minute for its handshake and accepts until the process
has no file descriptor left, so that silence would fill the server (availability: 45 CFR
164.306(a)(1)). It begins here before anything is read: who is one too many is hung up on.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from seawall.tls import of_one_connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from seawall.http.protocol import TimedProtocol

HANDSHAKE_SECONDS: Final = 8.0
"""So long the handshake of TLS may take."""
MOST_CONNECTIONS: Final = 1_536
"""So many are open at once, handshakes included, if the process may have that many files."""
_SHARE: Final = 0.75
"""This part of a limit is there: of the process's files for connections, of these for one host."""
_PAUSE_SECONDS: Final = 0.1


def most_connections() -> int:
    """Return how many connections this process may hold and still open other files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    return MOST_CONNECTIONS if unlimited else min(MOST_CONNECTIONS, int(soft * _SHARE))


class Acceptor:
    """Accepts on one socket for uvicorn, which knows it as one of its servers."""

    def __init__(
        self,
        listener: socket.socket,
        factory: Callable[[], TimedProtocol],
        context: ssl.SSLContext,
        *,
        most: int,
        handshake_seconds: float = HANDSHAKE_SECONDS,
    ) -> None:
        """Begin to accept."""
        # Of its own, so that it stays open until the last wait for it has ended.
        self._listener = listener.dup()
        self._listener.setblocking(False)
        self._factory = factory
        self._context = context
        self._most = most
        self._seconds = handshake_seconds
        self._open: Counter[str] = Counter()
        self._total = 0
        self._shaking: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and give up handshakes; what is open goes on."""
        for task in (self._task, *self._shaking):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing is accepted any more."""
        await asyncio.gather(self._task, *self._shaking, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._listener)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError:
                    # Too many files, or a caller that went again: neither ends the server.
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                host = _host(address)
                if self._is_full(host):
                    connection.close()
                    continue
                self._count(host, 1)
                task = asyncio.create_task(self._shake(connection, host))
                self._shaking.add(task)
                task.add_done_callback(self._shaking.discard)
        finally:
            self._listener.close()

    def _is_full(self, host: str) -> bool:
        return self._total >= self._most or self._open[host] >= int(self._most * _SHARE)

    def _count(self, host: str, by: int) -> None:
        self._total += by
        self._open[host] += by
        if not self._open[host]:
            del self._open[host]

    async def _shake(self, connection: socket.socket, host: str) -> None:
        """Shake hands; the protocol then says when the connection has ended."""
        made: list[TimedProtocol] = []

        def protocol() -> TimedProtocol:
            """Make the connection's protocol, and keep it."""
            made.append(self._factory())
            made[0].when_lost = lambda: self._count(host, -1)
            return made[0]

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                connection,
                ssl=of_one_connection(self._context),
                ssl_handshake_timeout=self._seconds,
            )
        except OSError:
            # The caller's handshake failed, or took too long; nobody is to be told.
            pass
        finally:
            if not (made and made[0].was_connected):
                self._count(host, -1)


def _host(address: Any) -> str:
    """Return what counts as one caller: an IPv4 address, or the 64 bits of an IPv6 network."""
    found = ip_address(str(address[0]).partition("%")[0])
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped) if found.ipv4_mapped else f"{int(found) >> 64:x}"
