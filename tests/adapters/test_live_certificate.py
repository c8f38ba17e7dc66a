"""A listener's certificate while it serves: reloaded whole or not at all, renewed, told of."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from certified import DAY, Pair, TestAuthority
from fakes import RecordingNotifier
from seawall.adapters.certificates import (
    RENEW_DAYS,
    CertificateFiles,
    LiveCertificate,
    ensure_certificate,
    renew_certificate,
)
from seawall.adapters.clock import SystemClock
from seawall.compose import reloading_on_hangup
from seawall.core.errors import Invalid
from seawall.http.server import listen, serving
from seawall.tls import client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class LaterClock(SystemClock):
    """The system's clock, some time ahead."""

    ahead = dt.timedelta(0)

    def now(self) -> dt.datetime:
        """Return the time then."""
        return super().now() + self.ahead


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    """Return an authority for servers' certificates."""
    return TestAuthority(tmp_path / "authority")


def live(pair: Pair, notifier: RecordingNotifier, **more: Any) -> LiveCertificate:
    """Return a listener's certificate for localhost."""
    named = {"password": str, **{n: more.pop(n) for n in ("password", "clients") if n in more}}
    files = CertificateFiles(pair.certificate, pair.key, more.pop("name", "localhost"), **named)
    return LiveCertificate(files, clock=more.pop("clock", SystemClock()), notifier=notifier, **more)


def codes(notifier: RecordingNotifier) -> list[str]:
    """Return the codes of the alarms, in order."""
    return [code for code, *_ in notifier.alarms]


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer every request."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(certificate: LiveCertificate) -> AsyncIterator[int]:
    """Serve with a certificate; yield the port."""
    listener = listen("127.0.0.1", 0)
    async with serving(application, listener, certificate.context):
        yield listener.getsockname()[1]


def shown(port: int, trusted: Path) -> bytes:
    """Shake hands anew; return the certificate that the server shows."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        client_context(trusted).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


async def test_a_new_pair_is_served_while_traffic_goes_on(authority: TestAuthority) -> None:
    """New handshakes see the new certificate; a connection that was open is answered as before."""
    pair, other = authority.server(), authority.server("other")
    certificate = live(pair, RecordingNotifier())
    trusting = client_context(authority.certificate)
    async with served(certificate) as port:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
        before = await asyncio.to_thread(shown, port, authority.certificate)
        pair.replace(other)
        await certificate.check()
        after = await asyncio.to_thread(shown, port, authority.certificate)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.readline()
        writer.close()
    assert other.der == after != before
    assert b"HTTP/1.1 200 OK\r\n" == answer


async def test_handshakes_during_reloads_all_succeed(authority: TestAuthority) -> None:
    """Whoever connects while certificates change sees the one or the other, whole."""
    pair, pairs = authority.server(), [authority.server("a"), authority.server("b")]
    certificate = live(pair, RecordingNotifier())
    seen: list[bytes] = []
    async with served(certificate) as port:
        connecting = asyncio.gather(*(keep_connecting(seen, port, authority) for _ in range(2)))
        turn = 0
        # Reloads go on for as long as handshakes do, so that they meet.
        while not connecting.done():
            pair.replace(pairs[turn % 2])
            await certificate.check()
            turn += 1
        await connecting
    known = {each.der for each in pairs}
    assert (40, True) == (len(seen), turn > 1)
    assert known == set(seen) & known
    assert len(set(seen) - known) <= 1


async def keep_connecting(seen: list[bytes], port: int, authority: TestAuthority) -> None:
    """Shake hands twenty times; keep what the server shows."""
    seen.extend([await asyncio.to_thread(shown, port, authority.certificate) for _ in range(20)])


async def test_another_kind_of_key_replaces_the_old_one(authority: TestAuthority) -> None:
    """An RSA certificate takes the place of an elliptic one for every client."""
    pair, other = authority.server(), authority.server("other", kind="rsa")
    certificate = live(pair, RecordingNotifier())
    async with served(certificate) as port:
        pair.replace(other)
        certificate.look()
        assert other.der == await asyncio.to_thread(shown, port, authority.certificate)


@pytest.mark.parametrize("broken", ["garbage", "other key", "missing", "ended", "other name"])
async def test_an_unusable_pair_leaves_the_old_one(authority: TestAuthority, broken: str) -> None:
    """What cannot be served with is told once, when it stays, and changes nothing."""
    pair, notifier = authority.server(), RecordingNotifier()
    certificate, before = live(pair, notifier), pair.der
    match broken:
        case "garbage":
            pair.certificate.write_bytes(b"no certificate")
        case "other key":
            pair.key.write_bytes(authority.server("other").key.read_bytes())
        case "missing":
            pair.key.unlink()
        case "ended":
            pair.replace(authority.server("ended", ends=-DAY))
        case _:
            pair.replace(authority.server("elsewhere", hosts=("elsewhere.example",)))
    told = []
    async with served(certificate) as port:
        for _ in range(3):
            await certificate.check()
            told.append(codes(notifier).count("certificate-unusable"))
        assert before == await asyncio.to_thread(shown, port, authority.certificate)
    assert [0, 1, 1] == told


def test_who_asks_for_a_reload_is_told_at_once(authority: TestAuthority) -> None:
    """On SIGHUP an unusable pair is an alarm without a second look."""
    pair, notifier = authority.server(), RecordingNotifier()
    certificate = live(pair, notifier)
    pair.key.write_bytes(b"no key")
    certificate.look(insists=True)
    assert ["certificate-unusable"] == [c for c in codes(notifier) if c != "certificate-expiring"]


def test_a_pair_that_was_put_right_is_loaded(authority: TestAuthority) -> None:
    """After an unusable pair, the next good one counts, and another bad one is told again."""
    pair, notifier = authority.server(), RecordingNotifier()
    certificate, good = live(pair, notifier), pair.key.read_bytes()
    for content in (b"no key", good, b"none again"):
        pair.key.write_bytes(content)
        certificate.look()
        certificate.look()
    assert 2 == codes(notifier).count("certificate-unusable")


def test_an_authority_in_the_chain_that_has_ended_is_told_of(
    authority: TestAuthority,
) -> None:
    """What follows the server's own certificate refuses nothing: clients may not need it."""
    pair, ended = authority.server(ends=60 * DAY), authority.server("ended", ends=-DAY)
    chain = pair.certificate.read_bytes() + ended.certificate.read_bytes()
    pair.certificate.write_bytes(chain)
    notifier = RecordingNotifier()

    live(pair, notifier).look()

    assert ["certificate-expiring"] == codes(notifier)


