"""A server on localhost that poses as an OpenID provider, and signs whatever a test wants."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey

from fakes import FakeRandom
from seawall.adapters.certificates import ensure_certificate
from seawall.adapters.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CLIENT: Final = "seawall"
NONCE: Final = "nonce-1"
SECRET: Final = "a-secret"
KEY: Final = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
OTHER: Final = RSAKey.generate_key(2048, {"kid": "one"}, private=True)


@dataclass
class Forger:
    """What the server answers; a test sets the token and what the metadata says besides."""

    authority: Path
    issuer: str = ""
    token: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a good ID token, some of them changed; None leaves one out."""
        now = SystemClock().now_ms() // 1000
        said = {
            "iss": self.issuer,
            "sub": "ann",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": NONCE,
            **changed,
        }
        return {name: value for name, value in said.items() if value is not None}

    def answer(self, path: str) -> dict[str, Any]:
        """Return what a path answers."""
        if path == "/keys":
            return {"keys": [KEY.as_dict(private=False)]}
        if path == "/token":
            return {"access_token": "x", "token_type": "Bearer", "id_token": self.token}
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            **self.more,
        }


def signed(claims: Mapping[str, Any], key: RSAKey = KEY, **header: Any) -> str:
    """Return a token under a key, by RS256."""
    said = {"alg": "RS256", "kid": "one", **header}
    return jwt.encode(said, dict(claims), key, algorithms=["RS256"])


def by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes | None) -> str:
    """Return a token whose header says what a test wants: with a MAC under a secret, or none."""
    parts = [_base64url(json.dumps(part).encode()) for part in (header, claims)]
    text = ".".join(parts)
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{_base64url(mac)}"


@contextmanager
def running_forger(folder: Path) -> Iterator[Forger]:
    """Serve while the context lasts, with a certificate of its own authority."""
    password = FakeRandom().bytes(16).hex()
    made = ensure_certificate(folder / "forger-tls", "localhost", password, SystemClock())
    forger = Forger(made.authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key, password)

    class Answers(BaseHTTPRequestHandler):
        """Answers each request with what the forger says."""

        def do_GET(self) -> None:
            """Answer."""
            body = json.dumps(forger.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            """Take the form, then answer."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    forger.issuer = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield forger
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
