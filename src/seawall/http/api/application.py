"""The FastAPI application below /api: its rooms, its errors, its description.

It has no pages of documentation of its own, because those load scripts of another
server; /api/openapi.json describes it (OpenAPI 3.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

import seawall
from seawall.core.errors import Error, Invalid
from seawall.http.api.bodies import invalid
from seawall.http.api.guard import COOKIE, action_of, rules_of
from seawall.http.api.shapes import ERRORS
from seawall.http.errors import failed, no_such_door, respond

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import APIRouter
    from starlette.requests import Request
    from starlette.responses import Response

_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A client's token, from /oauth2/token (RFC 6750).",
    },
    "dpop": {
        "type": "http",
        "scheme": "DPoP",
        "description": "A client's token that is bound to a key of its own (RFC 9449).",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A person's session; changes need the headers Origin and Seawall-Csrf too.",
    },
}
_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same request is done once, for a day.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~:+/=-]{8,128}$"},
}


def api_application(rooms: Iterable[APIRouter]) -> FastAPI:
    """Return the application of these rooms, to be mounted at /api."""
    app = FastAPI(
        title="Seawall",
        version=seawall.__version__,
        summary="Administration: documents, keys, ledger, persons, and who may do what.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        responses=ERRORS,
        exception_handlers={
            Error: _told,
            RequestValidationError: _invalid,
            HTTPException: _no_door,
            Exception: _bug,
        },
    )
    routes = [route for room in rooms for route in _included(app, room)]
    described = app.openapi

    def openapi() -> dict[str, Any]:
        """Return the description, with how to authenticate and the keys of changes."""
        return _completed(described(), routes)

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


def _included(app: FastAPI, room: APIRouter) -> list[APIRoute]:
    app.include_router(room)
    return [route for route in room.routes if isinstance(route, APIRoute)]


def _completed(schema: dict[str, Any], routes: Iterable[APIRoute]) -> dict[str, Any]:
    if "securitySchemes" in schema.setdefault("components", {}):
        return schema
    schema["components"]["securitySchemes"] = _SCHEMES
    schema["security"] = [{name: []} for name in _SCHEMES]
    for route in routes:
        rules = rules_of(route.endpoint)
        for method in route.methods or ():
            operation = schema["paths"][route.path_format][method.lower()]
            # Validation is answered as every other error is, with 400.
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            if (action := action_of(route.dependant)) is not None:
                operation["x-seawall-action"] = action.value
            if rules.is_public:
                operation["security"] = []
            elif method != "GET":
                key = {**_KEY_PARAMETER, "required": rules.needs_key}
                operation.setdefault("parameters", []).append(key)
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"].get("schemas", {}).pop(name, None)
    return schema


async def _told(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Error):
        raise TypeError("this handler is for errors of ours")
    return respond(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Answer which fields are wrong, and never what was in them."""
    if not isinstance(error, RequestValidationError):
        raise TypeError("this handler is for what FastAPI does not accept")
    return respond(invalid(error))


async def _no_door(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 400:  # noqa: PLR2004  FastAPI's word for a body that it cannot read
        return respond(Invalid("body-invalid", "the body cannot be read", "send JSON in UTF-8"))
    return respond(no_such_door())


async def _bug(_request: Request, _error: Exception) -> Response:
    return respond(failed())
