"""Serving the sandbox: TLS 1.2 or later, one line on standard output, no logs."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from seawall.sandbox.application import application
from seawall.sandbox.delivery import TRANSPORT

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

STOP_SECONDS = 1
"""How long open answers may take when the sandbox is told to stop."""


def tls_context(certificate: Path, key: Path, key_password: str | None) -> ssl.SSLContext:
    """Return a server's TLS context; raises OSError (ssl.SSLError) for a key that does not open."""

    def password() -> str:
        # Without a callback OpenSSL would ask at the terminal.
        return key_password or ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # As a vendor's server should be: forward-secret, authenticated encryption alone.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, password)
    return context


def serve(
    *, host: str, port: int, tls: ssl.SSLContext, api_key: str, until_stdin_closes: bool
) -> None:
    """Serve until a signal, and print `{"port": N}` when connections are accepted.

    Port 0 takes a free one. With `until_stdin_closes` the sandbox also stops
    when its standard input ends, so that it cannot outlive whoever started it.
    Raises OSError when the address cannot be bound.
    """
    # Nothing of a request may reach a log: not from here, not from the server below.
    logging.disable(logging.CRITICAL)
    listener = socket.create_server((host, port))
    config = uvicorn.Config(
        application(api_key),
        http=_KnownConnection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        ssl_context_factory=lambda _config, _default: tls,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Announced(config)
    if until_stdin_closes:
        threading.Thread(target=_stop_after_stdin, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


class _KnownConnection(H11Protocol):
    """Hands each request its connection's transport, which a reset on demand needs."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, TRANSPORT: transport}


class _Announced(uvicorn.Server):
    """Prints the port once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            sys.stdout.write(orjson.dumps({"port": listener.getsockname()[1]}).decode() + "\n")
        sys.stdout.flush()


def _stop_after_stdin(server: uvicorn.Server) -> None:
    while sys.stdin.buffer.read(4096):
        continue
    server.should_exit = True
