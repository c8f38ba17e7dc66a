"""Processes under measurement: started, asked for their CPU time and memory, stopped.

Linux only: the CPU clock of another process is `clock_getcpuclockid(3)`, whose
value Python does not hand out, and memory is read from /proc.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
KEY_PASSWORD: Final = "BENCHMARKS_KEY_PASSWORD"  # noqa: S105  a variable's name

_PATIENCE_SECONDS: Final = 30.0
_CPU_CLOCK_OF_A_PROCESS: Final = 2


class Process:
    """One running process, seen from outside, and where it listens."""

    def __init__(self, running: subprocess.Popen[bytes], port: int) -> None:
        self._pid = running.pid
        self.port = port

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far, in user and system mode."""
        return time.clock_gettime(~self._pid << 3 | _CPU_CLOCK_OF_A_PROCESS)

    def resident_mib(self) -> float:
        """Return its resident memory in MiB."""
        pages = Path(f"/proc/{self._pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE") / (1 << 20)


@contextmanager
def module(name: str, arguments: list[str], password: str) -> Iterator[Process]:
    """Run a module of this package, which prints `{"port": N}` once it listens."""
    with _running(["-m", f"benchmarks.{name}", *arguments], {KEY_PASSWORD: password}) as running:
        line = running.stdout.readline() if running.stdout else b""
        if not line:
            raise RuntimeError(f"benchmarks.{name} does not start")
        yield Process(running, int(json.loads(line)["port"]))


@contextmanager
def seawall(folder: Path, passphrase: str) -> Iterator[Process]:
    """Run `seawall serve` on a data folder."""
    arguments = ["-c", "from seawall.cli import main; main()", "serve", "--port", "0"]
    environment = {"SEAWALL_PASSPHRASE": passphrase, "SEAWALL_LOG_LEVEL": "info"}
    with (
        (folder / "server.log").open("wb") as log,
        _running([*arguments, "--data-dir", str(folder)], environment, log) as running,
    ):
        note, until = folder / "server.json", time.monotonic() + _PATIENCE_SECONDS
        while not (note.exists() and note.stat().st_size):
            if running.poll() is not None or time.monotonic() > until:
                said = (folder / "server.log").read_text(encoding="utf-8")
                raise RuntimeError(f"seawall serve does not start: {said}")
            time.sleep(0.02)
        yield Process(running, int(json.loads(note.read_bytes())["url"].rpartition(":")[2]))


@contextmanager
def _running(
    arguments: list[str], environment: Mapping[str, str], errors: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(  # noqa: S603  our own interpreter and modules
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=errors,
    ) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.wait(_PATIENCE_SECONDS)
