"""What a scanner of TLS finds at our listeners: nothing; and that it would find what is weak."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from certified import TestAuthority
from scanning import handshaking, scan
from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.http.server import listen, serving
from seawall.tls import server_context
from witnesses import witnessing

if TYPE_CHECKING:
    from pathlib import Path

    from clinic import Server, Upstream


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """Return a certificate for servers that are weak on purpose."""
    folder = tmp_path_factory.mktemp("weak")
    return ensure_certificate(folder, "localhost", "a password", SystemClock())


def a_context(made: ServerCertificate) -> ssl.SSLContext:
    """Return a context as OpenSSL would have it, with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key, made.password)
    return context


def test_the_gateway_has_no_weakness(server: Server, tmp_path: Path) -> None:
    """Versions, suites, curves, attacks, certificate and Mozilla's "intermediate": all in order."""
    assert [] == scan(server.port, server.clinic.authority, tmp_path)


def test_the_sandbox_model_has_no_weakness(upstream: Upstream, tmp_path: Path) -> None:
    """The sandbox model stands alone, and is as strong as the gateway."""
    assert [] == scan(upstream.port, upstream.authority, tmp_path)


async def test_the_witness_has_no_weakness(tmp_path: Path) -> None:
    """The witness is as strong as the gateway."""
    async with witnessing(tmp_path / "w1", "localhost/w1") as running:
        authority = running.folder / "tls" / "authority.pem"
        assert [] == await asyncio.to_thread(scan, running.port, authority, tmp_path)


async def test_a_gateway_that_asks_for_certificates_has_no_weakness(
    made: ServerCertificate, tmp_path: Path
) -> None:
    """Connections begin with another context there, which is as strong."""
    clients = TestAuthority(tmp_path / "clients").certificate
    context = server_context(made.certificate, made.key, made.password, clients=clients)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with serving(application, listener, context):
        assert [] == await asyncio.to_thread(scan, port, made.authority, tmp_path)


async def application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer every request."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_server_with_old_suites_is_found_out(made: ServerCertificate, tmp_path: Path) -> None:
    """CBC under TLS 1.2 and tickets are weaknesses, so none of them is at ours."""
    context = a_context(made)
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    with handshaking(context) as port:
        found = scan(port, made.authority, tmp_path)

    old = "suite TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"
    assert [old, "tickets"] == [one for one in found if one in {old, "tickets"}]


def test_a_server_of_old_versions_is_found_out(made: ServerCertificate, tmp_path: Path) -> None:
    """TLS 1.0 and 1.1, where the local OpenSSL still speaks them, are weaknesses."""
    context = a_context(made)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    with handshaking(context) as port:
        found = scan(port, made.authority, tmp_path)

    assert ["speaks tls_1_0", "speaks tls_1_1"] == [one for one in found if "speaks" in one]


def test_a_server_of_another_authority_is_found_out(
    server: Server, made: ServerCertificate, tmp_path: Path
) -> None:
    """The scan takes the certificate for what the named authority vouches for, and no other."""
    found = scan(server.port, made.authority, tmp_path)

    assert "certificate of another authority" in found
