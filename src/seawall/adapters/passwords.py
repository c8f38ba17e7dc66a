"""Passwords by argon2id, with the parameters that OWASP recommends, few at a time.

A verification takes 19 MiB and one core for some hundredths of a second, so that
guessing is dear; therefore no more run at once than there are cores, and no more wait
than a few. Who signs in from a place of theirs has a thread of their own,
which strangers cannot fill. Argon2 is no FIPS-approved function.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from seawall.core.errors import Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
LANES: Final = 1
WAITING: Final = 64
"""So many wait, of strangers and of others each; who comes then is asked to come again."""


@dataclass(slots=True)
class _Line:
    """Threads, and how many are in them or wait for them."""

    threads: ThreadPoolExecutor
    most: int
    count: int = field(default=0)


class ArgonPasswords:
    """The Passwords port by argon2id (RFC 9106)."""

    def __init__(self, *, cores: int | None = None, waiting: int = WAITING) -> None:
        self._hasher = PasswordHasher(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID
        )
        cores = cores or os.cpu_count() or 1
        self._strangers = self._line(max(1, cores - 1), waiting)
        self._known = self._line(1, waiting)

    @staticmethod
    def _line(cores: int, waiting: int) -> _Line:
        return _Line(ThreadPoolExecutor(cores, thread_name_prefix="argon2"), cores + waiting)

    async def hash(self, password: str) -> str:
        """Return a new salted hash, which says how it was made."""
        return await self._run(self._known, lambda: self._hasher.hash(password))

    async def verify(self, kept: str, password: str, *, is_known: bool) -> bool:
        """Whether a password is the one of a hash; `Unavailable` while too many wait."""
        line = self._known if is_known else self._strangers
        return await self._run(line, lambda: self._verify(kept, password))

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made otherwise than new ones are."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Let go of the threads."""
        for line in (self._strangers, self._known):
            line.threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError):
            raise Tampered(
                "password-malformed",
                "a sealed password hash does not have its form",
                "restore the database from a backup, and treat the change as an incident",
            ) from None

    @staticmethod
    async def _run(line: _Line, work: Callable[[], T]) -> T:
        if line.count >= line.most:
            raise Unavailable(
                "sign-in-busy", "too many sign in at this moment", "try again in a few seconds"
            )
        line.count += 1
        running = asyncio.get_running_loop().run_in_executor(line.threads, work)
        # Who goes away leaves the work behind: it is counted until it is done.
        running.add_done_callback(lambda _: _done(line))
        return await asyncio.shield(running)


def _done(line: _Line) -> None:
    line.count -= 1
