"""The operator's own certificate at the gateway and at the witness."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from certified import Pair, TestAuthority
from clinic import PASSPHRASE, PATIENCE, TENANT, Clinic
from seawall.compose import serve_witness
from seawall.tls import client_context
from witnesses import PASSPHRASE as WITNESS_PASSPHRASE
from witnesses import made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-c", "from seawall.cli import main; main()"]


def shown(port: int, authority: TestAuthority) -> bytes:
    """Return the certificate that a listener shows to a new connection."""
    context = client_context(authority.certificate)
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all of it."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def authority(place: Path) -> TestAuthority:
    """Return the operator's own authority."""
    return TestAuthority(place / "authority")


@pytest.fixture(scope="module")
def own(authority: TestAuthority) -> Pair:
    """Return the operator's own certificate, its key under a password."""
    return authority.server("own", password="of the key")


@pytest.fixture(scope="module")
def environment(own: Pair, authority: TestAuthority, place: Path) -> dict[str, str]:
    """Return the settings that name it."""
    password = place / "password"
    password.write_text("of the key\n", "ascii")
    return {
        **os.environ,
        "SEAWALL_PASSPHRASE": PASSPHRASE,
        "SEAWALL_CERTIFICATE": str(own.certificate),
        "SEAWALL_CERTIFICATE_KEY": str(own.key),
        "SEAWALL_CERTIFICATE_PASSWORD_FILE": str(password),
        "SEAWALL_CERTIFICATE_AUTHORITY": str(authority.certificate),
    }


@pytest.fixture(scope="module")
def serving(
    clinic: Clinic, environment: dict[str, str], place: Path
) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """Run `seawall serve` with it; yield the process, its port and its data folder."""
    folder = clinic.copy(place / "data").folder
    command = [*COMMAND, "serve", "--port", "0", "--data-dir", str(folder)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:  # noqa: S603  the interpreter that runs the tests
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"serving https://"):
                break
        try:
            yield process, int(line.split(b";")[0].rpartition(b":")[2]), folder
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


def test_the_gateway_serves_it_and_takes_a_new_one_on_sighup(
    serving: tuple[subprocess.Popen[bytes], int, Path],
    environment: dict[str, str],
    own: Pair,
    authority: TestAuthority,
) -> None:
    """A signal makes the process, which goes on, show what the files hold now."""
    process, port, _ = serving
    before, first = shown(port, authority), own.der
    own.replace(authority.server("other", password="of the key"))
    process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE
    while (after := shown(port, authority)) == before and time.monotonic() < until:
        time.sleep(0.05)

    assert (first, own.der, None) == (before, after, process.poll())
    assert environment["SEAWALL_CERTIFICATE"] == str(own.certificate)


def test_the_command_line_trusts_it_by_its_authority(
    serving: tuple[subprocess.Popen[bytes], int, Path],
    environment: dict[str, str],
    clinic: Clinic,
    tmp_path: Path,
) -> None:
    """With certificate_authority the terminal verifies the operator's certificate; else not."""
    key = tmp_path / "app.jwk"
    key.write_text(json.dumps(clinic.keys["app"]), "ascii")
    command = [*COMMAND, "token", "--client", f"{TENANT}/app", "--key", str(key)]
    command += ["--data-dir", str(serving[2]), "--url", f"https://localhost:{serving[1]}"]
    without = {n: v for n, v in environment.items() if n != "SEAWALL_CERTIFICATE_AUTHORITY"}

    found = [
        subprocess.run(command, env=each, capture_output=True, check=False).returncode  # noqa: S603  as above
        for each in (environment, without)
    ]

    assert [0, 1] == found


async def test_the_witness_serves_it(tmp_path: Path, authority: TestAuthority) -> None:
    """A witness shows the operator's certificate instead of its own authority's."""
    folder, pair = tmp_path / "w1", authority.server("witness")
    made(folder, "localhost/w1")
    serving = serve_witness(
        folder, WITNESS_PASSPHRASE, host="127.0.0.1", port=0, own=(pair.certificate, pair.key)
    )
    async with serving as (url, _):
        found = await asyncio.to_thread(shown, int(url.rpartition(":")[2]), authority)
    assert pair.der == found


def test_the_witness_takes_a_new_one_on_sighup(tmp_path: Path, authority: TestAuthority) -> None:
    """A witness goes on after the signal, and shows what the files hold now."""
    folder, pair = tmp_path / "w1", authority.server("of-a-witness")
    made(folder, "localhost/w1")
    command = [*COMMAND, "witness", "serve", "--dir", str(folder), "--port", "0"]
    command += ["--certificate", str(pair.certificate), "--certificate-key", str(pair.key)]
    given = {**os.environ, "SEAWALL_PASSPHRASE": WITNESS_PASSPHRASE.value.decode()}
    with subprocess.Popen(command, env=given, stderr=subprocess.PIPE) as process:  # noqa: S603  as above
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith(b"witnessing on"):
            assert line, "the witness ended before it began"
        port = int(line.rpartition(b":")[2])
        try:
            pair.replace(authority.server("another"))
            process.send_signal(signal.SIGHUP)
            until = time.monotonic() + PATIENCE
            while shown(port, authority) != pair.der and time.monotonic() < until:
                time.sleep(0.05)

            assert (pair.der, None) == (shown(port, authority), process.poll())
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
