"""One order about a tenant's keys at a time, whichever process carries it out.

Who works on a tenant's keys holds a claim on them: a record under the system's own keys,
so that no tenant's shredding ends it, which is replaced only by whoever names the one
before. It ends by itself soon after its holder did, and is renewed while the work goes
on. Each change of it is an entry of the system's log, which says whose it is and until when.
That orders are kept apart is practice, toward 45 CFR 164.312(c)(1).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, KeepSealed
from seawall.core.errors import Conflict, Error
from seawall.core.ledger.facets import moment_text
from seawall.core.policy.principal import Principal
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.key_history import KeyHistory
    from seawall.app.ports import Clock, KeyRing, Ledger, Store
    from seawall.core.seal.envelope import Sealed

CLAIM: Final = "keys.claim"
"""The kind of the record, and the action of its entries."""

CLAIM_MS: Final = 300_000
"""So long a claim lasts without its holder: then another may go on."""
_RENEWED_MS: Final = 200_000
"""With less than this left it is renewed."""
_LOOKED_SECONDS: Final = 30.0


class Claim:
    """A claim that is held; `keep` before whatever must not be done by two."""

    def __init__(self, claims: KeyClaims, principal: Principal, tenant: str, what: str) -> None:
        self._claims = claims
        self._principal = principal
        self._tenant = tenant
        self._what = what
        self._until_ms = 0
        self._digest = ""
        self._alone = asyncio.Lock()

    async def take(self, replaces: str) -> None:
        """Take it from whoever had the record of this digest; `Conflict` if another did."""
        await self._put("begun", replaces)

    async def keep(self) -> None:
        """Renew the claim if it is time; `Conflict` (`key-work-lost`) if it is another's now."""
        async with self._alone:
            held = await self._claims.record(self._tenant)
            if held is None or held.digest() != self._digest:
                raise _lost()
            if self._until_ms - self._claims.now_ms() < _RENEWED_MS:
                try:
                    await self._put("renewed", self._digest)
                except Conflict:
                    raise _lost() from None

    async def keep_on(self) -> None:
        """Keep it during long work; that it is lost is told to the work, which asks."""
        while True:
            await asyncio.sleep(_LOOKED_SECONDS)
            with suppress(Error):
                await self.keep()

    async def let_go(self) -> None:
        """End the claim; where that fails it ends by itself."""
        with suppress(Error):
            async with self._alone:
                await self._put("ended", self._digest)

    async def _put(self, state: str, replaces: str) -> None:
        now_ms = self._claims.now_ms()
        until_ms = now_ms if state == "ended" else now_ms + CLAIM_MS
        said = {"state": state, "what": self._what, "until": until_ms, "for": self._tenant}
        self._digest = await self._claims.put(self._principal, said, replaces)
        self._until_ms = until_ms


class KeyClaims:
    """Gives claims on tenants' keys."""

    def __init__(
        self, *, store: Store, ledger: Ledger, history: KeyHistory, ring: KeyRing, clock: Clock
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._history = history
        self._ring = ring
        self._clock = clock

    @asynccontextmanager
    async def working(self, principal: Principal, tenant: str, what: str) -> AsyncIterator[Claim]:
        """Hold a tenant's keys; `Conflict` (`key-work-under-way`) while somebody else does."""
        await self._ring.prepare(SYSTEM_LOG)
        held = await self.record(tenant)
        if held is not None:
            await self._refuse_unended(held)
        claim = Claim(self, principal, tenant, what)
        try:
            await claim.take(held.digest() if held else "")
        except Conflict as conflict:
            if conflict.code != "sealed-changed":
                raise
            raise _under_way("somebody", self._clock.now_ms(), None) from None
        keeping = asyncio.create_task(claim.keep_on())
        try:
            yield claim
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await claim.let_go()

    async def record(self, tenant: str) -> Sealed | None:
        """Return the record of the last claim, sealed: its digest is what counts."""
        return await self._store.sealed(SYSTEM_LOG, CLAIM, tenant)

    async def put(self, principal: Principal, said: dict[str, Any], replaces: str) -> str:
        """Replace the record, recorded; return its digest. `Conflict` if it was another one."""
        context = Context(SYSTEM_LOG, CLAIM, SYSTEM_LOG, said["for"])
        sealed = await self._ring.seal(b"{}", context)
        who = Principal(principal.kind, principal.name, SYSTEM_LOG)
        fields = entry(CLAIM, who, self._clock, claim=sealed.digest(), **said)
        await self._ledger.append(SYSTEM_LOG, fields, [KeepSealed(sealed, replaces=replaces)])
        return sealed.digest()

    def now_ms(self) -> int:
        """Return the time."""
        return self._clock.now_ms()

    async def _refuse_unended(self, held: Sealed) -> None:
        """Raise `Conflict` unless the claim of this record ended; one that is pruned did."""
        digest = held.digest()
        async for said in self._history.claims():
            if said["claim"] == digest:
                if said["until"] > self._clock.now_ms():
                    raise _under_way(said["actor"]["name"], said["until"], said["at"])
                return


def _under_way(name: str, until_ms: int, since: str | None) -> Conflict:
    """Return what it is to begin while somebody works; names are operators', which are enrolled."""
    begun = f"{name} at {since}" if since else name
    return Conflict(
        "key-work-under-way",
        "an order about this tenant's keys is being carried out",
        f"wait for it: {begun}; if it was ended midway, its claim ends at {moment_text(until_ms)}",
    )


def _lost() -> Conflict:
    return Conflict(
        "key-work-lost",
        "another process has taken over the work on this tenant's keys",
        "see `seawall keys status`; `seawall keys shred --resume` finishes what is left",
    )
