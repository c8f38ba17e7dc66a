"""The guard of key managers: bounded waiting, bounded threads, a breaker, and no other answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from fakes import FakeClock
from seawall.adapters.keys.guarded import THREADS, WAITING, GuardedKeyManager, GuardedKeyOperator
from seawall.app.ports import Destruction, RootVersion, Secret
from seawall.core.errors import Error, Refused, Tampered, Unavailable
from seawall.core.gateway.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET: Final = Secret(1, b"blob")
DOWN: Final = Unavailable("key-manager-unavailable", "down", "wait")
REST: Final = Breaker().rest


class Scripted:
    """A Provider and Operator that does as it is told, and can hang until it is let go."""

    provider = "scripted"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = 0
        self._hanging = threading.Semaphore(0)

    def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Answer."""
        self._do()
        return Secret(1, secret + f"{name} {context}".encode())

    def unwrap(self, _name: str, secret: Secret, _context: str) -> bytes:
        """Answer."""
        self._do()
        return secret.blob

    def versions(self, _name: str) -> list[RootVersion]:
        """Answer."""
        self._do()
        return [RootVersion(1, "enabled")]

    def make(self, _name: str) -> None:
        """Answer."""
        self._do()

    def rotate(self, _name: str) -> int:
        """Answer."""
        self._do()
        return 2

    def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Answer."""
        self._do()
        return Destruction(name, (below or 0,), FakeClock().now(), "script")

    def until_all_threads_hang(self) -> None:
        """Wait until as many calls have begun as there are threads."""
        for _ in range(THREADS):
            assert self._hanging.acquire(timeout=60)

    def _do(self) -> None:
        self.begun += 1
        self._hanging.release()
        self.go_on.wait(60)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Yield a provider, and let go of what hangs in it."""
    made = Scripted()
    with ExitStack() as stack:
        stack.callback(made.go_on.set)
        yield made


async def unwrap(manager: GuardedKeyManager) -> bytes:
    """Ask for the one thing that all tests here ask for."""
    return await manager.unwrap("root", SECRET, "c")


async def code(manager: GuardedKeyManager) -> str:
    """Return the code in which a call ends, or nothing."""
    try:
        await unwrap(manager)
    except Error as error:
        return error.code
    return ""


async def healed(manager: GuardedKeyManager) -> None:
    """Wait until a call is answered."""
    for _ in range(2_000):
        if not await code(manager):
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def test_everything_is_handed_on_and_counted(scripted: Scripted) -> None:
    """Answers come back as the provider gave them, and each call counts once."""
    manager = GuardedKeyManager(scripted, FakeClock())
    operator = GuardedKeyOperator(scripted, FakeClock())
    assert ("scripted", Secret(1, b"sr c"), b"blob", [RootVersion(1, "enabled")]) == (
        manager.provider,
        await manager.wrap("r", b"s", "c"),
        await unwrap(manager),
        await manager.versions("r"),
    )
    await operator.make("r")
    assert (2, (3,)) == (await operator.rotate("r"), (await operator.destroy("r", 3)).versions)
    assert (3, 3) == (manager.calls, operator.calls)


async def test_who_waits_for_a_hung_provider_is_let_go(scripted: Scripted) -> None:
    """After the limit the call ends as unavailable, and the event loop was never held."""
    manager = GuardedKeyManager(scripted, FakeClock(), limit_seconds=0.2)
    scripted.go_on.clear()
    asked = asyncio.create_task(code(manager))
    turns = 0
    began = time.monotonic()
    while not asked.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert "key-manager-unavailable" == asked.result()
    assert turns > 3
    assert time.monotonic() - began < 5


async def test_when_all_threads_hang_the_next_is_refused_at_once(scripted: Scripted) -> None:
    """Nothing is begun any more, and nobody waits; when they come back, all is as before."""
    manager = GuardedKeyManager(
        scripted, FakeClock(), limit_seconds=0.3, breaker=Breaker(limit=1_000)
    )
    scripted.go_on.clear()
    await asyncio.gather(*(code(manager) for _ in range(THREADS)))
    began = time.monotonic()
    assert {"key-manager-unavailable"} == {await code(manager) for _ in range(50)}
    assert time.monotonic() - began < 5
    assert (THREADS, THREADS) == (scripted.begun, manager.calls)

    scripted.go_on.set()
    await healed(manager)
    assert b"blob" == await unwrap(manager)


