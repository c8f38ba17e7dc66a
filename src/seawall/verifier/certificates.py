"""Whether a certificate may make time stamps, and who vouches for it: RFC 5280, RFC 3161 2.3.

Fewer forms than the standard allows: what is critical and not understood here
is refused, and so is what the standard leaves to the reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from .refusal import FormError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_DEPTH: Final = 4
"""So many certificates may stand between the stamp and a trusted one."""

_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_SHA256: Final = hashes.SHA256()
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_RSA_BITS: Final = range(2_048, 8_193)
_RSA_EXPONENTS: Final = 2**33
_PURPOSES: Final = frozenset(
    {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
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
    require_strong_key(certificate)
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
    if certificate not in trusted and not _is_led_to(certificate, others, trusted, at):
        raise FormError("its certificate was not issued under a given one, or not valid then")


def _is_led_to(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    at: datetime,
) -> bool:
    """Whether a trusted certificate issued this one, or another did for which that is true.

    It goes up one step at a time, from all that were reached at once, and verifies no
    signature twice: certificates that issued each other make no search that does not end.
    """
    verified: dict[tuple[bytes, bytes], bool] = {}
    reached = [certificate]
    for below in range(_DEPTH + 1):
        if _issuers_of(reached, trusted, at, below, verified):
            return True
        reached = _issuers_of(reached, others, at, below, verified)
    return False


def _issuers_of(
    reached: Sequence[x509.Certificate],
    candidates: Sequence[x509.Certificate],
    at: datetime,
    below: int,
    verified: dict[tuple[bytes, bytes], bool],
) -> list[x509.Certificate]:
    """Return the candidates that issued one of the certificates, as authorities valid then."""
    found = []
    for issuer in candidates:
        named = [each for each in reached if each.issuer == issuer.subject]
        if named and _may_issue(issuer, at, below):
            found += [issuer] * any(_has_signed(issuer, each, verified) for each in named)
    return found


def _may_issue(issuer: x509.Certificate, at: datetime, below: int) -> bool:
    try:
        _require_sound(issuer, at)
        _require_authority(issuer, below)
        require_strong_key(issuer)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _has_signed(
    issuer: x509.Certificate,
    certificate: x509.Certificate,
    verified: dict[tuple[bytes, bytes], bool],
) -> bool:
    """Whether the issuer's key signed a certificate, with a hash that is not weak."""
    pair = issuer.fingerprint(_SHA256), certificate.fingerprint(_SHA256)
    if pair not in verified:
        digest = certificate.signature_hash_algorithm
        is_weak = digest is None or digest.name not in _HASHES
        verified[pair] = not is_weak and _verifies(issuer, certificate)
    return verified[pair]


def _verifies(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def require_strong_key(certificate: x509.Certificate) -> None:
    """Check that a certificate's key is RSA of 2,048 to 8,192 bits, or on P-256, P-384 or P-521.

    A larger RSA key, or a larger exponent, would only make verifying slow.
    """
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        is_strong = key.curve.name in _CURVES
    elif isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        is_strong = key.key_size in _RSA_BITS and exponent < _RSA_EXPONENTS
    else:
        is_strong = False
    if not is_strong:
        raise FormError("its certificate's key is of an unknown or weak kind")


def _require_sound(certificate: x509.Certificate, at: datetime) -> None:
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise FormError("its certificate was not valid at its time")
    for extension in certificate.extensions:
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS:
            raise FormError("its certificate has name constraints, which are not understood")
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
    try:
        purposes = issuer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return  # for every purpose
    if not _PURPOSES & set(purposes):
        raise FormError("an issuer is no authority for time stamping")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
