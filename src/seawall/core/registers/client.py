"""A service that may call: its public keys, and the use cases that it may name.

45 CFR 164.312(d). A private key never comes here: a client proves itself by
a signed assertion (RFC 7523), so there is no shared secret to leak.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime  # noqa: TC003  pydantic reads the annotation
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StringConstraints,
    model_serializer,
    model_validator,
)

from seawall.core.registers.spec import Name, Spec, Words
from seawall.core.registers.user import Moment  # noqa: TC001  pydantic reads the annotation

MOST_KEYS: Final = 3
"""So many keys a client may have beside its first, so that checking an assertion stays cheap."""

_LATER: Final = (
    "may_audit",
    "may_audit_system",
    "may_manage_keys",
    "certificate_bound",
    "certificate_thumbprints",
    "also_keys",
    "tokens_not_before",
    "may_provision",
    "dpop_bound",
)


Thumbprint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
"""SHA-256 in base64url without padding: 43 characters, the last of which ends in two zero bits."""

_Coordinate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class PublicKey(Spec):
    """A public key as a JSON Web Key, for one algorithm by its curve.

    Ed25519 (RFC 8037) for EdDSA, P-256 (RFC 7518, section 6.2) for ES256.
    """

    kty: Literal["OKP", "EC"] = "OKP"
    crv: Literal["Ed25519", "P-256"] = "Ed25519"
    x: _Coordinate
    y: _Coordinate | None = None

    @model_validator(mode="after")
    def _is_a_key(self) -> Self:
        if (self.kty, self.crv, self.y is None) not in _KINDS:
            raise ValueError("kty, crv and y do not belong together")
        if self.y is not None:
            try:
                x, y = (int.from_bytes(_raw(part)) for part in (self.x, self.y))
                ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            except ValueError:
                raise ValueError("this is no point of the curve P-256") from None
        return self

    @property
    def thumbprint(self) -> str:
        """The key's thumbprint by RFC 7638."""
        return _thumbprint(self.kty, self.crv, self.x, self.y)

    @model_serializer(mode="wrap")
    def _without_y(self, write: SerializerFunctionWrapHandler) -> dict[str, str]:
        """Leave out what a key of this kind does not have."""
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if value is not None}


_KINDS: Final = {("OKP", "Ed25519", True), ("EC", "P-256", False)}


def thumbprint(public_key: dict[str, str]) -> str:
    """Return the SHA-256 thumbprint (RFC 7638) of a key's required members, in base64url."""
    digest = hashlib.sha256(orjson.dumps(public_key, option=orjson.OPT_SORT_KEYS)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@lru_cache(maxsize=4_096)
def _thumbprint(kty: str, crv: str, x: str, y: str | None) -> str:
    """Return a key's thumbprint, which each request asks for, without making it each time."""
    members = {"kty": kty, "crv": crv, "x": x, **({} if y is None else {"y": y})}
    return thumbprint(members)


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=")


class TimedKey(Spec):
    """A key that counts for a time, so that the next one can begin before it ends."""

    key: PublicKey
    since: Moment | None = None
    """From when it counts; None for at once."""
    until: Moment
    """When it counts no more."""

    def is_in_force(self, now: datetime) -> bool:
        """Whether it counts at a moment."""
        return (self.since is None or self.since <= now) and now < self.until


class ClientSpec(Spec):
    """The content of a Client document."""

    title: Words
    public_key: PublicKey
    also_keys: Annotated[tuple[TimedKey, ...], Field(max_length=MOST_KEYS)] = ()
    """Keys beside the first, each for a time: the next one, or the last one while it goes."""
    use_cases: frozenset[Name] = frozenset()
    may_apply: StrictBool = False
    """Whether this client may apply documents over the API; off unless said."""
    may_audit: StrictBool = False
    """Whether this client may read its own tenant's log; off unless said."""
    may_audit_system: StrictBool = False
    """Whether it may read the system's log, which names other tenants' clients; off unless said."""
    may_manage_keys: StrictBool = False
    """Whether it may see and order what is done to its tenant's keys, which needs an operator's
    second factor besides; off unless said."""
    may_provision: StrictBool = False
    """Whether it may tell who joins and leaves, by SCIM (RFC 7644); off unless said."""
    certificate_bound: StrictBool = False
    """Whether its tokens are issued and used over connections with a client certificate alone,
    to which they are bound (RFC 8705); off unless said."""
    certificate_thumbprints: frozenset[Thumbprint] = frozenset()
    """Which certificates: SHA-256 of the DER form in base64url, `x5t#S256`; empty means every one
    that the server's `client_authority` vouches for. Naming any makes its tokens bound."""
    dpop_bound: StrictBool = False
    """Whether its tokens are bound to a key that each request shows again (RFC 9449); off unless
    said. A client may bind its tokens so without this word, and then they count so alone."""
    tokens_not_before: Moment | None = None
    """Tokens that were issued before this moment count no more: everything is revoked at once."""

    @property
    def powers(self) -> frozenset[str]:
        """The `may_*` fields that are on."""
        named = ("may_apply", "may_audit", "may_audit_system", "may_manage_keys", "may_provision")
        return frozenset(name for name in named if getattr(self, name))

    @property
    def is_certificate_bound(self) -> bool:
        """Whether its tokens must be bound to a client certificate."""
        return self.certificate_bound or bool(self.certificate_thumbprints)

    def keys_at(self, now: datetime) -> tuple[PublicKey, ...]:
        """Return the keys that count at a moment, the first one first."""
        also = (timed.key for timed in self.also_keys if timed.is_in_force(now))
        return (self.public_key, *also)

    @model_serializer(mode="wrap")
    def _without_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out, while they are off, fields that the first release did not have.

        So the digest of a document that is older than they are stays what its entry says.
        """
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if value or name not in _LATER}
