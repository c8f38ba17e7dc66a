"""What is read: logs, entries, and what was committed with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from seawall.core.identity.session import Session
    from seawall.core.registers.spec import Document, Spec
    from seawall.core.seal.envelope import Sealed


@dataclass(frozen=True, slots=True)
class Head:
    """A log as it stands: its place in the world, its size, its signed checkpoint."""

    log: str
    origin: str
    size: int
    root: bytes
    checkpoint: str
    vkey: str
    minimum: int = 0
    """The first entry that is still here: below it the log was pruned."""


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint as it was shown to the world, with what the world said of it."""

    log: str
    size: int
    at_ms: int
    note: str
    """The signed checkpoint with the cosignatures that came."""
    is_witnessed: bool
    """Whether as many witnesses cosigned it as the policy asks for."""
    stamp: bytes | None = field(default=None, repr=False)
    """An RFC 3161 TimeStampResp (DER, as the authority sent it) over the checkpoint's text."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What an archive holds of a log: one full bundle with its tile, by the archive's version."""

    log: str
    bundle: int
    archive: str
    version: str
    """The archive's own word for this very object, such as an S3 version id."""
    digest: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Lying:
    """An object that lies in an archive, as the archive itself lists it."""

    path: str
    version: str
    at: datetime
    """When the archive took it, by the clock that the archive lists by."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries of a log are wanted: every condition must hold.

    `facets` are pairs as `seawall.core.ledger.facets` makes them; times are
    milliseconds since 1970, `until_ms` exclusive. Of what is found, the
    newest `last` that lie before `before` (an index, exclusive), and before
    the moment and index `earlier` (exclusive) in the order of time.
    """

    facets: tuple[tuple[str, str], ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    last: int = 20
    earlier: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What is known of a request that came with an idempotency key."""

    asked: str
    by: str
    until_ms: int
    status: int | None
    """None while it is under way."""
    body: bytes = b""


class Store(Protocol):
    """Reading what was committed."""

    async def logs(self) -> list[Head]:
        """Return every log."""
        ...

    async def head(self, log: str) -> Head:
        """Return one log; `Missing` if there is none of this name."""
        ...

    async def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Return the entries `start` to `stop` (exclusive), as they were hashed."""
        ...

    async def tile(self, log: str, level: int, index: int) -> bytes:
        """Return the hashes of a tile, as many as there are; empty if there are none."""
        ...

    async def find(self, log: str, query: Query) -> list[tuple[int, bytes]]:
        """Return the entries that a query finds among those indexed, in the order of the log."""
        ...

    async def indexed(self, log: str) -> int:
        """Return up to which entry (exclusive) a log is indexed."""
        ...

    async def has_facet(self, log: str, facet: str, value: str) -> bool:
        """Return whether any indexed entry has this facet with this value."""
        ...

    async def published(
        self, log: str, *, above: int = -1, limit: int | None = None
    ) -> list[Published]:
        """Return the first `limit` published checkpoints of sizes over `above`, oldest first."""
        ...

    async def last_published(self, log: str, size: int) -> Published | None:
        """Return the newest published checkpoint of at most this size, witnessed or not."""
        ...

    async def newest_witnessed(self, log: str, covering: int) -> Published | None:
        """Return the newest published checkpoint that is witnessed, of at least this size."""
        ...

    async def archived(self, log: str) -> list[Archived]:
        """Return what archives hold of a log, by bundle and archive."""
        ...

    async def documents(self, tenant: str) -> list[Document[Spec]]:
        """Return every version of every document of a tenant, oldest first."""
        ...

    async def document_counts(self) -> dict[str, int]:
        """Return how many versions of documents each tenant has; it grows with every change."""
        ...

    async def tenants(self) -> list[str]:
        """Return the names of all tenants."""
        ...

    async def patients(self, tenant: str, terms: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return, for each blind index term that is known, the ledger ids of its patients."""
        ...

    async def open_exchanges(self, tenant: str, *, expired_at_ms: int | None = None) -> list[str]:
        """Return the items of exchanges whose outcome is awaited.

        With `expired_at_ms`, only those whose replica holds no lease at that moment.
        """
        ...

    async def sealed(self, tenant: str, kind: str, item: str) -> Sealed | None:
        """Return a sealed value, or None if there is none."""
        ...

    async def reference(self, tenant: str, kind: str, item: str) -> str | None:
        """Return the digest of a sealed value that lies in the payload store, or None."""
        ...

    async def session(self, digest: str) -> Session | None:
        """Return a session by the digest of its name, whether it is live or not."""
        ...

    async def sessions(self, tenant: str, user: str | None = None) -> list[Session]:
        """Return a tenant's sessions, or one person's, oldest first, live or not."""
        ...

    async def answer(self, digest: str) -> KeptAnswer | None:
        """Return what is known of an idempotency key."""
        ...

    async def spent_from(self, first: str, now_ms: int) -> frozenset[str]:
        """Return the digests of spent assertions from `first` on whose time is not over."""
        ...

    async def referred(self, digests: Sequence[str]) -> frozenset[str]:
        """Return those of these digests that a reference names, whichever tenant's."""
        ...
