"""Work that goes on after its answer: begun, followed by its id, ended with the server.

The ledger knows of what this process forgets: its entries say what is unfinished.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Error, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from seawall.app.ports import Random

_REMEMBERED: Final = 100


@dataclass(slots=True)
class _Work:
    """An order that is carried out: whose, how far, how it ended."""

    tenant: str
    progress: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def told(self) -> dict[str, Any]:
        """Return how far it is."""
        if self.ended is None:
            return {"state": "running", "progress": self.progress}
        return self.ended


class Works:
    """What is carried out, and how the last of it ended."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._works: OrderedDict[str, _Work] = OrderedDict()

    def begin(
        self,
        tenant: str,
        begin: Callable[[Callable[[str, int, int], None]], Coroutine[Any, Any, dict[str, Any]]],
    ) -> str:
        """Begin a tenant's work, which is told how to say its progress; return its id."""
        work, name = _Work(tenant), self._random.bytes(16).hex()

        def progress(what: str, at: int, of: int) -> None:
            """Remember how far it is."""
            work.progress = {"what": what, "at": at, "of": of}

        async def run() -> None:
            """Carry it out, and remember how it ended."""
            try:
                work.ended = {"state": "done", "result": await begin(progress)}
            except Error as error:
                told = {"code": error.code, "message": error.message, "help": error.help}
                work.ended = {"state": "failed", **told}
            except BaseException:
                # A mistake of the program, or the server's end: told, and then as it was.
                work.ended = {"state": "failed", "code": "internal", "message": "", "help": ""}
                raise

        work.task = asyncio.create_task(run())
        self._works[name] = work
        while len(self._works) > _REMEMBERED:
            oldest = next((key for key, one in self._works.items() if one.ended), None)
            if oldest is None:
                break
            del self._works[oldest]
        return name

    def told(self, tenant: str, name: str) -> dict[str, Any]:
        """Return how far a tenant's work is, or how it ended; `Missing` if it is not known."""
        work = self._works.get(name)
        if work is None or work.tenant != tenant:
            raise Missing(
                "work-unknown",
                "this process knows of no such work",
                "it may have ended with the process: GET /api/keys says what is unfinished",
            )
        return work.told()

    async def close(self) -> None:
        """End what is under way; the ledger knows of it, and it can be gone on with."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
