"""An RFC 3161 time-stamp authority on 127.0.0.1: `openssl ts`, behind a few lines of HTTP."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CONFIG: Final = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[stamper]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
authorityKeyIdentifier = keyid
[plain]
basicConstraints = critical, CA:false
extendedKeyUsage = critical, serverAuth
[tsa]
default_tsa = tsa_config
[tsa_config]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/stamper.pem
certs = {folder}/root.pem
signer_key = {folder}/stamper.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
tsa_name = no
ess_cert_id_alg = sha256
"""


def _openssl(*command: str, given: bytes = b"") -> bytes:
    return subprocess.run(  # noqa: S603  the system's openssl, on files made here
        ["openssl", *command],  # noqa: S607  found on the path as an operator's would be
        input=given,
        check=True,
        capture_output=True,
    ).stdout


@dataclass
class Authority:
    """A time-stamp authority's folder: its root, its certificate, what it stamps with."""

    folder: Path
    changing: Callable[[bytes], bytes] | None = None
    """When set, what becomes of each request before it is stamped."""
    type: str = "application/timestamp-reply"
    status: int = 200
    answering: bytes | None = None
    """When set, what is answered instead."""
    asked: list[bytes] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """Return the root certificate, which a verifier must be given."""
        return self.folder / "root.pem"

    @classmethod
    def make(cls, folder: Path, purpose: str = "stamper") -> Authority:
        """Make a root and a certificate under it; `plain` makes one that may not stamp."""
        folder.mkdir()
        config = folder / "openssl.cnf"
        config.write_text(_CONFIG.format(name=folder.name, folder=folder))
        (folder / "serial").write_text("01\n")
        new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        conf = ("-config", str(config))
        root, key = str(folder / "root.pem"), str(folder / "root.key")
        _openssl(*new, "-x509", "-extensions", "root", *conf, "-keyout", key, "-out", root)
        request = _openssl(*new, *conf, "-keyout", str(folder / "stamper.key"))
        _openssl(
            *("x509", "-req", "-CA", root, "-CAkey", key, "-extfile", str(config)),
            *("-extensions", purpose, "-set_serial", "2", "-out", str(folder / "stamper.pem")),
            given=request,
        )
        return cls(folder)

    def stamp(self, request: bytes) -> bytes:
        """Return the answer to a request (DER), as `openssl ts -reply` makes it."""
        query = self.folder / "request.tsq"
        query.write_bytes(request)
        config = str(self.folder / "openssl.cnf")
        return _openssl(
            "ts", "-reply", "-config", config, "-section", "tsa_config", "-queryfile", str(query)
        )

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve it on a thread; yield its URL."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            """Stamps what is posted."""

            def do_POST(self) -> None:
                """Answer one request."""
                request = self.rfile.read(int(self.headers["Content-Length"]))
                authority.asked.append(request)
                if authority.answering is not None:
                    answer = authority.answering
                else:
                    change = authority.changing
                    answer = authority.stamp(change(request) if change else request)
                self.send_response(authority.status)
                self.send_header("Content-Type", authority.type)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def query_without_nonce(signed: bytes, folder: Path) -> bytes:
    """Return a request for a stamp, as openssl makes it, that names no nonce."""
    (folder / "signed").write_bytes(signed)
    return _openssl(
        *("ts", "-query", "-data", str(folder / "signed"), "-sha512", "-no_nonce", "-cert")
    )


def verified_by_openssl(root: Path, response: bytes, signed: bytes, folder: Path) -> bool:
    """Ask `openssl ts -verify`, which knows nothing of us, whether a response is of these bytes."""
    (folder / "stamp.tsr").write_bytes(response)
    (folder / "signed").write_bytes(signed)
    checked = subprocess.run(  # noqa: S603  as above
        [
            *("openssl", "ts", "-verify", "-in", str(folder / "stamp.tsr")),
            *("-data", str(folder / "signed"), "-CAfile", str(root)),
        ],
        check=False,
        capture_output=True,
    )
    return checked.returncode == 0
