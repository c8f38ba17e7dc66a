"""The key ring: data keys under tenants' keys, those under root keys of the key manager.

    key manager -> tenant key -> data key per subject and kind -> AES-256-GCM

A data key is made on first use and counts its sealings before they are made,
in blocks: long before 2^32 the next version takes over, whatever processes
there are and however often they start (NIST SP 800-38D, 8.3). Keys are held
unwrapped for a limited time in caches of limited size.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from seawall.adapters.keys.alone import Alone
from seawall.adapters.keys.tenants import HELD_SECONDS, NOTICED_SECONDS, TenantKeys
from seawall.adapters.keys.wrapping import (
    decrypt,
    derive,
    encrypt,
    unwrap_data_key,
    wrap_data_key,
)
from seawall.app.ports import Rewrapped, WrappedKey
from seawall.core.bounded import BoundedCache
from seawall.core.errors import Conflict, Missing, Tampered
from seawall.core.policy.grant import Grant, check
from seawall.core.seal.envelope import Context, Sealed, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Clock, KeyManager, KeyOperator, Random, TenantKey, WrappedKeys

USES_AT_ONCE: Final = 1_024
"""So many sealings a process reserves of a data key at a time."""
MOST_USES: Final = 2**24
"""After so many sealings the next version of a data key is made."""
_HELD_KEYS: Final = 10_000
_KEY_PART: Final = b"seawall key part 1"


@dataclass(slots=True)
class _Current:
    """The data key that seals at present, and how many sealings are reserved of it."""

    key: WrappedKey
    left: int
    read_at: float
    """When its row was last seen, in seconds of a clock that never goes back."""


class EnvelopeKeyRing:
    """Seals freely, opens only what a ledger receipt grants; makes and re-wraps keys."""

    def __init__(
        self,
        *,
        manager: KeyManager,
        operator: KeyOperator | None,
        keys: WrappedKeys,
        receipt_key: bytes,
        clock: Clock,
        random: Random,
        most_uses: int = MOST_USES,
    ) -> None:
        self._tenants = TenantKeys(
            manager=manager, operator=operator, keys=keys, clock=clock, random=random
        )
        self._keys = keys
        self._receipt_key = receipt_key
        self._clock = clock
        self._random = random
        self._most_uses = most_uses
        self._unwrapped: BoundedCache[tuple[str, str], bytes] = BoundedCache(
            limit=_HELD_KEYS, seconds=HELD_SECONDS
        )
        self._current: BoundedCache[tuple[str, str, str], _Current] = BoundedCache(
            limit=_HELD_KEYS, seconds=HELD_SECONDS
        )
        self._alone = Alone()

    def __repr__(self) -> str:
        return "<EnvelopeKeyRing>"

    # --- the KeyRing port -------------------------------------------------------

    async def prepare(self, tenant: str) -> None:
        """Make the keys of a new tenant; nothing changes if it has them."""
        await self._tenants.ensure(tenant)

    async def seal(self, plaintext: bytes, context: Context) -> Sealed:
        """Encrypt under the subject's current data key for this kind."""
        now = self._clock.monotonic()
        key = self._taken(context, now) or await self._renewed(context)
        secret = self._unwrapped.get((key.tenant, key.key_id), now) or await self._unwrap(key)
        return seal(
            plaintext,
            key=secret,
            key_id=key.key_id,
            key_version=key.version,
            nonce=self._random.bytes(12),
            context=context,
        )

    async def open(self, sealed: Sealed, grant: Grant) -> bytes:
        """Decrypt under a grant; `Refused` if it does not cover it, `Tampered` if changed."""
        if not isinstance(grant, Grant):
            raise TypeError("PHI is opened under a grant")
        context = sealed.context
        check(
            grant,
            context,
            receipt_key=self._receipt_key,
            tenant=context.tenant,
            now_ms=self._clock.now_ms(),
        )
        place = (context.tenant, sealed.key_id)
        held = self._unwrapped.get(place, self._clock.monotonic())
        return unseal(sealed, held or await self._stored(sealed))

    async def blind(self, tenant: str, terms: Sequence[str]) -> list[str]:
        """Return HMAC-SHA-256 of terms under the tenant's own index key, in hex."""
        _, key = await self._tenants.newest(tenant, "index")
        return [hmac.digest(key, term.encode(), hashlib.sha256).hex() for term in terms]

    def forget(self, tenant: str) -> None:
        """Let go of every key of a tenant that is held in memory."""
        self._current.drop_if(lambda place: place[0] == tenant)
        self._unwrapped.drop_if(lambda place: place[0] == tenant)
        self._tenants.forget(tenant)

    # --- the KeyKeeper port -------------------------------------------------------

    async def new_tenant_key(self, tenant: str) -> TenantKey:
        """Make the next version of a tenant's `data` key, under the newest root version."""
        return await self._tenants.make_next(tenant)

    async def rewrap_tenant_keys(self, tenant: str) -> int:
        """Wrap the newest key of each use under the newest root version; return how many moved."""
        return await self._tenants.rewrap(tenant)

    async def prove_tenant_keys(self, tenant: str) -> None:
        """Have the key manager open every key of a tenant as it is kept; hold nothing."""
        await self._tenants.prove(tenant)

    async def rewrap(self, tenant: str, keys: Sequence[WrappedKey]) -> int:
        """Wrap data keys under the newest version of the tenant's key; return how many.

        One that does not open is left as it is, and not counted: it opens for nobody, and
        must not keep the others from moving.
        """
        version, newest = await self._tenants.newest(tenant, "data")
        older: dict[int, bytes] = {}
        for number in {key.tenant_key_version for key in keys} - {version}:
            with suppress(Missing):
                older[number] = await self._tenants.of_version(tenant, number)
        movable = [key for key in keys if key.tenant_key_version in older]

        def work() -> list[Rewrapped]:
            """Wrap what opens."""
            made: list[Rewrapped] = []
            for key in movable:
                with suppress(Tampered):
                    tenant_key = older[key.tenant_key_version]
                    made.append(self._rewrapped(key, tenant_key, version, newest))
            return made

        made = await asyncio.to_thread(work)
        await self._keys.replace(made)
        return len(made)

    async def new_data_key(self, tenant: str, subject: str, kind: str) -> WrappedKey:
        """Make the next version of a data key; what older ones sealed still opens."""
        found = await self._keys.current(tenant, subject, kind)
        made = await self._make(tenant, subject, kind, found.version + 1 if found else 1)
        self._current.drop((tenant, subject, kind))
        return made

    async def seal_key_part(self, tenant: str, plaintext: bytes) -> tuple[TenantKey, bytes]:
        """Seal a copy of a tenant's wrapped keys under the newest version of its own key."""
        row = await self._tenants.row(tenant)
        secret = await self._tenants.of_version(tenant, row.version)
        key = derive(secret, _KEY_PART)
        return row, encrypt(key, plaintext, _part_name(row), self._random)

    async def open_key_part(self, key: TenantKey, sealed: bytes) -> bytes:
        """Open what `seal_key_part` sealed; errors are the key manager's, and `Tampered`."""
        secret = await self._tenants.unwrap(key)
        opened = decrypt(derive(secret, _KEY_PART), sealed, _part_name(key))
        if opened is None:
            raise Tampered(
                "key-part-tampered",
                "a copy of a tenant's keys does not open under the tenant's key",
                "take another copy, and treat the change as an incident",
            )
        return opened

    # --- data keys ----------------------------------------------------------------

    def _taken(self, context: Context, now: float) -> WrappedKey | None:
        """Return the data key for one more sealing, which is counted; None if none is at hand."""
        held = self._current.get((context.tenant, context.subject, context.kind), now)
        if held is None or not held.left or now - held.read_at >= NOTICED_SECONDS:
            return None
        held.left -= 1
        return held.key

    async def _renewed(self, context: Context) -> WrappedKey:
        """Look at the row again: another process may have shredded, rotated or re-wrapped it."""
        place = (context.tenant, context.subject, context.kind)
        async with self._alone.with_(place):
            now = self._clock.monotonic()
            if (key := self._taken(context, now)) is not None:
                return key
            held = self._current.get(place, now)
            found = await self._keys.current(*place) if held is not None and held.left else None
            if held is None or found is None or found.key_id != held.key.key_id:
                held = _Current(await self._reserved(*place), USES_AT_ONCE, now)
                self._current.put(place, held, now)
            else:
                held.key, held.read_at = found, now
            # Within the lock: the last one of a block must not be taken twice.
            held.left -= 1
            return held.key

    async def _reserved(self, tenant: str, subject: str, kind: str) -> WrappedKey:
        """Return the current data key with a block of sealings reserved, making it if need be."""
        found = await self._keys.current(tenant, subject, kind)
        if found is not None and found.uses + USES_AT_ONCE <= self._most_uses:
            await self._keys.reserve(tenant, found.key_id, USES_AT_ONCE)
            return found
        return await self._make(tenant, subject, kind, found.version + 1 if found else 1)

    async def _make(self, tenant: str, subject: str, kind: str, version: int) -> WrappedKey:
        """Make a data key; once more where the tenant's key was replaced meanwhile."""
        try:
            return await self._make_once(tenant, subject, kind, version)
        except Conflict:
            self.forget(tenant)
            return await self._make_once(tenant, subject, kind, version)

    async def _make_once(self, tenant: str, subject: str, kind: str, version: int) -> WrappedKey:
        number, tenant_key = await self._tenants.newest(tenant, "data")
        made = WrappedKey(
            tenant=tenant,
            subject=subject,
            kind=kind,
            key_id=self._random.bytes(12).hex(),
            version=version,
            tenant_key_version=number,
            wrapped=b"",
            uses=USES_AT_ONCE,
            made_ms=self._clock.now_ms(),
        )
        wrapped = wrap_data_key(tenant_key, self._random.bytes(32), made, self._random)
        kept = await self._keys.keep(replace(made, wrapped=wrapped))
        if kept.key_id != made.key_id:
            # Another process was faster: its key has no block of ours yet.
            await self._keys.reserve(tenant, kept.key_id, USES_AT_ONCE)
        return kept

    async def _stored(self, sealed: Sealed) -> bytes:
        key = await self._keys.by_id(sealed.context.tenant, sealed.key_id)
        if key is None:
            raise Missing(
                "data-key-missing",
                f"the data key of this sealed {sealed.context.kind} is gone",
                "it was shredded, or a backup must be restored",
            )
        return await self._unwrap(key)

    async def _unwrap(self, key: WrappedKey) -> bytes:
        place = (key.tenant, key.key_id)
        held = self._unwrapped.get(place, self._clock.monotonic())
        if held is None:
            held = await self._unwrap_anew(key)
            self._unwrapped.put(place, held, self._clock.monotonic())
        return held

    async def _unwrap_anew(self, key: WrappedKey) -> bytes:
        """Unwrap a data key, also one that was wrapped anew since its row was read."""
        try:
            tenant_key = await self._tenants.of_version(key.tenant, key.tenant_key_version)
        except Missing:
            now = await self._keys.by_id(key.tenant, key.key_id)
            if now is None or now.tenant_key_version == key.tenant_key_version:
                raise
            key = now
            tenant_key = await self._tenants.of_version(key.tenant, key.tenant_key_version)
        return unwrap_data_key(tenant_key, key)

    def _rewrapped(
        self, key: WrappedKey, tenant_key: bytes, version: int, newest: bytes
    ) -> Rewrapped:
        secret = unwrap_data_key(tenant_key, key)
        moved = replace(key, tenant_key_version=version)
        wrapped = wrap_data_key(newest, secret, moved, self._random)
        return Rewrapped(key.tenant, key.key_id, key.tenant_key_version, version, wrapped)


def _part_name(key: TenantKey) -> bytes:
    return f"{key.tenant}\n{key.version}".encode()
