"""The one map from our errors to HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused, Tampered, Unavailable
from seawall.core.gateway.openai_chat import error_body

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUS: Final[dict[type[Error], int]] = {
    Invalid: 400,
    Refused: 403,
    Missing: 404,
    Conflict: 409,
    Unavailable: 503,
    Tampered: 500,
}

_STATUS_OF_CODE: Final[dict[str, int]] = {
    "token-missing": 401,
    "token-foreign": 401,
    "token-expired": 401,
    "token-revoked": 401,
    "token-bound": 401,
    "token-unbound": 401,
    "certificate-needed": 401,
    "static-key-refused": 401,
    "person-gone": 401,
    "proof-missing": 401,
    "proof-unasked": 401,
    "proof-refused": 401,
    "proof-nonce-needed": 401,
    "proof-needed": 400,
    "scope-refused": 400,
    "subject-refused": 400,
    "assertion-refused": 401,
    "assertion-reused": 401,
    "session-ended": 401,
    "step-up-needed": 401,
    "sign-in-limited": 429,
    "explain-limited": 429,
    "body-kind": 415,
    "key-reused": 422,
    "version-changed": 412,
    "version-needed": 428,
    "body-too-large": 413,
    "body-too-slow": 408,
    "checkpoint-forked": 422,
    "checkpoint-inconsistent": 422,
    "entry-pruned": 410,
    "upstream-rejected": 400,
    "upstream-busy": 429,
    "upstream-timeout": 504,
    "upstream-credentials": 502,
    "upstream-cut": 502,
    "upstream-failed": 502,
    "upstream-garbage": 502,
    "upstream-too-large": 502,
    "upstream-unreachable": 502,
    "upstream-untrusted": 502,
}

_OTHER_CONNECTION: Final = 'Bearer error="invalid_token"'
_ALGORITHMS: Final = 'algs="ES256 Ed25519 EdDSA"'
_CHALLENGE: Final = {
    "token-bound": _OTHER_CONNECTION,
    "token-unbound": _OTHER_CONNECTION,
    "proof-missing": f'DPoP error="invalid_token", {_ALGORITHMS}',
    "proof-unasked": _OTHER_CONNECTION,
    "proof-refused": f'DPoP error="invalid_dpop_proof", {_ALGORITHMS}',
    "proof-nonce-needed": f'DPoP error="use_dpop_nonce", {_ALGORITHMS}',
    "step-up-needed": 'Bearer error="insufficient_user_authentication", max_age="300"',
}
"""What RFC 6750 section 3 and RFC 8705 section 3 answer about a token of another connection,
RFC 9449 section 7 about one without its proof, and RFC 9470 section 3 about a factor that
must be shown again."""


def status(error: Error) -> int:
    """Return the HTTP status of an error."""
    return _STATUS_OF_CODE.get(error.code, _STATUS.get(type(error), 500))


def error_headers(error: Error) -> dict[str, str]:
    """Return the headers that go with an error: its entry, and how to authenticate."""
    headers = {"Cache-Control": "no-store"}
    if error.entry is not None:
        headers["Seawall-Entry"] = str(error.entry)
    if error.nonce is not None:
        headers["DPoP-Nonce"] = error.nonce
    if status(error) == 401:  # noqa: PLR2004  RFC 9110, 15.5.2
        headers["WWW-Authenticate"] = _CHALLENGE.get(error.code, "Bearer")
    return headers


def no_such_door() -> Missing:
    """Return what it is to ask for a path or by a method that the server does not have."""
    return Missing(
        "no-such-door",
        "Seawall has no such path or method",
        "docs/reference/http.md lists every path",
    )


def failed() -> Error:
    """Return what is said of a mistake of the program: nothing of it."""
    return Error(
        "internal",
        "Seawall failed on its own side",
        "tell the operator; the server's log names the place in the code",
    )


def respond(error: Error) -> Response:
    """Return the response to an error, in the shape that the OpenAI dialect's clients read."""
    return json_response(error_body(error), status(error), error_headers(error))


def json_response(
    content: object, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response that no cache keeps."""
    return Response(
        orjson.dumps(content),
        status_code,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )
