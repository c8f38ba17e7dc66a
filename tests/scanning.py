"""sslyze, a scanner that knows nothing of us, run as a program against a port of this machine."""

from __future__ import annotations

import json
import re
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

PROGRAM: Final = Path(sys.prefix) / "tools" / "sslyze" / "bin" / "sslyze"
"""Where `make setup` puts it: its `cryptography` is not ours."""

_PROTOCOLS: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")
_MODERN: Final = frozenset({"tls_1_2", "tls_1_3"})
_SOUND: Final = re.compile(
    r"(?:TLS_ECDHE_(?:ECDSA|RSA)_WITH|TLS)_(?:AES_(?:128|256)_GCM_SHA(?:256|384)"
    r"|CHACHA20_POLY1305_SHA256)"
)
_CURVES: Final = frozenset({"X25519", "X448", "secp256r1", "secp384r1", "secp521r1"})
"""Those of RFC 8446 section 4.2.7. Python 3.11 can set one group or OpenSSL's whole list."""
_BEYOND_MOZILLA: Final = frozenset({"X448", "secp521r1"})
"""The two of them that Mozilla's lists leave out: no weaker, but slower."""
_SECONDS: Final = 120


def scan(port: int, authority: Path, folder: Path, name: str = "localhost") -> list[str]:
    """Scan a port; return every weakness that is found, sorted, as short texts."""
    out = folder / "scan.json"
    done = subprocess.run(  # noqa: S603  the scanner that make setup installed, on this machine
        [
            *(str(PROGRAM), "--mozilla_config=intermediate", "--early_data", "--resum"),
            *(f"--certinfo_ca_file={authority}", f"--sni={name}", f"--json_out={out}"),
            f"127.0.0.1:{port}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    (found,) = json.loads(out.read_text("utf-8"))["server_scan_results"]
    if found["scan_status"] != "COMPLETED":
        raise RuntimeError("sslyze could not connect")
    results = {name: step["result"] for name, step in found["scan_result"].items()}
    return sorted({*_of_suites(results), *_of_attacks(results), *_of_mozilla(done.stdout)})


def _of_suites(results: dict[str, Any]) -> Iterator[str]:
    for protocol in _PROTOCOLS:
        accepted = results[f"{protocol}_cipher_suites"]["accepted_cipher_suites"]
        names = [suite["cipher_suite"]["name"] for suite in accepted]
        if names and protocol not in _MODERN:
            yield f"speaks {protocol}"
        if not names and protocol in _MODERN:
            yield f"speaks no {protocol}"
        yield from (f"suite {name}" for name in names if not _SOUND.fullmatch(name))
    for curve in results["elliptic_curves"]["supported_curves"] or ():
        if curve["name"] not in _CURVES:
            yield f"curve {curve['name']}"


def _of_attacks(results: dict[str, Any]) -> Iterator[str]:
    renegotiation = results["session_renegotiation"]
    resumption = results["session_resumption"]
    weak = {
        "compresses": results["tls_compression"]["supports_compression"],
        "heartbleed": results["heartbleed"]["is_vulnerable_to_heartbleed"],
        "ccs injection": results["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"],
        "robot": not results["robot"]["robot_result"].startswith("NOT_VULNERABLE"),
        "renegotiates": renegotiation["is_vulnerable_to_client_renegotiation_dos"],
        "insecure renegotiation": not renegotiation["supports_secure_renegotiation"],
        "early data": results["tls_1_3_early_data"]["supports_early_data"],
        "tickets": resumption["tls_ticket_resumption_result"] != "NOT_SUPPORTED",
        "no extended master secret": not results["tls_extended_master_secret"][
            "supports_ems_extension"
        ],
    }
    yield from (name for name, is_so in weak.items() if is_so)
    certificates = results["certificate_info"]["certificate_deployments"]
    for deployment in certificates:
        validations = deployment["path_validation_results"]
        trusting = [one for one in validations if one["was_validation_successful"]]
        if "Supplied CA file" not in {one["trust_store"]["name"] for one in trusting}:
            yield "certificate of another authority"
        if deployment["verified_chain_has_sha1_signature"]:
            yield "SHA-1 in the chain"


def _of_mozilla(said: str) -> Iterator[str]:
    """Yield what the server does otherwise than Mozilla's configuration "intermediate" says."""
    compliance = said.partition("COMPLIANCE AGAINST TLS CONFIGURATION")[2]
    if "OK - Compliant" not in compliance and "FAILED - Not compliant" not in compliance:
        yield "mozilla: not checked"
    for line in re.findall(r"^ +\* (.+)$", compliance, re.MULTILINE):
        named = set(re.findall(r"'([^']+)'", line))
        if not (line.startswith("tls_curves:") and named <= _BEYOND_MOZILLA):
            yield f"mozilla: {line.partition(':')[0]}"


class _Handshakes(socketserver.ThreadingTCPServer):
    """Shakes hands with whoever comes, and hangs up."""

    daemon_threads = True
    allow_reuse_address = True
    context: ssl.SSLContext
    heard: list[bytes]
    has_preamble = False

    def finish_request(self, request: Any, _client: Any) -> None:
        """Shake hands; keep what comes, answer nothing of use, read until the other side ends."""
        with suppress(OSError):
            request.settimeout(10)
            if self.has_preamble:
                request.recv(8)
                request.sendall(b"S")
            with self.context.wrap_socket(request, server_side=True) as connection:
                while piece := connection.recv(4_096):
                    self.heard.append(piece)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@contextmanager
def handshaking(
    context: ssl.SSLContext, heard: list[bytes] | None = None, *, has_preamble: bool = False
) -> Iterator[int]:
    """Serve handshakes by a context while the Python context lasts; yield the port.

    What comes under TLS is kept in `heard`. A preamble is PostgreSQL's SSLRequest.
    """
    server = _Handshakes(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    server.context, server.heard = context, [] if heard is None else heard
    server.has_preamble = has_preamble
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