async def test_callers_that_go_away_leave_no_thread_behind(scripted: Scripted) -> None:
    """A call that is cancelled counts its thread as hung, and its place comes back."""
    manager = GuardedKeyManager(scripted, FakeClock(), limit_seconds=30)
    scripted.go_on.clear()
    tasks = [asyncio.create_task(unwrap(manager)) for _ in range(2 * THREADS)]
    await asyncio.to_thread(scripted.until_all_threads_hang)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert "key-manager-unavailable" == await code(manager)

    scripted.go_on.set()
    await healed(manager)
    assert THREADS + 1 == scripted.begun  # those that only waited never began


async def test_more_calls_than_threads_wait_their_turn(scripted: Scripted) -> None:
    """A burst is answered whole."""
    manager = GuardedKeyManager(scripted, FakeClock(), limit_seconds=30)
    answers = await asyncio.gather(*(unwrap(manager) for _ in range(WAITING)))
    assert [b"blob"] * WAITING == answers


async def test_too_many_that_wait_are_refused(scripted: Scripted) -> None:
    """The queue has an end."""
    manager = GuardedKeyManager(scripted, FakeClock(), limit_seconds=30)
    scripted.go_on.clear()
    tasks = [asyncio.create_task(unwrap(manager)) for _ in range(THREADS)]
    await asyncio.to_thread(scripted.until_all_threads_hang)
    tasks += [asyncio.create_task(unwrap(manager)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    assert "key-manager-unavailable" == await code(manager)
    scripted.go_on.set()
    assert [b"blob"] * (THREADS + WAITING) == await asyncio.gather(*tasks)


async def test_the_breaker_opens_and_refuses_without_asking(scripted: Scripted) -> None:
    """After five failures in a row the provider is left alone until the rest is over."""
    clock = FakeClock()
    manager = GuardedKeyManager(scripted, clock)
    scripted.failure = DOWN
    for _ in range(8):
        assert "key-manager-unavailable" == await code(manager)
    assert 5 == manager.calls

    scripted.failure = None
    assert "key-manager-unavailable" == await code(manager)
    clock.advance(REST)
    assert ("", "", 7) == (await code(manager), await code(manager), manager.calls)


async def test_a_trial_that_fails_opens_it_again(scripted: Scripted) -> None:
    """One call goes out after the rest; when it fails, no other does."""
    clock = FakeClock()
    manager = GuardedKeyManager(scripted, clock, breaker=Breaker(limit=1))
    scripted.failure = DOWN
    await code(manager)
    clock.advance(REST)
    for _ in range(3):
        await code(manager)
    assert 2 == manager.calls


@pytest.mark.parametrize("answer", [Refused("a", "b"), Tampered("a", "b"), KeyError("x")])
async def test_an_answer_opens_no_breaker(scripted: Scripted, answer: Exception) -> None:
    """Whoever refuses answers; and a bug of ours says nothing of the key manager."""
    manager = GuardedKeyManager(scripted, FakeClock(), breaker=Breaker(limit=2))
    scripted.failure = answer
    for _ in range(5):
        with pytest.raises((Error, RuntimeError)):
            await unwrap(manager)
    scripted.failure = None
    assert b"blob" == await unwrap(manager)


@pytest.mark.parametrize("failure", [KeyError("hunter2"), TimeoutError("hunter2")])
async def test_an_unknown_exception_is_a_bug_without_its_words(
    scripted: Scripted, failure: Exception
) -> None:
    """It is raised, as what nothing catches; what it says, and that may be a secret, is not."""
    scripted.failure = failure
    with pytest.raises(RuntimeError, match=type(failure).__name__) as caught:
        await unwrap(GuardedKeyManager(scripted, FakeClock()))
    told = "".join(traceback.format_exception(caught.value))
    assert ("hunter2" in told, "in _do" in told) == (False, True)


def test_a_hung_provider_does_not_keep_the_program_alive() -> None:
    """The program ends although a call hangs."""
    script = (
        "import asyncio, time; from types import SimpleNamespace as N\n"
        "from seawall.adapters.clock import SystemClock\n"
        "from seawall.adapters.keys.guarded import GuardedKeyManager\n"
        "p = N(provider='p', versions=lambda name: time.sleep(600))\n"
        "m = GuardedKeyManager(p, SystemClock(), limit_seconds=0.1)\n"
        "try: asyncio.run(m.versions('root'))\n"
        "except Exception as e: print(e.code)\n"
    )
    done = subprocess.run(  # noqa: S603  this very Python
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=True
    )
    assert b"key-manager-unavailable\n" == done.stdout
