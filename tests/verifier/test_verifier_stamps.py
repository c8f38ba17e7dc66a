"""Step 10: time stamps by real authorities, sound ones and every other kind."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from seawall.verifier import der
from seawall.verifier.__main__ import main
from seawall.verifier.certificates import _require_authority, require_time_stamping
from seawall.verifier.cms import hash_of
from seawall.verifier.refusal import FormError
from seawall.verifier.stamp import _time_stamped, read_authority, verify_stamp
from verifier.stampers import DAY, NOW, STAMPING, Authority, stamp, stamper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from verifier.logs import Log, Run
    from verifier.stampers import PrivateKey

TEXT = b"ledger.example/log/5e\n3\nAAAA\n"
ROOT = Authority("root")
SAID = r"^(it|its) "
"""How each sentence of ours about a stamp begins."""


def read(raw: bytes, root: Authority = ROOT, text: bytes = TEXT, *, late: float = 0) -> str:
    """Return the time that a stamp shows under a root, asked `late` seconds from now."""
    return verify_stamp(raw, text, read_authority(root.pem, time.time() + late))[0]


def usage(**allowed: bool) -> x509.KeyUsage:
    """Return a key usage that allows this and no more."""
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names.split()})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a stamp of the text, with one certificate, which the root issued."""
    return stamp(tmp_path_factory.mktemp("tsa"), TEXT, stamper(ROOT))


def put_stamp(log: Log, size: int, folder: Path, signer: Authority) -> None:
    """Publish a checkpoint with a time stamp over its text."""
    note = log.publish(size)
    text = note.rpartition("\n\n")[0] + "\n"
    log.put(f"published/{size}/stamp.tsr", stamp(folder, text.encode(), signer))


def pem(folder: Path, *authorities: Authority) -> str:
    """Write what an auditor was given, and return its name."""
    (folder / "authority.pem").write_bytes(b"".join(each.pem for each in authorities))
    return str(folder / "authority.pem")


def test_newest_stamp_is_told(middle: Log, tmp_path: Path, run: Run) -> None:
    """The newest stamped checkpoint is verified, and its time told; later ones have no stamp."""
    signer = stamper(ROOT)
    put_stamp(middle, 300, tmp_path / "tsa", signer)
    put_stamp(middle, 600, tmp_path / "tsa", signer)
    middle.publish(650)

    result, found = run(middle, "--timestamp-authority", pem(tmp_path, ROOT)).step(10)
    assert "ok" == result
    assert found.startswith("the first 600 of 700 entries were there at 20")
    assert found.endswith("Z, says CN=stamper")


def test_stamp_of_the_present_size(middle: Log, tmp_path: Path, run: Run) -> None:
    """A stamp of the present checkpoint covers all entries."""
    put_stamp(middle, 700, tmp_path / "tsa", stamper(ROOT))

    found = run(middle, "--timestamp-authority", pem(tmp_path, ROOT)).step(10)[1]
    assert found.startswith("all 700 entries were there at")


def test_log_without_a_stamp_is_refused(middle: Log, tmp_path: Path, run: Run) -> None:
    """Who asks for a time stamp of a log that has none is told so."""
    middle.publish(600)

    assert (10, "checkpoint") == run(middle, "--timestamp-authority", pem(tmp_path, ROOT)).refused


def test_bad_stamp_of_a_log_is_refused(middle: Log, tmp_path: Path, run: Run) -> None:
    """A stamp that another authority made is refused, and so is one moved from another size."""
    put_stamp(middle, 600, tmp_path / "tsa", stamper(ROOT))
    other = pem(tmp_path, Authority("root"))
    assert (10, "published/600/stamp.tsr") == run(middle, "--timestamp-authority", other).refused

    middle.publish(650)
    (middle.folder / "published/600/stamp.tsr").rename(middle.folder / "published/650/stamp.tsr")
    verdict = run(middle, "--timestamp-authority", pem(tmp_path, ROOT))
    assert (10, "published/650/stamp.tsr") == verdict.refused
    assert "of another text" in verdict.step(10)[1]


