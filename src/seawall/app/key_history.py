"""What the ledger knows of the work on a tenant's keys: what began, and what of it is not ended.

Every rotation and shredding is an entry before it begins and another when it
is done. So whatever was interrupted is found again by any process that reads
the log, and nothing else has to be remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ledger_query import MOST
from seawall.app.ports import SYSTEM_LOG, Query
from seawall.app.successions import line_of
from seawall.core.ledger.encoding import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Store

_ENDS: Final = {
    "keys.rotate": ("keys.rotated", "intent"),
    "keys.shred": ("keys.destroyed", "shred"),
}
"""By what each ends, and which field of that names the first entry."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Work on keys that began: its entry, and whether another says that it ended."""

    index: int
    entry: dict[str, Any]
    is_ended: bool

    @property
    def action(self) -> str:
        """What began."""
        return str(self.entry["action"])


class KeyHistory:
    """Reads the work on keys out of a tenant's log, which it indexes first.

    What concerns patients and claims is read in the logs too that it succeeded. Work that
    began is named by its index, and so found in the log alone that it began in.
    """

    def __init__(self, *, store: Store, indexing: IndexLedger) -> None:
        self._store = store
        self._indexing = indexing

    async def begun(self, tenant: str, action: str) -> list[Begun]:
        """Return what began by this action, oldest first, with whether it ended."""
        last, field = _ENDS[action]
        await self._indexing.caught_up(tenant)
        ended = {entry[field] async for _, entry in self._of(tenant, ("action", last))}
        found = [
            Begun(index, entry, index in ended)
            async for index, entry in self._of(tenant, ("action", action))
        ]
        return sorted(found, key=lambda one: one.index)

    async def unfinished(self, tenant: str, action: str) -> list[Begun]:
        """Return what began by this action and did not end, oldest first."""
        return [one for one in await self.begun(tenant, action) if not one.is_ended]

    async def after(self, tenant: str, action: str, shred: int) -> dict[str, Any] | None:
        """Return the newest entry of this action that belongs to a shredding."""
        await self._indexing.caught_up(tenant)
        async for _, entry in self._of(tenant, ("action", action)):
            if entry.get("shred") == shred:
                return entry
        return None

    async def destroyed(self, tenant: str, shred: int) -> tuple[int, dict[str, Any]] | None:
        """Return the entry that says that a shredding is done, with its index."""
        await self._indexing.caught_up(tenant)
        async for index, entry in self._of(tenant, ("action", "keys.destroyed")):
            if entry["shred"] == shred:
                return index, entry
        return None

    async def dropped(self, tenant: str, since: int) -> int:
        """Return how many damaged data keys were deleted after an entry."""
        await self._indexing.caught_up(tenant)
        return sum(
            [
                int(entry.get("dropped", 0))
                async for index, entry in self._of(tenant, ("action", "keys.rewrapped"))
                if index > since
            ]
        )

    async def claims(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the entries about claims on keys, of every tenant, newest first."""
        for log in await self._line(SYSTEM_LOG):
            async for _, entry in self._of(log, ("action", "keys.claim")):
                yield entry

    async def about(self, tenant: str, patient: str, action: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the entries of an action that concern a patient, newest first."""
        for log in await self._line(tenant):
            async for _, entry in self._of(log, ("patient", patient), ("action", action)):
                yield entry

    async def has_since(self, tenant: str, since_ms: int, *facets: tuple[str, str]) -> bool:
        """Return whether there is an entry with these facets from this moment on."""
        query = Query(facets, since_ms=since_ms, last=1)
        for log in await self._line(tenant):
            if await self._store.find(log, query):
                return True
        return False

    async def _line(self, log: str) -> list[str]:
        """Return a log and those that it succeeded, indexed, the newest first."""
        logs = await line_of(self._store, log)
        for one in logs:
            await self._indexing.caught_up(one)
        return logs

    async def _of(
        self, tenant: str, *facets: tuple[str, str]
    ) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Yield entries with these facets, page by page, the newest page first."""
        query = Query(facets, last=MOST)
        while True:
            page = await self._store.find(tenant, query)
            for index, raw in reversed(page):
                yield index, decode(raw)
            if len(page) < MOST:
                return
            query = replace(query, before=page[0][0])
