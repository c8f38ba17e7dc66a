"""Fakes of the ports about keys: wrapped keys, a key ring, a key manager, all in memory.

They keep the ports' contracts, as those of `fakes` do, and do their work for real.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.app.ports import (
    Destruction,
    KeepRewrapped,
    KeepTenantKey,
    ReplaceTenantKey,
    ReserveUses,
    RootVersion,
    Secret,
    ShredSubjects,
    TenantKey,
    WrappedKey,
)
from seawall.core.errors import Conflict, Error, Missing, Refused, Tampered
from seawall.core.policy.grant import Grant, check
from seawall.core.seal.envelope import Context, Sealed, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from seawall.app.ports import (
        Clock,
        DropDataKeys,
        DropTenantKeys,
        Random,
        Rewrapped,
        ShredTenant,
    )

T = TypeVar("T")

RECEIPT_KEY: Final = bytes(range(32))
"""The key that authenticates receipts between the fake ledger and the fake key ring."""


class MemoryKeys:
    """The WrappedKeys port in memory, and what a ledger's writes and facts do to it."""

    def __init__(self) -> None:
        self.held: dict[str, WrappedKey] = {}
        self.tenants: dict[tuple[str, str, int], TenantKey] = {}
        self.reads = 0
        """How often a key was asked for, which tells what a cache did."""

    async def current(self, tenant: str, subject: str, kind: str) -> WrappedKey | None:
        """Return the newest data key of a subject and kind."""
        self.reads += 1
        place = (tenant, subject, kind)
        mine = [key for key in self.held.values() if (key.tenant, key.subject, key.kind) == place]
        return max(mine, key=lambda key: key.version, default=None)

    async def by_id(self, tenant: str, key_id: str) -> WrappedKey | None:
        """Return a data key by its id."""
        self.reads += 1
        key = self.held.get(key_id)
        return key if key is not None and key.tenant == tenant else None

    async def keep(self, key: WrappedKey) -> WrappedKey:
        """Keep a new data key unless its version exists; return the current one."""
        current = await self.current(key.tenant, key.subject, key.kind)
        if current is not None and current.version >= key.version:
            return current
        over = self.tenants.get((key.tenant, "data", key.tenant_key_version))
        if over is None or not over.wrapped:
            raise Conflict("tenant-key-gone", "the tenant's key was replaced", "try again")
        self.held[key.key_id] = key
        return key

    async def reserve(self, tenant: str, key_id: str, uses: int) -> None:
        """Count so many more sealings against a data key."""
        self.remember(ReserveUses(tenant, key_id, uses))

    async def tenant_keys(self, tenant: str | None = None) -> list[TenantKey]:
        """Return the keys of one tenant or of all, by tenant, use and version."""
        self.reads += 1
        return [key for place, key in sorted(self.tenants.items()) if tenant in {None, place[0]}]

    async def keep_tenant_key(self, key: TenantKey) -> TenantKey:
        """Keep a new tenant key unless its version exists; return the one that is kept."""
        self.remember(KeepTenantKey(key))
        kept = self.tenants.get((key.tenant, key.use, key.version))
        if kept is None or not kept.wrapped:
            raise Refused("tenant-shredded", "this tenant's keys were destroyed", "begin anew")
        return kept

    async def replace_tenant_key(self, before: int, key: TenantKey) -> None:
        """Replace a tenant key by the same one, unless its root version is not `before`."""
        self.remember(ReplaceTenantKey(before, key))

    async def replace(self, keys: Sequence[Rewrapped]) -> None:
        """Replace data keys by the same ones, wrapped anew."""
        self.remember(KeepRewrapped(tuple(keys)))

    async def wrapped_below(
        self, tenant: str, tenant_key_version: int, *, limit: int
    ) -> list[WrappedKey]:
        """Return some of the data keys that are wrapped under an older version."""
        older = [
            key
            for key in self.held.values()
            if key.tenant == tenant and key.tenant_key_version < tenant_key_version
        ]
        return sorted(older, key=lambda key: (key.tenant_key_version, key.key_id))[:limit]

    async def counts(self, tenant: str) -> dict[int, int]:
        """Return how many data keys are wrapped under each version of the tenant's key."""
        mine = (key.tenant_key_version for key in self.held.values() if key.tenant == tenant)
        return dict(Counter(mine))

    # --- what a ledger's facts and writes do ------------------------------------

    def remember(
        self, fact: KeepTenantKey | ReplaceTenantKey | KeepRewrapped | ReserveUses
    ) -> None:
        """Keep one fact about keys."""
        match fact:
            case KeepTenantKey(key):
                is_shredded = any(
                    place[0] == key.tenant and not held.wrapped
                    for place, held in self.tenants.items()
                )
                if not is_shredded:
                    self.tenants.setdefault((key.tenant, key.use, key.version), key)
            case ReplaceTenantKey(before, key):
                held = self.tenants.get((key.tenant, key.use, key.version))
                if held is not None and held.wrapped and held.root_version == before:
                    place = (key.tenant, key.use, key.version)
                    self.tenants[place] = replace(
                        held, root_version=key.root_version, wrapped=key.wrapped
                    )
            case KeepRewrapped(keys):
                for made in keys:
                    self._replace(made)
            case ReserveUses(tenant, key_id, uses):
                counted = self.held.get(key_id)
                if counted is not None and counted.tenant == tenant:
                    self.held[key_id] = replace(counted, uses=counted.uses + uses)
            case _:
                assert_never(fact)

    def _replace(self, made: Rewrapped) -> None:
        held = self.held.get(made.key_id)
        over = self.tenants.get((made.tenant, "data", made.to_version))
        if held is None or over is None or not over.wrapped:
            return
        if (held.tenant, held.tenant_key_version) == (made.tenant, made.from_version):
            self.held[made.key_id] = replace(
                held, tenant_key_version=made.to_version, wrapped=made.wrapped
            )

    def shred(self, write: ShredSubjects | ShredTenant) -> None:
        """Delete the keys of subjects, or of a tenant."""
        for key in list(self.held.values()):
            is_meant = not isinstance(write, ShredSubjects) or key.subject in write.subjects
            if key.tenant == write.tenant and is_meant:
                del self.held[key.key_id]
        if isinstance(write, ShredSubjects):
            return
        newest: dict[str, TenantKey] = {}
        for place, held in sorted(self.tenants.items()):
            if place[0] == write.tenant:
                newest[held.use] = self.tenants.pop(place)
        for mark in newest.values():
            self.tenants[mark.tenant, mark.use, mark.version] = replace(mark, wrapped=b"")

    def refuse_drop(self, write: DropTenantKeys) -> None:
        """Raise `Conflict` if a data key is still wrapped under what would go."""
        if any(
            key.tenant == write.tenant and key.tenant_key_version < write.below
            for key in self.held.values()
        ):
            raise Conflict("keys-in-use", "data keys are wrapped under these", "rewrap them")

    def drop(self, write: DropTenantKeys) -> None:
        """Delete a tenant's older keys."""
        for place in list(self.tenants):
            if place[:2] == (write.tenant, "data") and place[2] < write.below:
                del self.tenants[place]

    def drop_data_keys(self, write: DropDataKeys) -> None:
        """Delete data keys by their ids."""
        for key_id in write.key_ids:
            held = self.held.get(key_id)
            if held is not None and (held.tenant, held.tenant_key_version < write.below) == (
                write.tenant,
                True,
            ):
                del self.held[key_id]


