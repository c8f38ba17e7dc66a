"""The private certificate authority of a demo or a first installation.

Made once: an authority for ten years, and under it one server certificate for localhost
and the configured name, for ninety days and renewed in time, both P-256 (what every TLS 1.2
client knows). The authority's key is kept, so that clients need its certificate once. What
it signs counts for servers alone (section 4.2.1.12 of RFC 5280), at this host, 127.0.0.1 and
names below this host's (4.2.1.10). Private keys are PEM files encrypted under a password
that the key ring holds.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seawall.app.ports import Clock

RENEW_DAYS: Final = 30
"""So long before its end a server certificate is renewed."""
_SERVER_DAYS: Final = 90
_AUTHORITY_DAYS: Final = 3_650
_LAST: Final = dt.timedelta(days=1)
_EARLY: Final = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Where the server's certificate and key are, and what opens the key."""

    authority: Path
    certificate: Path
    key: Path
    password: str = field(repr=False)
    is_new_authority: bool = False
    """Whether the authority was made just now: clients must be given its certificate."""

    @property
    def authority_key(self) -> Path:
        """Where the authority's key is, under the same password."""
        return self.authority.with_suffix(".key")


def ensure_certificate(folder: Path, name: str, password: str, clock: Clock) -> ServerCertificate:
    """Return the server's certificate, made or renewed where it must be.

    A new authority is made only where the kept one has no key, ends, or is for another name. A
    key that is there and does not open, or is another's, is none of these: `Unavailable`
    (`certificate-unreadable`), once the certificate no longer serves. `Unavailable` also when
    files cannot be read or written.
    """
    made = _places(folder, password)
    if _is_good(made, name, clock, left=dt.timedelta(days=RENEW_DAYS)):
        return made
    serves = _is_good(made, name, clock, left=_LAST)
    try:
        if _renewed(made, name, clock):
            return made
    except Unavailable:
        if serves:
            return made
        raise
    # One from before the authority's key was kept serves until its last day.
    if not serves:
        with _writing(folder):
            _issue(made, name, clock, _make_authority(made, name, clock))
        made = replace(made, is_new_authority=True)
    return made


def renew_certificate(folder: Path, name: str, password: str, clock: Clock) -> bool:
    """Replace the server's certificate and key by new ones of the same authority.

    False if that authority cannot sign (any more): a new one is a matter for the next start,
    since clients must be given it. Raises `Unavailable` when the files cannot be read or written.
    """
    return _renewed(_places(folder, password), name, clock)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make the folder to write in, and an OSError an error of ours."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Unavailable(
            "certificate-unwritable",
            f"the certificate cannot be written ({error.strerror})",
            "free space on the disk, and check the folder's permissions",
        ) from None


def _places(folder: Path, password: str) -> ServerCertificate:
    return ServerCertificate(
        folder / "authority.pem", folder / "server.pem", folder / "server.key", password
    )


def _is_good(made: ServerCertificate, name: str, clock: Clock, *, left: dt.timedelta) -> bool:
    """Say whether the certificate is for this name, with its key, for longer than `left`."""
    if not made.certificate.exists():
        return False
    certificate = _read(made.certificate)
    key = _key(made.key, made.password)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        key is not None
        and key.public_key() == certificate.public_key()
        and _general(name) in names
        and certificate.not_valid_after_utc - clock.now() >= left
    )


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise _unreadable("the server's certificate cannot be read") from None


def _unreadable(how: str) -> Unavailable:
    return Unavailable(
        "certificate-unreadable",
        how,
        "restore the folder tls, or remove it: a new authority is made, which clients must get",
    )


def _key(path: Path, password: str) -> ec.EllipticCurvePrivateKey | None:
    """Return a private key, or None where there is none that opens."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password.encode())
    except (OSError, ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _renewed(made: ServerCertificate, name: str, clock: Clock) -> bool:
    """Issue under the kept authority; False where it cannot sign for this name any more."""
    if not made.authority.exists() or not made.authority_key.exists():
        return False
    authority = _read(made.authority)
    left = authority.not_valid_after_utc - clock.now()
    if left <= dt.timedelta(days=RENEW_DAYS) or not _allows(authority, name):
        return False
    key = _key(made.authority_key, made.password)
    if key is None or key.public_key() != authority.public_key():
        raise _unreadable("the key of the certificate's authority does not open, or is another's")
    with _writing(made.certificate.parent):
        _issue(made, name, clock, key)
    return True


def _allows(authority: x509.Certificate, name: str) -> bool:
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    return _constraint(_general(name)) in (constraints.permitted_subtrees or ())


def _general(name: str) -> x509.GeneralName:
    """Return a host's name or address as certificates have it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _constraint(name: x509.GeneralName) -> x509.GeneralName:
    """Return what permits this name: of an address, the network of it alone."""
    if isinstance(name, x509.IPAddress):
        return x509.IPAddress(ipaddress.ip_network(name.value))
    return name


def _names(name: str) -> list[x509.GeneralName]:
    """Return the names of a server: this machine's own, and the configured one."""
    names = (x509.DNSName("localhost"), _general(name), _general("127.0.0.1"))
    return list(dict.fromkeys(names))


def _make_authority(made: ServerCertificate, name: str, clock: Clock) -> ec.EllipticCurvePrivateKey:
    """Write a new authority, which may sign for servers at this host alone; return its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named("Seawall private authority")
    permitted = [_constraint(each) for each in _names(name)]
    authority = (
        _builder(subject, subject, key.public_key(), clock)
        .not_valid_after(clock.now() + dt.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(made.authority_key, _closed(key, made.password))
    _write(made.authority, authority.public_bytes(serialization.Encoding.PEM))
    return key


def _issue(
    made: ServerCertificate, name: str, clock: Clock, authority_key: ec.EllipticCurvePrivateKey
) -> None:
    """Write a new server key, and its certificate by the authority that is there."""
    authority = _read(made.authority)
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(clock.now() + dt.timedelta(days=_SERVER_DAYS), authority.not_valid_after_utc)
    server = (
        _builder(_named(name), authority.subject, key.public_key(), clock)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(name)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write(made.key, _closed(key, made.password))
    _write(made.certificate, server.public_bytes(serialization.Encoding.PEM))


def _closed(key: ec.EllipticCurvePrivateKey, password: str) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )


def _named(name: str) -> x509.Name:
    # A common name has at most 64 characters; what counts is in the subjectAltName.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, clock: Clock
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() - _EARLY)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, whole or not at all."""
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(path)
