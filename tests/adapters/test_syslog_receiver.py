"""Sending to a real syslog receiver over TLS: what arrives, is refused, and counts as sent."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.adapters.syslog import PositionFile, SyslogReceiver
from seawall.core.audit.syslog import frame
from seawall.core.errors import Invalid, Unavailable
from syslog_server import SyslogServer, syslog_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = frame(b"<110>1 - - - - - - \xef\xbb\xbfone") + frame(
    b"<110>1 - - - - - - \xef\xbb\xbftwo"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """Return a certificate for localhost and 127.0.0.1, by an authority of its own."""
    folder = tmp_path_factory.mktemp("receiver")
    return ensure_certificate(folder, "localhost", "password", SystemClock())


@pytest.fixture
def server(certificate: ServerCertificate) -> Iterator[SyslogServer]:
    """Return a receiver that listens."""
    made = certificate
    with syslog_server(made.certificate, made.key, made.password) as serving:
        yield serving


def receiver(server: SyslogServer, made: ServerCertificate, **options: Any) -> SyslogReceiver:
    """Return the adapter for this server."""
    given = {"host": "127.0.0.1", "port": server.port, "authority": made.authority, **options}
    return SyslogReceiver(given.pop("host"), given.pop("port"), **given)


async def test_what_is_sent_arrives_whole(
    server: SyslogServer, certificate: ServerCertificate
) -> None:
    """Once `deliver` returns, the receiver has read every octet."""
    sending = receiver(server, certificate)
    await sending.deliver(CONTENT)
    await sending.deliver(CONTENT * 10_000)

    assert [CONTENT, CONTENT * 10_000] == server.streams
    assert ["one", "two"] == [message.text for message in server.messages()[:2]]


async def test_a_receiver_that_closes_without_a_farewell_has_read_it(
    server: SyslogServer, certificate: ServerCertificate
) -> None:
    """Some receivers answer TLS's farewell by closing the connection: in order, so it counts."""
    server.endings = ["unannounced"]
    await receiver(server, certificate).deliver(CONTENT)

    assert [CONTENT] == server.streams


@pytest.mark.parametrize(
    ("ending", "code"), [("reset", "syslog-unreachable"), ("never", "syslog-timeout")]
)
async def test_a_delivery_without_an_end_does_not_count(
    ending: Any, code: str, server: SyslogServer, certificate: ServerCertificate
) -> None:
    """A connection that breaks, or that the receiver does not end, is an error."""
    server.endings = [ending]
    with pytest.raises(Unavailable) as caught:
        await receiver(server, certificate, seconds=0.5).deliver(CONTENT * 100_000)
    server.stopping.set()

    assert (code, []) == (caught.value.code, server.streams)


async def test_a_receiver_that_is_not_there_is_unavailable(
    certificate: ServerCertificate,
) -> None:
    """Nobody listens: an error with a code."""
    sending = SyslogReceiver("127.0.0.1", 1, authority=certificate.authority, seconds=1)
    with pytest.raises(Unavailable) as caught:
        await sending.deliver(CONTENT)

    assert "syslog-unreachable" == caught.value.code


async def test_a_certificate_of_another_authority_is_refused(
    server: SyslogServer, tmp_path: Path
) -> None:
    """Not one message goes to a receiver that the authority did not vouch for."""
    other = ensure_certificate(tmp_path, "localhost", "password", SystemClock())
    with pytest.raises(Unavailable) as caught:
        await receiver(server, other).deliver(CONTENT)

    assert ("syslog-untrusted", []) == (caught.value.code, server.streams)


async def test_a_certificate_of_another_name_is_refused(
    tmp_path: Path, certificate: ServerCertificate
) -> None:
    """The certificate must be of the very host that was named."""
    key, pem = client_certificate(tmp_path, name="elsewhere.example")
    with syslog_server(pem, key, "") as serving:
        sending = SyslogReceiver("localhost", serving.port, authority=pem, seconds=5)
        with pytest.raises(Unavailable) as caught:
            await sending.deliver(CONTENT)

    assert ("syslog-untrusted", []) == (caught.value.code, serving.streams)
    assert certificate.authority.exists()


