"""A service that may call: its public key, and the use cases that it may name.

45 CFR 164.312(d). The private key never comes here: a client proves itself by
a signed assertion (RFC 7523), so there is no shared secret to leak.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import SerializerFunctionWrapHandler, StrictBool, StringConstraints, model_serializer

from seawall.core.registers.spec import Name, Spec, Words

_LATER: Final = (
    "may_audit",
    "may_audit_system",
    "may_manage_keys",
    "certificate_bound",
    "certificate_thumbprints",
)


Thumbprint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
"""SHA-256 in base64url without padding: 43 characters, the last of which ends in two zero bits."""


class PublicKey(Spec):
    """An Ed25519 public key as a JSON Web Key (RFC 8037)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    x: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class ClientSpec(Spec):
    """The content of a Client document."""

    title: Words
    public_key: PublicKey
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
    certificate_bound: StrictBool = False
    """Whether its tokens are issued and used over connections with a client certificate alone,
    to which they are bound (RFC 8705); off unless said."""
    certificate_thumbprints: frozenset[Thumbprint] = frozenset()
    """Which certificates: SHA-256 of the DER form in base64url, `x5t#S256`; empty means every one
    that the server's `client_authority` vouches for. Naming any makes its tokens bound."""

    @property
    def powers(self) -> frozenset[str]:
        """The `may_*` fields that are on."""
        named = ("may_apply", "may_audit", "may_audit_system", "may_manage_keys")
        return frozenset(name for name in named if getattr(self, name))

    @property
    def is_certificate_bound(self) -> bool:
        """Whether its tokens must be bound to a client certificate."""
        return self.certificate_bound or bool(self.certificate_thumbprints)

    @model_serializer(mode="wrap")
    def _without_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out, while they are off, fields that the first release did not have.

        So the digest of a document that is older than they are stays what its entry says.
        """
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if value or name not in _LATER}
