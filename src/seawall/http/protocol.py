"""HTTP/1.1 by httptools: a time limit on what a caller has not said yet, and its certificate.

uvicorn limits how long a connection may idle between requests; this limits how
long one may take to begin, and to finish, the head of a request. A connection
that says nothing is closed, so that silence cannot fill the server.

The certificate that a caller showed in its handshake, verified there, goes to the
application in the connection's scope, by its thumbprint; no header can put it there.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

HEAD_SECONDS: Final = 10.0
CLIENT_CERTIFICATE: Final = "client_cert_sha256"
"""Where the scope's TLS extension has the thumbprint, `x5t#S256` of RFC 8705, or None."""


class TimedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is not whole within the limit."""

    head_seconds: ClassVar[float] = HEAD_SECONDS
    """How long a request's head may take, in seconds."""
    _head_timer: asyncio.TimerHandle | None = None
    _shown: str | None = None
    when_lost: Callable[[], None] | None = None
    """What is called when a connection that was made is lost."""
    was_connected: bool = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it so
        """Begin to wait for a request."""
        self.was_connected = True
        super().connection_made(transport)
        self._shown = _thumbprint(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        """Wait for the rest of the head, of a later request too."""
        super().on_message_begin()
        scope: dict[str, Any] = {**self.scope}
        scope["extensions"] = {"tls": {CLIENT_CERTIFICATE: self._shown}}
        self.scope = scope  # type: ignore[assignment]  # uvicorn's type has no extensions
        self._await_head()

    def on_headers_complete(self) -> None:
        """Stop waiting: the head is whole."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting: nobody is there."""
        self._stop_waiting()
        if self.when_lost is not None:
            self.when_lost()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _thumbprint(transport: asyncio.BaseTransport) -> str | None:
    """Return the thumbprint of the certificate that a handshake verified, if it brought one."""
    connection = transport.get_extra_info("ssl_object")
    certificate = connection.getpeercert(binary_form=True) if connection else None
    if not certificate:
        return None
    digest = hashlib.sha256(certificate).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
