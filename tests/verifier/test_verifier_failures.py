"""How the program ends when there is no verdict: one line, a status, and JSON if it was asked."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import seawall.verifier
from seawall.verifier.__main__ import guarded, main
from verifier.stampers import Authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from verifier.logs import Log

PROGRAM = [sys.executable, str(Path(seawall.verifier.__file__).parent)]


def interrupted() -> int:
    """Be ended by Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("work", "status", "problem"),
    [
        (lambda: 1 // 0, 3, "a mistake of this program, and no verdict: ZeroDivisionError in "),
        (interrupted, 130, "interrupted: there is no verdict"),
    ],
)
def test_end_without_a_verdict(
    work: Callable[[], int], status: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever ends the program is one line and a status of its own, which no verdict has."""
    assert status == guarded(work, as_json=True)

    out, err = capsys.readouterr()
    assert err.startswith(f"seawall-verify: {problem}")
    assert 1 == err.count("\n")
    assert json.loads(out)["error"].startswith(problem)


@pytest.mark.parametrize("arguments", [["--nothing"], ["no such folder"], []])
def test_wrong_call_with_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Who asked for JSON gets an object for a wrong call too."""
    assert 2 == main([*arguments, "--json"])

    report = json.loads(capsys.readouterr().out)
    assert [False, True] == [report["verified"], bool(report["error"])]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_cannot_be_written(options: list[str], small: Log) -> None:
    """A full disk under the output is not a verdict, and not a traceback either."""
    command = [*PROGRAM, str(small.folder), *options]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)  # noqa: S603  our own program

    assert 2 == done.returncode
    assert done.stderr.startswith(b"seawall-verify: the verdict cannot be written (")
    assert 1 == done.stderr.count(b"\n")


def test_interrupt_ends_the_program_with_one_line(small: Log) -> None:
    """Ctrl-C while the program waits for a file says so, with the status that shells expect."""
    reading, writing = os.pipe()
    command = [*PROGRAM, str(small.folder), "--checkpoint", f"/dev/fd/{reading}"]
    with subprocess.Popen(command, pass_fds=[reading], stderr=subprocess.PIPE, text=True) as run:  # noqa: S603  our own program
        os.close(reading)
        os.write(writing, b"x" * 1_000)
        while run.poll() is None and unread(writing):
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=30)
    os.close(writing)

    assert (130, "seawall-verify: interrupted: there is no verdict\n") == (run.returncode, err)


def unread(writing: int) -> int:
    """Return how many bytes of a pipe nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(writing, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("option", ["--checkpoint", "--vkey", "--witness", "--timestamp-authority"])
def test_named_pipe_is_a_wrong_call(option: str, small: Log, tmp_path: Path) -> None:
    """A pipe that nobody writes to must not keep the auditor waiting."""
    os.mkfifo(tmp_path / "pipe")
    key = [] if option == "--vkey" else ["--vkey", small.vkey]

    assert 2 == main([str(small.folder), *key, option, str(tmp_path / "pipe")])


def test_pipe_that_a_shell_opened_is_read(small: Log) -> None:
    """What a shell's process substitution gives is read to its end."""
    reading, writing = os.pipe()
    os.write(writing, small.checkpoint(3))
    os.close(writing)

    call = ["--vkey", small.vkey, "--checkpoint", f"/dev/fd/{reading}"]
    assert 0 == main([str(small.folder), *call])
    os.close(reading)


def test_authority_of_an_unknown_version_is_a_wrong_call(small: Log, tmp_path: Path) -> None:
    """A certificate of a version that there is not is a wrong call, and no traceback."""
    raw = Authority("root").certificate.public_bytes(Encoding.DER)
    changed = raw.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    body = base64.encodebytes(changed).decode()
    file = tmp_path / "authority.pem"
    file.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")

    call = ["--vkey", small.vkey, "--timestamp-authority", str(file)]
    assert 2 == main([str(small.folder), *call])
