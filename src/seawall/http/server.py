"""Listening: uvicorn over a TLS context of `seawall.tls`, and nothing else.

There is no way to listen without TLS (45 CFR 164.312(e)(1)).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from seawall.core.errors import Unavailable
from seawall.http.accepting import HANDSHAKE_SECONDS, Acceptor, most_connections
from seawall.http.protocol import TimedProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from starlette.types import ASGIApp


_ENDING_SECONDS: Final = 5.0
"""How long exchanges that the server gives up may take to be recorded as such."""
_WAITING: Final = 2_048
"""How many connections the system may keep for us until they are accepted."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; `Unavailable` if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, so that the event loop turns Nagle's delay off on what it accepts.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            "address-in-use",
            f"port {port} cannot be listened on ({error.strerror})",
            "stop what uses it, or choose another with --port",
        ) from None
    return listener


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a server's main coroutine on the event loop that uvicorn would choose: uvloop."""
    # Without a log_config of its own: the process's allow-list stays the only way out.
    config = uvicorn.Config("", log_config=None)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main)


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to whoever runs it, and accepting to `Acceptor`."""

    handshake_seconds: float
    most: int

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept on the sockets."""
        context = self.config.ssl
        if context is None or sockets is None:
            raise RuntimeError("there is no way to listen without TLS")
        await self.lifespan.startup()

        def protocol() -> TimedProtocol:
            """Make the protocol of one connection."""
            made: TimedProtocol = self.config.http_protocol_class(  # type: ignore[call-arg, assignment]  # as uvicorn does itself
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        self.servers = []
        for each in sockets:
            each.listen(_WAITING)
            acceptor = Acceptor(
                each, protocol, context, most=self.most, handshake_seconds=self.handshake_seconds
            )
            self.servers.append(acceptor)  # type: ignore[arg-type]  # it has what uvicorn calls
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def serving(
    app: ASGIApp,
    listener: socket.socket,
    context: ssl.SSLContext,
    protocol: type[TimedProtocol] = TimedProtocol,
    *,
    handshake_seconds: float = HANDSHAKE_SECONDS,
    most: int | None = None,
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve `app` on `listener` while the context lasts; yield the server's task.

    At most `most` connections are open at once; None means as many as the process may have.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=5,
        limit_concurrency=1_024,
        ws="none",
        http=protocol,
        ssl_context_factory=lambda _config, _default: context,
    )
    server = _Server(config)
    server.handshake_seconds = handshake_seconds
    server.most = most_connections() if most is None else most
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the server ended before it began")
            await asyncio.sleep(0.005)
        yield task
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        if ending := list(server.server_state.tasks):
            # What uvicorn cancelled still tells its caller, and records how it ended.
            await asyncio.wait(ending, timeout=_ENDING_SECONDS)
        listener.close()
