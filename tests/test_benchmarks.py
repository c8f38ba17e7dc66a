"""The benchmarks still run: figures are theirs, and no test's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROWS = (
    "(a) floor: uvicorn + Starlette + aiohttp",
    "(b) Seawall, nothing masked",
    "(c) Seawall, masked",
    "(d) Seawall, masked, in a conversation",
    "(a) floor, stream of 40 chunks",
    "(b) stream of 40 chunks, nothing masked",
    "(c) stream of 40 chunks, masked",
    "identify: token",
    "parse: JSON and fields",
    "decide",
    "minimise",
    "walk",
    "detect",
    "replace",
    "write the request anew",
    "inspect and restore the answer",
    "recall the patient: reads, 1 append",
    "attribute: 1 read",
    "record the intent: seal, 1 append",
    "record the outcome: seal, 1 append",
    "append alone, without writes",
    "sum of the parts",
    "SQLCipher, 1",
    "SQLCipher, 64",
    "SQLCipher, their index",
    "PostgreSQL, 1",
    "PostgreSQL, 64",
    "PostgreSQL, two replicas of 32",
    "fsync of a 4 KiB write, alone",
    "indexing, a piece",
    "an append meanwhile",
    "one patient",
    "one actor",
    "an actor and an outcome",
    "an actor and a patient",
    "an actor and a common outcome",
    "a day",
    "one actor on a day",
    "a package of one patient",
    "a package of a day",
    "a package of everything",
    "sealing over the cipher",
    "questions to OpenBao",
    "data keys wrapped anew",
    "as it is",
    "--entries",
    "the hashes alone",
    "a tlog-proof",
    "a tlog-proof, by the auditor's program",
    "allowed, shipped policies",
    "allowed, another patient each time",
    "refused, and what is lacking",
    "a tenant's first, its policies prepared",
    "allowed, 1,000 tenants with their own in turn",
    "naive: policies and schema as text, each time",
    "naive: one set of all 1,000 tenants' policies",
    "of nobody named",
    "of a named patient each",
    "backup",
    "backup again, nothing new",
    "restore, everything verified",
    "the disk alone: write and fsync",
    "joserfc alone, a token",
    "a token, seen first",
    "a token, seen again",
    "a limited token, seen again",
    "joserfc alone, a token and a proof",
    "a bound token and its proof, seen first",
)


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m benchmarks` to its end."""
    return subprocess.run(  # noqa: S603  our own module
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def quick() -> subprocess.CompletedProcess[str]:
    """Run everything once, quickly."""
    return benchmarks("--quick")


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_printed_with_figures(
    quick: subprocess.CompletedProcess[str], row: str
) -> None:
    """Each row of each table is printed, and holds a figure."""
    lines = [line.split("|") for line in quick.stdout.splitlines() if line.startswith("|")]
    cells = [line[2:] for line in lines if line[1].strip() == row]
    assert (len(cells), True) == (1, any(char.isdigit() for char in cells[0][0])), quick.stderr


def test_a_quick_run_says_that_its_figures_mean_little(
    quick: subprocess.CompletedProcess[str],
) -> None:
    """Nobody quotes a smoke test's figures by mistake."""
    assert (0, True) == (quick.returncode, "quick: figures mean little" in quick.stdout)


def test_progress_is_told_on_standard_error(quick: subprocess.CompletedProcess[str]) -> None:
    """Who waits learns what for, and the tables stay clean."""
    assert "exchanges: round 1 of 1" in quick.stderr


def test_a_benchmark_is_chosen_by_name() -> None:
    """A name as an argument measures that benchmark alone."""
    chosen = benchmarks("--quick", "detection")
    titles = [line for line in chosen.stdout.splitlines() if line.startswith("###")]
    assert ["### Detection: the 7 sample notes, again and again"] == titles


def test_an_unknown_name_is_refused() -> None:
    """A misspelt benchmark is an error that points at the help, not an empty table."""
    refused = benchmarks("speed")
    assert (2, True) == (refused.returncode, "there is no benchmark speed" in refused.stderr)
