"""The private certificate authority: made once, renewed in time, its keys closed."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from certified import Pair, handshake
from fakes import FakeClock
from seawall.adapters.certificates import (
    ServerCertificate,
    ensure_certificate,
    renew_certificate,
)
from seawall.adapters.clock import SystemClock
from seawall.core.errors import Unavailable
from seawall.tls import client_context, server_context

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "a password of the key ring"


def certificate_in(path: Path) -> x509.Certificate:
    """Read one certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_server_is_vouched_for_by_the_authority(tmp_path: Path) -> None:
    """The server's certificate names the host and is signed by the authority beside it."""
    made = ensure_certificate(tmp_path / "tls", "seawall.example", PASSWORD, FakeClock())
    server, authority = certificate_in(made.certificate), certificate_in(made.authority)
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "seawall.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_private_key_opens_with_its_password_alone(tmp_path: Path) -> None:
    """The key is encrypted, for its owner alone, and belongs to the certificate."""
    made = ensure_certificate(tmp_path / "tls", "localhost", PASSWORD, FakeClock())
    raw = made.key.read_bytes()
    key = serialization.load_pem_private_key(raw, PASSWORD.encode())
    assert key.public_key() == certificate_in(made.certificate).public_key()
    for password in (None, b"another"):
        with pytest.raises((TypeError, ValueError)):
            serialization.load_pem_private_key(raw, password)
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in repr(made)


def test_the_authoritys_key_is_kept_under_the_same_password(tmp_path: Path) -> None:
    """The authority's key is encrypted, for its owner alone, and belongs to the authority."""
    made = ensure_certificate(tmp_path / "tls", "localhost", PASSWORD, FakeClock())
    raw = made.authority_key.read_bytes()
    key = serialization.load_pem_private_key(raw, PASSWORD.encode())
    assert key.public_key() == certificate_in(made.authority).public_key()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" == raw.split(b"-----")[1]
    assert 0o600 == made.authority_key.stat().st_mode & 0o777


