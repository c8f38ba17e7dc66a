"""Published checkpoints as files: `published/SIZE/checkpoint`, and `stamp.tsr` beside it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from seawall.app.ports import Published, Store

NEWEST: Final = 100
"""So many of the newest are copied, whatever their day."""

_PIECE: Final = 100
_DAY_MS: Final = 86_400_000


async def copied(store: Store, log: str, size: int) -> AsyncIterator[Published]:
    """Yield what a copy of a log of this size brings of its published checkpoints.

    Of each day (UTC) the newest, the newest 100, and the newest that is witnessed.
    A log publishes for ever, and the checkpoints between say little more. It holds at
    most 200 of them in memory.
    """
    witnessed: Published | None = None
    recent: deque[Published] = deque()
    async for made in _pieces(store, log, size):
        if made.is_witnessed:
            witnessed = made
        recent.append(made)
        if len(recent) > NEWEST:
            older = recent.popleft()
            if older.at_ms // _DAY_MS != recent[0].at_ms // _DAY_MS:
                yield older
                witnessed = None if witnessed is older else witnessed
    for made in recent:
        yield made
    if witnessed is not None and (not recent or witnessed.size < recent[0].size):
        yield witnessed


def files_of(made: Published) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a published checkpoint: relative path and content."""
    yield f"published/{made.size}/checkpoint", made.note.encode()
    if made.stamp is not None:
        yield f"published/{made.size}/stamp.tsr", made.stamp


async def _pieces(store: Store, log: str, size: int) -> AsyncIterator[Published]:
    """Yield every published checkpoint up to a size, oldest first, read a piece at a time."""
    above = -1
    while piece := await store.published(log, above=above, limit=_PIECE):
        for made in piece:
            if made.size > size:
                return
            yield made
        above = piece[-1].size
