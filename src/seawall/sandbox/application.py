"""The sandbox's routes; each one wants the key, and refuses in the dialect's words."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seawall.sandbox.delivery import JSON, deliver
from seawall.sandbox.dialect import MODEL, RELEASED_AT, UnusableRequestError, read_request
from seawall.sandbox.faults import fault_of
from seawall.sandbox.witness import Witness

MAXIMUM_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request body; a longer one gets status 413 and is not kept."""

RECEIVED: Final = "Sandbox-Received"
"""The header that tells under which number the witness keeps the request."""

Handler = Callable[[Request], Awaitable[Response]]


def application(api_key: str) -> Starlette:
    """Return the ASGI application; every route wants `api_key` as a bearer token."""
    model = _Model()
    routes = (
        ("/v1/models", model.list_models, ["GET"]),
        ("/v1/chat/completions", model.complete, ["POST"]),
        ("/v1/{rest:path}", model.decline, ["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ("/sandbox/received", model.list_received, ["GET"]),
        ("/sandbox/received/{number:int}", model.show_received, ["GET"]),
        ("/sandbox/forget", model.forget, ["POST"]),
    )
    app = Starlette(
        routes=[
            Route(path, _guarded(handler, api_key), methods=methods)
            for path, handler, methods in routes
        ]
    )
    # Else a path with a slash too many is sent on to wherever its Host header says.
    app.router.redirect_slashes = False
    return app


class _Model:
    """The handlers, around one witness."""

    def __init__(self) -> None:
        self._witness = Witness()

    async def list_models(self, _: Request) -> Response:
        """Say which model there is."""
        model = {"id": MODEL, "object": "model", "created": RELEASED_AT, "owned_by": "seawall"}
        return _json({"object": "list", "data": [model]})

    async def complete(self, request: Request) -> Response:
        """Answer a chat completion, and say under which number the witness keeps it."""
        number = await self._receive(request)
        try:
            chat = read_request(self._witness.body(number))
            response = deliver(chat, fault_of(chat.switches))
        except UnusableRequestError as error:
            response = _refusal(error)
        response.headers[RECEIVED] = str(number)
        return response

    async def decline(self, request: Request) -> Response:
        """Refuse what the sandbox does not serve; the witness keeps it all the same."""
        number = await self._receive(request)
        missing = UnusableRequestError(404, "not-found", "only chat completions are served here")
        response = _refusal(missing)
        response.headers[RECEIVED] = str(number)
        return response

    async def list_received(self, _: Request) -> Response:
        """List what the witness keeps, oldest first."""
        return _json([kept.shown() for kept in self._witness.all()])

    async def show_received(self, request: Request) -> Response:
        """Return the exact bytes of one request body."""
        body = self._witness.body(request.path_params["number"])
        return Response(body, media_type="application/octet-stream")

    async def forget(self, _: Request) -> Response:
        """Make the witness forget."""
        self._witness.forget()
        return Response(status_code=204)

    async def _receive(self, request: Request) -> int:
        body = bytearray()
        async for block in request.stream():
            body += block
            if len(body) > MAXIMUM_BODY:
                raise UnusableRequestError(413, "body-too-large", "the body is over the limit")
        return self._witness.receive(request.url.path, request.headers.items(), bytes(body))


def _guarded(handler: Handler, api_key: str) -> Handler:
    """Refuse strangers, and word every refusal in the dialect."""
    expected = f"Bearer {api_key}".encode()

    async def guarded(request: Request) -> Response:
        presented = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(expected, presented):
            return _refusal(UnusableRequestError(401, "invalid_api_key", "the key is not valid"))
        try:
            return await handler(request)
        except UnusableRequestError as error:
            return _refusal(error)

    return guarded


def _refusal(error: UnusableRequestError) -> Response:
    fields = {"type": "invalid_request_error", "param": None, "code": error.code}
    return _json({"error": {"message": error.message, **fields}}, error.status)


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type=JSON)
