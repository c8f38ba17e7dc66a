"""Large sealed values outside the database: durable before their entry, deleted after their row.

A payload is put into the store first, and then its reference is committed with
the entry, so that an entry never names what is not there. What was put for an
entry that failed, and what was shredded, is referred to by no row: a sweep
deletes it. Until then it is ciphertext, and after a shredding it opens nowhere.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.app.answer import ANSWER
from seawall.app.ask_model import REQUEST
from seawall.app.ports import KeepReference, KeepSealed
from seawall.core.errors import Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.ports import Clock, Fact, Ledger, Payloads, Store, Write
    from seawall.core.policy.grant import Receipt
    from seawall.core.seal.envelope import Sealed

PAYLOAD_KINDS: Final = frozenset({REQUEST, ANSWER})
"""What may be large, and is never changed: whole requests and answers."""

BEING_WRITTEN: Final = timedelta(hours=1)
"""So young a payload may still wait for its entry."""
FORGOTTEN: Final = timedelta(days=7)
"""So old must be what is deleted without being asked, because nothing refers to it."""
_PAGE: Final = 1_000


class PayloadLedger:
    """The Ledger port, with payloads kept in a store and by reference in the database."""

    def __init__(self, ledger: Ledger, payloads: Payloads, *, limit_seconds: float) -> None:
        self._ledger = ledger
        self._payloads = payloads
        self._limit = limit_seconds

    async def open_log(self, log: str, origin: str) -> None:
        """Begin a log under an origin; nothing changes if it exists."""
        await self._ledger.open_log(log, origin)

    async def append(
        self, log: str, entry: Mapping[str, Any], writes: Sequence[Write] = ()
    ) -> Receipt:
        """Put the payloads, then make the entry and its writes durable.

        `Unavailable` if the store does not take them within the time limit; then nothing
        was recorded, and nothing may move.
        """
        large = [sealed for write in writes if (sealed := _payload(write)) is not None]
        if large:
            try:
                async with asyncio.timeout(self._limit):
                    for sealed in large:
                        await self._payloads.put(sealed)
            except TimeoutError:
                raise Unavailable(
                    "payloads-unavailable",
                    "the payload store does not take a payload within its time limit",
                    "nothing was sent; try again, or go on without AI",
                ) from None
            writes = [_by_reference(write) for write in writes]
        return await self._ledger.append(log, entry, writes)

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Make facts durable, all of them or none."""
        await self._ledger.remember(facts)


class PayloadStore:
    """What reads sealed values wherever they are: in the database, or in the payload store."""

    def __init__(self, store: Store, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

    async def sealed(self, tenant: str, kind: str, item: str) -> Sealed | None:
        """Return a sealed value, or None if there is none.

        `Missing` or `Tampered` if its reference is there and it is not, or is another's.
        """
        digest = None
        if kind in PAYLOAD_KINDS:
            digest = await self._store.reference(tenant, kind, item)
        if digest is None:
            return await self._store.sealed(tenant, kind, item)
        found = await self._payloads.get(digest)
        context = found.context
        if (context.tenant, context.kind, context.item) != (tenant, kind, item):
            raise Tampered(
                "payload-tampered",
                "a reference names another payload than its own",
                "restore the database from a backup, and treat it as an incident",
            )
        return found


class SweepPayloads:
    """Deletes payloads that no row refers to; done again, it goes on where it was ended."""

    def __init__(self, *, payloads: Payloads, store: Store, clock: Clock) -> None:
        self._payloads = payloads
        self._store = store
        self._clock = clock

    async def sweep(self, older_than: timedelta = BEING_WRITTEN) -> int:
        """Delete what nothing refers to and is so old; return how many.

        What is younger than an hour stays whatever was asked for: its entry may be under way.
        """
        before = self._clock.now() - max(older_than, BEING_WRITTEN)
        page: list[str] = []
        deleted = 0
        async for held in self._payloads.held():
            if held.at < before:
                page.append(held.digest)
            if len(page) == _PAGE:
                deleted += await self._delete_unreferred(page)
                page = []
        return deleted + await self._delete_unreferred(page)

    async def forget(self) -> None:
        """Delete what was put more than a week ago and is referred to by nothing."""
        await self.sweep(FORGOTTEN)

    async def _delete_unreferred(self, page: Sequence[str]) -> int:
        if not page:
            return 0
        unreferred = sorted(set(page) - await self._store.referred(page))
        if unreferred:
            await self._payloads.delete(unreferred)
        return len(unreferred)


def _payload(write: Write) -> Sealed | None:
    """Return what goes to the store; what may replace something is the database's alone."""
    if not isinstance(write, KeepSealed) or write.replaces is not None:
        return None
    return write.sealed if write.sealed.context.kind in PAYLOAD_KINDS else None


def _by_reference(write: Write) -> Write:
    sealed = _payload(write)
    if sealed is None:
        return write
    context = sealed.context
    return KeepReference(
        context.tenant, context.kind, context.item, context.subject, sealed.digest()
    )
