"""A real OpenID provider on localhost, over TLS: oidc-provider-mock, in a process of its own.

Its people are the claims that a test gives them; the form that they would fill in is
posted for them by `sign_in`.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from fakes import FakeRandom
from seawall.adapters.certificates import ensure_certificate
from seawall.adapters.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PATIENCE: Final = 30


@dataclass
class Provider:
    """A provider that runs: where, and whom its certificate is from."""

    issuer: str
    authority: Path
    process: subprocess.Popen[str]

    def know(self, subject: str, **claims: Any) -> None:
        """Give somebody claims, such as `amr` and `auth_time`."""
        body = json.dumps(claims).encode()
        headers = {"Content-Type": "application/json"}
        status, _, said = self._send("PUT", f"/users/{subject}", body, headers)
        assert status in {200, 204}, said

    def sign_in(self, address: str, subject: str) -> dict[str, str]:
        """Sign in as somebody at an address that we were sent to; return what is sent back."""
        place = urlsplit(address)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = f"sub={subject}".encode()
        status, headers, said = self._send("POST", f"{place.path}?{place.query}", body, form)
        assert status in {302, 303}, said
        return dict(parse_qsl(urlsplit(headers["Location"]).query))

    def stop(self) -> None:
        """End it, as a power cut would."""
        self.process.kill()
        self.process.wait(_PATIENCE)

    def _send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        place = urlsplit(self.issuer)
        context = ssl.create_default_context(cafile=str(self.authority))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        connection = HTTPSConnection("localhost", place.port, context=context, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()


@contextmanager
def running_provider(folder: Path) -> Iterator[Provider]:
    """Run a provider while the context lasts, with a certificate of its own authority."""
    password = FakeRandom().bytes(16).hex()
    made = ensure_certificate(folder / "provider-tls", "localhost", password, SystemClock())
    given = {"CERTIFICATE": str(made.certificate), "KEY": str(made.key), "PASSWORD": password}
    process = subprocess.Popen(  # noqa: S603  our own file, by our own interpreter
        [sys.executable, __file__],
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Provider(f"https://localhost:{port}", made.authority, process)
    finally:
        process.kill()
        process.wait(_PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def _serve() -> None:
    """Serve until the process is ended."""
    import oidc_provider_mock  # noqa: PLC0415  in the other process alone
    from werkzeug.serving import make_server  # noqa: PLC0415  as above

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["CERTIFICATE"], os.environ["KEY"], os.environ["PASSWORD"])
    app = oidc_provider_mock.app(require_nonce=True)
    server = make_server("localhost", 0, app, threaded=True, ssl_context=context)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve()
