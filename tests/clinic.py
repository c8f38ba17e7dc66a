"""A clinic that runs Seawall over TLS, seen by a client: folder, server, sandbox model."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from seawall.compose import Installation, client_assertion
from seawall.config import Passphrase, Settings
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from seawall.adapters.models.openai import UpstreamClient
    from seawall.compose import Writer
    from seawall.core.phi.detection import Detector
    from seawall.demo.stage import Patient

TENANT: Final = "riverside"
PASSPHRASE: Final = "correct horse battery staple"
SANDBOX_KEY: Final = "a-key-for-the-sandbox-in-tests"
PATIENCE: Final = 30
"""Seconds after which something that should come is given up."""


_JWT: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class Reply:
    """What came back from a server, whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error, or "answered"."""
        parsed = self.json() if not self.body.startswith(b"data: ") else {}
        return str(parsed["error"]["code"]) if "error" in parsed else "answered"

    @property
    def entry(self) -> int:
        """The index of the ledger entry that the answer names."""
        return int(self.headers["Seawall-Entry"])

    def text(self) -> str:
        """Return the text of the first choice."""
        return str(self.json()["choices"][0]["message"]["content"])

    def events(self) -> list[Any]:
        """Return the parsed events of a stream; `[DONE]` stays a string."""
        data = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [item if item == "[DONE]" else json.loads(item) for item in data]

    def streamed(self) -> str:
        """Return the joined text of the first choice of a stream."""
        chunks = [event for event in self.events() if isinstance(event, dict)]
        choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


def send(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request over TLS and read the whole reply."""
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def connect(port: int, authority: Path) -> http.client.HTTPSConnection:
    """Open a connection that verifies the certificate."""
    return http.client.HTTPSConnection("127.0.0.1", port, context=_tls(authority), timeout=PATIENCE)


