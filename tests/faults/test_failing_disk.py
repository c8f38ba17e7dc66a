"""The disk itself fails: each write and each flush of a commit, in its turn.

`disk.c` is compiled by the machine's C compiler and preloaded, so that the
database's own system calls fail; nothing of the program knows.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from embedded import ORIGIN, opened
from faults.disk_program import PAGE
from faults.faulty import whole

TESTS: Final = Path(__file__).parent.parent
COMPILER: Final = shutil.which("cc") or shutil.which("gcc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: the disk is in C")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the failing disk."""
    built = tmp_path_factory.mktemp("disk") / "disk.so"
    source = TESTS / "faults" / "disk.c"
    command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl"]
    subprocess.run(command, check=True)  # noqa: S603  the compiler, on our own file
    return built


def run(library: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program on a disk that fails."""
    folder.mkdir(exist_ok=True)
    page = folder.with_suffix(".page")
    page.write_bytes(bytes(PAGE.size))
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, str(TESTS / "faults" / "disk_program.py"), folder, page, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}",
            "LD_PRELOAD": str(library),
            "FAULTY_DISK": str(page),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("which", "mode", "error"),
    [
        ("writes", "fail", errno.EIO),
        ("writes", "fail", errno.ENOSPC),
        ("writes", "fail", errno.EROFS),
        ("writes", "fail-after", errno.EIO),
        ("syncs", "fail", errno.EIO),
        ("syncs", "fail-after", errno.EIO),
        ("syncs", "hang", errno.EIO),
    ],
)
def test_whichever_call_fails_nothing_acknowledged_is_lost(
    library: Path, tmp_path: Path, which: str, mode: str, error: int
) -> None:
    """For each N, the N-th call of a commit fails: what was acknowledged is there, whole."""
    ended = run(library, tmp_path / "data", which, mode, str(error))
    assert ("", 0) == (ended.stderr, ended.returncode)
    told = json.loads(ended.stdout)
    assert told["calls"] >= (8 if which == "writes" else 2)
    assert told["refusals"] > 0


@pytest.mark.parametrize(
    ("which", "mode"), [("writes", "kill"), ("writes", "tear"), ("syncs", "kill")]
)
async def test_a_crash_at_any_call_loses_nothing_acknowledged(
    library: Path, tmp_path: Path, which: str, mode: str
) -> None:
    """The process ends within a write, half of it done, or a flush; what it told is there."""
    told: dict[str, dict[int, bytes]] = defaultdict(dict)
    for at in (1, 2, 3, 5, 8, 13, 34, 89):
        ended = run(library, tmp_path / "data", which, mode, str(at))
        assert -9 == ended.returncode, ended.stderr
        for line in ended.stdout.splitlines(keepends=True):
            if line.endswith("}\n"):
                origin, index, entry = line[:-1].split(" ", 2)
                assert told[origin].setdefault(int(index), entry.encode()) == entry.encode()
        async with opened(tmp_path / "data") as database:
            for log, origin in (("clinic", ORIGIN), ("school", f"{ORIGIN}-2")):
                if told[origin]:
                    entries = await whole(database.store, log)
                    assert told[origin] == {index: entries[index] for index in told[origin]}
    assert len(told[ORIGIN]) > 50
