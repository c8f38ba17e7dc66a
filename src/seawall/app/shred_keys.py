"""Shredding: what was sealed for a patient or a tenant opens nowhere any more, and that is shown.

A patient's data keys are deleted, and every other data key comes under a new
tenant key under a new root version; then the older root versions are destroyed
in the key manager. So what an older backup, a log of the database or a dead row
still holds of the patient's keys is wrapped under a key that no longer exists.
A tenant is shredded by destroying its root key whole. The ledger stays: its
entries hold no PHI, and its proofs need no key.
45 CFR 164.310(d)(2)(i), 164.504(e)(2)(ii)(J).

The order of the work is a table. Each step asks first what is there already,
so that whatever interrupts the work, doing it again goes on with it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.destruction import Shredding
from seawall.app.entries import entry
from seawall.app.ports import (
    Destruction,
    DropTenantKeys,
    ShredSubjects,
    ShredTenant,
    TenantKey,
    tenant_root,
)
from seawall.app.rewrap_keys import newest_version
from seawall.core.errors import Conflict, Invalid, Missing, Refused
from seawall.core.ledger.encoding import decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from seawall.app.destruction import DescribeDestruction
    from seawall.app.key_history import KeyHistory
    from seawall.app.may_shred import MayShred
    from seawall.app.ports import (
        Clock,
        Holdings,
        KeyCopies,
        KeyKeeper,
        KeyManager,
        KeyOperator,
        KeyRing,
        Ledger,
        Store,
        WrappedKeys,
        Write,
    )
    from seawall.app.rewrap_keys import Progress, RewrapKeys
    from seawall.core.policy.principal import Principal

MOST_PATIENTS: Final = 500
"""So many patients one shredding has at most: they are all named in its entries."""
_DROPPINGS: Final = 20
"""So often keys may come under the old tenant key again while it is dropped."""
_PATIENT: Final = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Shredded:
    """A shredding that is done: the entries that ordered and ended it, and its certificate."""

    ordered: int
    destroyed: int
    certificate: str = field(repr=False)
    """The signed note."""


class ShredKeys:
    """Shreds patients and tenants, and goes on with what was interrupted."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        history: KeyHistory,
        may_shred: MayShred,
        describing: DescribeDestruction,
        keys: WrappedKeys,
        keeper: KeyKeeper,
        ring: KeyRing,
        manager: KeyManager,
        operator: KeyOperator,
        rewrapping: RewrapKeys,
        holdings: Holdings,
        copies: Sequence[KeyCopies],
        sign: Callable[[Mapping[str, Any]], Awaitable[str]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._history = history
        self._may_shred = may_shred
        self._describing = describing
        self._keys = keys
        self._keeper = keeper
        self._ring = ring
        self._manager = manager
        self._operator = operator
        self._rewrapping = rewrapping
        self._holdings = holdings
        self._copies = copies
        self._sign = sign
        self._clock = clock
        self._of_patients: tuple[tuple[str, Callable[[Shredding], Awaitable[None]]], ...] = (
            ("record the renewal", self._renew),
            ("rotate the root key", self._rotate_root),
            ("make a new tenant key", self._new_tenant_key),
            ("wrap the survivors anew", self._rewrap),
            ("wrap the index key anew", self._rewrap_index),
            ("drop the old tenant keys", self._drop),
            ("destroy the old root versions", self._destroy),
            ("rewrite the copies of keys", self._rewrite),
        )
        self._of_tenant = (
            ("destroy the root key", self._destroy),
            ("rewrite the copies of keys", self._rewrite),
        )

    async def patients(
        self,
        principal: Principal,
        tenant: str,
        patients: Sequence[str],
        reason: str,
        progress: Progress | None = None,
    ) -> Shredded:
        """Shred patients by their ledger ids; `Refused` if they may not be.

        `Missing` (`nothing-held`) if nothing is held of any of them.
        """
        named = sorted(set(patients))
        if not 1 <= len(named) <= MOST_PATIENTS or not all(map(_PATIENT.fullmatch, named)):
            raise Invalid(
                "patients-unnamed",
                f"a shredding names 1 to {MOST_PATIENTS} patients by their ledger ids",
                "shred more than that in several turns",
            )
        said: dict[str, Any] = {"what": "patients", "patients": named, "reason": reason}
        write = ShredSubjects(tenant, tuple(named))
        return await self._order(principal, tenant, said, write, progress)

    async def tenant(
        self, principal: Principal, tenant: str, reason: str, progress: Progress | None = None
    ) -> Shredded:
        """Shred a whole tenant; `Refused` if it may not be, or was shredded before."""
        said: dict[str, Any] = {"what": "tenant", "reason": reason}
        return await self._order(principal, tenant, said, ShredTenant(tenant), progress)

    async def resume(
        self, principal: Principal, tenant: str, progress: Progress | None = None
    ) -> list[Shredded]:
        """Go on with every shredding of a tenant that was interrupted, oldest first."""
        return [
            await self._finish(Shredding(tenant, one.index, one.entry, principal, progress))
            for one in await self._history.unfinished(tenant, "keys.shred")
        ]

    async def certificate(self, tenant: str, index: int) -> str:
        """Return the signed certificate that an entry keys.destroyed holds, as often as asked."""
        raw = await self._store.entries(tenant, index, index + 1)
        said = decode(raw[0]) if raw else {}
        if said.get("action") != "keys.destroyed":
            raise Missing(
                "certificate-unknown",
                "there is no certificate of destruction in this entry",
                "`seawall keys status` lists them",
            )
        return await self._sign(said["certificate"])

    async def _order(
        self,
        principal: Principal,
        tenant: str,
        said: dict[str, Any],
        write: Write,
        progress: Progress | None,
    ) -> Shredded:
        """Record the order, and delete with it what it names; then do the rest."""
        patients: list[str] | None = said.get("patients")
        if is_shredded(await self._keys.tenant_keys(tenant)):
            raise Refused(
                "tenant-shredded",
                "this tenant's keys were destroyed",
                "`seawall keys status` says whether that was finished",
            )
        await self._may_shred.check(tenant, patients, said["reason"])
        held = await self._holdings.of(tenant, patients)
        if patients is not None and held.data_keys + held.sealed + held.terms == 0:
            raise Missing(
                "nothing-held",
                "nothing is held of these patients",
                "check the ledger ids, or whether they were shredded before",
            )
        roots = await self._manager.versions(tenant_root(tenant))
        # Changes nothing where there is a root key, and shows that the operator's credentials
        # are good: what is ordered must not stand still for want of them.
        await self._operator.make(tenant_root(tenant))
        fields = entry(
            "keys.shred",
            principal,
            self._clock,
            **said,
            deleted=asdict(held),
            roots=[one.version for one in roots],
        )
        receipt = await self._ledger.append(tenant, fields, [write])
        self._ring.forget(tenant)
        return await self._finish(Shredding(tenant, receipt.index, fields, principal, progress))

    async def _finish(self, shredding: Shredding) -> Shredded:
        """Do the steps that are left, then record and sign the certificate."""
        tenant = shredding.tenant
        keys = await self._keys.tenant_keys(tenant)
        whole = shredding.is_of_tenant or is_shredded(keys)
        steps = self._of_tenant if whole else self._of_patients
        for number, (what, step) in enumerate(steps, 1):
            await step(shredding)
            if shredding.progress is not None:
                shredding.progress(what, number, len(steps))
        body = await self._describing.body(shredding)
        fields = entry(
            "keys.destroyed",
            shredding.principal,
            self._clock,
            shred=shredding.index,
            what=shredding.ordered["what"],
            patients=shredding.patients,
            certificate=body,
        )
        receipt = await self._ledger.append(tenant, fields)
        return Shredded(shredding.index, receipt.index, await self._sign(body))

    # --- the steps ------------------------------------------------------------------

    async def _renew(self, shredding: Shredding) -> None:
        """Record which keys are the newest now that the patients' are gone: newer ones are clean.

        Read after the deletion: no data key of theirs was ever wrapped under a later version.
        """
        if await self._history.after(shredding.tenant, "keys.renew", shredding.index) is None:
            fields = entry(
                "keys.renew",
                shredding.principal,
                self._clock,
                shred=shredding.index,
                root=await self._newest_root(shredding.tenant),
                **{"from": newest_version(await self._keys.tenant_keys(shredding.tenant))},
            )
            await self._ledger.append(shredding.tenant, fields)

    async def _rotate_root(self, shredding: Shredding) -> None:
        renewal = await self._renewal(shredding)
        if await self._newest_root(shredding.tenant) <= renewal["root"]:
            await self._operator.rotate(tenant_root(shredding.tenant))

    async def _new_tenant_key(self, shredding: Shredding) -> None:
        renewal = await self._renewal(shredding)
        keys = await self._keys.tenant_keys(shredding.tenant)
        newest = newest_version(keys)
        root = max(key.root_version for key in keys if key.version == newest and key.use == "data")
        if newest <= renewal["from"] or root <= renewal["root"]:
            await self._keeper.new_tenant_key(shredding.tenant)

    async def _rewrap(self, shredding: Shredding) -> None:
        await self._rewrapping.rewrap(shredding.principal, shredding.tenant, shredding.progress)

    async def _rewrap_index(self, shredding: Shredding) -> None:
        await self._keeper.rewrap_tenant_keys(shredding.tenant)

    async def _drop(self, shredding: Shredding) -> None:
        """Delete the old tenant keys, once nothing is under them; another process may be slow."""
        tenant = shredding.tenant
        renewal = await self._renewal(shredding)
        for _ in range(_DROPPINGS):
            keys = await self._keys.tenant_keys(tenant)
            newest = newest_version(keys)
            kept = [key for key in keys if key.use != "data" or key.version == newest]
            below = min(key.root_version for key in kept)
            if below <= renewal["root"]:
                raise _in_use()
            dropped = await self._history.after(tenant, "keys.drop", shredding.index)
            if dropped is not None and len(kept) == len(keys):
                return
            try:
                await self._ledger.append(
                    tenant,
                    await self._dropping(shredding, newest, below),
                    [DropTenantKeys(tenant, newest)],
                )
            except Conflict as conflict:
                if conflict.code != "keys-in-use":
                    raise
                await self._rewrap(shredding)
            else:
                self._ring.forget(tenant)
                return
        raise _in_use()

    async def _dropping(self, shredding: Shredding, newest: int, below: int) -> dict[str, Any]:
        versions = await self._manager.versions(tenant_root(shredding.tenant))
        return entry(
            "keys.drop",
            shredding.principal,
            self._clock,
            shred=shredding.index,
            below=newest,
            root=below,
            roots=[one.version for one in versions if one.version < below],
        )

    async def _destroy(self, shredding: Shredding) -> None:
        """Destroy in the key manager what nothing needs any more; for good."""
        tenant, below = shredding.tenant, None
        keys = await self._keys.tenant_keys(tenant)
        shredding.versions = tuple(shredding.ordered["roots"])
        if not is_shredded(keys):
            dropped = await self._history.after(tenant, "keys.drop", shredding.index)
            if dropped is None or shredding.is_of_tenant:
                raise RuntimeError("keys are destroyed after what needs them is gone")
            below, shredding.versions = int(dropped["root"]), tuple(dropped["roots"])
            if any(key.root_version < below for key in keys):
                raise _in_use()
        name = tenant_root(tenant)
        try:
            shredding.destroyed = await self._operator.destroy(name, below)
        except Missing:
            # An earlier attempt did it, and was interrupted before that was recorded.
            shredding.destroyed = Destruction(name, (), self._clock.now(), "destroyed before")

    async def _rewrite(self, shredding: Shredding) -> None:
        shredding.copies = sum([await each.rewrite(shredding.tenant) for each in self._copies])

    async def _renewal(self, shredding: Shredding) -> dict[str, Any]:
        found = await self._history.after(shredding.tenant, "keys.renew", shredding.index)
        if found is None:
            raise RuntimeError("a renewal is recorded before its keys are made")
        return found

    async def _newest_root(self, tenant: str) -> int:
        return max(one.version for one in await self._manager.versions(tenant_root(tenant)))


def is_shredded(keys: Sequence[TenantKey]) -> bool:
    """Whether a tenant's keys are gone but for the mark."""
    return any(not key.wrapped for key in keys)


def _in_use() -> Conflict:
    return Conflict(
        "keys-in-use",
        "keys are still wrapped under the ones that were to go",
        "try `seawall keys shred --resume` again; what is left is done",
    )