def test_stamp_of_a_fork_is_refused(middle: Log, tmp_path: Path, run: Run) -> None:
    """A stamped checkpoint of another history is refused, however well it is stamped."""
    entries = middle.entries
    middle.entries = [b"{}", *entries[1:]]
    put_stamp(middle, 600, tmp_path / "tsa", stamper(ROOT))
    middle.entries = entries

    verdict = run(middle, "--timestamp-authority", pem(tmp_path, ROOT))
    assert (6, "published/600/checkpoint") == verdict.refused


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n"])
def test_authority_without_certificates_is_a_wrong_call(
    content: bytes, middle: Log, tmp_path: Path
) -> None:
    """A file that holds no certificate is a wrong call, not a verdict on the log."""
    (tmp_path / "authority.pem").write_bytes(content)

    call = ["--timestamp-authority", str(tmp_path / "authority.pem")]
    assert 2 == main([str(middle.folder), "--vkey", middle.vkey, *call])


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda: rsa.generate_private_key(65_537, 2_048), {}),
        (lambda: rsa.generate_private_key(65_537, 3_072), {"digest": "sha512"}),
        (lambda: ec.generate_private_key(ec.SECP384R1()), {"digest": "sha384", "ess": "sha512"}),
        (lambda: ec.generate_private_key(ec.SECP521R1()), {"imprint": "sha512", "ess": "sha1"}),
    ],
    ids=["rsa", "rsa sha-512", "p-384", "p-521 and the older attribute"],
)
def test_kinds_of_stamps(
    make: Callable[[], PrivateKey], options: dict[str, str], tmp_path: Path
) -> None:
    """RSA and ECDSA, each hash of SHA-2, and both signing-certificate attributes are read."""
    raw = stamp(tmp_path, TEXT, stamper(ROOT, key=make()), **options)

    assert f"{NOW:%Y}" == read(raw)[:4]


def test_chain_of_authorities(tmp_path: Path) -> None:
    """Authorities between the trusted one and the stamp are read from the stamp."""
    upper = Authority("upper", issuer=ROOT, path_length=1)
    lower = Authority("lower", issuer=upper, path_length=0)
    signer = stamper(lower)

    assert read(stamp(tmp_path, TEXT, signer, lower, upper))
    assert read(stamp(tmp_path, TEXT, signer), lower)
    assert read(stamp(tmp_path, TEXT, signer), signer)
    with pytest.raises(ValueError, match="not issued under a given one"):
        read(stamp(tmp_path, TEXT, signer, upper))


def encoded(tag: int, *parts: bytes) -> bytes:
    """Return a DER element of these parts."""
    content = b"".join(parts)
    length = len(content).to_bytes(2, "big")
    if len(content) < 128:
        return bytes([tag]) + length[1:] + content
    return bytes([tag, 0x82 if length[0] else 0x81]) + length.lstrip(b"\0") + content


