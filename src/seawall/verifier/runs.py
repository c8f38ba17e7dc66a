"""Reading the runs of a log, in one process or in several: hashing is all that takes time.

Several read a long log only, only where they can be forked, and at most as many
as there are processors. The verdict is the same: each run comes back in order,
and whatever the others could not finish one process reads alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Final

from .entries import RUN, Bundles, Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

_MOST: Final = 4
_WORTH_IT: Final = 4 * RUN
"""A shorter log is read in less time than it takes to share the work."""

_served: list[Bundles] = []
"""What a forked process reads from; it holds one item there, and none here."""


def runs(bundles: Bundles, size: int) -> Iterator[Run]:
    """Yield what each run of a log of this size came to, in order."""
    return read_runs(bundles, size, processors() if size >= _WORTH_IT else 1)


def read_runs(bundles: Bundles, size: int, processes: int) -> Iterator[Run]:
    """Yield what each run came to, in order, read by so many processes."""
    firsts = range(0, size, RUN)
    done = 0
    if processes > 1:
        try:
            for run in _shared(bundles, firsts, processes):
                yield run
                done += 1
        except (OSError, BrokenProcessPool):
            pass  # none could be started, or one was killed: this process does the rest
    yield from map(bundles.read_run, firsts[done:])


def _shared(bundles: Bundles, firsts: range, processes: int) -> Iterator[Run]:
    """Yield the runs in order; only a few are read before the first of them is wanted."""
    waiting: deque[Future[Run]] = deque()
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(processes, context, initializer=_serve, initargs=(bundles,))
    try:
        for first in firsts:
            waiting.append(pool.submit(_read_run, first))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _serve(bundles: Bundles) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers, and ends us
    _served.append(bundles)


def _read_run(first: int) -> Run:
    return _served[0].read_run(first)


def processors() -> int:
    """Return how many processes may help; elsewhere than on Linux forking is not safe."""
    if sys.platform != "linux":
        return 1
    return min(len(os.sched_getaffinity(0)), _MOST)
