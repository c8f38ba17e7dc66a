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
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from seawall.core.errors import Error, Unavailable
from seawall.core.gateway.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.adapters.keys.provider import Operator, Provider
    from seawall.app.ports import Clock, Destruction, RootVersion, Secret

T = TypeVar("T")

THREADS: Final = 4
WAITING: Final = 256
"""How many calls run at once, and how many more may wait for those."""
_MANAGER_SECONDS: Final = 2.0
_OPERATOR_SECONDS: Final = 20.0


class GuardedKeyManager:
    """The KeyManager port over a provider."""

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        *,
        limit_seconds: float = _MANAGER_SECONDS,
        breaker: Breaker | None = None,
    ) -> None:
        self._provider = provider
        self._guard = _Guard(clock, limit_seconds, breaker)

    def __repr__(self) -> str:
        return f"<GuardedKeyManager of {self.provider}>"

    @property
    def provider(self) -> str:
        """`file`, `openbao` or `aws`."""
        return self._provider.provider

    @property
    def calls(self) -> int:
        """How often the provider was asked."""
        return self._guard.calls

    async def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap 32 bytes under the newest version of a root key."""
        return await self._guard.ask(partial(self._provider.wrap, name, secret, context))

    async def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped."""
        return await self._guard.ask(partial(self._provider.unwrap, name, secret, context))

    async def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        return await self._guard.ask(partial(self._provider.versions, name))


class GuardedKeyOperator:
    """The KeyOperator port over an operator's provider.

    Where it does not answer in time, what was asked may have been done, or is done later.
    """

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        *,
        limit_seconds: float = _OPERATOR_SECONDS,
        breaker: Breaker | None = None,
    ) -> None:
        self._operator = operator
        self._guard = _Guard(clock, limit_seconds, breaker)

    @property
    def calls(self) -> int:
        """How often the provider was asked."""
        return self._guard.calls

    async def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one."""
        await self._guard.ask(partial(self._operator.make, name))

    async def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, as the operator sees them."""
        return await self._guard.ask(partial(self._operator.versions, name))

    async def rotate(self, name: str) -> int:
        """Make a new version of a root key; return it. Older ones still unwrap."""
        return await self._guard.ask(partial(self._operator.rotate, name))

    async def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy the versions of a root key below one, or the whole key, for good."""
        return await self._guard.ask(partial(self._operator.destroy, name, below))


class _Guard:
    """Asks a provider, gives up in time, and learns from what it answers."""

    def __init__(self, clock: Clock, limit_seconds: float, breaker: Breaker | None) -> None:
        self._clock = clock
        self._limit = limit_seconds
        self._breaker = breaker or Breaker()
        self._threads = _Threads(THREADS, WAITING)
        self.calls = 0

    async def ask(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise its Error.

        Only `Unavailable` counts against the provider: whatever else it says, it answers.
        """
        if not self._breaker.may_call(self._clock.monotonic()):
            raise _unavailable("did not answer several times in a row")
        future = self._threads.start(work)
        if future is None:
            raise _unavailable("does not answer, and too many calls wait for it")
        self.calls += 1
        self._breaker = self._breaker.calling(self._clock.monotonic())
        try:
            answer = await self._answer(future)
        except Unavailable:
            self._breaker = self._breaker.failed(self._clock.monotonic())
            raise
        except Error:
            self._breaker = self._breaker.succeeded()
            raise
        except BaseException:
            # A bug, or the caller went away: neither says anything of the provider.
            self._breaker = self._breaker.abandoned()
            raise
        self._breaker = self._breaker.succeeded()
        return answer

    async def _answer(self, future: Future[_Outcome[T]]) -> T:
        waited = asyncio.wrap_future(future)
        try:
            await asyncio.wait((waited,), timeout=self._limit)
            if not waited.done():
                raise _unavailable("does not answer in time")
            outcome = waited.result()
        finally:
            waited.cancel()
            self._threads.give_up(future)
        return outcome.get()


class _Outcome(Generic[T]):
    """What a work returned or raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._value: T | None = None
        self._failure: Exception | None = None
        try:
            self._value = work()
        except Exception as error:  # noqa: BLE001  raised where somebody waits
            self._failure = error

    def get(self) -> T:
        """Return or raise it; what is no Error of ours is a bug, told without its words.

        Those could hold a secret.
        """
        if isinstance(self._failure, Error):
            raise self._failure
        if self._failure is not None:
            failure = RuntimeError(f"the key manager's provider: {type(self._failure).__name__}")
            raise failure.with_traceback(self._failure.__traceback__)
        return self._value  # type: ignore[return-value]  # T may be None itself


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

    def start(self, work: Callable[[], T]) -> Future[_Outcome[T]] | None:
        """Return what will hold the outcome; None if every thread hangs, or too many wait."""
        future: Future[_Outcome[T]] = Future()
        with self._lock:
            if self._hung >= self._number or len(self._works) >= self._waiting:
                return None
            if self._running < self._number:
                threading.Thread(target=self._run, name="key-manager", daemon=True).start()
                self._running += 1
            self._works.append((future, work))
        return future

    def give_up(self, future: Future[Any]) -> None:
        """Count a thread as hung until its work ends; work that has not begun never begins."""
        with self._lock:
            if not future.cancel() and future.running():
                self._hung += 1
                future.add_done_callback(self._found_again)

    def _found_again(self, _future: Future[Any]) -> None:
        self._hung -= 1  # `_run` holds the lock while it ends a future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._works:
                    self._running -= 1
                    return
                future, work = self._works.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
            outcome = _Outcome(work)
            with self._lock:
                future.set_result(outcome)
            del future, work, outcome  # nothing of a call is held while the next one is awaited


def _unavailable(what: str) -> Unavailable:
    return Unavailable(
        "key-manager-unavailable",
        f"the key manager {what}",
        "see that it runs and can be reached; it is asked again within seconds, and until it"
        " answers nothing is sealed or opened with a key that it keeps",
    )
