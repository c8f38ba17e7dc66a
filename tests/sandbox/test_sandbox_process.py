"""The sandbox as a program: how it starts, refuses to start, and stops."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.conftest import Credentials, Sandbox

    Start = Callable[..., subprocess.Popen[bytes]]
    ReadPort = Callable[[subprocess.Popen[bytes]], int]

WAIT_SECONDS = 20


def test_importing_it_imports_nothing_else_of_seawall() -> None:
    """The sandbox's modules bring in no other part of Seawall."""
    program = (
        "import sys, seawall.sandbox.server as _\n"
        "print(sorted({n.split('.')[1] for n in sys.modules if n.startswith('seawall.')}))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)  # noqa: S603  a fixed program

    assert output == "['sandbox']\n"


@pytest.mark.parametrize("key", ["", "short", "schlüssel-schlüssel"])
def test_without_a_proper_key_it_refuses_to_start(start_sandbox: Start, key: str) -> None:
    """An absent, short or non-ASCII API key is refused, and the variable is named."""
    process = start_sandbox(environment={"SEAWALL_SANDBOX_KEY": key})

    assert "SEAWALL_SANDBOX_KEY" in _refusal(process)


def test_wrong_password_is_refused(start_sandbox: Start) -> None:
    """A password that does not open the private key is refused."""
    process = start_sandbox(environment={"SANDBOX_TLS_PASSWORD": "wrong"})

    assert "password" in _refusal(process)


def test_without_a_password_it_does_not_ask(start_sandbox: Start) -> None:
    """An encrypted key without a password is refused in place of a prompt."""
    process = start_sandbox("--key-password-env", "NO_SUCH_VARIABLE")

    assert "password" in _refusal(process)


def test_missing_certificate_is_refused(start_sandbox: Start, tmp_path: Path) -> None:
    """A certificate that is not there is refused."""
    process = start_sandbox("--cert", str(tmp_path / "none.pem"))

    assert "cannot be read" in _refusal(process)


def test_taken_port_is_refused(start_sandbox: Start) -> None:
    """A port that another program listens on is refused."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start_sandbox("--port", str(taken.getsockname()[1]))

        assert "cannot be bound" in _refusal(process)


def test_it_stops_when_its_input_closes(start_sandbox: Start, read_port: ReadPort) -> None:
    """It ends with an open connection too, and has printed nothing but its port."""
    process = start_sandbox()
    port = read_port(process)
    with socket.create_connection(("127.0.0.1", port)):
        output, errors = process.communicate(b"ignored", timeout=WAIT_SECONDS)

    assert (process.returncode, output, errors) == (0, b"", b"")


def test_it_serves_on_without_an_input(start_sandbox: Start, read_port: ReadPort) -> None:
    """Without --until-stdin-closes it outlives its input, until it is told to end."""
    process = start_sandbox(until_stdin_closes=False)
    port = read_port(process)
    assert process.stdin is not None
    process.stdin.close()
    socket.create_connection(("127.0.0.1", port)).close()
    process.stdin = None
    process.terminate()

    assert process.communicate(timeout=WAIT_SECONDS) == (b"", b"")


def test_key_is_not_on_the_command_line(sandbox: Sandbox, credentials: Credentials) -> None:
    """No argument of the process holds a secret."""
    arguments = sandbox.process.args

    assert isinstance(arguments, list)
    assert str(credentials.key) in arguments
    assert not {"sandbox-key-for-tests", "correct horse battery"} & set(arguments)


def _refusal(process: subprocess.Popen[bytes]) -> str:
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, output) == (2, b"")
    return errors.decode()
