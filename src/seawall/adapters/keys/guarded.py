"""A guard around any provider of the key manager: threads, a time limit, a circuit breaker.

A provider blocks, and may hang. It runs on few threads of its own; who waits for
it waits no longer than the limit, and where every thread hangs, or too many wait,
the next is refused at once. Whoever is refused gets nothing: there is no other
key, and no plaintext. 45 CFR 164.306(a), 164.308(a)(7)(i).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seawall.core.errors import Error, Unavailable
from seawall.core.gateway.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.adapters.keys.provider import Operator, Provider
    from seawall.app.ports import Clock, Destruction, RootVersion, Secret

T = TypeVar("T")

_THREADS: Final = 4
_WAITING: Final = 256
_MANAGER_SECONDS: Final = 2.0
_OPERATOR_SECONDS: Final = 20.0


class _Threads:
    """At most so many threads, which end when there is nothing to do and keep no program alive.

    Those of `concurrent.futures` would be waited for at the program's end, hung or not.
    """

    def __init__(self, number: int, waiting: int) -> None:
        self._number = number
        self._waiting = waiting
        self._lock = threading.Lock()
        self._works: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running = 0
        self._hung = 0

    def start(self, work: Callable[[], T]) -> Future[T] | None:
        """Return what will hold the result; None if every thread hangs, or too many wait."""
        future: Future[T] = Future()
        with self._lock:
            if self._hung >= self._number or len(self._works) >= self._waiting:
                return None
            self._works.append((future, work))
            is_new = self._running < self._number
            self._running += is_new
        if is_new:
            threading.Thread(target=self._run, name="key-manager", daemon=True).start()
        return future

    def give_up(self, future: Future[Any]) -> None:
        """Count a thread as hung until its work ends; work that has not begun never begins."""
        with self._lock:
            if not future.cancel() and future.running():
                self._hung += 1
                # Under the lock: `_run` takes it before it ends the future.
                future.add_done_callback(self._found_again)

    def _found_again(self, _future: Future[Any]) -> None:
        self._hung -= 1  # the lock is held by whoever ends the future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._works:
                    self._running -= 1
                    return
                future, work = self._works.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  handed to whoever asked
                failure = error
            with self._lock:
                if failure is None:
                    future.set_result(result)
                else:
                    future.set_exception(failure)


class Guard:
    """Calls a provider, and gives up in time."""

    def __init__(self, clock: Clock, *, limit_seconds: float, breaker: Breaker | None) -> None:
        self._clock = clock
        self._limit = limit_seconds
        self._breaker = breaker or Breaker()
        self._threads = _Threads(_THREADS, _WAITING)
        self.calls = 0
        """How often the provider was asked."""

    async def ask(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise its Error; anything else it raises is a bug."""
        if not self._breaker.may_call(self._clock.monotonic()):
            raise _unavailable("did not answer several times in a row")
        future = self._threads.start(work)
        if future is None:
            raise _unavailable("does not answer, and too many wait for it")
        self.calls += 1
        self._breaker = self._breaker.calling(self._clock.monotonic())
        learned = self._breaker.abandoned
        try:
            answer = await self._awaited(future)
        except Unavailable:
            learned = partial(self._failed, self._clock.monotonic())
            raise
        except Error:
            learned = self._succeeded
            raise
        else:
            learned = self._succeeded
            return answer
        finally:
            self._breaker = learned()

    async def _awaited(self, future: Future[T]) -> T:
        try:
            async with asyncio.timeout(self._limit):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.done() and not future.cancelled():
                raise  # the provider's own
            raise _unavailable("did not answer in time") from None
        finally:
            self._threads.give_up(future)
