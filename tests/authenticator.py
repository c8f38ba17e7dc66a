"""An authenticator in software: makes passkeys and signs with them, as a device does."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from collections.abc import Mapping

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
_AAGUID: Final = bytes(16)


@dataclass
class Credential:
    """A private key with what the device remembers of it."""

    id: bytes
    key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey
    handle: bytes
    rp_id: str

    def cose(self) -> bytes:
        """Return the public key in COSE form (RFC 9053)."""
        if isinstance(self.key, Ed25519PrivateKey):
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: self.key.public_key().public_bytes_raw()})
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def sign(self, signed: bytes) -> bytes:
        """Sign as the key's algorithm does."""
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(signed)
        return self.key.sign(signed, ec.ECDSA(hashes.SHA256()))


@dataclass
class Authenticator:
    """A device at a browser that shows a page of `origin`."""

    origin: str = "https://localhost:8443"
    algorithm: str = "ES256"
    flags: int = UP | UV
    counts: bool = True
    """Whether it counts its signatures; a synced one does not."""
    count: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    """What the browser says besides, such as `crossOrigin`."""
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: Mapping[str, Any], rp_id: str | None = None) -> dict[str, Any]:
        """Make a credential, as `navigator.credentials.create` does."""
        made = Ed25519PrivateKey.generate() if self.algorithm == "EdDSA" else _es256()
        name = hashlib.sha256(f"{id(self)}{len(self.credentials)}".encode()).digest()
        handle = unpadded(options["user"]["id"])
        credential = Credential(name, made, handle, rp_id or options["rp"]["id"])
        self.credentials.append(credential)
        said = self._said(credential, self.flags | AT)
        attested = _AAGUID + len(name).to_bytes(2, "big") + name + credential.cose()
        raw = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": said + attested})
        client = self._client("webauthn.create", options["challenge"])
        response = {
            "clientDataJSON": padded_off(client),
            "attestationObject": padded_off(raw),
            "transports": ["usb", "internal"],
        }
        return _credential(credential, response)

    def get(
        self, options: Mapping[str, Any], which: int = -1, flags: int | None = None
    ) -> dict[str, Any]:
        """Sign with a credential, as `navigator.credentials.get` does."""
        credential = self.credentials[which]
        self.count += 1 if self.counts else 0
        said = self._said(credential, self.flags if flags is None else flags)
        client = self._client("webauthn.get", options["challenge"])
        response = {
            "clientDataJSON": padded_off(client),
            "authenticatorData": padded_off(said),
            "signature": padded_off(credential.sign(said + hashlib.sha256(client).digest())),
            "userHandle": padded_off(credential.handle),
        }
        return _credential(credential, response)

    def _said(self, credential: Credential, flags: int) -> bytes:
        rp = hashlib.sha256(credential.rp_id.encode()).digest()
        return rp + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps({**said, **self.extra}).encode()


def _es256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _credential(credential: Credential, response: dict[str, Any]) -> dict[str, Any]:
    name = padded_off(credential.id)
    return {"id": name, "rawId": name, "type": "public-key", "response": response}


def padded_off(raw: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def unpadded(text: str) -> bytes:
    """Read base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
