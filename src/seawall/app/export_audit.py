"""Handing entries to audit tools: which ones a query finds, in order, in bounded memory.

Whoever calls this has recorded the reading, which also brought the index up to date
(45 CFR 164.312(b)). Memory holds a piece of entries, and eight bytes for each that is found.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seawall.app.read_ledger import pruned
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from seawall.app.ports import Query, Store

PAGE: Final = 1_000
"""So many entries are asked for at once."""

PIECE: Final = 256
"""So many entries are in memory at once, when they are written out."""


class ExportAudit:
    """Finds entries for an export, and reads them in the order of the log."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def found(self, log: str, query: Query, size: int) -> Sequence[int]:
        """Return the indexes below `size` of all entries that a query finds, in order.

        `before`, `last` and `earlier` of the query count for nothing.
        """
        if not query.facets and query.since_ms is query.until_ms is None:
            return range((await self._store.head(log)).minimum, size)
        indexes = array("Q")
        asked = replace(query, before=size, last=PAGE, earlier=None)
        while found := await self._store.find(log, asked):
            indexes.extend(index for index, _ in found)
            # Newest first in the order of time: the next page is what lies before the oldest.
            asked = replace(
                asked, earlier=min((moment_of(decode(raw)), index) for index, raw in found)
            )
        return array("Q", sorted(indexes))

    async def entries(
        self, log: str, indexes: Sequence[int]
    ) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Yield these entries a piece at a time; `Missing` if one was pruned meanwhile."""
        for at in range(0, len(indexes), PIECE):
            piece: list[tuple[int, bytes]] = []
            for start, stop in runs(indexes[at : at + PIECE]):
                raw = await self._store.entries(log, start, stop)
                if len(raw) != stop - start:
                    raise pruned()
                piece += enumerate(raw, start)
            yield piece


def runs(indexes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each stretch of ascending indexes without a gap."""
    start = stop = None
    for index in indexes:
        if index != stop:
            if start is not None and stop is not None:
                yield start, stop
            start = index
        stop = index + 1
    if start is not None and stop is not None:
        yield start, stop