def with_signature(raw: bytes, algorithm: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a stamp whose signature is of another kind, which openssl does not make."""
    status, token = der.read(raw).parts().rest()
    kind, held = token.parts().rest()
    *before, signers = held.parts(der.context(0)).take().parts().rest()
    signer = signers.parts(der.SET).take().parts().rest()
    attributes = bytes([der.SET]) + signer[3].raw[1:]
    made = [*(each.raw for each in signer[:4]), algorithm, encoded(der.OCTETS, sign(attributes))]
    signed = encoded(
        der.SEQUENCE,
        *(each.raw for each in before),
        encoded(der.SET, encoded(der.SEQUENCE, *made)),
    )
    token_raw = encoded(der.SEQUENCE, kind.raw, encoded(der.context(0), signed))
    return encoded(der.SEQUENCE, status.raw, token_raw)


@pytest.mark.parametrize("bits", [0, 1])
def test_rsa_pss(bits: int, tmp_path: Path) -> None:
    """A signature by RSASSA-PSS is read, with the hash that its parameters name."""
    key = rsa.generate_private_key(65_537, 2_048)
    raw = stamp(tmp_path, TEXT, stamper(ROOT, key=key))
    # RFC 4055: id-RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    sha256 = "300d06096086480165030402010500"
    algorithm = bytes.fromhex(
        f"304106092a864886f70d01010a3034a00f{sha256}a11c301a06092a864886f70d010108{sha256}a203020120"
    )
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)

    def sign(message: bytes) -> bytes:
        return key.sign(message + bytes(bits), pss, hashes.SHA256())

    changed = with_signature(raw, algorithm, sign)
    if bits:
        with pytest.raises(FormError, match="signature is bad"):
            read(changed)
    else:
        assert read(raw) == read(changed)


@pytest.mark.parametrize("oid", ["06092a864886f70d010105", "06092a864886f70d01010a3000"])
def test_unknown_kind_of_signature_is_refused(oid: str, tmp_path: Path) -> None:
    """RSA with SHA-1, in PKCS #1 v1.5 or, which is its default, in PSS, is refused."""
    raw = stamp(tmp_path, TEXT, stamper(ROOT, key=rsa.generate_private_key(65_537, 2_048)))
    algorithm = encoded(der.SEQUENCE, bytes.fromhex(oid))

    with pytest.raises(FormError, match=SAID):
        read(with_signature(raw, algorithm, lambda _: bytes(256)))


def test_authority_without_constraints_is_none() -> None:
    """A certificate that does not say whether it may issue others may not."""
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    key = ec.generate_private_key(ec.SECP256R1())
    plain = (
        builder.public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(key, hashes.SHA256())
    )

    with pytest.raises(FormError, match="an issuer is no authority"):
        _require_authority(plain, 0)


def long_chain(length: int) -> list[Authority]:
    """Return so many authorities below the root, the lowest first."""
    chain = [ROOT]
    for number in range(length):
        chain.append(Authority(f"a{number}", issuer=chain[-1]))
    return chain[:0:-1]


def no_deeper() -> list[Authority]:
    """Return two authorities, of which the upper may have none below it."""
    upper = Authority("upper", issuer=ROOT, path_length=0)
    return [Authority("lower", issuer=upper), upper]


@pytest.mark.parametrize(
    "between",
    [
        lambda: [Authority("lower", issuer=ROOT, is_authority=False)],
        lambda: [Authority("lower", issuer=ROOT, valid=(-3, -1))],
        lambda: [Authority("lower", issuer=ROOT, valid=(1, 2))],
        lambda: [Authority("lower", issuer=ROOT, digest=hashes.SHA224())],
        lambda: [Authority("lower", issuer=Authority("root"))],
        lambda: [Authority("lower", issuer=ROOT, extensions=((usage(crl_sign=True), True),))],
        lambda: long_chain(6),
        no_deeper,
    ],
    ids=["no authority", "expired", "not yet", "weak hash", "other root", "usage", "long", "path"],
)
def test_broken_chain_is_refused(between: Callable[[], list[Authority]], tmp_path: Path) -> None:
    """A stamp whose certificate no sound authority vouches for is refused."""
    chain = between()
    raw = stamp(tmp_path, TEXT, stamper(chain[0]), *chain)

    with pytest.raises(ValueError, match="not issued under a given one"):
        read(raw)


def test_expired_trusted_certificate_is_refused(tmp_path: Path) -> None:
    """A trusted certificate that had expired at the stamp's time vouches for nothing."""
    root = Authority("old", valid=(-3, -1))

    with pytest.raises(ValueError, match="not issued under a given one"):
        read(stamp(tmp_path, TEXT, stamper(root)), root)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"valid": (-3, -1)}, "was not valid at its time"),
        ({"valid": (1, 2)}, "was not valid at its time"),
        (
            {
                "extensions": (
                    (STAMPING, True),
                    (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\0"), True),
                )
            },
            "critical extension that is not understood",
        ),
    ],
    ids=["expired", "not yet", "critical"],
)
def test_unsound_certificate_is_refused(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    """A certificate that was not valid, or that may not sign, made no stamp that counts."""
    with pytest.raises(ValueError, match=problem):
        read(stamp(tmp_path, TEXT, stamper(ROOT, **changes)))


@pytest.mark.parametrize(
    ("extensions", "problem"),
    [
        ((), "not one for time stamping"),
        (((STAMPING, False),), "for time stamping alone"),
        (
            (
                (
                    x509.ExtendedKeyUsage(
                        [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH]
                    ),
                    True,
                ),
            ),
            "for time stamping alone",
        ),
        (((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True),), "alone"),
        (((STAMPING, True), (usage(key_encipherment=True), True)), "key may not sign"),
    ],
    ids=["none", "not critical", "more", "other", "usage"],
)
def test_certificate_must_be_for_time_stamping(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...], problem: str
) -> None:
    """RFC 3161 section 2.3: time stamping is the one purpose, and critical (openssl makes none)."""
    with pytest.raises(ValueError, match=problem):
        require_time_stamping(stamper(ROOT, extensions=extensions).certificate)


