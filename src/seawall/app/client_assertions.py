"""A client shows who it is by an assertion: signed, for us alone, short-lived, used once.

RFC 7521, RFC 7523, 45 CFR 164.312(d). The audience is the token URL and nothing
beside it, so that an assertion made for another server is not one for us.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import SpendAssertion
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec

if TYPE_CHECKING:
    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Tokens

ASSERTION_SECONDS: Final = 300
_SKEW_SECONDS: Final = 30
_IDENTITY: Final = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that showed who it is."""

    principal: Principal
    spec: ClientSpec
    key: str
    """The thumbprint of the key that signed."""
    spending: SpendAssertion
    """The write by which the assertion works no second time."""

    @property
    def full_name(self) -> str:
        """TENANT/NAME, as tokens name a client."""
        return f"{self.principal.tenant}/{self.principal.name}"


class ClientAssertions:
    """Checks assertions; whoever acts on one spends it in the same unit of work."""

    def __init__(
        self, *, documents: Documents, tokens: Tokens, clock: Clock, token_url: str
    ) -> None:
        self._documents = documents
        self._tokens = tokens
        self._clock = clock
        self._token_url = token_url

    def prove(
        self, assertion: str, certificate: str | None, client_id: str | None = None
    ) -> Proven:
        """Return the client whose assertion this is; `Refused` unless everything holds.

        An unknown client is refused in the words of a wrong key, so that nobody learns
        which clients exist. `certificate` is the thumbprint that the connection showed.
        """
        tenant, _, name = self._tokens.issuer(assertion).partition("/")
        client = self._documents.register(tenant).find(ClientSpec, name)
        if client is None or client_id not in {None, f"{tenant}/{name}"}:
            raise _refusal()
        key, claims = self._verified(assertion, client.spec)
        until = self._check(claims, f"{tenant}/{name}")
        if not may_show(client.spec, certificate):
            raise Refused(
                "certificate-needed",
                "this client gets tokens over a connection with its client certificate alone",
                "connect with the certificate that the Client document allows (RFC 8705)",
            )
        digest = hashlib.sha256(f"{tenant}/{name}\n{claims['jti']}".encode()).hexdigest()
        spending = SpendAssertion(digest, until * 1000)
        return Proven(Principal("client", name, tenant), client.spec, key, spending)

    def _verified(self, assertion: str, client: ClientSpec) -> tuple[str, dict[str, Any]]:
        """Return the thumbprint of the key in force that signed, and the claims."""
        for key in client.keys_at(self._clock.now()):
            try:
                return key.thumbprint, self._tokens.assertion(assertion, key.model_dump())
            except Refused:
                continue
        raise _refusal()

    def _check(self, claims: dict[str, Any], client: str) -> int:
        """Return when the assertion expires, in seconds since 1970."""
        now = self._clock.now_ms() // 1000
        expires, issued = claims.get("exp"), claims.get("iat", now)
        identity, begins = claims.get("jti"), claims.get("nbf", now)
        sound = (
            claims.get("iss") == client
            and claims.get("sub") == client
            and claims.get("aud") in (self._token_url, [self._token_url])
            and isinstance(identity, str)
            and _IDENTITY.fullmatch(identity) is not None
            and isinstance(begins, int)
            and begins <= now + _SKEW_SECONDS
            and isinstance(expires, int)
            and isinstance(issued, int)
            and now - _SKEW_SECONDS < expires <= now + ASSERTION_SECONDS + _SKEW_SECONDS
            and issued <= now + _SKEW_SECONDS
            and expires - issued <= ASSERTION_SECONDS + _SKEW_SECONDS
        )
        if not sound or not isinstance(expires, int):
            raise _refusal()
        return expires + _SKEW_SECONDS


def may_show(client: ClientSpec, certificate: str | None) -> bool:
    """Say whether a client's document is content with the certificate, or with none."""
    if certificate is None:
        return not client.is_certificate_bound
    return not client.certificate_thumbprints or certificate in client.certificate_thumbprints


def _refusal() -> Refused:
    return Refused(
        "assertion-refused",
        "the client or its assertion is not accepted",
        "sign iss, sub, aud (the token URL alone), exp (within five minutes) and a new jti "
        "with a registered key",
    )
