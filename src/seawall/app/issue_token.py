"""A client proves itself by a signed assertion, and gets a token for ten minutes.

RFC 7523 (assertions), RFC 6749 section 4.4 (client credentials), 45 CFR
164.312(d). Where the connection shows a client certificate, the token is bound to
it and counts on connections with that certificate alone (RFC 8705 section 3).
Assertions are short-lived, for us alone, and work once; every
token is an entry of the system's log. A token names the client and its tenant;
what the client may do is read from its document at each request, so a client
that is withdrawn stops at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.caller import Caller
from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, SpendAssertion
from seawall.core.errors import Conflict, Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec

if TYPE_CHECKING:
    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Ledger, Random, Tokens

TOKEN_SECONDS: Final = 600
ASSERTION_SECONDS: Final = 300
_SKEW_SECONDS: Final = 30
AUDIENCE: Final = "seawall"
_THUMBPRINT: Final = "x5t#S256"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and how long it lives, in seconds."""

    token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Presented:
    """A token as it came: on a connection that showed this certificate, or none."""

    token: str = field(repr=False)
    certificate: str | None = None
    """The certificate's thumbprint, `x5t#S256` of RFC 8705, verified by the handshake."""


class IssueToken:
    """Checks assertions, issues tokens, and tells who a token speaks for."""

    def __init__(
        self,
        *,
        documents: Documents,
        tokens: Tokens,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        token_url: str,
    ) -> None:
        self._documents = documents
        self._tokens = tokens
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._token_url = token_url

    async def issue(self, assertion: str, certificate: str | None = None) -> IssuedToken:
        """Exchange a client's assertion for a token; `Refused` unless everything holds.

        `certificate` is the thumbprint that the connection showed; the token is bound to it.
        """
        tenant, _, name = self._tokens.issuer(assertion).partition("/")
        client = self._documents.register(tenant).find(ClientSpec, name)
        if client is None:
            raise _refusal()
        key = client.spec.public_key.model_dump()
        try:
            claims = self._tokens.assertion(assertion, key)
        except Refused:
            # In the same words as for an unknown client, so that nobody learns which exist.
            raise _refusal() from None
        until = self._check(claims, f"{tenant}/{name}")
        if not _may_show(client.spec, certificate):
            raise _certificate_refusal()
        principal = Principal("client", name, tenant)
        bound = {} if certificate is None else {"certificate": certificate}
        now = self._clock.now_ms() // 1000
        jti = self._random.bytes(12).hex()
        digest = hashlib.sha256(f"{tenant}/{name}\n{claims['jti']}".encode()).hexdigest()
        try:
            await self._ledger.append(
                SYSTEM_LOG,
                entry("token.issue", principal, self._clock, token=jti, **bound),
                [SpendAssertion(digest, until * 1000)],
            )
        except Conflict as error:
            raise Refused(error.code, error.message, error.help) from None
        token = self._tokens.issue(
            {
                "iss": AUDIENCE,
                "aud": AUDIENCE,
                "sub": f"{tenant}/{name}",
                "iat": now,
                "exp": now + TOKEN_SECONDS,
                "jti": jti,
                "key": client.spec.public_key.x,
                **({} if certificate is None else {"cnf": {_THUMBPRINT: certificate}}),
            }
        )
        return IssuedToken(token, TOKEN_SECONDS)

    async def identify(self, presented: Presented) -> Caller:
        """Return who a token of ours speaks for; `Refused` if it is foreign, expired or revoked.

        `Refused` too if it is bound to another certificate than its connection showed. This is
        the one way from a token to a caller, so that no door can leave a check out.
        """
        claims = self._tokens.claims(presented.token)
        tenant, _, name = str(claims.get("sub", "")).partition("/")
        expires = claims.get("exp")
        if claims.get("aud") != AUDIENCE or not isinstance(expires, int):
            raise _token_refusal("token-foreign", "this token was not issued for Seawall")
        if expires <= self._clock.now_ms() // 1000:
            raise _token_refusal("token-expired", "this token has expired")
        client = self._documents.register(tenant).find(ClientSpec, name)
        if client is None or client.spec.public_key.x != claims.get("key"):
            raise _token_refusal("token-revoked", "the client has another key now, or is gone")
        _check_binding(claims, client.spec, presented.certificate)
        return Caller(Principal("client", name, tenant))

    async def identify_whole(self, presented: Presented) -> Caller:
        """Return who a token speaks for; `Refused` if it is limited to a part of the client's work.

        For acts that a client's own powers decide, and no use case.
        """
        caller = await self.identify(presented)
        if caller.is_limited:
            raise Refused(
                "token-limited",
                "this token is limited to use cases, a patient or a person",
                "get a token without scope, patient or subject_token for this",
            )
        return caller

    def _check(self, claims: dict[str, Any], client: str) -> int:
        """Return when the assertion expires, in seconds since 1970."""
        now = self._clock.now_ms() // 1000
        expires, issued = claims.get("exp"), claims.get("iat", now)
        identity, begins = claims.get("jti"), claims.get("nbf", now)
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        sound = (
            claims.get("iss") == client
            and claims.get("sub") == client
            and self._token_url in audiences
            and isinstance(identity, str)
            and identity.isascii()
            and isinstance(begins, int)
            and begins <= now + _SKEW_SECONDS
            and isinstance(expires, int)
            and isinstance(issued, int)
            and now - _SKEW_SECONDS < expires <= now + ASSERTION_SECONDS + _SKEW_SECONDS
            and issued <= now + _SKEW_SECONDS
        )
        if not sound or not isinstance(expires, int):
            raise _refusal()
        return expires + _SKEW_SECONDS


def _check_binding(claims: dict[str, Any], client: ClientSpec, certificate: str | None) -> None:
    """Refuse a token on another connection than it is bound to, or one that must be bound."""
    bound = claims.get("cnf")
    if bound is not None and (certificate is None or bound != {_THUMBPRINT: certificate}):
        raise Refused(
            "token-bound",
            "this token is bound to a client certificate that the connection does not show",
            "send it over a connection with the certificate with which it was fetched (RFC 8705)",
        )
    if not _may_show(client, None if bound is None else certificate):
        raise _token_refusal("token-unbound", "this client's tokens count with its certificate")


def _may_show(client: ClientSpec, certificate: str | None) -> bool:
    """Say whether a client's document is content with the certificate, or with none."""
    if certificate is None:
        return not client.is_certificate_bound
    return not client.certificate_thumbprints or certificate in client.certificate_thumbprints


def _certificate_refusal() -> Refused:
    return Refused(
        "certificate-needed",
        "this client gets tokens over a connection with its client certificate alone",
        "connect with the certificate that the Client document allows (RFC 8705)",
    )


def _refusal() -> Refused:
    return Refused(
        "assertion-refused",
        "the client or its assertion is not accepted",
        "sign iss, sub, aud (the token URL), exp (within five minutes) and a new jti "
        "with the registered key",
    )


def _token_refusal(code: str, message: str) -> Refused:
    return Refused(code, message, "get a new token with `seawall token` or at /oauth2/token")