def test_stamp_outlives_its_certificate(sound: bytes) -> None:
    """What counts is that certificates were valid at the stamp's time, not today."""
    assert read(sound) == read(sound, late=10 * DAY.total_seconds())


def test_stamp_of_the_future_is_refused(sound: bytes) -> None:
    """A stamp may be five minutes ahead of the auditor's clock, and no more."""
    assert read(sound, late=-290)
    with pytest.raises(ValueError, match="in the future"):
        read(sound, late=-400)


def test_stamp_of_another_text_is_refused(sound: bytes) -> None:
    """A stamp is of one text, to its last byte."""
    with pytest.raises(ValueError, match="of another text"):
        read(sound, text=TEXT[:-1])


def test_weak_hash_is_refused(tmp_path: Path) -> None:
    """Neither the imprint nor the signature may be of SHA-1."""
    for options in ({"imprint": "sha1"}, {"digest": "sha1"}):
        with pytest.raises(ValueError, match="not SHA-256, SHA-384 or SHA-512"):
            read(stamp(tmp_path, TEXT, stamper(ROOT), **options))


def test_weak_key_is_refused(tmp_path: Path) -> None:
    """An RSA key of 1,024 bits makes no stamp that counts."""
    key = rsa.generate_private_key(65_537, 1_024)  # noqa: S505  to be refused

    with pytest.raises(ValueError, match="unknown or weak kind"):
        read(stamp(tmp_path, TEXT, stamper(ROOT, key=key)))


def test_any_changed_byte_changes_nothing(sound: bytes) -> None:
    """Whichever byte changes, the stamp is refused, or says what it said: most are signed."""
    said = []
    for at in range(len(sound)):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(sound)
            changed[at] ^= mask
            with suppress(FormError):
                said.append(read(bytes(changed)))

    assert {read(sound)} == set(said)
    assert len(said) < len(sound) // 3


def test_any_cut_is_refused(sound: bytes) -> None:
    """A stamp that is cut off, or that goes on after its end, is refused."""
    for length in range(len(sound)):
        with pytest.raises(ValueError, match=SAID):
            read(sound[:length])
    with pytest.raises(ValueError, match="too many"):
        read(sound + b"\x05\x00")


@given(st.binary(max_size=300))
def test_garbage_is_refused(raw: bytes) -> None:
    """Whatever is no stamp is refused with a sentence."""
    with pytest.raises(ValueError, match=SAID):
        read(raw)


def test_refused_request_is_no_stamp() -> None:
    """A response that grants nothing is refused."""
    with pytest.raises(ValueError, match="grants no time stamp"):
        read(bytes.fromhex("30053003020102"))


@pytest.mark.parametrize(
    "raw",
    [
        "3080020100",  # indefinite
        "30810100",  # a long form of a short length
        "3082000100",  # padded
        "30850000000000",  # of five bytes
        "1f0100",  # a tag of two bytes
        "300201",  # cut off
        "30",
        "",
        "0201003000",  # not one element
        "300081",
    ],
)
def test_what_is_not_der_is_refused(raw: str) -> None:
    """Lengths have one spelling, tags one byte, and nothing is left over."""
    with pytest.raises(ValueError, match=SAID):
        der.read(bytes.fromhex(raw))


@pytest.mark.parametrize("raw", ["0200", "0201ff", "02020001", "020180", "030101"])
def test_malformed_number_is_refused(raw: str) -> None:
    """Numbers are not negative, and in their shortest form."""
    with pytest.raises(ValueError, match=SAID):
        der.Parts(bytes.fromhex(raw)).take().number()


@given(st.integers(0, 2**70))
def test_numbers_are_read(number: int) -> None:
    """Every number is read from its one form."""
    raw = number.to_bytes(number.bit_length() // 8 + 1, "big")

    assert number == der.Element(der.INTEGER, raw, b"").number()


@pytest.mark.parametrize("raw", ["0600", "060180", "0621" + "01" * 33])
def test_malformed_identifier_is_refused(raw: str) -> None:
    """Object identifiers end, and none that we know is long."""
    with pytest.raises(ValueError, match=SAID):
        der.Parts(bytes.fromhex(raw)).take().oid()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("2a864886f70d", "1.2.840.113549"), ("6086480165", "2.16.840.1.101"), ("883703", "2.999.3")],
)
def test_identifiers_are_read(raw: str, expected: str) -> None:
    """Object identifiers are read in dotted form."""
    content = bytes.fromhex(raw)

    assert expected == der.Element(der.OID, content, b"").oid()


