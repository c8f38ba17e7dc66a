"""The Archive port in memory, which keeps its contract and breaks it on demand."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from seawall.app.ports import Lying
from seawall.core.errors import Conflict, Error, Missing, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.ports import Clock


@dataclass(slots=True)
class _Archived:
    content: bytes
    until: datetime
    at: datetime
    is_held: bool = False


class MemoryArchive:
    """The Archive port in memory, and faults on demand: down, or giving back other bytes."""

    def __init__(self, name: str, clock: Clock | None = None, *, is_locked: bool = True) -> None:
        self._name = name
        self._clock = clock
        self._is_locked = is_locked
        self.objects: dict[str, _Archived] = {}
        self.down: Error | None = None
        """When set, everything raises it."""
        self.room: int | None = None
        """How many objects it has room for; None means any number."""
        self.altered: dict[str, bytes] = {}
        """What reading a path gives, whatever was put."""
        self.forgets: set[str] = set()
        """Paths of which nothing is there any more as soon as they were put."""
        self.tested = 0
        """How often it was tested."""

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def is_locked(self) -> bool:
        """Whether it counts as locked."""
        return self._is_locked

    async def self_test(self) -> None:
        """Count the test."""
        self._answer()
        self.tested += 1

    async def now(self) -> datetime | None:
        """Return the time of a locked archive's clock."""
        self._answer()
        if not self._is_locked:
            return None
        return self._time()

    async def put(self, path: str, content: bytes, retain_until: datetime) -> str:
        """Keep a new object, or its longer retention."""
        await asyncio.sleep(0)  # as any real archive, it lets others go on meanwhile
        self._answer()
        held = self.objects.get(path)
        if held is None:
            if self.room is not None and len(self.objects) >= self.room:
                raise Unavailable("archive-unavailable", "the archive is full", "make room")
            held = self.objects[path] = _Archived(content, retain_until, self._time())
        if held.content != content:
            raise Conflict("archive-conflict", "another content is here", "compare them")
        held.until = max(held.until, retain_until)
        if path in self.forgets:
            del self.objects[path]
        return _version(content)

    async def get(self, path: str, version: str) -> bytes:
        """Return an object by its version."""
        held = self._of(path, version)
        return self.altered.get(path, held.content)

    async def lying(self, below: str) -> AsyncIterator[Lying]:
        """Yield the objects below a path."""
        self._answer()
        for path, held in list(self.objects.items()):
            if path.startswith(f"{below}/"):
                yield Lying(path, _version(held.content), held.at)

    async def extend(self, path: str, version: str, retain_until: datetime) -> None:
        """Raise a retention."""
        held = self._of(path, version)
        if retain_until < held.until:
            raise Refused("retention-shortened", "it would be kept for less long", "raise it")
        held.until = retain_until

    async def hold(self, path: str, version: str, *, is_held: bool) -> None:
        """Place or lift a hold."""
        self._of(path, version).is_held = is_held

    async def close(self) -> None:
        """Do nothing."""

    def _of(self, path: str, version: str) -> _Archived:
        self._answer()
        held = self.objects.get(path)
        if held is None or version != _version(held.content):
            raise Missing("archive-object-missing", "the object is not here", "look for it")
        return held

    def _time(self) -> datetime:
        return self._clock.now() if self._clock else datetime.now(UTC)

    def _answer(self) -> None:
        if self.down is not None:
            raise self.down


def _version(content: bytes) -> str:
    return "v" + hashlib.sha256(content).hexdigest()[:16]
