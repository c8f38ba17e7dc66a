"""Certificates for tests: an authority of their own, for servers and for clients."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        """Return the certificate in DER."""
        found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return found.public_bytes(serialization.Encoding.DER)

    @property
    def thumbprint(self) -> str:
        """Return its `x5t#S256`, as RFC 8705 section 3.1 makes it."""
        digest = hashlib.sha256(self.der).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def replace(self, other: Pair) -> None:
        """Put another pair in the place of this one, as an operator's script would."""
        for ours, theirs in ((self.key, other.key), (self.certificate, other.certificate)):
            aside = ours.with_suffix(".new")
            aside.write_bytes(theirs.read_bytes())
            aside.replace(ours)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> None:
    """Shake hands in memory; ssl.SSLError if one of the two does not like the other."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=host)
    waiting = [asking, server.wrap_bio(there, back, server_side=True)]
    for _ in range(8):
        for each in tuple(waiting):
            with suppress(ssl.SSLWantReadError):
                each.do_handshake()
                waiting.remove(each)
    assert waiting == []


class TestAuthority:
    """An authority that signs whatever it is told to."""

    __test__ = False

    def __init__(
        self, folder: Path, name: str = "tests", above: TestAuthority | None = None
    ) -> None:
        """Make an authority: a root, or one below another."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
        now = dt.datetime.now(dt.UTC)
        signer = above or self
        made = (
            signer._builder(self._name, self._key.public_key(), now - DAY, now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer._key, hashes.SHA256())
        )
        self.certificate = folder / f"{name}-authority.pem"
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def server(
        self,
        name: str = "server",
        hosts: tuple[str, ...] = ("localhost", "127.0.0.1"),
        *,
        ends: dt.timedelta = 29 * DAY,
        kind: str = "ec",
        password: str = "",
    ) -> Pair:
        """Make a server's certificate; `ends` is from now."""
        names = [_general(host) for host in hosts]
        return self._make(
            name, ExtendedKeyUsageOID.SERVER_AUTH, names, ends, kind=kind, password=password
        )

    def client(self, name: str = "client", *, ends: dt.timedelta = 29 * DAY) -> Pair:
        """Make a client's certificate."""
        return self._make(name, ExtendedKeyUsageOID.CLIENT_AUTH, [], ends)

    def _make(
        self,
        name: str,
        use: x509.ObjectIdentifier,
        names: list[x509.GeneralName],
        ends: dt.timedelta,
        *,
        kind: str = "ec",
        password: str = "",
    ) -> Pair:
        key = (
            rsa.generate_private_key(65_537, 2_048)
            if kind == "rsa"
            else ec.generate_private_key(ec.SECP256R1())
        )
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), now - 2 * DAY, now + ends)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        closing = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        pem = serialization.Encoding.PEM
        pair.certificate.write_bytes(made.public_bytes(pem))
        pair.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, closing))
        return pair

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        begins: dt.datetime,
        ends: dt.datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
