"""The client for upstreams over real TLS: bounded, verified, following nothing, quoting nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from examples import an_endpoint
from fakes import FakeClock
from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.adapters.models.openai import UpstreamClient
from seawall.adapters.models.secrets import read_secret
from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping
    from pathlib import Path

KEY = "a-key-for-the-sandbox-in-tests"
MARKER = "Ms Marker Toy 1961"
PATH = "/chat/completions"


@dataclass(frozen=True)
class Model:
    """A sandbox model that runs, and how it is reached."""

    port: int
    tls: ServerCertificate
    secrets: Path

    def endpoint(self, **fields: Any) -> Any:
        """Return the Endpoint of this model; `fields` replace what is right."""
        right = {"trust": str(self.tls.authority), "secret": "file:secret"}
        return an_endpoint(f"https://127.0.0.1:{self.port}/v1", **{**right, **fields})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Run the sandbox model in a process of its own."""
    folder = tmp_path_factory.mktemp("upstream")
    tls = ensure_certificate(folder / "tls", "localhost", "a password", SystemClock())
    (folder / "secret").write_text(f"{KEY}\n", encoding="ascii")
    process = subprocess.Popen(  # noqa: S603  the interpreter that runs the tests, paths made here
        [
            *(sys.executable, "-m", "seawall.sandbox", "--until-stdin-closes"),
            *("--cert", str(tls.certificate), "--key", str(tls.key)),
            *("--key-password-env", "PASSWORD"),
        ],
        env={**os.environ, "SEAWALL_SANDBOX_KEY": KEY, "PASSWORD": tls.password},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    yield Model(int(json.loads(process.stdout.readline())["port"]), tls, folder)
    process.communicate(timeout=20)


@pytest.fixture
async def client(model: Model) -> AsyncIterator[UpstreamClient]:
    """Return a client that waits long, and close it."""
    made = UpstreamClient(secrets=model.secrets)
    yield made
    await made.close()


@pytest.fixture
def variables() -> Iterator[MutableMapping[str, str]]:
    """Return the process's environment, and put it back as it was."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


def request(*switches: str, stream: bool = False) -> bytes:
    """Return a request to the sandbox, which answers with the marker."""
    messages = [{"role": "user", "content": MARKER}]
    name = "+".join(["seawall-sandbox-1", "echo", *switches])
    return json.dumps({"model": name, "messages": messages, "stream": stream}).encode()


async def answered(client: UpstreamClient, endpoint: Any, body: bytes) -> tuple[int, bytes]:
    """Return the status and the whole body of an answer."""
    async with client.send(endpoint, PATH, body) as answer:
        return answer.status, await answer.read()


async def refusal(client: UpstreamClient, endpoint: Any, body: bytes | None = None) -> str:
    """Return the code with which an exchange fails, after looking for the marker in the error."""
    with pytest.raises(Unavailable) as caught:
        await answered(client, endpoint, body or request())
    error = caught.value
    assert "Marker" not in f"{error!r}{error.__cause__!r}"
    assert error.__suppress_context__ or error.__context__ is None
    return error.code


async def test_a_plain_answer_arrives_whole(client: UpstreamClient, model: Model) -> None:
    """Status and body come as the upstream sent them, under the endpoint's secret."""
    status, body = await answered(client, model.endpoint(), request())
    assert (200, MARKER) == (status, json.loads(body)["choices"][0]["message"]["content"])


async def test_a_stream_arrives_in_pieces(client: UpstreamClient, model: Model) -> None:
    """The chunks of a stream, joined, are the stream to its end."""
    async with client.send(model.endpoint(), PATH, request(stream=True)) as answer:
        pieces = [piece async for piece in answer.chunks()]
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(("switch", "status"), [("500", 500), ("429", 429), ("garbage", 200)])
async def test_what_the_upstream_says_is_for_others_to_judge(
    client: UpstreamClient, model: Model, switch: str, status: int
) -> None:
    """Error statuses and bodies that are no JSON are answers like any other."""
    assert status == (await answered(client, model.endpoint(), request(switch)))[0]


async def test_a_redirect_is_not_followed(client: UpstreamClient, model: Model) -> None:
    """A redirect is an answer; the upstream sees one request and no second."""
    own = {"model": "seawall-sandbox-1+redirect", "messages": [{"role": "user", "content": "one"}]}
    status, body = await answered(client, model.endpoint(), json.dumps(own).encode())
    assert (307, b"") == (status, body)
    received = await asyncio.to_thread(seen, model)
    assert [own] == [item["body"] for item in received if item["body"] == own]


def seen(model: Model) -> list[Any]:
    """Return what reached the model, by its own witness."""
    context = ssl.create_default_context(cafile=str(model.tls.authority))
    with (
        socket.create_connection(("127.0.0.1", model.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        head = f"GET /sandbox/received HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        secured.sendall(head.encode())
        raw = b"".join(iter(lambda: secured.recv(65_536), b""))
    received: list[Any] = json.loads(raw.partition(b"\r\n\r\n")[2])
    return received


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("switch", "code"), [("reset", "upstream-unreachable"), ("huge", "upstream-too-large")]
)
async def test_an_answer_that_breaks_off_or_never_ends_is_unavailable(
    client: UpstreamClient, model: Model, switch: str, code: str, *, stream: bool
) -> None:
    """A connection that is reset, and a body beyond the limit, are errors of ours."""
    assert code == await refusal(client, model.endpoint(), request(switch, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_falls_silent_is_given_up(model: Model, *, stream: bool) -> None:
    """After the idle limit a silent upstream is unavailable, also in the middle of a stream."""
    impatient = UpstreamClient(secrets=model.secrets, idle_seconds=0.3)
    code = await refusal(impatient, model.endpoint(), request("stall", stream=stream))
    await impatient.close()
    assert code == "upstream-timeout"


async def test_a_certificate_of_another_authority_is_not_trusted(
    client: UpstreamClient, model: Model, tmp_path: Path
) -> None:
    """Neither the system's authorities nor another private one vouch for this upstream."""
    other = ensure_certificate(tmp_path, "localhost", "a password", FakeClock())
    for trust in (None, str(other.authority)):
        assert await refusal(client, model.endpoint(trust=trust)) == "upstream-untrusted"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_authorities_that_cannot_be_read_are_missing(
    client: UpstreamClient, model: Model, tmp_path: Path, content: bytes | None
) -> None:
    """A trust file that is not there, or holds no certificate, lets nothing through."""
    if content is not None:
        (tmp_path / "trust.pem").write_bytes(content)
    endpoint = model.endpoint(trust=str(tmp_path / "trust.pem"))
    assert await refusal(client, endpoint) == "trust-missing"


async def test_the_proxy_environment_is_not_read(
    client: UpstreamClient, model: Model, variables: MutableMapping[str, str]
) -> None:
    """Variables that name a proxy change nothing."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
        variables[name] = "http://127.0.0.1:1"
    assert (await answered(client, model.endpoint(), request()))[0] == 200


async def test_nobody_listens(client: UpstreamClient) -> None:
    """A port on which nobody listens is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    endpoint = an_endpoint(f"https://127.0.0.1:{port}/v1")
    assert await refusal(client, endpoint) == "upstream-unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:99999/v1",
        "https://[/v1",
        "https://a..example/v1",
        f"https://{'a' * 70}.example/v1",
        "https://%/v1",
        "https://:1/v1",
    ],
)
async def test_an_address_that_is_none_is_unavailable(client: UpstreamClient, url: str) -> None:
    """Whatever is wrong with a URL, it is an error of ours."""
    assert await refusal(client, an_endpoint(url)) == "upstream-unreachable"


@pytest.mark.parametrize(
    "words",
    [
        f"HTTP/1.1 200 {MARKER}\r\nContent-Length: {MARKER}\r\n\r\n",
        f"{MARKER}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\n{MARKER}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{MARKER}\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{MARKER}",
        f"HTTP/1.1 200 OK\r\nX: {MARKER * 9_999}\r\n\r\n",
        "",
    ],
)
async def test_an_upstream_that_speaks_no_http_is_not_quoted(
    client: UpstreamClient, model: Model, words: str
) -> None:
    """What is no HTTP message is unreachable, and no word of it is in the error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(model.tls.certificate, model.tls.key, model.tls.password)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer with words that are no HTTP."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words.encode())
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        endpoint = an_endpoint(f"https://127.0.0.1:{port}/v1", trust=str(model.tls.authority))
        assert await refusal(client, endpoint) == "upstream-unreachable"


async def test_without_its_secret_nothing_is_sent(client: UpstreamClient, model: Model) -> None:
    """An endpoint whose secret is not there is refused before a connection is made."""
    endpoint = model.endpoint(secret="file:nowhere")
    assert await refusal(client, endpoint) == "secret-missing"


async def test_a_client_that_sent_nothing_closes(tmp_path: Path) -> None:
    """Closing a client that was never used does nothing."""
    await UpstreamClient(secrets=tmp_path).close()


def test_a_secret_is_read_where_its_reference_says(
    tmp_path: Path, variables: MutableMapping[str, str]
) -> None:
    """`env:` names a variable, `file:` a file of the folder; spaces at its ends do not count."""
    variables["SEAWALL_SECRET_KEY"] = "from-env"
    (tmp_path / "secret").write_text(" from-file\n", encoding="ascii")
    assert read_secret("env:SEAWALL_SECRET_KEY", tmp_path) == "from-env"
    assert read_secret("file:secret", tmp_path) == "from-file"


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two\nlines", b"k\xc3\xa9y", b"\xff\xfe", b"a\x00b", b"k" * 9_000]
)
def test_a_secret_that_is_not_usable_is_missing(tmp_path: Path, content: bytes) -> None:
    """What is empty, not printable ASCII on one line or too long is missing, and not quoted."""
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(Unavailable) as caught:
        read_secret("file:secret", tmp_path)
    assert caught.value.code == "secret-missing"
    assert "lines" not in repr(caught.value)


@pytest.mark.parametrize("reference", ["env:SEAWALL_SECRET_NONE", "file:nowhere", "file:folder"])
def test_a_secret_that_is_not_there_is_missing(tmp_path: Path, reference: str) -> None:
    """A variable that is not set, a missing file and a folder are missing secrets."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unavailable) as caught:
        read_secret(reference, tmp_path)
    assert caught.value.code == "secret-missing"
