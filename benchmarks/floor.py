"""The bare floor: uvicorn, Starlette and aiohttp, passing bytes through over the same TLS.

No gateway in Python costs less; what Seawall costs is told as a multiple of it.
It runs as uvicorn runs by default, on uvloop.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.listening import announce, arguments, tls
from seawall.http.server import listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


class PassThrough:
    """POST /v1/chat/completions, unseen in both directions."""

    def __init__(self, upstream: str, context: ssl.SSLContext) -> None:
        self._url = f"{upstream}/chat/completions"
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, request: Request) -> Response:
        """Send the body on, and hand the answer back as it comes."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._context)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        body = await request.body()
        response = await self._session.post(self._url, data=body, headers=_HEADERS)
        kind = response.content_type
        if kind == "text/event-stream":
            return StreamingResponse(_chunks(response), media_type=kind)
        return Response(await response.read(), media_type=kind)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in response.content.iter_any():
        yield chunk


def _serve() -> None:
    given = arguments()
    door = PassThrough(given.upstream, ssl.create_default_context(cafile=given.authority))
    routes = [Route("/v1/chat/completions", door.answer, methods=["POST"])]
    context = tls(given)
    config = uvicorn.Config(
        Starlette(routes=routes),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        ssl_context_factory=lambda _config, _default: context,
    )
    listener = listen("127.0.0.1", 0)
    listener.listen(1_024)
    announce(listener)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _serve()
