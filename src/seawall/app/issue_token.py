"""A client proves itself by a signed assertion, and gets a token for ten minutes.

RFC 7523 (assertions), RFC 6749 section 4.4 (client credentials), 45 CFR
164.312(d). Assertions are short-lived, for us alone, and work once; every
token is an entry of the system's log. A token names the client and its tenant;
what the client may do is read from its document at each request, so a client
that is withdrawn stops at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and how long it lives, in seconds."""

    token: str
    expires_in: int


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

    async def issue(self, assertion: str) -> IssuedToken:
        """Exchange a client's assertion for a token; `Refused` unless everything holds."""
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
        principal = Principal("client", name, tenant)
        now = self._clock.now_ms() // 1000
        jti = self._random.bytes(12).hex()
        digest = hashlib.sha256(f"{tenant}/{name}\n{claims['jti']}".encode()).hexdigest()
        try:
            await self._ledger.append(
                SYSTEM_LOG,
                entry("token.issue", principal, self._clock, token=jti),
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
            }
        )
        return IssuedToken(token, TOKEN_SECONDS)

    def identify(self, token: str) -> Principal:
        """Return who a token of ours speaks for; `Refused` if it is foreign, expired or revoked."""
        claims = self._tokens.claims(token)
        tenant, _, name = str(claims.get("sub", "")).partition("/")
        expires = claims.get("exp")
        if claims.get("aud") != AUDIENCE or not isinstance(expires, int):
            raise _token_refusal("token-foreign", "this token was not issued for Seawall")
        if expires <= self._clock.now_ms() // 1000:
            raise _token_refusal("token-expired", "this token has expired")
        client = self._documents.register(tenant).find(ClientSpec, name)
        if client is None or client.spec.public_key.x != claims.get("key"):
            raise _token_refusal("token-revoked", "the client has another key now, or is gone")
        return Principal("client", name, tenant)

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


def _refusal() -> Refused:
    return Refused(
        "assertion-refused",
        "the client or its assertion is not accepted",
        "sign iss, sub, aud (the token URL), exp (within five minutes) and a new jti "
        "with the registered key",
    )


def _token_refusal(code: str, message: str) -> Refused:
    return Refused(code, message, "get a new token with `seawall token` or at /oauth2/token")
