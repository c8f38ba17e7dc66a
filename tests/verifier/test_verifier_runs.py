"""Sharing a long log among processes changes nothing but the time it takes."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from seawall.verifier.entries import RUN, Bundles, Run
from seawall.verifier.folder import Copy, Folder
from seawall.verifier.refusal import Refusal
from seawall.verifier.runs import processors, read_runs, runs
from verifier.logs import log_in

if TYPE_CHECKING:
    from pathlib import Path

    from verifier.logs import Log

SIZE = 3 * RUN + 300


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Return a log of a little more than three runs."""
    return log_in(tmp_path_factory.mktemp("long"), SIZE)


def bundles_of(folder: Path) -> Bundles:
    """Return what reads the log's entries."""
    copy = Copy(Folder(folder))
    copy.check_files(3, SIZE)
    return Bundles(copy, SIZE, frozenset({SIZE, 7}), reads_all=False)


def test_processes_find_what_one_finds(long: Log) -> None:
    """Each run comes back in order and as it is, however many processes read."""
    bundles = bundles_of(long.folder)

    alone = list(read_runs(bundles, SIZE, 1))
    assert [256, 256, 256, 1] == [len(run.roots) for run in alone]
    assert alone == list(read_runs(bundles, SIZE, 2))


def test_refusal_of_another_process_is_the_same(long: Log) -> None:
    """What another process refuses is refused here, by step, file and sentence."""
    bundles = bundles_of(long.folder)
    kept = (long.folder / "tile/entries/300").read_bytes()
    long.put("tile/entries/300", kept[:-1] + b"?")

    said = []
    for processes in (1, 2):
        with pytest.raises(Refusal) as refused:
            list(read_runs(bundles, SIZE, processes))
        said.append((refused.value.step, refused.value.file, refused.value.problem))
    long.put("tile/entries/300", kept)
    assert said[0] == said[1]
    assert (4, "tile/entries/300") == said[0][:2]


class Killing(Bundles):
    """Bundles whose second run kills the process that reads it, if that is not the first."""

    process = os.getpid()

    def read_run(self, first: int) -> Run:
        """Read a run, or be killed."""
        if first == RUN and os.getpid() != self.process:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read_run(first)


def test_killed_process_is_replaced_by_this_one(long: Log) -> None:
    """If a process is killed, what it had to do is done here, and nothing twice."""
    copy = Copy(Folder(long.folder))
    copy.check_files(3, SIZE)
    killing = Killing(copy, SIZE, frozenset(), reads_all=False)

    assert [256, 256, 256, 1] == [len(run.roots) for run in read_runs(killing, SIZE, 2)]


def test_short_log_is_read_alone(long: Log) -> None:
    """A log that is read in a moment is not shared, and a long one by a few processes at most."""
    assert 4 == len(list(runs(bundles_of(long.folder), SIZE)))
    assert 1 <= processors() <= 4
