"""The embedded KeyRing: tenant keys from the ring file, data keys from the store.

    root key -> tenant key -> data key per patient and kind -> AES-256-GCM

A data key is made on first use, kept wrapped under its tenant's key, and held
unwrapped for a limited time in a cache of limited size. This provider is for
one machine: whoever has both the folder and the passphrase has the keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.app.ports import WrappedKey
from seawall.core.bounded import BoundedCache
from seawall.core.errors import Missing, Tampered
from seawall.core.policy.grant import Grant, check
from seawall.core.seal.envelope import Context, Sealed, seal, unseal

if TYPE_CHECKING:
    from seawall.adapters.keys.ring_file import RingFile
    from seawall.app.ports import Clock, Random, WrappedKeys

TENANT_KEY_VERSION: Final = 1
_CACHE_SECONDS: Final = 600.0
_CACHE_KEYS: Final = 10_000


class FileKeyRing:
    """Seals freely; opens only what a ledger receipt grants."""

    def __init__(
        self, *, ring: RingFile, keys: WrappedKeys, receipt_key: bytes, clock: Clock, random: Random
    ) -> None:
        self._ring = ring
        self._keys = keys
        self._receipt_key = receipt_key
        self._clock = clock
        self._random = random
        self._unwrapped: BoundedCache[str, bytes] = BoundedCache(
            limit=_CACHE_KEYS, seconds=_CACHE_SECONDS
        )
        self._current: BoundedCache[tuple[str, str, str], WrappedKey] = BoundedCache(
            limit=_CACHE_KEYS, seconds=_CACHE_SECONDS
        )
        self._making = asyncio.Lock()
        self._blind: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "<FileKeyRing>"

    def prepare(self, tenant: str) -> None:
        """Make the keys of a new tenant; nothing changes if it has them."""
        self._ring.ensure(f"tenant/{tenant}/{TENANT_KEY_VERSION}")
        self._ring.ensure(f"blind/{tenant}")

    async def seal(self, plaintext: bytes, context: Context) -> Sealed:
        """Encrypt under the subject's current data key for this kind."""
        wrapped = await self._current_key(context)
        return seal(
            plaintext,
            key=self._unwrap(wrapped),
            key_id=wrapped.key_id,
            key_version=wrapped.version,
            nonce=self._random.bytes(12),
            context=context,
        )

    async def open(self, sealed: Sealed, grant: Grant) -> bytes:
        """Decrypt under a grant; `Refused` if it does not cover it, `Tampered` if changed."""
        if not isinstance(grant, Grant):
            raise TypeError("PHI is opened under a grant")
        check(
            grant,
            sealed.context,
            receipt_key=self._receipt_key,
            tenant=sealed.context.tenant,
            now_ms=self._clock.now_ms(),
        )
        held = self._unwrapped.get(sealed.key_id, self._clock.monotonic())
        return unseal(sealed, held or await self._stored_key(sealed))

    async def _stored_key(self, sealed: Sealed) -> bytes:
        wrapped = await self._keys.by_id(sealed.context.tenant, sealed.key_id)
        if wrapped is None:
            raise Missing(
                "data-key-missing",
                f"the data key of this sealed {sealed.context.kind} is gone",
                "it was shredded, or a backup must be restored",
            )
        return self._unwrap(wrapped)

    def blind(self, tenant: str, term: str) -> str:
        """Return HMAC-SHA-256 of a term under the tenant's own index key, in hex."""
        key = self._blind.get(tenant)
        if key is None:
            key = self._blind[tenant] = self._ring.key(f"blind/{tenant}")
        return hmac.digest(key, term.encode(), hashlib.sha256).hex()

    async def _current_key(self, context: Context) -> WrappedKey:
        place = (context.tenant, context.subject, context.kind)
        held = self._current.get(place, self._clock.monotonic())
        if held is not None:
            return held
        async with self._making:
            found = await self._keys.current(*place)
            if found is None:
                found = await self._keys.keep(self._new_key(*place))
            self._current.put(place, found, self._clock.monotonic())
        return found

    def _new_key(self, tenant: str, subject: str, kind: str) -> WrappedKey:
        key_id, nonce = self._random.bytes(12).hex(), self._random.bytes(12)
        wrapping = AESGCM(self._tenant_key(tenant, TENANT_KEY_VERSION))
        name = f"{tenant}\n{subject}\n{kind}\n{key_id}".encode()
        return WrappedKey(
            tenant=tenant,
            subject=subject,
            kind=kind,
            key_id=key_id,
            version=1,
            tenant_key_version=TENANT_KEY_VERSION,
            wrapped=nonce + wrapping.encrypt(nonce, self._random.bytes(32), name),
        )

    def _unwrap(self, key: WrappedKey) -> bytes:
        held = self._unwrapped.get(key.key_id, self._clock.monotonic())
        if held is not None:
            return held
        name = f"{key.tenant}\n{key.subject}\n{key.kind}\n{key.key_id}".encode()
        wrapping = AESGCM(self._tenant_key(key.tenant, key.tenant_key_version))
        try:
            unwrapped = wrapping.decrypt(key.wrapped[:12], key.wrapped[12:], name)
        except (InvalidTag, ValueError):
            raise Tampered(
                "data-key-tampered",
                "a wrapped data key does not open under its tenant's key",
                "restore the database from a backup, and treat the change as an incident",
            ) from None
        self._unwrapped.put(key.key_id, unwrapped, self._clock.monotonic())
        return unwrapped

    def _tenant_key(self, tenant: str, version: int) -> bytes:
        return self._ring.key(f"tenant/{tenant}/{version}")
