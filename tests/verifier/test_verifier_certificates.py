"""Certificates of time-stamp authorities: weak keys, foreign purposes, and endless searches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from seawall.verifier.certificates import require_strong_key, require_trusted
from seawall.verifier.refusal import FormError
from verifier.stampers import NOW, Authority, ec_key, stamper

if TYPE_CHECKING:
    from collections.abc import Callable

    from verifier.stampers import PrivateKey

ROOT = Authority("root")
NOT_LED_TO = "not issued under a given one"


def judge(signer: Authority, *others: Authority, root: Authority = ROOT) -> None:
    """Raise unless the others lead from the signer to the root."""
    certificates = [each.certificate for each in (signer, *others)]
    require_trusted(signer.certificate, certificates, [root.certificate], NOW)


def purposes(*named: x509.ObjectIdentifier) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """Return an extension that allows a certificate and those below it these purposes alone."""
    return ((x509.ExtendedKeyUsage(named), False),)


def rsa_of(bits: int, exponent: int = 65_537) -> x509.Certificate:
    """Return a certificate over an RSA number of so many bits, which nobody needs to factor."""
    number = (1 << bits - 1) + 1
    public = rsa.RSAPublicNumbers(exponent, number).public_key()
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW)
    return builder.public_key(public).sign(ROOT.key, ROOT.digest)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP224R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: rsa.generate_private_key(65_537, 1_024),  # noqa: S505  to be refused
    ],
    ids=["P-224", "secp256k1", "RSA-1024"],
)
def test_weak_keys_vouch_for_nothing(make: Callable[[], PrivateKey]) -> None:
    """A weak key is refused in whatever place of the chain, and in the trusted certificate too."""
    between = Authority("between", key=make(), issuer=ROOT)
    root = Authority("weak root", key=make())

    with pytest.raises(FormError, match="unknown or weak kind"):
        require_strong_key(stamper(ROOT, key=make()).certificate)
    with pytest.raises(FormError, match=NOT_LED_TO):
        judge(stamper(between), between)
    with pytest.raises(FormError, match=NOT_LED_TO):
        judge(stamper(root), root=root)


@pytest.mark.parametrize(("bits", "exponent"), [(8_200, 65_537), (2_048, 2**33 + 1)])
def test_rsa_keys_that_are_slow_to_use_are_refused(bits: int, exponent: int) -> None:
    """The size of a number and of its exponent are limited: a stamp must not keep us busy."""
    require_strong_key(rsa_of(8_192, 2**33 - 1))
    with pytest.raises(FormError, match="unknown or weak kind"):
        require_strong_key(rsa_of(bits, exponent))


def test_keys_of_other_kinds_are_refused() -> None:
    """Stamps are by RSA or ECDSA, and so are the certificates above them."""
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW)
    key = ed25519.Ed25519PrivateKey.generate()

    with pytest.raises(FormError, match="unknown or weak kind"):
        require_strong_key(builder.public_key(key.public_key()).sign(key, None))


def test_certificates_in_a_ring_end_soon() -> None:
    """Twelve authorities that all issued each other are searched once, and lead nowhere."""
    key = ec.generate_private_key(ec.SECP521R1())
    ring = [Authority("ring", key=key) for _ in range(11)]
    started = time.process_time()

    with pytest.raises(FormError, match=NOT_LED_TO):
        judge(stamper(ring[0]), *ring)
    assert time.process_time() - started < 5


def test_authority_for_other_purposes_is_none() -> None:
    """An authority that may issue for the web alone vouches for no time stamp."""
    web = Authority("web", issuer=ROOT, extensions=purposes(ExtendedKeyUsageOID.SERVER_AUTH))

    with pytest.raises(FormError, match=NOT_LED_TO):
        judge(stamper(web), web)


@pytest.mark.parametrize(
    "purpose", [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
)
def test_authority_for_time_stamping_is_one(purpose: x509.ObjectIdentifier) -> None:
    """An authority for time stamping, among other things or for anything, vouches for one."""
    allowed = purposes(ExtendedKeyUsageOID.SERVER_AUTH, purpose)
    between = Authority("between", issuer=ROOT, extensions=allowed)

    judge(stamper(between), between)


@pytest.mark.parametrize("is_critical", [True, False])
def test_name_constraints_are_not_passed_over(*, is_critical: bool) -> None:
    """Name constraints are not judged here, so that who has them vouches for nothing."""
    names = x509.NameConstraints([x509.DNSName("example.org")], None)
    between = Authority("between", key=ec_key(), issuer=ROOT, extensions=((names, is_critical),))

    with pytest.raises(FormError, match=NOT_LED_TO):
        judge(stamper(between), between)