@cache
def _tls(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


@dataclass(frozen=True)
class Upstream:
    """The sandbox model, a process of its own, and what it says that reached it."""

    port: int
    authority: Path

    def received(self) -> list[Any]:
        """Return the bodies that reached the model, oldest first (the last 64)."""
        return [item["body"] for item in self._call("GET", "/sandbox/received").json()]

    def forget(self) -> None:
        """Make the witness forget."""
        self._call("POST", "/sandbox/forget")

    def _call(self, method: str, path: str) -> Reply:
        key = {"Authorization": f"Bearer {SANDBOX_KEY}"}
        return send(connect(self.port, self.authority), method, path, headers=key)


@dataclass(frozen=True)
class Clinic:
    """An unlocked data folder with a tenant, documents and patients."""

    installation: Installation
    keys: dict[str, dict[str, str]] = field(repr=False)
    """The clients' private keys."""
    patients: dict[str, Patient]

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.installation.settings.data_dir

    @property
    def authority(self) -> Path:
        """The certificate authority that clients trust."""
        return self.folder / "tls" / "authority.pem"

    def copy(self, folder: Path, **settings: Any) -> Clinic:
        """Return the same clinic in a new folder, with other settings."""
        shutil.copytree(self.folder, folder)
        chosen = Settings(folder, port=0, **settings)
        unlocked = Installation.open(chosen, Passphrase(PASSPHRASE.encode()))
        return Clinic(unlocked, self.keys, self.patients)

    def assertion(self, client: str) -> str:
        """Return a client's signed assertion for one token."""
        url = self.installation.settings.token_url
        return client_assertion(self.keys[client], f"{TENANT}/{client}", url)

    def entries(self, log: str = TENANT) -> list[dict[str, Any]]:
        """Return every entry of a log."""
        found = asyncio.run(self.installation.read_ledger.entries(log, 0, 1 << 20))
        return [entry for _, entry in found]


@dataclass(frozen=True)
class Server:
    """A server of a clinic, and a client's view of it."""

    clinic: Clinic
    port: int
    logs: tuple[Path, ...] = ()
    tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request."""
        return send(self.connect(), method, path, body, headers)

    def connect(self) -> http.client.HTTPSConnection:
        """Open a connection, to read an answer piece by piece."""
        return connect(self.port, self.clinic.authority)

    def token(self, client: str = "app") -> str:
        """Return a client's token, fetched once."""
        if client not in self.tokens:
            self.tokens[client] = str(self.trade(self.clinic.assertion(client))["access_token"])
        return self.tokens[client]

    def trade(self, assertion: str) -> Any:
        """Exchange an assertion at the token endpoint; return the parsed answer."""
        form = f"grant_type=client_credentials&client_assertion_type={_JWT}"
        return self.send(
            "POST", "/oauth2/token", f"{form}&client_assertion={assertion}".encode()
        ).json()

    def headers(self, client: str = "app", **named: str | None) -> dict[str, str]:
        """Return the headers of a request: `use_case`, `patient`, `conversation`."""
        ours = {
            "Seawall-" + "-".join(word.title() for word in name.split("_")): value
            for name, value in named.items()
            if value is not None
        }
        return {"Authorization": f"Bearer {self.token(client)}", **ours}

    def post(self, body: Mapping[str, Any] | bytes, client: str = "app", **named: Any) -> Reply:
        """Post a chat completion; without more said, under the use case visit-summary."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers(client, **{"use_case": "visit-summary", **named})
        return self.send("POST", "/v1/chat/completions", raw, headers)

    def ask(self, said: str, endpoint: str = "echo", **named: Any) -> Reply:
        """Ask one thing in one user's turn; `stream` asks for a stream."""
        stream = {"stream": True} if named.pop("stream", False) else {}
        messages = [{"role": "user", "content": said}]
        return self.post({"model": endpoint, "messages": messages, **stream}, **named)


@contextmanager
def sandbox(installation: Installation) -> Iterator[int]:
    """Run the sandbox model as a process; yield its port."""
    made = installation.certificate()
    command = [sys.executable, "-m", "seawall.sandbox", "--until-stdin-closes"]
    command += ["--cert", str(made.certificate), "--key", str(made.key)]
    secrets = {"SEAWALL_SANDBOX_KEY": SANDBOX_KEY, "SANDBOX_TLS_PASSWORD": made.password}
    process = subprocess.Popen(  # noqa: S603  the interpreter that runs the tests, paths made here
        [*command, "--key-password-env", "SANDBOX_TLS_PASSWORD"],
        env={**os.environ, **secrets},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield int(json.loads(process.stdout.readline())["port"])
    finally:
        process.communicate(timeout=PATIENCE)


async def furnish(clinic: Clinic, written: list[dict[str, Any]]) -> None:
    """Open the clinic's tenant, apply its documents, import its patients."""
    principal = Principal("operator", "tests", TENANT)
    async with clinic.installation.write() as writer:
        await writer.open_tenant(TENANT)
        await writer.documents.apply(principal, written)
        for patient in clinic.patients.values():
            await writer.import_patient.import_patient(principal, patient.resource)


@contextmanager
def served_apart(clinic: Clinic, logs: Path, **environment: str) -> Iterator[Server]:
    """Serve a clinic by `seawall serve` in a process of its own, its output in files."""
    out, err = logs / "stdout.log", logs / "stderr.log"
    given = {"SEAWALL_PASSPHRASE": PASSPHRASE, "SEAWALL_LOG_LEVEL": "debug", **environment}
    command = [sys.executable, "-c", "from seawall.cli import main; main()"]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603  as above
            [*command, "serve", "--port", "0", "--data-dir", str(clinic.folder)],
            env={**os.environ, **given},
            stdout=stdout,
            stderr=stderr,
        )
    try:
        port = int(_announced(clinic.folder / "server.json", process).rpartition(":")[2])
        yield Server(clinic, port, (out, err))
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE)
    assert status == 0


def _announced(path: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait until the server's note is there; return the URL that it names."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if path.exists() and (content := path.read_bytes()):
            return str(json.loads(content)["url"])
        time.sleep(0.02)
    raise RuntimeError("the server did not start")


@contextmanager
def served_here(
    clinic: Clinic, detector: Detector, models: UpstreamClient | None = None
) -> Iterator[tuple[Server, Writer]]:
    """Serve a clinic on a thread of this process; yield the server and what writes."""
    begun: Future[tuple[str, Writer, Callable[[], None]]] = Future()

    async def serve() -> None:
        """Serve until told to stop."""
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()

        def stop() -> None:
            """Tell the server's thread to stop."""
            loop.call_soon_threadsafe(stopping.set)

        async with (
            clinic.installation.write(detector=detector, models=models) as writer,
            writer.serve() as (url, _),
        ):
            begun.set_result((url, writer, stop))
            await stopping.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001  an edge: told to the waiting test
            if not begun.done():
                begun.set_exception(error)

    thread = threading.Thread(target=run, name="served-here")
    thread.start()
    try:
        url, writer, stop = begun.result(PATIENCE)
        try:
            yield Server(clinic, int(url.rpartition(":")[2])), writer
        finally:
            stop()
    finally:
        thread.join(PATIENCE)
