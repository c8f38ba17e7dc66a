"""Every route, in one list, and what wraps them, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from seawall.core.errors import Error
from seawall.http.errors import failed, json_response, no_such_door, respond

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from seawall.http.chat import ChatDoor
    from seawall.http.metrics import Metrics
    from seawall.http.oauth import TokenDoor
    from seawall.http.tlog import TlogDoor

_UNDECIDED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that no register decides on."""


def application(
    *,
    chat: ChatDoor,
    tokens: TokenDoor,
    tlog: TlogDoor,
    metrics: Metrics,
    more: Sequence[BaseRoute] = (),
    is_ready: Callable[[], Awaitable[None]],
    refresh: Callable[[], Awaitable[None]],
) -> Starlette:
    """Return the ASGI application; `is_ready` raises one of our errors while it is not.

    `more` are the admin API and the pages. `refresh` is awaited before each request that a
    register decides on; its errors refuse.
    """

    async def healthy(_: Request) -> Response:
        """Answer that the process runs."""
        return json_response({"status": "ok"})

    async def ready(_: Request) -> Response:
        """Answer whether exchanges can be carried."""
        try:
            await is_ready()
        except Error as error:
            return respond(error)
        return json_response({"status": "ready"})

    async def measured(_: Request) -> Response:
        """Answer with the counters."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", chat.completions, methods=["POST"]),
            Route("/v1/models", chat.models, methods=["GET"]),
            Route("/oauth2/token", tokens.token, methods=["POST"]),
            Route("/oauth2/revoke", tokens.revoke, methods=["POST"]),
            Route("/.well-known/oauth-authorization-server", tokens.metadata, methods=["GET"]),
            Route("/log/{log}/checkpoint", tlog.checkpoint, methods=["GET"]),
            Route("/log/{log}/tile/{path:path}", tlog.tile, methods=["GET"]),
            Route("/healthz", healthy, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", measured, methods=["GET"]),
            *more,
        ],
        middleware=[Middleware(_Fresh, refresh=refresh)],
        exception_handlers={404: _no_door, 405: _no_door, Exception: _bug},
    )
    # Else a path with a slash too many is sent on to wherever its Host header says.
    app.router.redirect_slashes = False
    return app


class _Fresh:
    """Lets a request in when the registers are as fresh as the store; answers 503 otherwise."""

    def __init__(self, app: ASGIApp, refresh: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._refresh = refresh

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _UNDECIDED:
            try:
                await self._refresh()
            except Error as error:
                await respond(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _no_door(_request: Request, _error: Exception) -> Response:
    return respond(no_such_door())


async def _bug(_request: Request, _error: Exception) -> Response:
    return respond(failed())
