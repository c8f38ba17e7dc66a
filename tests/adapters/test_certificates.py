"""The private certificate authority: made once, renewed in time, its keys closed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fakes import FakeClock
from seawall.adapters.certificates import ensure_certificate, renew_certificate
from seawall.core.errors import Unavailable

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


def test_the_authority_can_sign_for_this_host_alone(tmp_path: Path) -> None:
    """Its name constraints, critical, permit the server's names and no other."""
    made = ensure_certificate(tmp_path, "seawall.example", PASSWORD, FakeClock())
    found = certificate_in(made.authority).extensions.get_extension_for_class(x509.NameConstraints)
    permitted = [str(each.value) for each in found.value.permitted_subtrees or ()]
    assert found.critical
    assert ["localhost", "seawall.example", "127.0.0.1/32"] == permitted


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
