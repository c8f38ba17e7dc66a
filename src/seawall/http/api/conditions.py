"""Versions in headers: what is unchanged is not sent again, what changed is not overwritten.

RFC 9110, section 13; RFC 6585, section 3. An ETag is strong: it names a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from seawall.core.errors import Conflict, Invalid
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_NOT_SENT: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The caller has this version."}
}


def _header(name: str, told: str) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": 200}
    return {"name": name, "in": "header", "required": False, "description": told, "schema": schema}


READ: Final[dict[str, Any]] = {
    "responses": _NOT_SENT,
    "openapi_extra": {"parameters": [_header("If-None-Match", "The ETag that the caller has.")]},
}
"""What the description of a route says that answers with an ETag."""

CHANGED: Final[dict[str, Any]] = {
    "openapi_extra": {
        "parameters": [
            _header("If-Match", "The ETag of the version that is changed; needed for a change."),
            _header("If-None-Match", "`*` if nothing may be there yet."),
        ]
    },
}
"""What the description of a route says that changes a version."""


def etag(version: int | str) -> str:
    """Return the ETag of a version: a number, or a digest."""
    return f'"{version}"'


def versioned(
    request: Request,
    content: Any,
    version: int | str,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Return an answer with its ETag; 304 without a body if the caller has this version."""
    named = {"ETag": etag(version), **(headers or {})}
    if request.method in {"GET", "HEAD"} and _names(request, "if-none-match", etag(version)):
        return Response(status_code=304, headers={"Cache-Control": "no-store", **named})
    return json_response(content, status, named)


def check_match(request: Request, version: int | str | None) -> None:
    """Let a change of a version pass; `version` is None where there is nothing yet.

    `Invalid` (428) if a change of something that is there does not say of which version;
    `Conflict` (412) if it is another one. `If-None-Match: *` asks for nothing to be there.
    """
    asked = bool(request.headers.getlist("if-match"))
    if version is None:
        if asked:
            raise _changed()
        return
    if _names(request, "if-none-match", etag(version)):
        raise _changed()
    if not asked:
        raise Invalid(
            "version-needed",
            "this is there already, and a change must say of which version",
            "read it, and send its ETag in the header If-Match",
        )
    if not _names(request, "if-match", etag(version)):
        raise _changed()


def _names(request: Request, header: str, wanted: str) -> bool:
    """Whether a header names an ETag, or `*`; a weak one is compared by what it is of."""
    said = [one.strip() for line in request.headers.getlist(header) for one in line.split(",")]
    if header == "if-none-match":
        said = [one.removeprefix("W/") for one in said]
    return wanted in said or "*" in said


def _changed() -> Conflict:
    return Conflict(
        "version-changed",
        "this is not the version that the request names",
        "read it again, and decide again",
    )