def test_element_with_countless_parts_is_refused() -> None:
    """What is split into too many parts is not read on."""
    with pytest.raises(ValueError, match="too many parts"):
        der.Parts(b"\x05\x00" * 1_001)


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        ("secs:1, millisecs:500, microsecs:100", ", give or take 1.5001 seconds"),
        ("secs:86400", ", give or take 86400 seconds"),
        ("millisecs:20", ", give or take 0.02 seconds"),
    ],
)
def test_accuracy_is_told(accuracy: str, said: str, tmp_path: Path) -> None:
    """How far the authority says that its time may be off stands beside the time."""
    options = f"accuracy = {accuracy}\nordering = yes\ntsa_name = yes\n"

    assert read(stamp(tmp_path, TEXT, stamper(ROOT), options=options)).endswith(f"Z{said}")


def test_inaccurate_stamp_is_refused(tmp_path: Path) -> None:
    """A time that may be off by more than a day shows nothing."""
    raw = stamp(tmp_path, TEXT, stamper(ROOT), options="accuracy = secs:86401\n")

    with pytest.raises(FormError, match="off by more than a day"):
        read(raw)


def info_with(*following: bytes) -> bytes:
    """Return a TSTInfo over the text, with this behind its time."""
    sha256 = bytes.fromhex("300d06096086480165030402010500")
    imprint = encoded(der.SEQUENCE, sha256, encoded(der.OCTETS, hashlib.sha256(TEXT).digest()))
    time_of = encoded(der.TIME, b"20260101000000Z")
    before = [bytes.fromhex("020101"), bytes.fromhex("06032a0304"), imprint, b"\x02\x01\x07"]
    return encoded(der.SEQUENCE, *before, time_of, *following)


@pytest.mark.parametrize(
    "following",
    [
        "3000",  # an accuracy without parts
        "0101ff",  # ordered
        "020109",  # a nonce
        "a0028200",  # a name
        "a10b3009060355040404020500",  # an extension that is not critical
    ],
)
def test_what_may_follow_the_time(following: str) -> None:
    """The optional parts of RFC 3161 section 2.4.2 are known."""
    _, shown = _time_stamped(info_with(bytes.fromhex(following)), TEXT)

    assert shown.startswith("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "following",
    [
        "010100",  # a default that DER leaves out
        "010101",  # a truth with another spelling
        "800101",  # a part that there is not
        "0101ff0101ff",  # twice
        "a10e300c06035504040101ff04020500",  # a critical extension
        "3003020180",  # a negative accuracy
        "3004800203e8",  # 1,000 milliseconds
        "3003830101",  # an unknown part of the accuracy
    ],
)
def test_what_may_not_follow_the_time(following: str) -> None:
    """What is critical, unknown or malformed behind the time is not passed over."""
    with pytest.raises(FormError, match=SAID):
        _time_stamped(info_with(bytes.fromhex(following)), TEXT)


@pytest.mark.parametrize("content", ["80048001", "80862a", "2a8001"])
def test_padded_identifier_is_refused(content: str) -> None:
    """No arc of an object identifier begins with zeros."""
    with pytest.raises(FormError, match="malformed object identifier"):
        der.Element(der.OID, bytes.fromhex(content), b"").oid()


@pytest.mark.parametrize("parameters", ["020100", "050100", "05000500"])
def test_parameters_of_a_hash_are_refused(parameters: str) -> None:
    """A hash has no parameters, or NULL."""
    oid = bytes.fromhex("0609608648016503040201")
    algorithm = encoded(der.SEQUENCE, oid, bytes.fromhex(parameters))

    with pytest.raises(FormError, match=SAID):
        hash_of(der.read(algorithm))


def test_unknown_version_of_cms_is_refused(sound: bytes) -> None:
    """The versions of the signed data and of its signer are those that RFC 5652 demands."""
    at = sound.index(bytes.fromhex("020103310f300d"))
    changed = sound[: at + 2] + b"\x04" + sound[at + 3 :]

    with pytest.raises(FormError, match="unknown version of CMS"):
        read(changed)
