"""Signed data of CMS (RFC 5652), as time stamps have it: one signer, who names its certificate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from . import der
from .refusal import FormError

if TYPE_CHECKING:
    from .der import Element, Parts

TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"

_CERTIFICATES: Final = 12
"""A stamp with more certificates is refused: searching them has to end soon."""

_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
_RSA: Final = "1.2.840.113549.1.1.1"
_RSA_PSS: Final = "1.2.840.113549.1.1.10"

_HASHES: Final = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_RSA_WITH: Final = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_ECDSA_WITH: Final = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}


@dataclass(frozen=True)
class Signer:
    """What a SignerInfo says."""

    issuer: Element
    serial: Element
    digest: hashes.HashAlgorithm
    attributes: Element
    algorithm: Element
    signature: bytes


def open_token(token: Element) -> tuple[bytes, list[x509.Certificate], Signer]:
    """Return the TSTInfo, the certificates and the one signer of a ContentInfo."""
    signed = _explicit(token.parts(), _SIGNED_DATA).parts()
    _require_version(signed, 3)
    signed.take(der.SET)
    info = _explicit(signed.take(der.SEQUENCE).parts(), TST_INFO).require(der.OCTETS)
    held = signed.maybe(der.context(0))
    signed.maybe(der.context(1))
    signers = signed.take(der.SET).parts(der.SET)
    signer = _read_signer(signers.take(der.SEQUENCE).parts())
    signers.end()
    signed.end()
    elements = held.parts(der.context(0)).rest() if held else []
    if not 0 < len(elements) <= _CERTIFICATES:
        raise FormError(f"it holds no certificate, or more than {_CERTIFICATES}")
    return info, [x509.load_der_x509_certificate(item.raw) for item in elements], signer


def _require_version(parts: Parts, version: int) -> None:
    """RFC 5652: 3 of data that is not plain, 1 of a signer who is named by issuer and serial."""
    if parts.take().number() != version:
        raise FormError("it is of an unknown version of CMS")


def _explicit(parts: Parts, oid: str) -> Element:
    """Return what a content info of this type holds."""
    if parts.take().oid() != oid:
        raise FormError("it is not CMS signed data over a TSTInfo")
    inner = parts.take().parts(der.context(0))
    parts.end()
    content = inner.take()
    inner.end()
    return content


def _read_signer(parts: Parts) -> Signer:
    _require_version(parts, 1)
    identifier = parts.take(der.SEQUENCE).parts()
    digest = hash_of(parts.take())
    attributes = parts.take(der.context(0))
    algorithm = parts.take(der.SEQUENCE)
    signature = parts.take(der.OCTETS).content
    parts.maybe(der.context(1))
    parts.end()
    issuer, serial = identifier.take(der.SEQUENCE), identifier.take(der.INTEGER)
    identifier.end()
    return Signer(issuer, serial, digest, attributes, algorithm, signature)


def certificate_of(
    signer: Signer, info: bytes, certificates: list[x509.Certificate]
) -> x509.Certificate:
    """Return the certificate that the signed attributes name, if they are of this TSTInfo."""
    attributes = _attributes(signer.attributes)
    if attributes[_CONTENT_TYPE].oid() != TST_INFO:
        raise FormError("its signed attributes are of another content")
    digest = attributes[_MESSAGE_DIGEST].require(der.OCTETS)
    if hashlib.new(signer.digest.name, info).digest() != digest:
        raise FormError("its signed attributes are of another TSTInfo")
    named = [attributes.get(oid) for oid in (_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2)]
    if named == [None, None]:
        raise FormError("its signed attributes do not name the signer's certificate")
    for certificate in certificates:
        raw = certificate.public_bytes(Encoding.DER)
        v1, v2 = (item is None or _names(item, raw) for item in named)
        if v1 and v2 and _identity(raw) == (signer.issuer.raw, signer.serial.raw):
            return certificate
    raise FormError("it does not hold the certificate that its signed attributes name")


def _attributes(element: Element) -> dict[str, Element]:
    """Return the one value of each signed attribute."""
    values: dict[str, Element] = {}
    for item in element.parts(der.context(0)).rest():
        attribute = item.parts()
        oid, held = attribute.take().oid(), attribute.take(der.SET).parts(der.SET)
        value = held.take()
        held.end()
        attribute.end()
        if oid in values:
            raise FormError("it has a signed attribute twice")
        values[oid] = value
    if not {_CONTENT_TYPE, _MESSAGE_DIGEST} <= values.keys():
        raise FormError("it lacks a signed attribute that CMS demands")
    return values


def _names(value: Element, certificate: bytes) -> bool:
    """Whether a signing-certificate attribute (RFC 2634, RFC 5035) begins with this one."""
    first = value.parts().take(der.SEQUENCE).parts().take(der.SEQUENCE).parts().rest()
    if first and first[0].tag == der.OCTETS:  # version 1 is SHA-1; version 2 leaves SHA-256 out
        hashed = first[0].content
        name = "sha1" if len(hashed) == 20 else "sha256"  # noqa: PLR2004  of SHA-1
    elif len(first) > 1:
        name, hashed = hash_of(first[0]).name, first[1].require(der.OCTETS)
    else:
        raise FormError("its signed attributes do not name the signer's certificate")
    return hashlib.new(name, certificate, usedforsecurity=False).digest() == hashed


def _identity(certificate: bytes) -> tuple[bytes, bytes]:
    """Return a certificate's issuer and serial number as they are written."""
    fields = der.read(certificate).parts().take(der.SEQUENCE).parts()
    fields.maybe(der.context(0))
    serial = fields.take(der.INTEGER)
    fields.take(der.SEQUENCE)
    return fields.take(der.SEQUENCE).raw, serial.raw


