"""Every client of ours, against servers that it must not talk to, and one that it may."""

from __future__ import annotations

import socket
import ssl
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from certified import DAY, Pair, TestAuthority
from examples import an_endpoint
from scanning import handshaking
from seawall.adapters.archive.s3 import connect_s3
from seawall.adapters.db.postgres import Address, connect
from seawall.adapters.keys.aws import connect_kms
from seawall.adapters.models.openai import UpstreamClient
from seawall.adapters.posting import HttpPost
from seawall.adapters.syslog import SyslogReceiver
from seawall.cli.running import send_reading
from seawall.core.errors import Error
from seawall.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def post(port: int, authority: Path) -> None:
    """Post to a witness or a time-stamp authority."""
    url = f"https://localhost:{port}/"
    await HttpPost(url, "text/plain", authority=authority, seconds=5)(b"checkpoint")


async def syslog(port: int, authority: Path) -> None:
    """Deliver to a syslog receiver."""
    await SyslogReceiver("localhost", port, authority=authority, seconds=5).deliver(b"message")


async def upstream(port: int, authority: Path) -> None:
    """Ask a model."""
    client = UpstreamClient(secrets=authority.parent)
    endpoint = an_endpoint(url=f"https://localhost:{port}/v1", trust=str(authority))
    try:
        async with client.send(endpoint, "/chat/completions", b"{}"):
            pass
    finally:
        await client.close()


async def s3(port: int, authority: Path) -> None:
    """Ask an object store."""
    url = f"https://localhost:{port}"
    client = connect_s3(endpoint=url, region="us-east-1", authority=str(authority), read_seconds=2)
    try:
        client.list_buckets()
    finally:
        client.close()


async def kms(port: int, authority: Path) -> None:
    """Ask a key manager of AWS."""
    url = f"https://localhost:{port}"
    client = connect_kms(endpoint=url, region="us-east-1", authority=str(authority), read_seconds=2)
    try:
        client.list_keys()
    finally:
        client.close()


async def database(port: int, authority: Path) -> None:
    """Connect to PostgreSQL."""
    url = f"postgresql://u@localhost:{port}/d?sslmode=verify-full&sslrootcert={authority}"
    connect(Address.read(url))


async def terminal(port: int, authority: Path) -> None:
    """Talk to our own server from the command line."""
    await send_reading(f"https://localhost:{port}", "token", authority, {})


CLIENTS: Final[dict[str, Callable[[int, Path], Awaitable[None]]]] = {
    client.__name__: client for client in (post, syslog, upstream, s3, kms, database, terminal)
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """Return the authority that the clients trust."""
    return TestAuthority(tmp_path_factory.mktemp("servers"))


def a_context(pair: Pair) -> ssl.SSLContext:
    """Return a server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def an_old_context(pair: Pair) -> ssl.SSLContext:
    """Return the context of a server that speaks TLS 1.1 at most."""
    context = a_context(pair)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def heard(name: str, context: ssl.SSLContext, trusted: Path) -> list[bytes]:
    """Let a client talk to a server; return what the server heard under TLS."""
    found: list[bytes] = []
    with (
        handshaking(context, found, has_preamble=name == "database") as port,
        suppress(Error, BotoCoreError, ClientError),
    ):
        await CLIENTS[name](port, trusted)
    return found


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    # Were it listened to, PostgreSQL's library would take the old server.
    monkeypatch.setenv("PGSSLMINPROTOCOLVERSION", "TLSv1")
    # Were it listened to, the library would go there instead of to the named server.
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.2")


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_talks_to_a_server_that_it_trusts(
    name: str, authority: TestAuthority
) -> None:
    """The server's certificate is of the authority, for the name, in force: something is said."""
    assert await heard(name, a_context(authority.server()), authority.certificate)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("wrong", ["name", "authority", "ended", "tls 1.1"])
async def test_a_client_says_nothing_to_a_server_that_it_cannot_trust(
    name: str, wrong: str, authority: TestAuthority, tmp_path: Path
) -> None:
    """Another name, another authority, an ended certificate or TLS 1.1: nothing is said."""
    match wrong:
        case "name":
            context = a_context(authority.server("elsewhere", hosts=("elsewhere.example",)))
        case "authority":
            context = a_context(TestAuthority(tmp_path, "stranger").server())
        case "ended":
            context = a_context(authority.server("ended", ends=-DAY))
        case _:
            context = an_old_context(authority.server("old"))

    assert [] == await heard(name, context, authority.certificate)


def old_client(authority: TestAuthority) -> ssl.SSLContext:
    """Return the context of a client that speaks TLS 1.1."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    return context


def spoken(port: int, context: ssl.SSLContext) -> str:
    """Shake hands; return the version that was agreed on."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return str(connection.version())


def test_the_old_server_speaks_to_old_clients_and_not_to_ours(authority: TestAuthority) -> None:
    """The control: the server of TLS 1.1 works, and only who refuses TLS 1.1 hears nothing."""
    with handshaking(an_old_context(authority.server("old"))) as port:
        assert "TLSv1.1" == spoken(port, old_client(authority))
        with pytest.raises(ssl.SSLError, match=r"(?i)version"):
            spoken(port, client_context(authority.certificate))


@pytest.mark.parametrize("name", sorted(CLIENTS.keys() - {"database"}))
async def test_no_variable_makes_a_client_write_its_secrets(
    name: str, authority: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSLKEYLOGFILE, with which OpenSSL's users record traffic, is not read by any client."""
    secrets = tmp_path / "secrets"
    secrets.touch()
    monkeypatch.setenv("SSLKEYLOGFILE", str(secrets))

    assert await heard(name, a_context(authority.server()), authority.certificate)

    # botocore opens it for a context that is then used for nothing: a first line, no secret.
    assert "CLIENT_" not in secrets.read_text("ascii")


@pytest.mark.parametrize("name", sorted(CLIENTS.keys() - {"database"}))
async def test_a_client_takes_no_old_suite(name: str, authority: TestAuthority) -> None:
    """A server that knows CBC alone hears nothing; PostgreSQL's library chooses by itself."""
    assert [] == await heard(name, a_cbc_context(authority.server()), authority.certificate)


def a_cbc_context(pair: Pair) -> ssl.SSLContext:
    """Return the context of a server that speaks TLS 1.2 with CBC alone."""
    context = a_context(pair)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    return context


def test_the_server_of_old_suites_works(authority: TestAuthority) -> None:
    """The control: who takes CBC comes to an agreement with that server."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with handshaking(a_cbc_context(authority.server())) as port:
        assert "TLSv1.2" == spoken(port, context)


async def test_no_variable_leads_to_another_database(authority: TestAuthority) -> None:
    """PGHOSTADDR names another address: the named host's is connected to all the same."""
    context = a_context(authority.server())

    assert (await heard("database", context, authority.certificate))[0].endswith(b"\0\0")
