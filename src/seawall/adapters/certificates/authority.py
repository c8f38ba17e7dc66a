"""The private certificate authority of a demo or a first installation.

Made once: an authority, and one server certificate for localhost and the
configured name, both P-256 (what every TLS 1.2 client knows). Private keys are
PEM files encrypted under a password that the key ring holds.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.ports import Clock

_DAYS: Final = 397


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Where the server's certificate and key are, and what opens the key."""

    authority: Path
    certificate: Path
    key: Path
    password: str = field(repr=False)


def ensure_certificate(folder: Path, name: str, password: str, clock: Clock) -> ServerCertificate:
    """Return the server's certificate, making it first if the folder has none.

    Raises `Unavailable` when the files cannot be written.
    """
    made = ServerCertificate(
        folder / "authority.pem", folder / "server.pem", folder / "server.key", password
    )
    if not made.certificate.exists() or _expires_soon(made.certificate, clock):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(made, name, clock)
        except OSError as error:
            raise Unavailable(
                "certificate-unwritable",
                f"the certificate cannot be written ({error.strerror})",
                "free space on the disk, and check the folder's permissions",
            ) from None
    return made


def _expires_soon(path: Path, clock: Clock) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise Unavailable(
            "certificate-unreadable",
            "the server's certificate cannot be read",
            "restore the folder tls, or remove it: a new authority is made, which clients must get",
        ) from None
    return certificate.not_valid_after_utc - clock.now() < dt.timedelta(days=1)


def _make(made: ServerCertificate, name: str, clock: Clock) -> None:
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _named("Seawall private authority")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), clock)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    names += [x509.DNSName(name)] if name != "localhost" else []
    server = (
        _builder(_named(name), authority_name, server_key.public_key(), clock)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    # The authority's key is not kept: a new certificate comes with a new authority.
    pem = serialization.Encoding.PEM
    _write(made.authority, authority.public_bytes(pem))
    encryption = serialization.BestAvailableEncryption(made.password.encode())
    _write(
        made.key,
        server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption),
    )
    _write(made.certificate, server.public_bytes(pem))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, clock: Clock
) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=_DAYS))
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
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
