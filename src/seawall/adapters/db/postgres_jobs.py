"""What waits for PostgreSQL's writer: one caller's wish each, and where its answer goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from seawall.app.ports import Fact, WrappedKey, Write


@dataclass(slots=True, eq=False)
class Job:
    """One caller's wish: an entry with its writes, a log to begin, a key, or facts."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    log: str = ""
    entry: bytes | None = None
    writes: Sequence[Write] = ()
    key: WrappedKey | None = None
    origin: str | None = None
    facts: Sequence[Fact] = ()
    is_abandoned: bool = False
    """Whether the caller has gone; such a job is not begun."""
    answer: Any = None
    error: Exception | None = None

    def deliver(self) -> None:
        """Tell the caller how it ended; on the caller's loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)

    def expire(self) -> None:
        """Tell the caller that it takes too long; on the caller's loop."""
        if not self.future.done():
            self.future.set_exception(too_slow())


def too_slow() -> Unavailable:
    """Return what a caller is told whose time is up."""
    return Unavailable(
        "ledger-unavailable",
        "the ledger cannot record within its time limit",
        "nothing was sent; try again, or go on without AI",
    )
