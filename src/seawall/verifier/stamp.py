"""Verifying that an authority stamped a log's checkpoint: RFC 3161.

What is read of the stamp must be DER, of SHA-2, by RSA or ECDSA, and bring the
certificates up to one that the auditor trusts. What nobody signed in it, such as
unsigned attributes and revocation lists, is not read, and whether a certificate
was revoked is not asked: an auditor has no network.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from . import der
from .certificates import require_time_stamping, require_trusted
from .cms import certificate_of, hash_of, open_token, verify_signature
from .der import Element
from .published import Claim, Signed, published
from .refusal import STAMPS, FormError, Refusal, shortened

if TYPE_CHECKING:
    from .der import Parts
    from .folder import Folder
    from .note import Key

_STAMP_FILE: Final = "stamp.tsr"
_STAMP_BYTES: Final = 65_536
_TOLERANCE: Final = timedelta(seconds=300)
"""So far ahead of ours an authority's clock may be."""

_GENERALIZED_TIME: Final = re.compile(rb"([0-9]{14})([.][0-9]{0,8}[1-9])?Z")
_LEAST_ACCURATE_SECONDS: Final = 86_400
_MILLISECONDS, _MICROSECONDS = 0x80, 0x81
_GRANTED: Final = (0, 1)
"""PKIStatus: granted, granted with modifications."""

_ADVICE: Final = (
    "make sure that the certificate is the authority's own; if it is, keep this copy and treat it "
    "as an incident"
)


@dataclass(frozen=True)
class Authority:
    """The certificates that the auditor trusts, and what time it is."""

    trusted: tuple[x509.Certificate, ...]
    now: float


def read_authority(pem: bytes, now: float) -> Authority:
    """Read the certificates of a PEM file; `ValueError` if it holds none."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return Authority(tuple(x509.load_pem_x509_certificates(pem)), now)
        except x509.InvalidVersion:
            raise FormError("it holds a certificate of an unknown version") from None


def find_stamped(
    folder: Folder, present: Signed, key: Key, authority: Authority, minimum: int
) -> Claim:
    """Return what the newest time stamp shows; a refusal if there is none, or if it is bad."""
    for signed, file in published(
        folder, STAMPS, present, key=key, minimum=minimum, file=_STAMP_FILE
    ):
        raw = folder.read(STAMPS, file, _STAMP_BYTES)
        try:
            at, name = verify_stamp(raw, signed.note.text.encode(), authority)
        except FormError as error:
            raise Refusal(STAMPS, file, str(error), _ADVICE) from None
        size, whole = signed.checkpoint.size, present.checkpoint.size
        covered = f"all {size:,}" if size == whole else f"the first {size:,} of {whole:,}"
        found = f"{covered} entries were there at {at}, says {shortened(name)}"
        return Claim(signed.file, size, signed.checkpoint.root, found)
    advice = "ask the operator for a copy with published/; not every log is stamped"
    raise Refusal(STAMPS, present.file, "no checkpoint in this copy has a time stamp", advice)


def verify_stamp(raw: bytes, text: bytes, authority: Authority) -> tuple[str, str]:
    """Return when an authority stamped a text, and its name; `FormError` unless all is right.

    1. The response grants a token, which is CMS signed data over a TSTInfo.
    2. The TSTInfo has the hash of the text, and a time that is not in the future.
    3. One signer signed the TSTInfo and named its own certificate.
    4. That certificate is for time stamping only, and its key made the signature.
    5. It was issued under a certificate that the auditor trusts, all valid at that time.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd certificates; we judge ourselves
            return _verify(raw, text, authority)
    except FormError:
        raise
    except InvalidSignature:
        raise FormError("its signature is bad") from None
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        raise FormError("it holds a certificate or a signature that cannot be read") from None


def _verify(raw: bytes, text: bytes, authority: Authority) -> tuple[str, str]:
    info, certificates, signer = open_token(_token(raw))  # 1
    at, shown = _time_stamped(info, text)  # 2
    if at > datetime.fromtimestamp(authority.now, UTC) + _TOLERANCE:
        raise FormError("its time is in the future")
    certificate = certificate_of(signer, info, certificates)  # 3
    require_time_stamping(certificate)  # 4
    verify_signature(signer, certificate)
    require_trusted(certificate, certificates, authority.trusted, at)  # 5
    return shown, certificate.subject.rfc4514_string()


def _token(raw: bytes) -> Element:
    """Return the token of a TimeStampResp that grants one."""
    response = der.read(raw).parts()
    status = response.take(der.SEQUENCE).parts().take().number()
    if status not in _GRANTED:
        raise FormError(f"it grants no time stamp (status {status})")
    token = response.take(der.SEQUENCE)
    response.end()
    return token


def _time_stamped(raw: bytes, text: bytes) -> tuple[datetime, str]:
    """Return the time of a TSTInfo over a text, as such and in words."""
    info = der.read(raw).parts()
    if info.take().number() != 1:
        raise FormError("it is of an unknown version")
    info.take(der.OID)
    imprint = info.take(der.SEQUENCE).parts()
    digest, hashed = hash_of(imprint.take()), imprint.take(der.OCTETS).content
    imprint.end()
    if hashlib.new(digest.name, text).digest() != hashed:
        raise FormError("it is of another text than the checkpoint's")
    info.take(der.INTEGER)
    time = _GENERALIZED_TIME.fullmatch(info.take(der.TIME).content)
    if time is None:
        raise FormError("its time has another form than RFC 3161 demands")
    at = _read_time(time[1].decode())
    within = _accuracy(info.maybe(der.SEQUENCE))
    _require_nothing_unknown(info)
    return at, f"{at:%Y-%m-%dT%H:%M:%S}{(time[2] or b'').decode()}Z{within}"


def _accuracy(element: Element | None) -> str:
    """Return in words how far the time may be off; a refusal if it says too little by that."""
    if element is None:
        return ""
    parts = element.parts()
    named = [parts.maybe(tag) for tag in (der.INTEGER, _MILLISECONDS, _MICROSECONDS)]
    numbers = [Element(der.INTEGER, each.content, b"").number() if each else 0 for each in named]
    parts.end()
    seconds, *fractions = numbers
    if seconds > _LEAST_ACCURATE_SECONDS or max(fractions) > 999:  # noqa: PLR2004  RFC 3161 2.4.2
        raise FormError("its time may be off by more than a day, or its accuracy is malformed")
    digits = f"{seconds}.{fractions[0]:03d}{fractions[1]:03d}".rstrip("0").rstrip(".")
    return f", give or take {digits} seconds"


def _require_nothing_unknown(info: Parts) -> None:
    """Check that what follows the time is what may: order, nonce, name, extensions not critical."""
    ordering = info.maybe(der.BOOLEAN)
    if ordering and ordering.content != der.TRUE:
        raise FormError("it says in a malformed way whether stamps are in order")
    info.maybe(der.INTEGER)
    info.maybe(der.context(0))
    extensions = info.maybe(der.context(1))
    info.end()
    for extension in extensions.parts(der.context(1)).rest() if extensions else []:
        parts = extension.parts()
        parts.take(der.OID)
        if parts.maybe(der.BOOLEAN):
            raise FormError("it has a critical extension that is not understood")
        parts.take(der.OCTETS)
        parts.end()


def _read_time(digits: str) -> datetime:
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise FormError("its time is none that there is") from None
