"""What is written: writes go with a ledger entry in one transaction; facts hold no PHI.

There is one way to write PHI or a document: as a `Write` that goes with an
entry. So a unit of work that touched PHI and holds no entry cannot commit,
because nothing else commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from seawall.app.ports.keys import Rewrapped, TenantKey
    from seawall.app.ports.reading import Archived, Published
    from seawall.core.identity.session import Session
    from seawall.core.registers.spec import Document, Spec
    from seawall.core.seal.envelope import Sealed


# --- what is written, always together with an entry ---------------------------


@dataclass(frozen=True, slots=True)
class KeepSealed:
    """Keep a sealed value, replacing an older one of the same tenant, kind and item."""

    sealed: Sealed
    replaces: str | None = None
    """Digest of the older one, "" for none: `Conflict` (`sealed-changed`) if it is not that one."""


@dataclass(frozen=True, slots=True)
class KeepReference:
    """Keep where a sealed value lies outside the database, durable there already.

    By the digest of its ciphertext, replacing an older one of the same tenant, kind and item.
    """

    tenant: str
    kind: str
    item: str
    subject: str
    digest: str


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


@dataclass(frozen=True, slots=True)
class ShredSubjects:
    """Delete the data keys of subjects, what they sealed, and the index terms of these patients."""

    tenant: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShredTenant:
    """Delete every data key and sealed value of a tenant, its index, and its keys but a mark.

    The mark is a `TenantKey` without content, by which it gets no keys any more.
    """

    tenant: str


@dataclass(frozen=True, slots=True)
class DropTenantKeys:
    """Delete a tenant's wrapped `data` keys below a version.

    `Conflict` (`keys-in-use`) if a data key is still wrapped under one of them.
    """

    tenant: str
    below: int


@dataclass(frozen=True, slots=True)
class DropDataKeys:
    """Delete data keys that open nothing, by their ids; one under `below` or later is left."""

    tenant: str
    key_ids: tuple[str, ...]
    below: int
    """The version of the tenant's key under which a data key that opens was moved."""


@dataclass(frozen=True, slots=True)
class KeepSession:
    """Begin a person's session; in place of another one, only while that one is there."""

    session: Session
    replaces: str = ""
    """The digest of the session whose place it takes: if that has ended, nothing begins."""


@dataclass(frozen=True, slots=True)
class EndSession:
    """End one session, by its digest; one that is gone is no error."""

    digest: str


@dataclass(frozen=True, slots=True)
class EndSessions:
    """End every session of a person, but for one if that is named and is there."""

    tenant: str
    user: str
    but: str = ""
    """The digest of the session that goes on; one that has ended is not made anew."""


Write = (
    KeepSealed
    | KeepReference
    | KeepDocument
    | KeepPatient
    | SpendAssertion
    | OpenExchange
    | CloseExchange
    | ShredSubjects
    | ShredTenant
    | DropTenantKeys
    | DropDataKeys
    | KeepSession
    | EndSession
    | EndSessions
)


# --- what is derived: facts, which hold no PHI and need no entry ---------------


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


@dataclass(frozen=True, slots=True)
class KeepTenantKey:
    """Keep a wrapped tenant key; the first of its tenant, use and version wins."""

    key: TenantKey


@dataclass(frozen=True, slots=True)
class ReplaceTenantKey:
    """Replace a wrapped tenant key by the same one under a newer root key.

    Nothing changes unless it is still under the root version `before`.
    """

    before: int
    key: TenantKey


@dataclass(frozen=True, slots=True)
class KeepRewrapped:
    """Replace wrapped data keys by the same ones under another tenant key.

    A row that is gone, or under another version than it says, is left alone.
    """

    keys: tuple[Rewrapped, ...]


@dataclass(frozen=True, slots=True)
class ReserveUses:
    """Count sealings against a data key before they are made."""

    tenant: str
    key_id: str
    uses: int


@dataclass(frozen=True, slots=True)
class TouchSession:
    """Note that a session was used; an earlier moment than the noted one changes nothing."""

    digest: str
    seen_ms: int


@dataclass(frozen=True, slots=True)
class BeginAnswer:
    """Claim a caller's idempotency key for one request; the first one wins.

    `asked` tells what was asked, `by` who claims; a claim that has expired is nobody's.
    """

    digest: str
    asked: str
    by: str
    at_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class KeepAnswer:
    """Keep what a claimed request was answered, without PHI; another's claim is left alone."""

    digest: str
    by: str
    status: int
    body: bytes


SPENT_LONGER_MS: Final = 3_600_000
"""So long after their time spent assertions are remembered, for replicas whose clocks differ."""


@dataclass(frozen=True, slots=True)
class ForgetExpired:
    """Delete sessions that began before a moment, and claims that expired before another.

    Spent assertions too, whose time was over `SPENT_LONGER_MS` before the latter.
    """

    sessions_before_ms: int
    answers_before_ms: int


Fact = (
    KeepFacets
    | KeepPublished
    | KeepArchived
    | KeepLease
    | KeepTenantKey
    | ReplaceTenantKey
    | KeepRewrapped
    | ReserveUses
    | TouchSession
    | BeginAnswer
    | KeepAnswer
    | ForgetExpired
)
