"""Time-stamp authorities for tests: certificates made here, stamps by `openssl ts`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

NOW: Final = datetime.now(UTC)
DAY: Final = timedelta(days=1)
STAMPING: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])

_CONFIG: Final = """\
[tsa]
default_tsa = stamper
[stamper]
serial = {folder}/serial
signer_cert = {folder}/stamper.pem
signer_key = {folder}/stamper.key
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = {digests}
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""


def ec_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Authority:
    """A certificate and its key; `valid` are the days from now within which it holds."""

    name: str
    key: PrivateKey = field(default_factory=ec_key)
    issuer: Authority | None = None
    valid: tuple[int, int] = (-2, 2)
    path_length: int | None = None
    is_authority: bool = True
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    digest: hashes.SHA224 | hashes.SHA256 = field(default_factory=hashes.SHA256)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        issuer = self.issuer or self
        constraints = x509.BasicConstraints(
            ca=self.is_authority, path_length=self.path_length if self.is_authority else None
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(self.name))
            .issuer_name(_named(issuer.name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + self.valid[0] * DAY)
            .not_valid_after(NOW + self.valid[1] * DAY)
            .add_extension(constraints, critical=True)
        )
        for extension, is_critical in self.extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        self.certificate = builder.sign(issuer.key, self.digest)

    @property
    def pem(self) -> bytes:
        """Return the certificate as an auditor is given it."""
        return self.certificate.public_bytes(Encoding.PEM)


def stamper(
    issuer: Authority,
    key: PrivateKey | None = None,
    valid: tuple[int, int] = (-2, 2),
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ((STAMPING, True),),
) -> Authority:
    """Return a certificate that may make time stamps and nothing else, unless told otherwise."""
    return Authority(
        "stamper", key or ec_key(), issuer, valid, is_authority=False, extensions=extensions
    )


def stamp(
    folder: Path,
    text: bytes,
    signer: Authority,
    *chain: Authority,
    digest: str = "sha256",
    imprint: str = "sha256",
    ess: str = "sha256",
    options: str = "",
) -> bytes:
    """Return what `openssl ts` makes of a text, with the certificates of signer and chain."""
    folder.mkdir(exist_ok=True, parents=True)
    config = _CONFIG.format(folder=folder, digest=digest, digests=imprint, ess=ess) + options
    if chain:
        config += f"certs = {folder}/chain.pem\n"
        (folder / "chain.pem").write_bytes(b"".join(each.pem for each in chain))
    (folder / "ts.cnf").write_text(config)
    (folder / "serial").write_text("01\n")
    (folder / "text").write_bytes(text)
    (folder / "stamper.pem").write_bytes(signer.pem)
    (folder / "stamper.key").write_bytes(
        signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    _openssl(folder, "-query", "-data", "text", f"-{imprint}", "-cert", "-out", "request.tsq")
    _openssl(
        folder, "-reply", "-config", "ts.cnf", "-queryfile", "request.tsq", "-out", "stamp.tsr"
    )
    return (folder / "stamp.tsr").read_bytes()


def _openssl(folder: Path, *arguments: str) -> None:
    command = ["openssl", "ts", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603  on our own files


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
