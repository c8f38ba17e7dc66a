"""The sandbox as a real process behind real TLS, for every test in this folder."""

from __future__ import annotations

import datetime as dt
import functools
import http.client
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

API_KEY = "sandbox-key-for-tests"
KEY_PASSWORD = "correct horse battery"
MODEL = "seawall-sandbox-1"
COMPLETIONS = "/v1/chat/completions"
ATTEMPT_SECONDS = 20


@dataclass(frozen=True)
class Credentials:
    """A self-signed certificate for 127.0.0.1 and its encrypted key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Reply:
    """What came back, whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)

    def content(self) -> str:
        """Return the text of the first choice of a plain answer."""
        return str(self.json()["choices"][0]["message"]["content"])

    def events(self) -> list[Any]:
        """Return the parsed events of a stream; the last one must be [DONE]."""
        *events, done, rest = self.body.decode().split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]

    def deltas(self, index: int = 0) -> list[Any]:
        """Return the deltas of one choice of a stream."""
        choices = (choice for event in self.events() for choice in event["choices"])
        return [choice["delta"] for choice in choices if choice["index"] == index]

    def streamed_content(self, index: int = 0) -> str:
        """Return the joined text of one choice of a stream."""
        return "".join(delta.get("content") or "" for delta in self.deltas(index))


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox and a client for it."""

    port: int
    tls: ssl.SSLContext
    process: subprocess.Popen[bytes]

    def connect(self) -> http.client.HTTPSConnection:
        """Open a connection that verifies the certificate."""
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.tls, timeout=ATTEMPT_SECONDS
        )

    def send(self, method: str, path: str, body: bytes | None = None, key: str = API_KEY) -> Reply:
        """Send one request and read the whole reply."""
        connection = self.connect()
        try:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ask(self, said: str, *switches: str, **fields: Any) -> Reply:
        """Ask for a completion of one user turn."""
        return self.converse([{"role": "user", "content": said}], *switches, **fields)

    def converse(self, messages: list[dict[str, Any]], *switches: str, **fields: Any) -> Reply:
        """Ask for a completion of a conversation."""
        model = "+".join([MODEL, *switches])
        body = json.dumps({"model": model, "messages": messages, **fields}).encode()
        return self.send("POST", COMPLETIONS, body)

    def received(self) -> Any:
        """Return what the witness keeps."""
        return self.send("GET", "/sandbox/received").json()

    def raw(self, request: bytes) -> socket.socket:
        """Send bytes over a verified TLS connection and return it, to read what comes."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=ATTEMPT_SECONDS)
        secured = self.tls.wrap_socket(plain, server_hostname="127.0.0.1")
        secured.sendall(request)
        return secured


def start(
    credentials: Credentials,
    *arguments: str,
    environment: dict[str, str] | None = None,
    until_stdin_closes: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a sandbox process that, unless told otherwise, stops when its standard input closes."""
    command = [sys.executable, "-m", "seawall.sandbox"]
    command += ["--until-stdin-closes"] if until_stdin_closes else []
    command += ["--cert", str(credentials.certificate), "--key", str(credentials.key)]
    secrets = {"SEAWALL_SANDBOX_KEY": API_KEY, "SANDBOX_TLS_PASSWORD": KEY_PASSWORD}
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603  the interpreter that runs the tests, and paths made here
        [*command, "--key-password-env", "SANDBOX_TLS_PASSWORD", *arguments],
        env={**os.environ, **secrets, **(environment or {})},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )


def port_of(process: subprocess.Popen[bytes]) -> int:
    """Read the line that tells the port."""
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline())["port"])


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """Make a certificate and an encrypted key."""
    folder = tmp_path_factory.mktemp("sandbox-tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox")])
    today = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    sealed = BestAvailableEncryption(KEY_PASSWORD.encode())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    return Credentials(folder / "cert.pem", folder / "key.pem")


@pytest.fixture(scope="session")
def running(credentials: Credentials) -> Iterator[Sandbox]:
    """Run one sandbox for all tests."""
    process = start(credentials)
    tls = ssl.create_default_context(cafile=str(credentials.certificate))
    yield Sandbox(port_of(process), tls, process)
    output, errors = process.communicate(timeout=ATTEMPT_SECONDS)
    assert (process.returncode, output, errors) == (0, b"", b"")


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """Return the running sandbox with a witness that has seen nothing."""
    running.send("POST", "/sandbox/forget")
    return running


@pytest.fixture
def start_sandbox(credentials: Credentials) -> Callable[..., subprocess.Popen[bytes]]:
    """Return a function that starts another sandbox."""
    return functools.partial(start, credentials)


@pytest.fixture
def read_port() -> Callable[[subprocess.Popen[bytes]], int]:
    """Return the function that reads a sandbox's port."""
    return port_of