def signed(made: ServerCertificate, folder: Path, host: str, use: x509.ObjectIdentifier) -> Pair:
    """Let whoever has the authority's key sign for a host."""
    key = serialization.load_pem_private_key(made.authority_key.read_bytes(), PASSWORD.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    own, now = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(certificate_in(made.authority).subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / "signed.pem", folder / "signed.key")
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    pair.certificate.write_bytes(certificate.public_bytes(pem))
    pair.key.write_bytes(own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return pair


@pytest.mark.parametrize(
    ("host", "counts"),
    [
        ("seawall.example", True),
        ("below.seawall.example", True),
        ("localhost", True),
        ("elsewhere.example", False),
        ("example", False),
    ],
)
def test_what_the_authority_signs_counts_at_this_host_alone(
    tmp_path: Path, host: str, *, counts: bool
) -> None:
    """A stolen key of the authority is of use for this host, and names below it."""
    made = ensure_certificate(tmp_path, "seawall.example", PASSWORD, SystemClock())
    pair = signed(made, tmp_path, host, ExtendedKeyUsageOID.SERVER_AUTH)
    server, client = server_context(pair.certificate, pair.key), client_context(made.authority)
    try:
        handshake(server, client, host)
    except ssl.SSLCertVerificationError:
        assert not counts
    else:
        assert counts


def test_what_the_authority_signs_counts_for_no_client(tmp_path: Path) -> None:
    """Its certificate is for servers, so a client of its making is refused."""
    made = ensure_certificate(tmp_path, "localhost", PASSWORD, SystemClock())
    pair = signed(made, tmp_path, "localhost", ExtendedKeyUsageOID.CLIENT_AUTH)
    server = server_context(made.certificate, made.key, made.password, clients=made.authority)

    handshake(server, client_context(made.authority))

    with pytest.raises(ssl.SSLError):
        handshake(server, client_context(made.authority, pair.certificate, pair.key))


def test_a_server_that_is_named_by_its_address_is_trusted_by_it(tmp_path: Path) -> None:
    """An IPv4 address as the name is one in the certificate, and may be signed for."""
    made = ensure_certificate(tmp_path, "192.0.2.7", PASSWORD, SystemClock())
    again = ensure_certificate(tmp_path, "192.0.2.7", PASSWORD, SystemClock())
    server = server_context(made.certificate, made.key, made.password)

    for host in ("192.0.2.7", "127.0.0.1", "localhost"):
        handshake(server, client_context(made.authority), host)

    assert (True, False) == (made.is_new_authority, again.is_new_authority)
    assert renew_certificate(tmp_path, "192.0.2.7", PASSWORD, SystemClock())


def test_a_certificate_is_renewed_thirty_days_before_its_end(tmp_path: Path) -> None:
    """The same certificate serves until then; the new one is of the same authority."""
    clock = FakeClock()
    made = ensure_certificate(tmp_path, "localhost", PASSWORD, clock)
    first, authority = made.certificate.read_bytes(), made.authority.read_bytes()
    end = certificate_in(made.certificate).not_valid_after_utc
    clock.at = end - dt.timedelta(days=30)
    ensure_certificate(tmp_path, "localhost", PASSWORD, clock)
    assert first == made.certificate.read_bytes()
    clock.advance(1)
    ensure_certificate(tmp_path, "localhost", PASSWORD, clock)
    renewed = certificate_in(made.certificate)
    assert (authority, True) == (made.authority.read_bytes(), renewed.not_valid_after_utc > end)
    renewed.verify_directly_issued_by(certificate_in(made.authority))


def test_an_authority_without_its_key_serves_until_its_last_day(tmp_path: Path) -> None:
    """A folder from before the key was kept gets a new authority at the very end, at a start."""
    clock = FakeClock()
    made = ensure_certificate(tmp_path, "localhost", PASSWORD, clock)
    made.authority_key.unlink()
    authority = made.authority.read_bytes()
    clock.at = certificate_in(made.certificate).not_valid_after_utc - dt.timedelta(days=1)
    assert not renew_certificate(tmp_path, "localhost", PASSWORD, clock)
    ensure_certificate(tmp_path, "localhost", PASSWORD, clock)
    assert authority == made.authority.read_bytes()
    clock.advance(1)
    ensure_certificate(tmp_path, "localhost", PASSWORD, clock)
    assert authority != made.authority.read_bytes()


def test_another_name_takes_another_authority(tmp_path: Path) -> None:
    """The authority cannot sign for a name that it was not made for, so a new one is made."""
    made = ensure_certificate(tmp_path, "localhost", PASSWORD, FakeClock())
    authority = made.authority.read_bytes()
    ensure_certificate(tmp_path, "seawall.example", PASSWORD, FakeClock())
    assert authority != made.authority.read_bytes()
    certificate_in(made.certificate).verify_directly_issued_by(certificate_in(made.authority))


def test_a_key_of_another_certificate_is_put_right(tmp_path: Path) -> None:
    """A pair of which one half was lost is issued again, by the same authority."""
    made = ensure_certificate(tmp_path, "localhost", PASSWORD, FakeClock())
    authority = made.authority.read_bytes()
    made.key.write_bytes(made.authority_key.read_bytes())
    ensure_certificate(tmp_path, "localhost", PASSWORD, FakeClock())
    key = serialization.load_pem_private_key(made.key.read_bytes(), PASSWORD.encode())
    assert key.public_key() == certificate_in(made.certificate).public_key()
    assert authority == made.authority.read_bytes()


@pytest.mark.parametrize("damage", ["garbage", "another's", "another password"])
def test_a_damaged_key_of_the_authority_makes_no_new_one(tmp_path: Path, damage: str) -> None:
    """What serves goes on until its last day; then it is an error, and clients' trust is kept."""
    clock = FakeClock()
    made = ensure_certificate(tmp_path / "tls", "localhost", PASSWORD, clock)
    authority = made.authority.read_bytes()
    other = ensure_certificate(tmp_path / "other", "localhost", "another", clock)
    contents = {"garbage": b"no key", "another's": made.key.read_bytes()}
    damaged = contents.get(damage) or other.authority_key.read_bytes()
    made.authority_key.write_bytes(damaged)

    clock.at = certificate_in(made.certificate).not_valid_after_utc - dt.timedelta(days=2)
    serving = ensure_certificate(tmp_path / "tls", "localhost", PASSWORD, clock)
    clock.advance(2 * 86_400)

    for ensure in (ensure_certificate, renew_certificate):
        with pytest.raises(Unavailable) as caught:
            ensure(tmp_path / "tls", "localhost", PASSWORD, clock)
        assert "certificate-unreadable" == caught.value.code
    assert (made.certificate, False) == (serving.certificate, serving.is_new_authority)
    assert (authority, damaged) == (made.authority.read_bytes(), made.authority_key.read_bytes())


def test_a_certificate_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    """A certificate file with something else in it is an error with a code."""
    made = ensure_certificate(tmp_path, "localhost", PASSWORD, FakeClock())
    made.certificate.write_bytes(b"no certificate")
    with pytest.raises(Unavailable) as caught:
        ensure_certificate(tmp_path, "localhost", PASSWORD, FakeClock())
    assert caught.value.code == "certificate-unreadable"


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A file where the folder should be is an error with a code."""
    (tmp_path / "tls").write_bytes(b"")
    with pytest.raises(Unavailable) as caught:
        ensure_certificate(tmp_path / "tls" / "in", "localhost", PASSWORD, FakeClock())
    assert caught.value.code == "certificate-unwritable"
