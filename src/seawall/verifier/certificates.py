"""Whether a certificate may make time stamps, and who vouches for it: RFC 5280, RFC 3161 2.3.

Fewer forms than the standard allows: what is critical and not understood here
is refused, and so is what the standard leaves to the reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from .refusal import FormError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_DEPTH: Final = 4
"""So many certificates may stand between the stamp and a trusted one."""

_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,  # any policy will do
    }
)


def require_time_stamping(certificate: x509.Certificate) -> None:
    """Check that a certificate is for time stamping, for nothing else, and says so critically."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise FormError("its certificate is not one for time stamping") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise FormError("its certificate is not one for time stamping alone")
    signs = _key_usage(certificate)
    if signs and not (signs.digital_signature or signs.content_commitment):
        raise FormError("its certificate's key may not sign")


def require_trusted(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Check that certificates lead from this one to a trusted one, all valid at a moment."""
    _require_sound(certificate, at)
    if certificate not in trusted and not _leads(certificate, others, trusted, at, 0):
        raise FormError("its certificate was not issued under a given one, or not valid then")


def _leads(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    at: datetime,
    below: int,
) -> bool:
    """Whether a trusted certificate issued this one, or another did for which that is true."""
    if any(_issued(issuer, certificate, at, below) for issuer in trusted):
        return True
    if below == _DEPTH:
        return False
    for issuer in others:
        if _issued(issuer, certificate, at, below):
            rest = [other for other in others if other != issuer]
            if _leads(issuer, rest, trusted, at, below + 1):
                return True
    return False


def _issued(
    issuer: x509.Certificate, certificate: x509.Certificate, at: datetime, below: int
) -> bool:
    """Whether an authority that was valid then issued a certificate."""
    if issuer.subject != certificate.issuer:
        return False
    digest = certificate.signature_hash_algorithm
    if digest is not None and digest.name not in _HASHES:
        return False
    try:
        _require_sound(issuer, at)
        _require_authority(issuer, below)
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _require_sound(certificate: x509.Certificate, at: datetime) -> None:
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise FormError("its certificate was not valid at its time")
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise FormError("its certificate has a critical extension that is not understood")


def _require_authority(issuer: x509.Certificate, below: int) -> None:
    """Check that a certificate may issue others, with so many issuers below it."""
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise FormError("an issuer is no authority") from None
    usage = _key_usage(issuer)
    signs = usage is None or usage.key_cert_sign
    if not basic.ca or not signs or (basic.path_length is not None and basic.path_length < below):
        raise FormError("an issuer is no authority, or not over so many")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
