"""Upstreams that speak OpenAI's dialect, over raw bytes and verified TLS.

No redirect is followed, no proxy environment read, no cookie kept, no certificate
left unverified, and no error of the upstream's is passed on in its own words,
because it may quote the request. Every wait and every size has a limit.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp

from seawall.adapters.models.secrets import read_secret
from seawall.core.errors import Unavailable
from seawall.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    from seawall.core.registers.endpoint import EndpointSpec

MAX_ANSWER_BYTES: Final = 4 << 20
_CHUNK: Final = 65_536
_LETTING_GO_SECONDS: Final = 0.05


class UpstreamAnswer:
    """One answer, read whole or in chunks."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    async def read(self) -> bytes:
        """Return the whole body, bounded; `Unavailable` if it breaks off or is too large."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; `Unavailable` if it breaks off or stalls."""
        size = 0
        try:
            async for chunk in self._response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    raise Unavailable(
                        "upstream-too-large",
                        "the model's answer exceeds the size limit",
                        "ask for less, or go on without AI",
                    )
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unavailable(error) from None


class UpstreamClient:
    """The ModelClient port by aiohttp: one session, one TLS context per trust anchor."""

    def __init__(
        self, *, secrets: Path, connect_seconds: float = 5.0, idle_seconds: float = 30.0
    ) -> None:
        """Take the folder of secrets, and how long to wait for a connection and between bytes."""
        self._secrets = secrets
        self._timeout = aiohttp.ClientTimeout(
            total=600.0, sock_connect=connect_seconds, sock_read=idle_seconds
        )
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            # aiohttp does not wait until TLS transports let go of their sockets, refused ones too.
            await asyncio.sleep(_LETTING_GO_SECONDS)

    @asynccontextmanager
    async def send(
        self, endpoint: EndpointSpec, path: str, body: bytes
    ) -> AsyncIterator[UpstreamAnswer]:
        """Post `body` below the endpoint's URL; `Unavailable` if no answer comes."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if endpoint.secret is not None:
            headers["Authorization"] = f"Bearer {read_secret(endpoint.secret, self._secrets)}"
        try:
            response = await self._client().post(
                endpoint.url + path,
                data=body,
                headers=headers,
                ssl=self._context(endpoint.trust),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:
            raise _unavailable(error) from None
        try:
            yield UpstreamAnswer(response)
        finally:
            # A body that was not read to its end must not reach another exchange, nor
            # keep its socket until the upstream agrees to close.
            unfinished = response.connection
            if unfinished is not None and unfinished.transport is not None:
                unfinished.transport.abort()
            response.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=256, ttl_dns_cache=60),
            )
        return self._session

    def _context(self, trust: str | None) -> ssl.SSLContext:
        context = self._contexts.get(trust)
        if context is None:
            try:
                context = client_context(trust)
            except OSError:  # ssl.SSLError is one
                raise Unavailable(
                    "trust-missing",
                    "the endpoint's certificate authorities cannot be read",
                    "check the file that the Endpoint names under trust",
                ) from None
            self._contexts[trust] = context
        return context


def _unavailable(error: Exception) -> Unavailable:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return Unavailable(
            "upstream-untrusted",
            "the model's certificate is not trusted",
            "check the Endpoint's url and trust",
        )
    if isinstance(error, TimeoutError):
        return Unavailable(
            "upstream-timeout",
            "the model does not answer within the time limit",
            "try again later, or go on without AI",
        )
    return Unavailable(
        "upstream-unreachable",
        "the connection to the model broke or could not be made",
        "try again later, or go on without AI",
    )
