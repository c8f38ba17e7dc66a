"""Keys: what seals and opens, where wrapped keys are kept, and the key manager apart from both.

    key manager's root key of a tenant -> tenant key -> data key per subject and kind

The key manager (a file, OpenBao, AWS KMS) holds root keys by name and version
and never gives one out. A tenant key is wrapped under one version of its
tenant's root key, and data keys are wrapped under one version of the tenant
key; both lie, wrapped, beside the data. 45 CFR 164.312(a)(2)(iv), 164.310(d)(2)(i).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from seawall.core.policy.grant import Grant
    from seawall.core.seal.envelope import Context, Sealed

ROOT_NAME = "root"
"""The root key that wraps the key ring's own root: of the installation, not of a tenant."""


def tenant_root(tenant: str) -> str:
    """Return the name of a tenant's root key in the key manager."""
    return f"tenant/{tenant}"


# --- wrapped keys, which lie beside the data ----------------------------------


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key under its tenant's key: safe to store beside the data."""

    tenant: str
    subject: str
    kind: str
    key_id: str
    version: int
    tenant_key_version: int
    wrapped: bytes = field(repr=False)
    uses: int = 0
    """How many sealings were reserved so far, by all processes together."""
    made_ms: int = 0


TenantKeyUse = Literal["data", "index"]


@dataclass(frozen=True, slots=True)
class TenantKey:
    """A tenant's own key under a root key of the key manager.

    `use` is `data` for what wraps data keys and `index` for what blinds search terms.
    Where `wrapped` is empty, the tenant was shredded, and gets no keys any more.
    """

    tenant: str
    use: TenantKeyUse
    version: int
    root_version: int
    wrapped: bytes = field(repr=False)
    made_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """A data key that was wrapped anew under another version of its tenant's key."""

    tenant: str
    key_id: str
    from_version: int
    """The version of the tenant's key under which it was; another one means: leave it alone."""
    to_version: int
    wrapped: bytes = field(repr=False)


class WrappedKeys(Protocol):
    """Where wrapped keys are kept; changes to them are `Fact`s and `Write`s."""

    async def current(self, tenant: str, subject: str, kind: str) -> WrappedKey | None:
        """Return the newest data key of a subject and kind."""
        ...

    async def by_id(self, tenant: str, key_id: str) -> WrappedKey | None:
        """Return a data key by its id."""
        ...

    async def keep(self, key: WrappedKey) -> WrappedKey:
        """Keep a new data key durably; return the one that is current afterwards.

        `Conflict` (`tenant-key-gone`) if the tenant key that it is wrapped under was dropped.
        """
        ...

    async def reserve(self, tenant: str, key_id: str, uses: int) -> None:
        """Count so many more sealings against a data key, durably, before they are made."""
        ...

    async def tenant_keys(self, tenant: str | None = None) -> list[TenantKey]:
        """Return the keys of one tenant or of all, by tenant, use and version."""
        ...

    async def keep_tenant_key(self, key: TenantKey) -> TenantKey:
        """Keep a new tenant key durably, unless its version exists; return the one that is kept.

        `Refused` (`tenant-shredded`) if the tenant was shredded.
        """
        ...

    async def replace_tenant_key(self, before: int, key: TenantKey) -> None:
        """Replace a tenant key by the same one, unless its root version is not `before`."""
        ...

    async def replace(self, keys: Sequence[Rewrapped]) -> None:
        """Replace data keys by the same ones, wrapped anew; what changed meanwhile is left."""
        ...

    async def wrapped_below(
        self, tenant: str, tenant_key_version: int, *, limit: int
    ) -> list[WrappedKey]:
        """Return some of the data keys that are wrapped under an older version, by id."""
        ...

    async def counts(self, tenant: str) -> dict[int, int]:
        """Return how many data keys are wrapped under each version of the tenant's key."""
        ...


class KeyRing(Protocol):
    """Seals freely, opens under a grant alone."""

    async def prepare(self, tenant: str) -> None:
        """Make the keys of a new tenant; nothing changes if it has them.

        `Refused` (`tenant-shredded`) if they were destroyed.
        """
        ...

    async def seal(self, plaintext: bytes, context: Context) -> Sealed:
        """Encrypt under the subject's data key for this kind."""
        ...

    async def open(self, sealed: Sealed, grant: Grant) -> bytes:
        """Decrypt under a grant; `Refused` if it does not cover it, `Tampered` if changed."""
        ...

    async def blind(self, tenant: str, terms: Sequence[str]) -> list[str]:
        """Return keyed digests of search terms, in their order.

        Equal terms match within one tenant; without its index key nobody can try terms.
        """
        ...

    def forget(self, tenant: str) -> None:
        """Let go of every key of a tenant that is held in memory."""
        ...


