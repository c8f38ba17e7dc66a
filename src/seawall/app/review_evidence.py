"""What the ledger says of a grant's use, so that a reviewer does not have to guess.

It counts entries by who made them, with bounds; no entry is opened and no PHI is read.
45 CFR 164.308(a)(1)(ii)(D), 164.308(a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.app.ledger_query import MOST
from seawall.app.ports import SYSTEM_LOG, Query
from seawall.app.successions import line_of
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of
from seawall.core.registers.access_review import EVIDENCE_DAYS, Evidence

if TYPE_CHECKING:
    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Clock, Store
    from seawall.core.access.reviewing import Held

_WINDOW_MS: Final = EVIDENCE_DAYS * 86_400_000
_SIGNED_IN: Final = (
    (("action", "session.begin"),),
    (("action", "sign-in.outcome"), ("outcome", "accepted")),
)
"""What entries of the system's log say somebody signed in: at a provider, or here."""
_PAGES: Final = 20
"""So many pages of entries are counted at most; more use than that is use enough."""


class ReviewEvidence:
    """Reads the ledger for reviews."""

    def __init__(self, *, store: Store, indexing: IndexLedger, clock: Clock) -> None:
        self._store = store
        self._indexing = indexing
        self._clock = clock

    async def of(self, tenant: str, grants: list[Held]) -> dict[Held, Evidence]:
        """Return the evidence of each grant; what is the same for several is read once."""
        for log in (*await line_of(self._store, tenant), *await line_of(self._store, SYSTEM_LOG)):
            await self._indexing.caught_up(log)
        used: dict[tuple[tuple[str, str], ...], tuple[int, int | None]] = {}
        signed_in: dict[str, int | None] = {}
        found = {}
        for held in grants:
            facets = _facets(held)
            if facets not in used:
                used[facets] = await self._used(tenant, facets)
            last = None
            if held.holder == "person":
                if held.name not in signed_in:
                    signed_in[held.name] = await self._signed_in(tenant, held.name)
                last = signed_in[held.name]
            uses, last_use = used[facets]
            found[held] = Evidence(last_sign_in_ms=last, uses=uses, last_use_ms=last_use)
        return found

    async def _used(
        self, tenant: str, facets: tuple[tuple[str, str], ...]
    ) -> tuple[int, int | None]:
        """Return how many entries have these facets, and when the newest was made."""
        since_ms, count, last = max(0, self._clock.now_ms() - _WINDOW_MS), 0, None
        for log in await line_of(self._store, tenant):
            before = None
            for _ in range(_PAGES):
                query = Query(facets, since_ms=since_ms, before=before, last=MOST)
                page = await self._store.find(log, query)
                count += len(page)
                if page and last is None:
                    last = max(moment_of(decode(raw)) for _, raw in page[-10:])
                if len(page) < MOST:
                    break
                before = min(index for index, _ in page)
        return count, last

    async def _signed_in(self, tenant: str, name: str) -> int | None:
        """Return when somebody last signed in, within the window; None if they did not.

        Several tenants may have somebody of the same name: entries of the system's log say
        whose they are.
        """
        since_ms = max(0, self._clock.now_ms() - _WINDOW_MS)
        moments: list[int] = []
        for log in await line_of(self._store, SYSTEM_LOG):
            for how in _SIGNED_IN:
                query = Query((*how, ("actor", f"user/{name}")), since_ms=since_ms, last=MOST)
                found = [decode(raw) for _, raw in await self._store.find(log, query)]
                moments += [moment_of(one) for one in found if one.get("for") == tenant]
        return max(moments, default=None)


def _facets(held: Held) -> tuple[tuple[str, str], ...]:
    kind = "user" if held.holder == "person" else "client"
    actor = ("actor", f"{kind}/{held.name}")
    what, _, name = held.grant.partition("/")
    return (actor, ("use-case", name)) if what == "use-case" else (actor,)
