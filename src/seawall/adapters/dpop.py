"""Proofs of possession by joserfc: Ed25519 and ES256, under the key that the proof shows."""

from __future__ import annotations

import base64
import json
import warnings
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey

from seawall.core.identity.dpop import Proof, refused_proof
from seawall.core.registers.client import thumbprint

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_PROOF: Final = 4_096
_KINDS: Final[dict[tuple[str, str], tuple[type[OKPKey | ECKey], tuple[str, ...], list[str]]]] = {
    ("OKP", "Ed25519"): (OKPKey, ("x",), ["Ed25519", "EdDSA"]),
    ("EC", "P-256"): (ECKey, ("x", "y"), ["ES256"]),
}
"""By type and curve: who reads the key, its members, and the one algorithm it is for."""


class SignedProofs:
    """The Proofs port."""

    def read(self, proof: str) -> Proof:
        """Return a proof whose signature holds under its own key; `Refused` otherwise."""
        header = _header(proof)
        shown = header.get("jwk")
        if not isinstance(shown, dict) or "d" in shown or "k" in shown:
            raise refused_proof("jwk is missing, or is not a public key")
        reader, members, algorithms = _kind(shown)
        public = {
            name: value
            for name in ("kty", "crv", *members)
            if isinstance(value := shown.get(name), str)
        }
        if len(public) != len(members) + 2:
            raise refused_proof("jwk has not the members of its kind")
        try:
            with warnings.catch_warnings():
                # RFC 9864 renames EdDSA; clients' libraries still send the old name.
                warnings.simplefilter("ignore", SecurityWarning)
                key = reader.import_key({**public})
                claims = dict(jwt.decode(proof, key, algorithms=algorithms).claims)
        except (JoseError, ValueError, KeyError, TypeError, RecursionError):
            raise refused_proof("its signature does not hold") from None
        return Proof(str(header.get("typ")), claims, thumbprint(public))


def _header(proof: str) -> dict[str, Any]:
    try:
        part = proof.split(".", maxsplit=1)[0] if len(proof) <= _MAX_PROOF else ""
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, TypeError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise refused_proof("it is not a signed JSON Web Token")
    return header


def _kind(shown: Mapping[str, Any]) -> tuple[type[OKPKey | ECKey], tuple[str, ...], list[str]]:
    kind = _KINDS.get((str(shown.get("kty")), str(shown.get("crv"))))
    if kind is None:
        raise refused_proof("jwk is neither an Ed25519 nor a P-256 key")
    return kind