def verify_signature(signer: Signer, certificate: x509.Certificate) -> None:
    """Check the signature over the attributes, which are signed as the SET that they are.

    Whether the key is strong, `require_time_stamping` says.
    """
    message = bytes([der.SET]) + signer.attributes.raw[1:]
    parts = signer.algorithm.parts()
    oid, key = parts.take().oid(), certificate.public_key()
    if oid != _RSA_PSS:
        _require_no_parameters(parts)
    if isinstance(key, ec.EllipticCurvePublicKey) and oid in _ECDSA_WITH:
        key.verify(signer.signature, message, ec.ECDSA(_ECDSA_WITH[oid]))
        return
    if not isinstance(key, rsa.RSAPublicKey):
        raise FormError("its signature is of an unknown or weak kind")
    if oid == _RSA_PSS:
        digest = hash_of(
            parts.take(der.SEQUENCE).parts().take(der.context(0)).parts(der.context(0)).take()
        )
        pss = padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)
        key.verify(signer.signature, message, pss, digest)
    elif oid in {_RSA, *_RSA_WITH}:
        digest = _RSA_WITH.get(oid, signer.digest)
        key.verify(signer.signature, message, padding.PKCS1v15(), digest)
    else:
        raise FormError("its signature is of an unknown or weak kind")


def hash_of(algorithm: Element) -> hashes.HashAlgorithm:
    """Return the hash of an AlgorithmIdentifier, which must be of SHA-2."""
    parts = algorithm.parts()
    oid = parts.take().oid()
    _require_no_parameters(parts)
    if oid not in _HASHES:
        raise FormError("it is made with a hash that is not SHA-256, SHA-384 or SHA-512")
    return _HASHES[oid]


def _require_no_parameters(parts: Parts) -> None:
    """Check that an algorithm has no parameters: none at all, or NULL, which older ones write."""
    null = parts.maybe(der.NULL)
    parts.end()
    if null and null.content:
        raise FormError("it has an algorithm with malformed parameters")
