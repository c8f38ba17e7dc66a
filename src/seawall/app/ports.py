"""What the product asks of the world: protocols, and the values that cross them.

Every adapter raises only errors of `seawall.core.errors`; foreign exceptions
do not pass. There is one way to write PHI or a document: as a `Write` that
goes with a ledger entry in one transaction. So a unit of work that touched PHI
and holds no entry cannot commit, because nothing else commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import date, datetime

    from seawall.core.ledger.witness import Latest
    from seawall.core.phi.clinical import ClinicalTerm
    from seawall.core.phi.known import KnownIdentifiers
    from seawall.core.phi.spans import Span
    from seawall.core.policy.grant import Grant, Receipt
    from seawall.core.registers.endpoint import EndpointSpec
    from seawall.core.registers.spec import Document, Spec
    from seawall.core.seal.envelope import Context, Sealed

SYSTEM_LOG = "system"
"""The name of the log that belongs to no tenant."""


# --- what is written, always together with an entry ---------------------------


@dataclass(frozen=True, slots=True)
class KeepSealed:
    """Keep a sealed value, replacing an older one of the same tenant, kind and item."""

    sealed: Sealed
    replaces: str | None = None
    """Digest of the older one, "" for none: `Conflict` (`sealed-changed`) if it is not that one."""


@dataclass(frozen=True, slots=True)
class KeepDocument:
    """Keep a new version of a document; `Conflict` if that version exists."""

    tenant: str
    document: Document[Spec]


@dataclass(frozen=True, slots=True)
class KeepPatient:
    """Keep a patient's blind index terms under a ledger id, replacing older terms."""

    tenant: str
    patient: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpendAssertion:
    """Mark a client's assertion as used; `Conflict` if it was used before."""

    digest: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class OpenExchange:
    """Remember that an exchange's outcome is awaited, and by which replica."""

    tenant: str
    item: str
    replica: str = ""


@dataclass(frozen=True, slots=True)
class CloseExchange:
    """Forget an exchange that `OpenExchange` remembered: its outcome is this entry."""

    tenant: str
    item: str


Write = KeepSealed | KeepDocument | KeepPatient | SpendAssertion | OpenExchange | CloseExchange


# --- what is derived: facts about the ledger, which hold no PHI and need no entry -


@dataclass(frozen=True, slots=True)
class KeepFacets:
    """Index entries up to `upto` (exclusive): rows of (facet, value, at_ms, position).

    A projection of the log, made after the commit; doing it twice changes nothing.
    """

    log: str
    upto: int
    rows: tuple[tuple[str, str, int, int], ...]


@dataclass(frozen=True, slots=True)
class KeepPublished:
    """Keep a checkpoint that was shown to witnesses, replacing the one of the same size."""

    published: Published


@dataclass(frozen=True, slots=True)
class KeepArchived:
    """Remember that an archive holds a full bundle of a log, verified by reading it back."""

    archived: Archived


@dataclass(frozen=True, slots=True)
class KeepLease:
    """Claim a replica's open exchanges until a moment; renewing moves the moment."""

    replica: str
    until_ms: int


Fact = KeepFacets | KeepPublished | KeepArchived | KeepLease


class Ledger(Protocol):
    """The one way to commit: entries, and the writes that go with them."""

    async def open_log(self, log: str, origin: str) -> None:
        """Begin a log under an origin (host/log/random id); nothing changes if it exists."""
        ...

    async def append(
        self, log: str, entry: Mapping[str, Any], writes: Sequence[Write] = ()
    ) -> Receipt:
        """Make an entry and its writes durable, then return the receipt.

        `log` is a tenant's name or `SYSTEM_LOG`. Raises `Unavailable` when that
        cannot be done within the ledger's time limit; the caller must then
        behave as if nothing was recorded.
        """
        ...

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Make facts durable, all of them or none; `Unavailable` as for an append."""
        ...


class Pruner(Protocol):
    """Deletes what retention no longer asks for; the service itself has no such right."""

    async def prune(self, log: str, minimum: int) -> None:
        """Delete the entries and full level-0 tiles below `minimum`, a multiple of 256.

        C2SP tlog-tiles, "Pruning": the minimum never goes back. `Refused` by the
        database itself unless two archives hold every bundle below it.
        """
        ...


# --- what is read -------------------------------------------------------------


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


# --- keys ---------------------------------------------------------------------


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


class WrappedKeys(Protocol):
    """Where wrapped data keys are kept."""

    async def current(self, tenant: str, subject: str, kind: str) -> WrappedKey | None:
        """Return the newest data key of a subject and kind."""
        ...

    async def by_id(self, tenant: str, key_id: str) -> WrappedKey | None:
        """Return a data key by its id."""
        ...

    async def keep(self, key: WrappedKey) -> WrappedKey:
        """Keep a new data key durably; return the one that is current afterwards."""
        ...


class KeyRing(Protocol):
    """Seals freely, opens under a grant alone."""

    def prepare(self, tenant: str) -> None:
        """Make the keys of a new tenant; nothing changes if it has them."""
        ...

    async def seal(self, plaintext: bytes, context: Context) -> Sealed:
        """Encrypt under the subject's data key for this kind."""
        ...

    async def open(self, sealed: Sealed, grant: Grant) -> bytes:
        """Decrypt under a grant; `Refused` if it does not cover it, `Tampered` if changed."""
        ...

    def blind(self, tenant: str, term: str) -> str:
        """Return a keyed digest of a search term: equal terms match, nobody else can try terms."""
        ...


