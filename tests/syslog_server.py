"""A syslog receiver over TLS, written with the standard library alone, on this machine.

It keeps what each connection brought. How it ends a connection can be chosen: in order, by
closing without TLS's farewell, or by breaking it in the middle.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Literal

from strict_syslog import Message, frames, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Ending = Literal["in-order", "unannounced", "reset", "never", "crash", "farewell-first"]


class SyslogServer:
    """A receiver; `streams` holds what each connection brought."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.streams: list[bytes] = []
        self.endings: list[Ending] = []
        """How the next connections end; in order when this is empty."""
        self.stopping = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def messages(self) -> list[Message]:
        """Return all messages that came whole, in order of arrival."""
        return [parse(raw) for stream in self.streams for raw in frames(stream)]

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self.stopping.is_set():
            plain, _ = self._listener.accept()
            with plain, contextlib.suppress(OSError):
                plain.settimeout(10)
                self._receive(self._context.wrap_socket(plain, server_side=True))

    def _receive(self, connection: ssl.SSLSocket) -> None:
        ending = self.endings.pop(0) if self.endings else "in-order"
        with connection:
            if ending == "crash":
                return  # the socket is closed with whatever came
            if ending == "farewell-first":
                with contextlib.suppress(OSError):
                    connection.setblocking(False)
                    connection.unwrap()
                return
            if ending == "reset":
                # The kernel answers what was not read with a reset.
                connection.recv(1)
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            content = b""
            while piece := connection.recv(65_536):
                content += piece
            if ending == "never":
                self.stopping.wait(10)
                return
            self.streams.append(content)
            if ending == "in-order":
                connection.unwrap().close()


@contextlib.contextmanager
def syslog_server(
    certificate: Path, key: Path, password: str, clients: Path | None = None
) -> Iterator[SyslogServer]:
    """Listen while the context lasts; with `clients`, ask for a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, password)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    server = SyslogServer(context)
    try:
        yield server
    finally:
        server.close()
