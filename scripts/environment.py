"""Make .venv ready for `demo` or `dev`: python3 scripts/environment.py demo|dev.

Standard library only: this runs before anything is installed. It says what it
does, does nothing when nothing changed, and rebuilds an environment whose
Python is gone or too old, or that was made for another folder. A lock lets one
run install at a time. With `dev` come programs that the tests run and whose own
dependencies are at odds with ours: each in an environment of its own, below .venv/tools.
"""
# ruff: noqa: S603  it runs the commands that are written here, no others

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MADE_FOR = VENV / "made-for.txt"
CONTAINS = {"demo": ["demo"], "dev": ["dev", "demo"]}
"""What each set installs: dev.txt pins all that demo.txt does (tests/test_house.py checks it)."""
TOOLS = {"demo": [], "dev": ["sslyze"]}
"""Programs beside each set, pinned by requirements/NAME.txt, as .venv/tools/NAME/bin/NAME."""

_PINNED = re.compile(r"^[A-Za-z0-9._-]+(?:\[[^]]*\])?==", re.MULTILINE)
_IS_USABLE = "import pip, sys; sys.exit(sys.version_info < (3, 11))"


def main() -> None:
    """Make the set that the command line names."""
    if sys.argv[1:] not in (["demo"], ["dev"]):
        sys.exit("usage: python3 scripts/environment.py demo|dev")
    wanted = sys.argv[1]
    with _one_at_a_time():
        if not _is_usable():
            _make_venv()
        if _installed(wanted) != _digest(wanted):
            _install(wanted)
        for tool in TOOLS[wanted]:
            _ensure_tool(tool)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold this very file's lock, so that no two runs install at once."""
    with Path(__file__).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("==> Waiting: another run is setting up .venv", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_usable() -> bool:
    """Say whether .venv has a Python that runs, is new enough, and belongs to this folder."""
    if not MADE_FOR.is_file() or MADE_FOR.read_text("utf-8") != str(ROOT) or not PYTHON.exists():
        return False
    return (
        subprocess.run([PYTHON, "-c", _IS_USABLE], capture_output=True, check=False).returncode == 0
    )


def _make_venv() -> None:
    again = " anew" if VENV.exists() else ""
    print(f"==> Making .venv{again} with {sys.executable}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(VENV)])
    MADE_FOR.write_text(str(ROOT), "utf-8")


def _install(wanted: str) -> None:
    """Install the pinned packages, then Seawall itself as an editable package."""
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install"]
    requirements = ROOT / "requirements" / f"{wanted}.txt"
    count = len(_PINNED.findall(requirements.read_text("utf-8")))
    print(f"==> Installing the {count} packages of requirements/{wanted}.txt", flush=True)
    _run([*pip, "--require-hashes", "-r", str(requirements)], count)
    print("==> Installing Seawall from this folder", flush=True)
    _run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    for name in CONTAINS[wanted]:
        (VENV / f"{name}.txt").write_text(_digest(name), "utf-8")


def _ensure_tool(name: str) -> None:
    """Make a tool's environment, unless it was made of these very pins."""
    place, requirements = VENV / "tools" / name, ROOT / "requirements" / f"{name}.txt"
    stamp = place / "made-of.txt"
    pins = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text("utf-8") == pins:
        return
    count = len(_PINNED.findall(requirements.read_text("utf-8")))
    print(f"==> Installing the {count} packages of requirements/{name}.txt apart", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    _run([str(PYTHON), "-m", "venv", "--without-pip", str(place)])
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--python", str(place)]
    _run([*pip, "install", "--require-hashes", "-r", str(requirements)], count)
    stamp.write_text(pins, "utf-8")


def _installed(name: str) -> str:
    stamp = VENV / f"{name}.txt"
    return stamp.read_text("utf-8") if stamp.is_file() else ""


def _digest(name: str) -> str:
    """Return what changes whenever the set must be installed again."""
    parts = [ROOT / "requirements" / f"{name}.txt", ROOT / "pyproject.toml"]
    return hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()


def _run(command: list[str], packages: int = 0) -> None:
    """Run a step, counting the packages that pip comes to; if it fails, show what it said."""
    said: list[str] = []
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process, _Progress(packages) as progress:
        for line in process.stdout or ():
            said.append(line)
            if line.startswith(("Collecting ", "Processing ", "Requirement already")):
                progress.step()
            elif line.startswith("Installing collected"):
                progress.say("unpacking")
    if process.returncode:
        sys.stderr.writelines(said[-40:])
        print(f"==> This step failed: {' '.join(command)}", file=sys.stderr)
        sys.exit(process.returncode)


class _Progress:
    """A line that counts: redrawn on a terminal, every twentieth step elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._redraws = sys.stdout.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._redraws and self._done:
            print(flush=True)

    def step(self) -> None:
        """Count one package."""
        self._done += 1
        if self._total and (self._redraws or self._done % 20 == 0):
            self.say(f"{min(self._done, self._total)} of {self._total} packages")

    def say(self, text: str) -> None:
        """Show where it is."""
        if self._total:
            start, end = ("\r", "") if self._redraws else ("", "\n")
            print(f"{start}    {text:<40}", end=end, flush=True)


if __name__ == "__main__":
    main()