class MemoryKeyManager:
    """The KeyManager and KeyOperator ports in memory: real AES-GCM, faults on demand."""

    def __init__(self, provider: str = "memory") -> None:
        self.provider = provider
        self.roots: dict[str, dict[int, bytes]] = defaultdict(dict)
        self.newest: Counter[str] = Counter()
        self.made = datetime(2026, 1, 1, tzinfo=UTC)
        self.final_at = self.made
        """From when on a destruction cannot be undone."""
        self.down: Error | None = None
        """When set, every call raises it."""
        self.calls: Counter[str] = Counter()
        """How often each thing was asked."""
        self._nonces = 0

    async def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap under the newest version."""
        held = self._asked("wrap", name)
        self._nonces += 1
        nonce = self._nonces.to_bytes(12, "big")
        version = max(held)
        sealed = AESGCM(held[version]).encrypt(nonce, secret, _bound(name, version, context))
        return Secret(version, nonce + sealed)

    async def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped."""
        key = self._asked("unwrap", name).get(secret.version)
        if key is None:
            raise Missing("root-key-missing", "there is no such version", "it was destroyed")
        bound = _bound(name, secret.version, context)
        try:
            return AESGCM(key).decrypt(secret.blob[:12], secret.blob[12:], bound)
        except (InvalidTag, ValueError):
            raise Tampered("wrapped-key-tampered", "this does not open", "restore it") from None

    async def versions(self, name: str) -> list[RootVersion]:
        """Return the versions that are left."""
        held = self._asked("versions", name)
        return [RootVersion(version, "enabled", self.made) for version in sorted(held)]

    async def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one."""
        self._ask("make")
        if not self.roots[name]:
            self._add(name)

    async def rotate(self, name: str) -> int:
        """Make a new version."""
        self._asked("rotate", name)
        return self._add(name)

    async def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy versions."""
        self._ask("destroy")
        gone = [one for one in sorted(self.roots[name]) if below is None or one < below]
        for version in gone:
            del self.roots[name][version]
        return Destruction(name, tuple(gone), self.final_at, "forgotten by the fake")

    def _add(self, name: str) -> int:
        self.newest[name] += 1
        version = self.newest[name]
        self.roots[name][version] = hashlib.sha256(f"{name} {version}".encode()).digest()
        return version

    def _ask(self, what: str) -> None:
        self.calls[what] += 1
        if self.down is not None:
            raise self.down

    def _asked(self, what: str, name: str) -> dict[int, bytes]:
        self._ask(what)
        if not self.roots[name]:
            raise Missing("root-key-missing", "there is no such root key", "make it")
        return self.roots[name]


