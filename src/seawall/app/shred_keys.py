"""Shredding: what was sealed for a patient or a tenant opens nowhere any more, and that is shown.

A patient's data keys are deleted, and every other data key comes under a new
tenant key; the older tenant keys are deleted. Only then does the root key get a new
version, under which nothing that is to go ever was, and the older root versions are
destroyed in the key manager. So what an older backup, a log of the database or a dead row
still holds of the patient's keys is wrapped under a key that no longer exists.
A tenant is shredded by destroying its root key whole. The ledger stays: its
entries hold no PHI, and its proofs need no key.
45 CFR 164.310(d)(2)(i), 164.504(e)(2)(ii)(J).

The order of the work is a table. Each step asks first what is there already,
so that whatever interrupts the work, doing it again goes on with it. One process
at a time does it, under a claim.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.destroy_roots import keys_in_use
from seawall.app.destruction import Shredding
from seawall.app.entries import entry
from seawall.app.ports import DropTenantKeys, ShredSubjects, ShredTenant, TenantKey
from seawall.app.rewrap_keys import newest_version
from seawall.core.errors import Conflict, Invalid, Missing, Refused
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from seawall.app.destroy_roots import DestroyRoots
    from seawall.app.destruction import DescribeDestruction
    from seawall.app.key_claims import Claim, KeyClaims
    from seawall.app.key_history import KeyHistory
    from seawall.app.may_shred import MayShred
    from seawall.app.ports import (
        Clock,
        Holdings,
        KeyCopies,
        KeyKeeper,
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
_DROPPING_SECONDS: Final = 2.0
"""So often, and after such waits, keys are wrapped anew that a slow process still makes.

