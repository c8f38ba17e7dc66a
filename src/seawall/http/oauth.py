"""The token endpoint: RFC 6749, RFC 7523 and RFC 8705, in their own shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from seawall.core.errors import Error, Invalid
from seawall.http.errors import error_headers, json_response, status
from seawall.http.requests import client_certificate, read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from seawall.app.issue_token import IssueToken

_MAX_FORM: Final = 16_384
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenDoor:
    """POST /oauth2/token."""

    def __init__(self, issue_token: IssueToken) -> None:
        self._issue_token = issue_token

    async def token(self, request: Request) -> Response:
        """Exchange a signed assertion for a token."""
        try:
            form = _form(await read_body(request, _MAX_FORM))
            issued = await self._issue_token.issue(_assertion(form), client_certificate(request))
        except Error as error:
            code = "invalid_request" if isinstance(error, Invalid) else "invalid_client"
            if status(error) >= 500:  # noqa: PLR2004  RFC 6749, 4.1.2.1
                code = "temporarily_unavailable"
            body = {"error": code, "error_description": f"{error.message}; {error.help}"}
            return json_response({**body, "code": error.code}, status(error), error_headers(error))
        return json_response(
            {
                "access_token": issued.token,
                "token_type": "Bearer",
                "expires_in": issued.expires_in,
            }
        )


def _form(body: bytes) -> dict[str, str]:
    try:
        parsed = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=16)
        return {name: value for name, (value,) in parsed.items()}
    except (UnicodeDecodeError, ValueError):
        raise _wrong() from None


def _assertion(form: dict[str, str]) -> str:
    grant = form.get("grant_type")
    if grant == "client_credentials" and form.get("client_assertion_type") == _ASSERTION_TYPE:
        assertion = form.get("client_assertion")
    else:
        assertion = form.get("assertion") if grant == _JWT_BEARER else None
    if not assertion:
        raise _wrong()
    return assertion


def _wrong() -> Invalid:
    return Invalid(
        "grant-unsupported",
        "the form is not a request for a token by a signed assertion",
        "send grant_type=client_credentials with client_assertion_type and client_assertion, "
        "each once (RFC 7523)",
    )
