"""Kills a process that appends, again and again, and checks what it had acknowledged.

    cd tests && ../.venv/bin/python -m faults.killing sqlcipher 100
    cd tests && ../.venv/bin/python -m faults.killing postgres 100

Each round lets 64 tasks append for a moment, kills the process without warning
(SIGKILL), and then looks for every acknowledged entry at its index. Every tenth
round, and at the end, the whole tree is computed anew from the entries.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import postgres
from faults.appending import opened
from faults.faulty import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TESTS: Final = Path(__file__).parent.parent
TASKS: Final = 64
_PROOF: Final = 10


@contextmanager
def appending(store: str, place: Path, tasks: int = TASKS) -> Iterator[subprocess.Popen[bytes]]:
    """Run the appending program on a database; kill it without warning at the end."""
    process = subprocess.Popen(  # noqa: S603  the interpreter that runs this, paths made here
        [sys.executable, str(TESTS / "faults" / "appending.py"), store, str(place), str(tasks)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(lines: Sequence[bytes]) -> dict[int, bytes]:
    """Return what whole lines say was acknowledged, by index; no index may be there twice."""
    parted = [line.rstrip(b"\n").partition(b" ") for line in lines if line.endswith(b"}\n")]
    found = {int(index): entry for index, _, entry in parted}
    assert len(found) == len(parted), "an index was acknowledged twice"
    return found


def acknowledged_until_killed(store: str, place: Path, seconds: float) -> dict[int, bytes]:
    """Return what was acknowledged by processes killed so long after the first acknowledgement.

    On PostgreSQL two processes append to the log, and one outlives the other by a moment.
    """
    if store == "sqlcipher":
        with appending(store, place) as process:
            assert process.stdout is not None
            return read([process.stdout.readline(), *_until_killed(process, seconds)])
    with appending(store, place) as one, appending(store, place) as other:
        assert one.stdout is not None
        assert other.stdout is not None
        lines = [one.stdout.readline(), other.stdout.readline()]
        lines += _until_killed(one, seconds)
        return read([*lines, *_until_killed(other, 0.05)])


def _until_killed(process: subprocess.Popen[bytes], seconds: float) -> list[bytes]:
    """Let a process go on for so long, kill it, and return the lines that were left to read."""
    killer = subprocess.Popen(  # noqa: S603  so that reading, which must not stop, is not in the way
        ["/bin/sh", "-c", f"sleep {seconds}; kill -9 {process.pid}"]
    )
    assert process.stdout is not None
    lines = process.stdout.readlines()
    killer.wait()
    return lines


@dataclass
class Killing:
    """What the rounds have shown so far."""

    rounds: int = 0
    acknowledged: int = 0
    proofs: int = 0
    entries: int = 0
    _seen: dict[int, bytes] = field(default_factory=dict)

    async def check(self, store: str, place: Path, added: Mapping[int, bytes]) -> None:
        """Look for what a round acknowledged; raise `AssertionError` unless all of it is there."""
        assert added, "nothing was acknowledged before the kill"
        assert not self._seen.keys() & added.keys(), "an index was given again"
        self._seen |= added
        self.rounds += 1
        self.acknowledged += len(added)
        async with opened(store, place) as database:
            first, last = min(added), max(added)
            found = await database.store.entries("clinic", first, last + 1)
            assert len(found) == last + 1 - first, "there is a gap"
            assert added == {index: found[index - first] for index in added}

    async def prove(self, store: str, place: Path) -> None:
        """Compute the tree anew from every entry, and look for all that was ever acknowledged."""
        async with opened(store, place) as database:
            entries = await whole(database.store, "clinic")
        assert self._seen == {index: entries[index] for index in self._seen}
        self.entries = len(entries)
        self.proofs += 1


@contextmanager
def a_place(store: str) -> Iterator[Path]:
    """Yield where a new, empty database is, as long as the context lasts."""
    if store == "sqlcipher":
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    with postgres.running() as server:
        yield server.folder / server.new_database()


def kill_again_and_again(store: str, place: Path, rounds: int) -> Killing:
    """Run so many rounds on a database, print a line for every ten, and return what they showed."""
    killing, chance, begun = Killing(), random.Random(rounds), time.monotonic()  # noqa: S311  to be repeated
    for at in range(1, rounds + 1):
        added = acknowledged_until_killed(store, place, round(chance.uniform(0.0, 0.6), 3))
        asyncio.run(killing.check(store, place, added))
        if at % _PROOF == 0 or at == rounds:
            asyncio.run(killing.prove(store, place))
            _say(store, killing, begun)
    return killing


def _say(store: str, killing: Killing, begun: float) -> None:
    print(  # noqa: T201  a program
        f"{store}: {killing.rounds} kills, {killing.acknowledged} acknowledged entries all there, "
        f"{killing.entries} entries without a gap, {killing.proofs} trees recomputed, "
        f"{time.monotonic() - begun:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    with a_place(sys.argv[1]) as somewhere:
        shown = kill_again_and_again(sys.argv[1], somewhere, int(sys.argv[2]))
    print(f"{sys.argv[1]}: {shown.rounds} kills -9, nothing that was acknowledged is lost or moved")  # noqa: T201  as above
