"""Posting over real TLS: verified, bounded, following nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from authority import Authority
from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.adapters.posting import MAX_ANSWER_BYTES, HttpPost
from seawall.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """Return a certificate for localhost and the authority that it is from."""
    folder = tmp_path_factory.mktemp("posting")
    return ensure_certificate(folder, "localhost", "a password", SystemClock())


class Place:
    """A place that takes posts: it answers the same bytes to everyone."""

    def __init__(self, tls: ServerCertificate, answer: bytes, *, hold: bool = False) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(tls.certificate, tls.key, tls.password)
        self.answer = answer
        self.hold = hold
        self.heads: list[bytes] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request's head, answer, and close unless it is to hold on."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        if self.hold:
            await reader.read()
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve while the context lasts; yield the URL."""
        server = await asyncio.start_server(self.take, "127.0.0.1", 0, ssl=self.context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield f"https://127.0.0.1:{self.port}/add-checkpoint"


def whole(body: bytes, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    """Return an HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_post_brings_status_type_and_body(tls: ServerCertificate) -> None:
    """The answer is handed over as it came, with the type that was posted in the request."""
    place = Place(tls, whole(b"12\n", "409 Conflict", "text/x.tlog.size"))
    async with place.serving() as url:
        answer = await HttpPost(url, "text/plain", authority=tls.authority)(b"old 5\n\n")

    assert (409, "text/x.tlog.size", b"12\n") == (answer.status, answer.content_type, answer.body)
    assert b"POST /add-checkpoint HTTP/1.1" == place.heads[0].split(b"\r\n")[0]
    assert b"Content-Type: text/plain" in place.heads[0]


async def test_a_redirect_is_not_followed(tls: ServerCertificate) -> None:
    """A redirect is an answer like another: nothing is sent elsewhere."""
    answer = (
        b"HTTP/1.1 307 Elsewhere\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    )
    async with Place(tls, answer).serving() as url:
        assert 307 == (await HttpPost(url, "text/plain", authority=tls.authority)(b"")).status


async def test_no_proxy_variable_is_read(
    tls: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment is not used."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with Place(tls, whole(b"x")).serving() as url:
        assert b"x" == (await HttpPost(url, "text/plain", authority=tls.authority)(b"")).body


async def test_an_unknown_authority_is_not_trusted(tls: ServerCertificate) -> None:
    """A certificate that the named authority, or the system's, did not sign ends the post."""
    place = Place(tls, whole(b"x"))
    async with place.serving() as url:
        with pytest.raises(Unavailable):
            await HttpPost(url, "text/plain")(b"secret")
    assert [] == place.heads


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    """The certificate must name the host that was meant, whoever signed it."""
    made = Authority.make(tmp_path / "other", "plain")
    certificate = made.folder / "stamper.pem"
    named = ServerCertificate(made.root, certificate, made.folder / "stamper.key", "")
    place = Place(named, whole(b"x"))
    async with place.serving() as url:
        with pytest.raises(Unavailable):
            await HttpPost(url, "text/plain", authority=made.root)(b"")
    assert [] == place.heads


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"x" * (MAX_ANSWER_BYTES + 1)),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_ANSWER_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"no http at all\r\n\r\n",
        b"",
    ],
    ids=["too large", "without length", "cut", "garbage", "nothing"],
)
async def test_a_broken_answer_is_unavailable(tls: ServerCertificate, answer: bytes) -> None:
    """An answer that is too large, cut short or no HTTP is none."""
    async with Place(tls, answer).serving() as url:
        with pytest.raises(Unavailable):
            await HttpPost(url, "text/plain", authority=tls.authority)(b"")


async def test_an_answer_that_stalls_is_given_up(tls: ServerCertificate) -> None:
    """The whole answer must come within the limit, however slowly it drips."""
    place = Place(tls, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", hold=True)
    async with place.serving() as url:
        with pytest.raises(Unavailable):
            await HttpPost(url, "text/plain", authority=tls.authority, seconds=0.3)(b"")


async def test_nobody_there_is_unavailable(tls: ServerCertificate) -> None:
    """A port that nobody listens on, and an authority that cannot be read, are told alike."""
    with pytest.raises(Unavailable):
        await HttpPost("https://127.0.0.1:1/", "text/plain", authority=tls.authority)(b"")
    with pytest.raises(Unavailable):
        await HttpPost("https://127.0.0.1:1/", "text/plain", authority="missing.pem")(b"")


@pytest.mark.parametrize("url", ["http://w.example", "ftp://w.example", "w.example", ""])
def test_a_witness_is_reached_over_tls_or_not_at_all(url: str) -> None:
    """Only https is taken, unless the answers are signed themselves."""
    with pytest.raises(Invalid):
        HttpPost(url, "text/plain")
