"""JSON Web Tokens by joserfc: each key with the one algorithm that it is for.

Ed25519, named or as `EdDSA` (RFC 9864, RFC 8037), and for clients' assertions ES256
too. What a token's header says of keys and algorithms chooses nothing (RFC 8725, 3.1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey

from seawall.core.bounded import BoundedCache
from seawall.core.errors import Invalid, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.ports import Clock

_ALGORITHMS: Final = ["Ed25519", "EdDSA"]
_MAX_TOKEN: Final = 8_192
_KINDS: Final[dict[str, tuple[type[OKPKey | ECKey], list[str]]]] = {
    "OKP": (OKPKey, _ALGORITHMS),
    "EC": (ECKey, ["ES256"]),
}
"""By type of key: who reads it, and the one algorithm that it is for."""
_TYPES: Final = frozenset({"", "jwt", "client-authentication+jwt"})
"""The `typ` that an assertion may have: none that is another kind of token (RFC 8725, 3.11)."""


class SignedTokens:
    """The Tokens port under one signing key."""

    def __init__(self, seed: bytes, clock: Clock) -> None:
        self._key = OKPKey.import_key({**_private_jwk(seed)})
        self._blinding = hmac.digest(seed, b"seawall: blind terms in tokens", hashlib.sha256)
        self._clock = clock
        # A token's signature does not change; whether it still counts is checked elsewhere.
        self._verified: BoundedCache[bytes, dict[str, Any]] = BoundedCache(
            limit=10_000, seconds=600.0
        )

    def __repr__(self) -> str:
        return "<SignedTokens>"

    def issue(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token."""
        return jwt.encode({"alg": "Ed25519"}, dict(claims), self._key, algorithms=_ALGORITHMS)

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token of ours whose signature holds; `Refused` otherwise."""
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        now = self._clock.monotonic()
        held = self._verified.get(digest, now)
        if held is None:
            held = _verified(token, self._key, "token-foreign", "token")
            self._verified.put(digest, held, now)
        return dict(held)

    def assertion(self, assertion: str, public_key: Mapping[str, str]) -> dict[str, Any]:
        """Return the claims of a client's assertion whose signature holds; `Refused` otherwise."""
        try:
            reader, algorithms = _KINDS[public_key["kty"]]
            key = reader.import_key(dict(public_key))
        except (JoseError, ValueError, KeyError, TypeError):
            raise Refused(
                "assertion-refused",
                "the client's registered key is no Ed25519 or P-256 public key",
                "apply the Client again with the public key that `seawall client-key` printed",
            ) from None
        return _verified(assertion, key, "assertion-refused", "assertion", algorithms)

    def blind(self, text: str) -> str:
        """Return a keyed digest of a text: the same everywhere, and no way back."""
        raw = text.encode(errors="surrogatepass")
        return _base64url(hmac.digest(self._blinding, raw, hashlib.sha256))

    def issuer(self, assertion: str) -> str:
        """Return who an assertion says it is from, unverified; `Invalid` if unreadable."""
        try:
            payload = assertion.split(".")[1] if len(assertion) <= _MAX_TOKEN else ""
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return str(claims["iss"])
        except (IndexError, ValueError, KeyError, TypeError, RecursionError):
            raise Invalid(
                "assertion-unreadable",
                "the assertion is not a signed JSON Web Token",
                "see docs/how-to/register-a-client.md",
            ) from None


def make_client_key(seed: bytes) -> dict[str, str]:
    """Return a client's private key as a JSON Web Key, made of 32 random bytes."""
    return _private_jwk(seed)


def sign_assertion(private_key: Mapping[str, str], claims: Mapping[str, Any]) -> str:
    """Return a client's signed assertion; `Invalid` if the key is none."""
    try:
        reader, algorithms = _KINDS[private_key["kty"]]
        key = reader.import_key(dict(private_key))
        return jwt.encode({"alg": algorithms[0]}, dict(claims), key, algorithms=algorithms)
    except (JoseError, ValueError, KeyError, TypeError):
        raise Invalid(
            "client-key-invalid",
            "the client's key is no Ed25519 or P-256 private key as a JSON Web Key",
            "name the file that `seawall client-key` wrote",
        ) from None


def _private_jwk(seed: bytes) -> dict[str, str]:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public), "d": _base64url(seed)}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _verified(
    token: str,
    key: OKPKey | ECKey,
    code: str,
    noun: str,
    algorithms: list[str] = _ALGORITHMS,
) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            # RFC 9864 renames EdDSA; the clients' libraries still send the old name.
            warnings.simplefilter("ignore", SecurityWarning)
            bounded = token if len(token) <= _MAX_TOKEN else ""
            decoded = jwt.decode(bounded, key, algorithms=algorithms)
        is_meant = str(decoded.header.get("typ", "")).lower() in _TYPES
        claims = dict(decoded.claims) if is_meant else None
    except (JoseError, ValueError, TypeError, RecursionError):
        claims = None
    if claims is None:
        raise Refused(
            code, f"the {noun}'s signature does not hold", "get a new token, or sign again"
        )
    return claims