async def test_a_client_certificate_is_shown_where_it_is_asked_for(
    certificate: ServerCertificate, tmp_path: Path
) -> None:
    """With it the receiver takes the messages; without it the delivery fails."""
    key, pem = client_certificate(tmp_path, name="seawall")
    made = certificate
    with syslog_server(made.certificate, made.key, made.password, clients=pem) as serving:
        await receiver(serving, made, certificate=pem, key=key).deliver(CONTENT)
        for _ in range(40):  # the refusal comes late in TLS 1.3, and must never look like an end
            with pytest.raises(Unavailable) as caught:
                await receiver(serving, made, seconds=5).deliver(CONTENT)

    assert ([CONTENT], "syslog-unreachable") == (serving.streams, caught.value.code)


@pytest.mark.parametrize("ending", ["crash", "farewell-first"])
async def test_an_end_before_the_messages_were_read_does_not_count(
    ending: Any, server: SyslogServer, certificate: ServerCertificate
) -> None:
    """A receiver that ends, politely or not, before it read: what it did not read is not sent."""
    for _ in range(20):
        server.endings = [ending]
        with pytest.raises(Unavailable):
            await receiver(server, certificate, seconds=5).deliver(CONTENT * 1_000)

    assert [] == server.streams


def client_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate; return its key file and itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = folder / "client.key", folder / "client.pem"
    files[0].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files[1].write_bytes(made.public_bytes(pem))
    return files


def test_tls_is_1_2_or_later_and_verified(certificate: ServerCertificate) -> None:
    """No version below 1.2, no certificate unverified, no name unchecked."""
    context = SyslogReceiver("localhost", 6514, authority=certificate.authority)._context

    assert (ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED, True) == (
        context.minimum_version,
        context.verify_mode,
        context.check_hostname,
    )


@pytest.mark.parametrize("options", [{"authority": "none.pem"}, {"certificate": "none.pem"}])
def test_files_that_cannot_be_read_are_told(
    options: dict[str, str], certificate: ServerCertificate, tmp_path: Path
) -> None:
    """An authority or a certificate that is not there is an error before anything is sent."""
    paths: dict[str, Any] = {name: tmp_path / value for name, value in options.items()}
    with pytest.raises(Invalid) as caught:
        SyslogReceiver("localhost", 1, **{"authority": certificate.authority, **paths})

    assert "syslog-certificates-unreadable" == caught.value.code


def test_a_key_with_a_password_is_refused_without_asking(
    certificate: ServerCertificate,
) -> None:
    """Nobody is asked for a password at a terminal that may not be there."""
    made = certificate
    with pytest.raises(Invalid) as caught:
        SyslogReceiver(
            "localhost", 1, authority=made.authority, certificate=made.certificate, key=made.key
        )

    assert "syslog-certificates-unreadable" == caught.value.code


# --- the position -------------------------------------------------------------


def test_a_position_is_read_as_it_was_kept(tmp_path: Path) -> None:
    """None at first; afterwards what was kept last."""
    position = PositionFile(tmp_path / "sent.json")
    assert position.load() is None
    position.save("localhost/log/a", 3)
    position.save("localhost/log/a", 9)

    assert ("localhost/log/a", 9) == PositionFile(tmp_path / "sent.json").load()
    assert ["sent.json"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"log":1,"next":2}', b'{"log":"a","next":-1}'])
def test_a_file_that_is_no_position_is_told(content: bytes, tmp_path: Path) -> None:
    """Starting over in silence would send everything again; guessing could lose something."""
    (tmp_path / "sent.json").write_bytes(content)
    with pytest.raises(Invalid) as caught:
        PositionFile(tmp_path / "sent.json").load()

    assert "position-unreadable" == caught.value.code


def test_a_position_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    """A folder that is not there is an error with a code."""
    with pytest.raises(Unavailable) as caught:
        PositionFile(tmp_path / "none" / "sent.json").save("a", 1)

    assert "position-unwritable" == caught.value.code
