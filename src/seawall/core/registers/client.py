"""A service that may call: its public key, and the use cases that it may name.

45 CFR 164.312(d). The private key never comes here: a client proves itself by
a signed assertion (RFC 7523), so there is no shared secret to leak.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StrictBool, StringConstraints

from seawall.core.registers.spec import Name, Spec, Words


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