In all that is longer than such a process goes on with a tenant key that was replaced.
"""
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
        claims: KeyClaims,
        roots: DestroyRoots,
        rewrapping: RewrapKeys,
        holdings: Holdings,
        copies: Sequence[KeyCopies],
        sign: Callable[[Mapping[str, Any]], Awaitable[str]],
        clock: Clock,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._history = history
        self._may_shred = may_shred
        self._describing = describing
        self._keys = keys
        self._keeper = keeper
        self._ring = ring
        self._claims = claims
        self._roots = roots
        self._rewrapping = rewrapping
        self._holdings = holdings
        self._copies = copies
        self._sign = sign
        self._clock = clock
        self._wait = wait
        self._of_patients: tuple[tuple[str, Callable[[Shredding], Awaitable[None]]], ...] = (
            ("record the renewal", self._renew),
            ("make a new tenant key", self._new_tenant_key),
            ("wrap the survivors anew", self._rewrap),
            ("drop the old tenant keys", self._drop),
            ("rotate the root key", self._rotate_root),
            ("carry the tenant's keys over", self._carry_over),
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
        *,
        drop_damaged: bool = False,
        access: Mapping[str, Any] | None = None,
    ) -> Shredded:
        """Shred patients by their ledger ids; `Refused` if they may not be.

        `Missing` (`nothing-held`) if nothing is held of any of them. With `drop_damaged`
        data keys that open nothing are deleted, where they would keep it from being done.
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
        work = _Work(principal, tenant, progress, drop_damaged)
        return await self._order(work, said, write, access)

    async def tenant(
        self,
        principal: Principal,
        tenant: str,
        reason: str,
        progress: Progress | None = None,
        *,
        access: Mapping[str, Any] | None = None,
    ) -> Shredded:
        """Shred a whole tenant; `Refused` if it may not be, or was shredded before."""
        said: dict[str, Any] = {"what": "tenant", "reason": reason}
        work = _Work(principal, tenant, progress)
        return await self._order(work, said, ShredTenant(tenant), access)

    async def resume(
        self,
        principal: Principal,
        tenant: str,
        progress: Progress | None = None,
        *,
        drop_damaged: bool = False,
    ) -> list[Shredded]:
        """Go on with every shredding of a tenant that was interrupted, oldest first."""
        work = _Work(principal, tenant, progress, drop_damaged)
        done = []
        async with self._claims.working(principal, tenant, "shred") as claim:
            for one in await self._history.unfinished(tenant, "keys.shred"):
                await self._roots.versions(tenant)
                done.append(await self._finish(work.shredding(one.index, one.entry), claim))
        return done

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
        work: _Work,
        said: dict[str, Any],
        write: Write,
        access: Mapping[str, Any] | None,
    ) -> Shredded:
        """Record the order, and delete with it what it names; then do the rest."""
        tenant, patients = work.tenant, said.get("patients")
        async with self._claims.working(work.principal, tenant, "shred") as claim:
            if is_shredded(await self._keys.tenant_keys(tenant)):
                raise Refused(
                    "tenant-shredded",
                    "this tenant's keys were destroyed",
                    "`seawall keys status` says whether that was finished",
                )
            await self._may_shred.check(tenant, patients, said["reason"])
            deleted = await self._deleted(tenant, patients)
            # Shows that the operator's credentials are good, and lead where the service's do:
            # what is ordered must not stand still for want of them.
            roots = await self._roots.versions(tenant)
            if not roots:
                raise Missing(
                    "root-key-missing",
                    "the key manager has no root key of this tenant",
                    "see that the service's credentials lead to the one that has it",
                )
            fields = entry(
                "keys.shred",
                work.principal,
                self._clock,
                **said,
                **({} if access is None else {"access": access}),
                deleted=deleted,
                roots=list(roots),
            )
            receipt = await self._ledger.append(tenant, fields, [write])
            self._ring.forget(tenant)
            return await self._finish(work.shredding(receipt.index, fields), claim)

    async def _deleted(self, tenant: str, patients: list[str] | None) -> dict[str, Any]:
        """Count what the order deletes; `Missing` if that is nothing of any patient.

        What comes to it between this and the order is deleted too, and not counted.
        """
        held = await self._holdings.of(tenant, patients)
        if patients is not None and held.data_keys + held.sealed + held.terms == 0:
            raise Missing(
                "nothing-held",
                "nothing is held of these patients",
                "check the ledger ids, or whether they were shredded before",
            )
        return {**asdict(held), "counted_at": moment_text(self._clock.now_ms())}

    async def _finish(self, shredding: Shredding, claim: Claim) -> Shredded:
        """Do the steps that are left, then record and sign the certificate."""
        tenant = shredding.tenant
        keys = await self._keys.tenant_keys(tenant)
        whole = shredding.is_of_tenant or is_shredded(keys)
        steps = self._of_tenant if whole else self._of_patients
        for number, (what, step) in enumerate(steps, 1):
            await claim.keep()
            await step(shredding)
            if shredding.progress is not None:
                shredding.progress(what, number, len(steps))
        return await self._certify(shredding, claim)

    async def _certify(self, shredding: Shredding, claim: Claim) -> Shredded:
        """Record the certificate, unless there is one: a shredding has one alone."""
        await claim.keep()
        done = await self._history.destroyed(shredding.tenant, shredding.index)
        if done is not None:
            return Shredded(shredding.index, done[0], await self._sign(done[1]["certificate"]))
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
        receipt = await self._ledger.append(shredding.tenant, fields)
        return Shredded(shredding.index, receipt.index, await self._sign(body))

    # --- the steps ------------------------------------------------------------------

    async def _renew(self, shredding: Shredding) -> None:
        """Record which key is the newest now that the patients' are gone: newer ones are clean.

        Read after the deletion: no data key of theirs was ever wrapped under a later version.
        """
        if await self._history.after(shredding.tenant, "keys.renew", shredding.index) is None:
            newest = newest_version(await self._keys.tenant_keys(shredding.tenant))
            await self._record(shredding, "keys.renew", **{"from": newest})

    async def _new_tenant_key(self, shredding: Shredding) -> None:
        renewal = await self._recorded(shredding, "keys.renew")
        if newest_version(await self._keys.tenant_keys(shredding.tenant)) <= renewal["from"]:
            await self._keeper.new_tenant_key(shredding.tenant)

    async def _rewrap(self, shredding: Shredding) -> None:
        await self._rewrapping.rewrap(
            shredding.principal,
            shredding.tenant,
            shredding.progress,
            drop_damaged=shredding.drop_damaged,
        )

    async def _drop(self, shredding: Shredding) -> None:
        """Delete the old tenant keys, once nothing is under them; another process may be slow."""
        tenant = shredding.tenant
        renewal = await self._recorded(shredding, "keys.renew")
        for _ in range(_DROPPINGS):
            keys = await self._keys.tenant_keys(tenant)
            newest = newest_version(keys)
            if newest <= renewal["from"]:
                raise keys_in_use()
            is_alone = all(key.version == newest for key in keys if key.use == "data")
            dropped = await self._history.after(tenant, "keys.drop", shredding.index)
            if dropped is not None and is_alone:
                return
            write = DropTenantKeys(tenant, newest)
            try:
                await self._record(shredding, "keys.drop", write, below=newest)
            except Conflict as conflict:
                if conflict.code != "keys-in-use":
                    raise
                await self._wait(_DROPPING_SECONDS)
                await self._rewrap(shredding)
            else:
                self._ring.forget(tenant)
                return
        raise keys_in_use()

    async def _rotate_root(self, shredding: Shredding) -> None:
        """Make a root version that no key was under which had to go: they are deleted by now.

        An earlier attempt's is taken only if it was recorded. One too many does no harm.
        """
        tenant, index = shredding.tenant, shredding.index
        if await self._history.after(tenant, "keys.destroy", index) is None:
            shredding.below = await self._roots.rotate(tenant)

    async def _carry_over(self, shredding: Shredding) -> None:
        """Bring what stays under that version, shown to open there; record what ends then."""
        tenant = shredding.tenant
        said = await self._history.after(tenant, "keys.destroy", shredding.index)
        below = shredding.below if said is None else int(said["root"])
        versions = await self._roots.carry_over(tenant, below)
        if said is None:
            await self._record(shredding, "keys.destroy", root=below, roots=versions)

    async def _destroy(self, shredding: Shredding) -> None:
        """Destroy in the key manager what nothing needs any more; for good."""
        tenant, below = shredding.tenant, None
        versions: list[int] = shredding.ordered["roots"]
        if not is_shredded(await self._keys.tenant_keys(tenant)):
            if shredding.is_of_tenant:
                raise RuntimeError("keys are destroyed after what needs them is gone")
            said = await self._recorded(shredding, "keys.destroy")
            below, versions = int(said["root"]), said["roots"]
        shredding.destroyed, shredding.versions = await self._roots.destroy(tenant, below, versions)

    async def _rewrite(self, shredding: Shredding) -> None:
        shredding.copies = sum([await each.rewrite(shredding.tenant) for each in self._copies])

    async def _record(self, shredding: Shredding, action: str, *writes: Write, **said: Any) -> None:
        fields = entry(action, shredding.principal, self._clock, shred=shredding.index, **said)
        await self._ledger.append(shredding.tenant, fields, writes)

    async def _recorded(self, shredding: Shredding, action: str) -> dict[str, Any]:
        found = await self._history.after(shredding.tenant, action, shredding.index)
        if found is None:
            raise RuntimeError("a step is recorded before the next one")
        return found


@dataclass(frozen=True, slots=True)
class _Work:
    """Who works on whose keys, and how."""

    principal: Principal
    tenant: str
    progress: Progress | None
    drop_damaged: bool = False

    def shredding(self, index: int, ordered: dict[str, Any]) -> Shredding:
        """Return the shredding that an entry ordered."""
        return Shredding(
            self.tenant, index, ordered, self.principal, self.progress, self.drop_damaged
        )


def is_shredded(keys: Sequence[TenantKey]) -> bool:
    """Whether a tenant's keys are gone but for the mark."""
    return any(not key.wrapped for key in keys)