async def test_a_hangup_is_heeded_away_from_the_event_loop(authority: TestAuthority) -> None:
    """SIGHUP loads what the files hold now, and no file is read where requests are answered."""
    pair, reading = authority.server(), []

    def password() -> str:
        """Keep which thread asks."""
        reading.append(threading.get_ident())
        return ""

    notifier = RecordingNotifier()
    certificate = live(pair, notifier, password=password)
    with reloading_on_hangup(certificate, notifier):
        pair.replace(authority.server("other"))
        os.kill(os.getpid(), signal.SIGHUP)
        for _ in range(200):
            await asyncio.sleep(0.02)
            if len(reading) > 1:
                break
    here = threading.get_ident()
    assert [True, False] == [each == here for each in reading]


@pytest.mark.parametrize("unusable", ["ended", "name", "password"])
def test_a_server_does_not_start_with_what_it_cannot_serve(
    authority: TestAuthority, unusable: str
) -> None:
    """At the start an unusable certificate is an error, and nothing listens."""
    pair = authority.server(
        ends=-DAY if unusable == "ended" else DAY,
        hosts=("elsewhere.example",) if unusable == "name" else ("localhost",),
        password="secret" if unusable == "password" else "",
    )
    with pytest.raises(Invalid) as caught:
        live(pair, RecordingNotifier(), password=lambda: "another")
    assert "certificate-unusable" == caught.value.code


def test_a_key_with_a_password_is_opened_by_it(authority: TestAuthority) -> None:
    """The password is asked for at each loading, and opens the key."""
    pair = authority.server(password="secret")
    notifier = RecordingNotifier()
    live(pair, notifier, password=lambda: "secret").look()
    assert "certificate-unusable" not in codes(notifier)


@pytest.mark.parametrize(
    ("name", "hosts", "is_for"),
    [
        ("gateway.example", ("gateway.example",), True),
        ("Gateway.example", ("gateway.EXAMPLE",), True),
        ("gateway.example", ("*.example",), True),
        ("a.gateway.example", ("*.example",), False),
        ("127.0.0.1", ("127.0.0.1",), True),
        ("127.0.0.2", ("127.0.0.1",), False),
        ("gateway.example", ("example",), False),
    ],
)
def test_a_certificate_is_for_the_names_that_clients_would_take(
    authority: TestAuthority, name: str, hosts: tuple[str, ...], *, is_for: bool
) -> None:
    """A name counts by the subjectAltName, with one wildcard as its first label (RFC 9525)."""
    pair = authority.server(hosts=hosts)
    try:
        live(pair, RecordingNotifier(), name=name)
    except Invalid:
        assert not is_for
    else:
        assert is_for


def test_an_end_that_comes_is_told_at_thirty_seven_one_and_no_days(
    authority: TestAuthority,
) -> None:
    """Each threshold is one alarm, however often it is looked at."""
    pair, notifier, clock = authority.server(), RecordingNotifier(), LaterClock()
    certificate = live(pair, notifier, clock=clock)
    told = []
    for days in (0, 21, 23, 27, 28.5, 29.5):
        clock.ahead = days * DAY
        certificate.look()
        certificate.look()
        told.append(codes(notifier).count("certificate-expiring"))
    assert [1, 1, 2, 2, 3, 4] == told


async def test_our_own_certificate_is_renewed_while_serving(tmp_path: Path) -> None:
    """Thirty days before its end there is a new one of the same authority, without an alarm."""
    clock, notifier = LaterClock(), RecordingNotifier()
    made = ensure_certificate(tmp_path, "localhost", "pw", clock)
    certificate = live(
        Pair(made.certificate, made.key),
        notifier,
        clock=clock,
        password=lambda: "pw",
        renew=partial(renew_certificate, tmp_path, "localhost", "pw", clock),
        renew_days=RENEW_DAYS,
    )
    authority = made.authority.read_bytes()
    async with served(certificate) as port:
        first = await asyncio.to_thread(shown, port, made.authority)
        clock.ahead = 59 * DAY
        await certificate.check()
        kept = await asyncio.to_thread(shown, port, made.authority)
        clock.ahead = 61 * DAY
        await certificate.check()
        with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
            await asyncio.to_thread(shown, port, made.authority)
    renewed = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    assert first == kept
    assert (authority, []) == (made.authority.read_bytes(), codes(notifier))
    assert renewed.not_valid_after_utc > clock.now() + 89 * DAY
