"""Client certificates: verified in the handshake, and tokens that are bound to them (RFC 8705)."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from starlette.routing import Mount, Route

from certified import DAY, Pair, TestAuthority
from clinic import PASSPHRASE, PATIENCE, TENANT, Clinic, Reply, Server, send, served_here
from seawall.core.policy.principal import Principal
from seawall.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from seawall.compose import Writer
    from seawall.core.phi.detection import Detector

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT: Final = (
    "grant_type=client_credentials&client_assertion_type="
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion="
)
GREETING: Final = json.dumps(
    {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
).encode()
SMUGGLED: Final = (
    *("X-Client-Cert", "X-SSL-Client-Cert", "X-SSL-Cert", "SSL-Client-Cert", "Client-Cert"),
    *("X-Forwarded-Client-Cert", "X-ARR-ClientCert", "X-Amzn-Mtls-Clientcert", "Forwarded"),
)


@dataclass(frozen=True)
class Doors:
    """A server that takes client certificates, and three of them."""

    server: Server
    writer: Writer
    ours: Pair
    other: Pair
    authority: TestAuthority

    def connect(self, shown: Pair | None = None) -> http.client.HTTPSConnection:
        """Return a connection that shows a certificate, or none."""
        pair = (None, None) if shown is None else (shown.certificate, shown.key)
        context = client_context(self.server.clinic.authority, *pair)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.server.port, context=context, timeout=PATIENCE
        )

    def trade(
        self, client: str, shown: Pair | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Ask for a token over such a connection."""
        form = GRANT + self.server.clinic.assertion(client)
        return send(
            self.connect(shown), "POST", "/oauth2/token", form.encode(), {**FORM, **(headers or {})}
        )

    def token(self, client: str, shown: Pair | None = None) -> str:
        """Return a token that was fetched over such a connection."""
        return str(self.trade(client, shown).json()["access_token"])

    def ask(
        self, token: str, shown: Pair | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Ask the model one thing over such a connection."""
        given = {
            "Authorization": f"Bearer {token}",
            "Seawall-Use-Case": "visit-summary",
            **(headers or {}),
        }
        return send(self.connect(shown), "POST", "/v1/chat/completions", GREETING, given)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """Return the authority of the clients' certificates."""
    return TestAuthority(tmp_path_factory.mktemp("clients"), "clients")


async def bind(clinic: Clinic, **bound: dict[str, Any]) -> None:
    """Change clients' documents, so that they must show a certificate."""
    async with clinic.installation.write() as writer:
        specs = {
            document.name: document.spec.model_dump(mode="json")
            for document in writer.documents.register(TENANT)
            if document.kind == "Client"
        }
        changed = [
            {"kind": "Client", "name": name, "spec": {**specs[name], **more}}
            for name, more in bound.items()
        ]
        await writer.documents.apply(Principal("operator", "tests", TENANT), changed)


@pytest.fixture(scope="module")
def doors(
    clinic: Clinic,
    detector: Detector,
    authority: TestAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Doors]:
    """Serve a clinic where certificates are optional; `narrow` and `bare` must show one."""
    place = tmp_path_factory.mktemp("mutual")
    taking = {"client_authority": str(authority.certificate), "client_certificates": "optional"}
    copy = clinic.copy(place / "data", **taking)
    ours, other = authority.client("ours"), authority.client("other")
    pinned = {"certificate_thumbprints": [ours.thumbprint]}
    asyncio.run(bind(copy, narrow={"certificate_bound": True}, bare=pinned))
    with served_here(copy, detector) as (server, writer):
        yield Doors(server, writer, ours, other, authority)


def claims(token: str) -> dict[str, Any]:
    """Return what a token says."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def test_a_token_is_bound_to_the_certificate_of_its_connection(doors: Doors) -> None:
    """The claim cnf has the thumbprint (RFC 8705, 3.1), and so has the entry of the issuing."""
    token = doors.token("app", doors.ours)

    entry = doors.server.clinic.entries("system")[-1]

    assert {"x5t#S256": doors.ours.thumbprint} == claims(token)["cnf"]
    assert ("token.issue", doors.ours.thumbprint) == (entry["action"], entry["certificate"])


def test_a_token_without_a_certificate_is_not_bound(doors: Doors) -> None:
    """Where certificates are optional, a client without one gets a token as ever."""
    token = doors.token("app")

    entry = doors.server.clinic.entries("system")[-1]

    assert ("cnf" in claims(token), "certificate" in entry) == (False, False)
    assert "answered" == doors.ask(token).code


def test_a_bound_token_counts_with_its_certificate_alone(doors: Doors) -> None:
    """Without the certificate, or with another one, it is an invalid token (RFC 8705, 3)."""
    token = doors.token("app", doors.ours)

    replies = [doors.ask(token, shown) for shown in (None, doors.other, doors.ours)]

    refused = (401, "token-bound", 'Bearer error="invalid_token"')
    found = [(r.status, r.code, r.headers["WWW-Authenticate"]) for r in replies]
    assert [refused, refused, (200, "answered", None)] == found


def walk(routes: Iterable[Any], below: str = "") -> Iterator[tuple[str, str]]:
    """Yield every method and whole path of the application, mounted ones too."""
    for route in routes:
        if isinstance(route, Route):
            path = re.sub(r"\{[^}]*\}", "0", below + route.path)
            yield from ((method, path) for method in sorted((route.methods or set()) - {"HEAD"}))
        elif isinstance(route, Mount):
            yield from walk(route.routes, below + route.path)
        else:
            # What FastAPI makes of an included router.
            yield from walk(route.original_router.routes, below)


def test_no_door_takes_a_bound_token_without_its_certificate(doors: Doors) -> None:
    """Every route that asks for a token refuses one that is bound elsewhere; none is left out.

    A route asks for a token if it answers nobody but with 401.
    """
    bearing = {"Authorization": f"Bearer {doors.token('app', doors.ours)}"}
    walked = {}
    for method, path in walk(doors.writer.application().routes):
        nobody = send(doors.connect(), method, path, b"{}")
        if nobody.status == http.HTTPStatus.UNAUTHORIZED:
            walked[method, path] = [
                send(doors.connect(shown), method, path, b"{}", bearing).status
                == http.HTTPStatus.UNAUTHORIZED
                for shown in (doors.other, doors.ours)
            ]

    assert {("POST", "/v1/chat/completions"), ("GET", "/api/documents")} <= walked.keys()
    assert {(True, False)} == {tuple(one) for one in walked.values()}, walked


@pytest.mark.parametrize("client", ["narrow", "bare"])
def test_a_client_that_must_show_a_certificate_gets_no_token_without(
    doors: Doors, client: str
) -> None:
    """The document's word counts: certificate_bound, or a named thumbprint."""
    reply = doors.trade(client)

    assert (401, "certificate-needed") == (reply.status, reply.json()["code"])
    assert "invalid_client" == reply.json()["error"]
    assert 200 == doors.trade(client, doors.ours).status


def test_a_named_thumbprint_excludes_other_certificates(doors: Doors) -> None:
    """A client whose document names certificates gets tokens with these alone."""
    pinned, free = doors.trade("bare", doors.other), doors.trade("narrow", doors.other)

    assert (401, 200) == (pinned.status, free.status)


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_header_is_no_certificate(doors: Doors, name: str) -> None:
    """What a caller writes into a header binds nothing and proves nothing."""
    shown = doors.ours.certificate.read_text("ascii").replace("\n", "")
    token = doors.token("app", doors.ours)
    smuggling = {name: shown, "client_cert_sha256": doors.ours.thumbprint}

    replies = [doors.ask(token, shown, smuggling) for shown in (None, doors.other)]

    assert ["token-bound", "token-bound"] == [reply.code for reply in replies]
    assert "certificate-needed" == doors.trade("narrow", None, smuggling).json()["code"]


def refused(doors: Doors, shown: Pair | None) -> bool:
    """Say whether a connection with a certificate comes to no answer."""
    try:
        send(doors.connect(shown), "GET", "/healthz")
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def test_certificates_that_nobody_vouches_for_end_the_handshake(
    doors: Doors, tmp_path: Path
) -> None:
    """A certificate of another authority, an ended one, a server's: none is taken for none."""
    stranger = TestAuthority(tmp_path, "stranger").client()
    ended, server = doors.authority.client("ended", ends=-DAY), doors.authority.server("a-server")

    found = [refused(doors, shown) for shown in (stranger, ended, server, doors.ours, None)]

    assert [True, True, True, False, False] == found


def resumes(port: int, context: ssl.SSLContext) -> bool:
    """Say whether a second connection goes on with the session of the first, by TLS 1.2."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            # A session counts on both sides only after an orderly end.
            while connection.recv(4_096):
                pass
            session, reused = connection.session, bool(connection.session_reused)
            with suppress(OSError):
                connection.unwrap()
    return reused


def test_no_session_carries_a_certificate_past_its_check(doors: Doors) -> None:
    """Where certificates are asked for, nobody resumes: each handshake verifies anew."""
    authority, pair = doors.server.clinic.authority, doors.ours

    shown = client_context(authority, pair.certificate, pair.key)
    found = [resumes(doors.server.port, each) for each in (shown, client_context(authority))]

    assert [False, False] == found


def test_this_client_would_resume_a_session(server: Server) -> None:
    """The control: where no certificate is asked for, the same client does go on with one."""
    assert resumes(server.port, client_context(server.clinic.authority))


def test_a_required_certificate_is_required_of_everyone(
    clinic: Clinic, detector: Detector, authority: TestAuthority, tmp_path: Path
) -> None:
    """Nobody comes to any path without a certificate; the command line shows its own."""
    taking = {"client_authority": str(authority.certificate), "client_certificates": "required"}
    copy, ours = clinic.copy(tmp_path / "data", **taking), authority.client("terminal")
    key = tmp_path / "app.jwk"
    key.write_text(json.dumps(copy.keys["app"]), "ascii")
    with served_here(copy, detector) as (server, writer):
        doors = Doors(server, writer, ours, ours, authority)
        found = [refused(doors, None), refused(doors, ours)]
        command = ["token", "--client", f"{TENANT}/app", "--key", str(key)]
        command += ["--data-dir", str(copy.folder), "--url", f"https://localhost:{server.port}"]
        naming = {
            "SEAWALL_CLIENT_CERTIFICATE": str(ours.certificate),
            "SEAWALL_CLIENT_KEY": str(ours.key),
        }
        with_it, without = [
            subprocess.run(  # noqa: S603  the interpreter that runs the tests
                [sys.executable, "-c", "from seawall.cli import main; main()", *command],
                env={**os.environ, "SEAWALL_PASSPHRASE": PASSPHRASE, **more},
                capture_output=True,
                text=True,
                check=False,
            )
            for more in (naming, {})
        ]

    assert [True, False] == found
    assert {"x5t#S256": ours.thumbprint} == claims(with_it.stdout.strip())["cnf"]
    assert (1, True) == (without.returncode, "server-unreachable" in without.stderr)
