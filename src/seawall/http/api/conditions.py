"""Versions in headers: what is unchanged is not sent again, what changed is not overwritten.

RFC 9110, section 13; RFC 6585, section 3. An ETag is strong: it names a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from seawall.core.errors import Conflict, Invalid
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


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
