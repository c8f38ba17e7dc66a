"""The token endpoints in their own shapes: tokens, their end, and what is supported.

RFC 6749, RFC 7009, RFC 7523, RFC 8414, RFC 8693, RFC 8705, RFC 9449.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from seawall.app.issue_token import Wanted
from seawall.core.errors import Error, Invalid
from seawall.http.errors import error_headers, json_response, status
from seawall.http.requests import client_certificate, read_body, shown_proof

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from seawall.app.issue_token import IssueToken

_MAX_FORM: Final = 16_384
_MAX_PATIENT: Final = 200
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a name of RFC 8693
_TOKEN_TYPES: Final = (None, _ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")
_CLIENT_ALGORITHMS: Final = ["ES256", "Ed25519", "EdDSA"]

_OAUTH_CODES: Final = {
    "proof-nonce-needed": "use_dpop_nonce",
    "proof-refused": "invalid_dpop_proof",
    "proof-needed": "invalid_dpop_proof",
    "scope-refused": "invalid_scope",
    "scope-unknown": "invalid_scope",
    "subject-refused": "invalid_request",
    "person-gone": "invalid_request",
}
"""What OAuth calls errors that are not the client's identity, each a 400."""


class TokenDoor:
    """POST /oauth2/token and /oauth2/revoke, and what tells of them."""

    def __init__(self, issue_token: IssueToken, token_url: str = "") -> None:
        self._issue_token = issue_token
        self._origin = token_url.removesuffix("/oauth2/token")

    async def token(self, request: Request) -> Response:
        """Exchange a signed assertion for a token."""
        try:
            form = _form(await read_body(request, _MAX_FORM))
            issued = await self._issue_token.issue(
                _assertion(form), client_certificate(request), _wanted(form, request)
            )
        except Error as error:
            return _refused(error)
        answer: dict[str, Any] = {
            "access_token": issued.token,
            "token_type": issued.kind,
            "expires_in": issued.expires_in,
        }
        if issued.scope is not None:
            answer["scope"] = issued.scope
        if form.get("grant_type") == _EXCHANGE:
            answer["issued_token_type"] = _ACCESS_TOKEN
        nonce = self._issue_token.nonce() if issued.kind == "DPoP" else None
        return json_response(answer, headers={} if nonce is None else {"DPoP-Nonce": nonce})

    async def revoke(self, request: Request) -> Response:
        """Take one token back; the same answer whether it was one (RFC 7009, section 2.2)."""
        try:
            form = _form(await read_body(request, _MAX_FORM))
            if "token" not in form:
                raise _wrong()
            await self._issue_token.revoke(
                _client_assertion(form), client_certificate(request), form["token"]
            )
        except Error as error:
            return _refused(error)
        return json_response({})

    async def metadata(self, _: Request) -> Response:
        """Answer what these endpoints support (RFC 8414, section 2)."""
        origin, auth = self._origin, ["private_key_jwt"]
        return json_response(
            {
                "issuer": origin,
                "token_endpoint": f"{origin}/oauth2/token",
                "revocation_endpoint": f"{origin}/oauth2/revoke",
                "response_types_supported": [],
                "grant_types_supported": ["client_credentials", _JWT_BEARER, _EXCHANGE],
                "token_endpoint_auth_methods_supported": auth,
                "token_endpoint_auth_signing_alg_values_supported": _CLIENT_ALGORITHMS,
                "revocation_endpoint_auth_methods_supported": auth,
                "revocation_endpoint_auth_signing_alg_values_supported": _CLIENT_ALGORITHMS,
                "dpop_signing_alg_values_supported": _CLIENT_ALGORITHMS,
                "tls_client_certificate_bound_access_tokens": True,
            }
        )


def _refused(error: Error) -> Response:
    """Answer an error as RFC 6749 section 5.2 has it, with our own code beside its."""
    found, told = _OAUTH_CODES.get(error.code), status(error)
    code = found or ("invalid_request" if isinstance(error, Invalid) else "invalid_client")
    if told >= 500:  # noqa: PLR2004  RFC 6749, 4.1.2.1
        code = "temporarily_unavailable"
    headers = error_headers(error)
    if found is not None:
        told = 400
        headers.pop("WWW-Authenticate", None)
    body = {"error": code, "error_description": f"{error.message}; {error.help}"}
    return json_response({**body, "code": error.code}, told, headers)


def _form(body: bytes) -> dict[str, str]:
    """Return a form's fields, each once; `Invalid` if one is blank.

    RFC 6749 section 3.2 leaves blank fields out. Here each may limit a token, and a limit
    that came out blank by mistake is to give no token rather than one for everything.
    """
    try:
        parsed = parse_qs(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=16
        )
        form = {name: value for name, (value,) in parsed.items()}
    except (UnicodeDecodeError, ValueError):
        raise _wrong() from None
    if not all(form.values()):
        raise Invalid(
            "field-blank",
            "a field of the form is blank",
            "give each field a value, or leave it out: without scope and patient a token is "
            "for everything that the client may do",
        )
    return form


def _assertion(form: dict[str, str]) -> str:
    if form.get("grant_type") in {"client_credentials", _EXCHANGE}:
        return _client_assertion(form)
    assertion = form.get("assertion") if form.get("grant_type") == _JWT_BEARER else None
    if not assertion:
        raise _wrong()
    return assertion


def _client_assertion(form: dict[str, str]) -> str:
    assertion = form.get("client_assertion")
    if form.get("client_assertion_type") != _ASSERTION_TYPE or not assertion:
        raise _wrong()
    return assertion


def _wanted(form: dict[str, str], request: Request) -> Wanted:
    """Return what else is asked for; a subject token comes with the exchange alone."""
    patient, subject = form.get("patient"), form.get("subject_token")
    is_exchange = form.get("grant_type") == _EXCHANGE
    if (
        is_exchange != (subject is not None)
        or (is_exchange and form.get("subject_token_type") not in _TOKEN_TYPES[1:])
        or form.get("requested_token_type") not in _TOKEN_TYPES
        or "actor_token" in form
    ):
        raise Invalid(
            "exchange-unsupported",
            "the form is not an exchange of a subject token for an access token",
            "send subject_token and subject_token_type, and no actor_token: "
            "the client that proves itself is the actor (RFC 8693)",
        )
    if patient is not None and (
        len(patient) > _MAX_PATIENT or not patient.isascii() or not patient.isprintable()
    ):
        raise Invalid(
            "wrong-patient",
            "the field patient is too long or not printable",
            f"send at most {_MAX_PATIENT} printable ASCII characters, as in Seawall-Patient",
        )
    return Wanted(form.get("scope"), patient, subject, shown_proof(request), form.get("client_id"))


def _wrong() -> Invalid:
    return Invalid(
        "grant-unsupported",
        "the form is not a request for a token by a signed assertion",
        "send grant_type=client_credentials with client_assertion_type and client_assertion, "
        "each once (RFC 7523)",
    )
