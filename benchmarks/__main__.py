"""`python -m benchmarks [--quick] [NAME ...]`: measure, and print the tables."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import (
    appends,
    auditing,
    backup,
    detection,
    exchanges,
    keys,
    parts,
    policies,
    production,
    queries,
    tokens,
)
from benchmarks.effort import FULL, QUICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.effort import Effort
    from benchmarks.table import Table

BENCHMARKS: Final[dict[str, Callable[[Effort], Table]]] = {
    "exchanges": exchanges.measure,
    "parts": parts.measure,
    "ledger": appends.measure,
    "queries": queries.measure,
    "production": production.measure,
    "verifier": auditing.measure,
    "proofs": auditing.measure_proofs,
    "keys": keys.measure,
    "policies": policies.measure,
    "detection": detection.measure,
    "backup": backup.measure,
    "tokens": tokens.measure,
}


def main() -> int:
    """Measure what the command line names, or everything; print tables to standard output."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures mean little")
    given = parser.parse_args()
    if unknown := set(given.names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {min(unknown)}; see --help")
    if sys.platform != "linux":
        parser.error("the CPU time of other processes is read as Linux tells it")
    effort = QUICK if given.quick else FULL
    tables = [
        measure(effort)
        for name, measure in BENCHMARKS.items()
        if name in given.names or not given.names
    ]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs ({_cpu_model()}), "
        f"load {os.getloadavg()[0]:.1f}{', quick: figures mean little' * given.quick}"
    )
    for table in tables:
        print()
        print("\n".join(table.lines()))
    return 0


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())


if __name__ == "__main__":
    sys.exit(main())
