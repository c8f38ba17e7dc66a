"""What a client signs: assertions of who it is (RFC 7523), proofs of a key (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import warnings
from typing import TYPE_CHECKING, Any, Final

import orjson
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

ASSERTION_SECONDS: Final = 120
_KINDS: Final[dict[tuple[str, str], tuple[type[OKPKey | ECKey], str]]] = {
    ("OKP", "Ed25519"): (OKPKey, "Ed25519"),
    ("EC", "P-256"): (ECKey, "ES256"),
}


class SigningKey:
    """A private key and the one algorithm that it signs by; never shown."""

    def __init__(self, key: OKPKey | ECKey, algorithm: str) -> None:
        self._key = key
        self._algorithm = algorithm

    def __repr__(self) -> str:
        return "<SigningKey>"

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a private key, a JSON Web Key in a file; `Invalid` if it is none."""
        try:
            held = orjson.loads(path.read_bytes())
            reader, algorithm = _KINDS[held["kty"], held["crv"]]
            key = reader.import_key(held)
            if not key.is_private:
                raise ValueError  # noqa: TRY301  told below, as everything else that is no key
        except (OSError, JoseError, ValueError, KeyError, TypeError):
            raise Invalid(
                "client-key-invalid",
                "the client's key is no Ed25519 or P-256 private key as a JSON Web Key",
                "name the file that `seawall client-key` wrote",
            ) from None
        return cls(key, algorithm)

    @classmethod
    def made(cls) -> SigningKey:
        """Make a P-256 key that lives in memory alone."""
        return cls(ECKey.generate_key("P-256"), "ES256")

    def assertion(self, client: str, audience: str, now: int) -> str:
        """Return a signed assertion for one request to the token endpoint."""
        claims = {
            "iss": client,
            "sub": client,
            "aud": audience,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": secrets.token_urlsafe(18),
        }
        return self._signed({}, claims)

    def proof(
        self, method: str, url: str, *, now: int, token: str | None, nonce: str | None
    ) -> str:
        """Return a signed proof for one request, of the address without query and fragment."""
        claims: dict[str, Any] = {
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],
            "iat": now,
            "jti": secrets.token_urlsafe(18),
        }
        if token is not None:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if nonce is not None:
            claims["nonce"] = nonce
        public = self._key.as_dict(private=False)
        jwk = {name: public[name] for name in ("kty", "crv", "x", "y") if name in public}
        return self._signed({"typ": "dpop+jwt", "jwk": jwk}, claims)

    def _signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            said = {**header, "alg": self._algorithm}
            return jwt.encode(said, claims, self._key, algorithms=[self._algorithm])