class MemoryProvider:
    """A provider of the key manager as threads see it: the fake, without `async`."""

    def __init__(self) -> None:
        self._manager = MemoryKeyManager()
        self.provider = self._manager.provider

    @property
    def down(self) -> Error | None:
        """When set, every call raises it."""
        return self._manager.down

    @down.setter
    def down(self, error: Error | None) -> None:
        """Set it."""
        self._manager.down = error

    def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap."""
        return _done(self._manager.wrap(name, secret, context))

    def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Unwrap."""
        return _done(self._manager.unwrap(name, secret, context))

    def versions(self, name: str) -> list[RootVersion]:
        """Tell the versions."""
        return _done(self._manager.versions(name))

    def make(self, name: str) -> None:
        """Make a root key."""
        _done(self._manager.make(name))

    def rotate(self, name: str) -> int:
        """Make a new version."""
        return _done(self._manager.rotate(name))

    def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy versions."""
        return _done(self._manager.destroy(name, below))


def _done(asked: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that never waits returns."""
    try:
        asked.send(None)
    except StopIteration as answer:
        done: T = answer.value
        return done
    raise RuntimeError("the fake waited")


def _bound(*parts: Any) -> bytes:
    return "\n".join(map(str, parts)).encode()


class MemoryKeyRing:
    """The KeyRing port in memory: real envelopes, and the grant's real check."""

    def __init__(self, clock: Clock, random: Random, receipt_key: bytes = RECEIPT_KEY) -> None:
        self._clock = clock
        self._random = random
        self._receipt_key = receipt_key
        self._tenants: dict[str, bytes] = {}
        self.forgotten: list[str] = []
        """Whose keys were let go of, in order."""
        self.opened: list[Context] = []
        """What was opened, in order."""
        self.down: Error | None = None
        """When set, opening raises it: the key manager does not answer."""

    async def prepare(self, tenant: str) -> None:
        """Make the keys of a new tenant; nothing changes if it has them."""
        if tenant not in self._tenants:
            self._tenants[tenant] = self._random.bytes(32)

    async def seal(self, plaintext: bytes, context: Context) -> Sealed:
        """Encrypt under the subject's data key for this kind."""
        key_id = hashlib.sha256(f"{context.subject}/{context.kind}".encode()).hexdigest()[:24]
        return seal(
            plaintext,
            key=self._key(context),
            key_id=key_id,
            key_version=1,
            nonce=self._random.bytes(12),
            context=context,
        )

    async def open(self, sealed: Sealed, grant: Grant) -> bytes:
        """Decrypt under a grant; `Refused` if it does not cover it, `Tampered` if changed."""
        if not isinstance(grant, Grant):
            raise TypeError("PHI is opened under a grant")
        if self.down is not None:
            raise self.down
        check(
            grant,
            sealed.context,
            receipt_key=self._receipt_key,
            tenant=sealed.context.tenant,
            now_ms=self._clock.now_ms(),
        )
        self.opened.append(sealed.context)
        return unseal(sealed, self._key(sealed.context))

    async def blind(self, tenant: str, terms: Sequence[str]) -> list[str]:
        """Return keyed digests of search terms, in their order."""
        key = self._of(tenant)
        return [hmac.digest(key, f"blind/{term}".encode(), hashlib.sha256).hex() for term in terms]

    def forget(self, tenant: str) -> None:
        """Count that a tenant's keys were let go of; there is nothing else that holds them."""
        self.forgotten.append(tenant)

    def _key(self, context: Context) -> bytes:
        place = f"data/{context.subject}/{context.kind}".encode()
        return hmac.digest(self._of(context.tenant), place, hashlib.sha256)

    def _of(self, tenant: str) -> bytes:
        if tenant not in self._tenants:
            raise Missing("key-missing", "the key ring has no key of this tenant", "prepare it")
        return self._tenants[tenant]