# --- the rest of the world ----------------------------------------------------


class Answer(Protocol):
    """What an upstream answers: a status, then bytes."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    async def read(self) -> bytes:
        """Return the whole body, bounded; `Unavailable` if it breaks off or is too large."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; `Unavailable` if it breaks off or stalls."""
        ...


class ModelClient(Protocol):
    """Sends a request to a model's endpoint; follows no redirect, reads no proxy environment."""

    def send(
        self, endpoint: EndpointSpec, path: str, body: bytes
    ) -> AbstractAsyncContextManager[Answer]:
        """Post `body` below the endpoint's URL; `Unavailable` if no answer comes."""
        ...


class Detector(Protocol):
    """Finds identifiers and clinical content in a text."""

    def find(self, text: str, known: Sequence[KnownIdentifiers] = ()) -> list[Span]:
        """Return ordered spans that do not overlap, in code points."""
        ...

    def clinical_terms(self, text: str) -> list[ClinicalTerm]:
        """Return the clinical content of a text."""
        ...


class Tokens(Protocol):
    """Signs access tokens and checks what clients sign."""

    def issue(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token."""
        ...

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token of ours whose signature holds; `Refused` otherwise."""
        ...

    def assertion(self, assertion: str, public_key: Mapping[str, str]) -> dict[str, Any]:
        """Return the claims of a client's assertion whose signature holds; `Refused` otherwise."""
        ...

    def issuer(self, assertion: str) -> str:
        """Return who an assertion says it is from, unverified; `Invalid` if unreadable."""
        ...


class Notifier(Protocol):
    """Tells people that something must be looked at."""

    def alarm(self, code: str, tenant: str, entry: int | None) -> None:
        """Raise an alarm by a code, whose log, and an entry's index; never fails."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """What one place answered to a post: an HTTP status, the body's type, the whole body."""

    status: int
    content_type: str
    body: bytes


class Post(Protocol):
    """Posts to one place of the world; follows no redirect, reads no proxy environment."""

    async def __call__(self, body: bytes) -> Posted:
        """Post a body; `Unavailable` unless a whole answer comes in time and is not too large."""
        ...


class TimeStamps(Protocol):
    """An RFC 3161 authority that says when something existed."""

    async def stamp(self, signed: bytes) -> bytes:
        """Return a TimeStampResp (DER) over these bytes that was verified.

        `Unavailable` if none comes, `Tampered` if it is not what was asked for or not trusted.
        """
        ...


class Archive(Protocol):
    """Keeps what it took, unchanged, for as long as it was told: a folder or a bucket.

    Paths are relative, and those of one log's tlog-tiles folder below its origin.
    """

    @property
    def name(self) -> str:
        """The name that the settings give it."""
        ...

    @property
    def is_locked(self) -> bool:
        """Whether nobody can delete or shorten what it took, its owner included."""
        ...

    async def self_test(self) -> None:
        """Try to break its promises; `Refused` (`archive-untrusted`) if it lets us."""
        ...

    async def now(self) -> datetime | None:
        """Return the time by the archive's own clock; None if it has none but this machine's."""
        ...

    async def put(self, path: str, content: bytes, retain_until: datetime) -> str:
        """Keep a new object durably; return the archive's own word for this very object.

        The same content again changes nothing but a retention that was shorter; another
        content is a `Conflict` (`archive-conflict`). `Unavailable` if it cannot.
        """
        ...

    async def get(self, path: str, version: str) -> bytes:
        """Return an object by its version; `Missing` if it is not there."""
        ...

    def lying(self, below: str) -> AsyncIterator[Lying]:
        """Yield what lies below a path, every version of it, in no order; nothing is no error."""
        ...

    async def extend(self, path: str, version: str, retain_until: datetime) -> None:
        """Keep an object longer; `Refused` (`retention-shortened`) if that is earlier."""
        ...

    async def hold(self, path: str, version: str, *, is_held: bool) -> None:
        """Place or lift a legal hold, which keeps an object whatever its retention says."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class WitnessBook(Protocol):
    """What a witness remembers: whose logs it trusts, and the latest checkpoint of each."""

    async def trusted(self, origin: str) -> list[str]:
        """Return the verifier keys that are trusted for a log; none if it is unknown."""
        ...

    async def latest(self, origin: str) -> Latest | None:
        """Return the latest checkpoint of a log that was cosigned, or None."""
        ...

    async def latest_by_hash(self, origin_hash: str) -> Latest | None:
        """Return it by the SHA-256 of the origin, in hex."""
        ...

    async def replace(self, before: Latest | None, after: Latest) -> bool:
        """Keep `after` durably if `before` is still the latest, both as one; say whether it was."""
        ...


class Clock(Protocol):
    """The time, handed in so that nothing below reads it."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        ...

    def today(self) -> date:
        """Return the date in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        ...


class Random(Protocol):
    """Randomness for ids, keys and nonces; cryptographic."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        ...
