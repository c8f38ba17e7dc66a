"""The index of a log follows the log: a projection that is made after the commit.

Entries are indexed in pieces, each remembered in a transaction of its own, so
that an append never waits for more than one piece. Whatever ends this, the
next call goes on from what was remembered; doing a piece twice changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from seawall.app.ports import KeepFacets
from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import facets_of, moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Ledger, Store

PIECE: Final = 200
"""How many entries are indexed at once: what bounds memory, and how long an append waits."""


class IndexLedger:
    """Brings the index of every log up to its head."""

    def __init__(self, *, store: Store, ledger: Ledger, piece: int = PIECE) -> None:
        self._store = store
        self._ledger = ledger
        self._piece = piece
        self._upto: dict[str, int] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def all(self) -> None:
        """Index what every log has gained: one round while the server serves."""
        for head in await self._store.logs():
            if self._upto.get(head.log) != head.size:
                await self.caught_up(head.log)

    async def caught_up(self, log: str) -> int:
        """Index a log up to its present head; return the size up to which it is indexed.

        `Missing` if there is no such log.
        """
        # Whoever waits meanwhile finds it done: two must not do the same work.
        async with self._turns.setdefault(log, asyncio.Lock()):
            head = await self._store.head(log)
            at = max(await self._store.indexed(log), head.minimum)
            while at < head.size:
                stop = min(at + self._piece, head.size)
                raw = await self._store.entries(log, at, stop)
                if len(raw) != stop - at:
                    raise Tampered(
                        "ledger-tampered",
                        f"entries between {at} and {stop} are not there",
                        "keep the data folder as it is, restore a backup elsewhere, and treat it "
                        "as an incident",
                    )
                rows = await asyncio.to_thread(_rows, raw, at)
                await self._ledger.remember([KeepFacets(log, stop, rows)])
                at = stop
            self._upto[log] = at
            return at


def _rows(raw: Sequence[bytes], first: int) -> tuple[tuple[str, str, int, int], ...]:
    """Return the index rows of consecutive entries."""
    rows: list[tuple[str, str, int, int]] = []
    for position, item in enumerate(raw, first):
        try:
            entry = orjson.loads(item)
        except orjson.JSONDecodeError:
            entry = decode(item)  # which says that it was changed
        moment = moment_of(entry)
        rows.extend((facet, value, moment, position) for facet, value in facets_of(entry))
    return tuple(rows)
