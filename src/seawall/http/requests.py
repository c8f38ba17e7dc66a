"""Reading what callers send: bounded bodies, tokens and certificates, short headers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from seawall.app.issue_token import Presented
from seawall.core.errors import Invalid, Refused
from seawall.core.identity.dpop import ShownProof
from seawall.http.protocol import CLIENT_CERTIFICATE

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY_BYTES: Final = 1 << 20
_MAX_HEADER: Final = 200
_BODY_SECONDS: Final = 30.0


async def read_body(
    request: Request, limit: int = MAX_BODY_BYTES, seconds: float = _BODY_SECONDS
) -> bytes:
    """Return the body; `Invalid` once it is over `limit` bytes or not whole after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, limit)
    except TimeoutError:
        raise Invalid(
            "body-too-slow",
            f"the body did not come within {seconds:g} seconds",
            "send it at once",
        ) from None


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise Invalid(
                "body-too-large",
                f"the body is longer than {limit} bytes",
                "send less at once, for example only the part of the record that is needed",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def bearer(request: Request) -> Presented:
    """Return the token, with the certificate of its connection and the proof that came with it.

    `Refused` if there is none, or more than one. RFC 6750, RFC 9449 section 7.
    """
    given = request.headers.getlist("authorization")
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    scheme = scheme.lower()
    if scheme not in {"bearer", "dpop"} or not token:
        raise Refused(
            "token-missing",
            "the request has no bearer token",
            "get a token with `seawall token --client NAME`, and use it as the API key",
        )
    proof = shown_proof(request) if scheme == "dpop" else None
    if scheme == "dpop" and proof is None:
        raise Refused(
            "proof-missing",
            "a token under the scheme DPoP comes with a proof",
            "send a proof in the header DPoP (RFC 9449)",
        )
    return Presented(token.strip(), client_certificate(request), proof)


def shown_proof(request: Request) -> ShownProof | None:
    """Return the proof of possession that came with a request, or None; `Invalid` if several."""
    given = request.headers.getlist("dpop")
    if len(given) > 1:
        raise Invalid("wrong-header", "the header DPoP comes more than once", "send one proof")
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    return ShownProof(given[0], request.method, path) if given else None


def client_certificate(request: Request) -> str | None:
    """Return the thumbprint of the certificate that the connection showed, if it showed one.

    It is of the handshake alone: no header is read, since anybody can send one.
    """
    extensions = request.scope.get("extensions") or {}
    shown = extensions.get("tls", {}).get(CLIENT_CERTIFICATE)
    return shown if isinstance(shown, str) else None


def short_header(request: Request, name: str) -> str | None:
    """Return a header of ours, or None; `Invalid` if it is long or not printable ASCII."""
    value = request.headers.get(name)
    if value is None:
        return None
    if not value or len(value) > _MAX_HEADER or not value.isascii() or not value.isprintable():
        raise Invalid(
            "wrong-header",
            f"the header {name} is empty, too long or not printable",
            f"send at most {_MAX_HEADER} printable ASCII characters",
        )
    return value