class KeyKeeper(Protocol):
    """Makes and re-wraps keys, for rotation and shredding; shows none.

    What it makes is durable when it returns, and held in memory by nobody else.
    """

    async def new_tenant_key(self, tenant: str) -> TenantKey:
        """Make the next version of a tenant's `data` key, under the newest root version."""
        ...

    async def rewrap_tenant_keys(self, tenant: str) -> int:
        """Wrap the newest key of each use under the newest root version; return how many moved."""
        ...

    async def prove_tenant_keys(self, tenant: str) -> None:
        """Have the key manager open every key of a tenant as it is kept; hold nothing."""
        ...

    def forget(self, tenant: str) -> None:
        """Let go of every key of a tenant that is held in memory."""
        ...

    async def rewrap(self, tenant: str, keys: Sequence[WrappedKey]) -> int:
        """Wrap data keys under the newest version of the tenant's key; return how many.

        One that does not open is left as it is, and not counted.
        """
        ...

    async def new_data_key(self, tenant: str, subject: str, kind: str) -> WrappedKey:
        """Make the next version of a data key; what older ones sealed still opens."""
        ...

    async def seal_key_part(self, tenant: str, plaintext: bytes) -> tuple[TenantKey, bytes]:
        """Seal a copy of a tenant's wrapped keys under the newest version of its own key.

        So that an older copy opens nowhere any more once that version is destroyed. The
        tenant key that comes with it, wrapped, is what opens it.
        """
        ...

    async def open_key_part(self, key: TenantKey, sealed: bytes) -> bytes:
        """Open what `seal_key_part` sealed; errors are the key manager's, and `Tampered`."""
        ...


# --- what shredding asks beside keys ---------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """How much is held of somebody: what shredding deletes."""

    data_keys: int
    sealed: int
    """Sealed values, wherever they lie."""
    terms: int
    """Blind index terms."""


class Holdings(Protocol):
    """Counts what is held, without opening anything."""

    async def of(self, tenant: str, subjects: Sequence[str] | None = None) -> Held:
        """Return how much is held of these subjects, or of the whole tenant."""
        ...


class KeyCopies(Protocol):
    """A place where copies of wrapped keys are kept, such as the key part of backups."""

    async def rewrite(self, tenant: str) -> int:
        """Replace every copy of a tenant's keys by what is held now; return how many there were.

        Doing it again changes nothing. Of a shredded tenant nothing is left.
        """
        ...


# --- the key manager, apart from the data ---------------------------------------


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as the key manager gave it back: wrapped under one version of a root key."""

    version: int
    blob: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RootVersion:
    """One version of a root key, as the key manager tells of it."""

    version: int
    state: Literal["enabled", "disabled", "pending-destruction"]
    made: datetime | None = None
    until: datetime | None = None
    """When a pending destruction happens."""


@dataclass(frozen=True, slots=True)
class Destruction:
    """What the key manager destroyed, and from when on nothing can undo it."""

    name: str
    versions: tuple[int, ...]
    final_at: datetime
    """Not later than now where destruction is at once; AWS KMS waits for at least seven days."""
    method: str
    """In the key manager's words, such as `transit trim`."""


class KeyManager(Protocol):
    """What the service may ask of the key manager: to wrap and to unwrap, never a key itself.

    `name` is a root key's name; `context` is bound to what is wrapped, and unwrapping with
    another one fails. `Unavailable` (`key-manager-unavailable`) if no answer comes in time,
    `Refused` (`key-manager-refused`) if this service may not, (`root-key-disabled`) if the
    key is disabled; `Missing` (`root-key-missing`) if there is no such key or version;
    `Tampered` (`wrapped-key-tampered`) if what was wrapped, or its context, is another.
    There is no other answer, and never an unencrypted one.
    """

    @property
    def provider(self) -> str:
        """`file`, `openbao` or `aws`."""
        ...

    async def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap 32 bytes under the newest version of a root key."""
        ...

    async def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped."""
        ...

    async def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        ...


class KeyOperator(Protocol):
    """What only an operator may ask of the key manager, by credentials of its own.

    Errors are those of `KeyManager`.
    """

    async def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one."""
        ...

    async def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, as the operator sees them."""
        ...

    async def rotate(self, name: str) -> int:
        """Make a new version of a root key; return it. Older ones still unwrap."""
        ...

    async def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy the versions of a root key below one, or the whole key, for good.

        What they wrapped opens nowhere any more, from no copy of anything.
        """
        ...
