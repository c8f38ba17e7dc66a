"""Fakes that implement the ports, so that a test needs no disk, socket, clock or chance.

They keep the ports' contracts: the suites in `contracts/` run against them and
against the adapters alike. None of them is a mock: each does its work in memory.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fake_keys import RECEIPT_KEY, MemoryKeys
from fake_sessions import MemorySessions, OfSessions
from seawall.app.ports import (
    SPENT_LONGER_MS,
    Archived,
    BeginAnswer,
    CloseExchange,
    DropDataKeys,
    DropTenantKeys,
    ForgetExpired,
    Head,
    KeepAnswer,
    KeepArchived,
    KeepDocument,
    KeepFacets,
    KeepLease,
    KeepPatient,
    KeepPublished,
    KeepReference,
    KeepRewrapped,
    KeepSealed,
    KeepTenantKey,
    KeptAnswer,
    OpenExchange,
    Published,
    ReplaceTenantKey,
    ReserveUses,
    ShredSubjects,
    ShredTenant,
    SpendAssertion,
    TouchSession,
)
from seawall.core.errors import Conflict, Error, Missing, Refused
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, sign_checkpoint
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.tree import Edge, extend, leaf_hash
from seawall.core.phi.spans import Span
from seawall.core.policy.grant import Receipt, receipt_mac

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from seawall.app.ports import Fact, Query, Write
    from seawall.core.identity.session import Session
    from seawall.core.phi.clinical import ClinicalTerm
    from seawall.core.phi.identifiers import Label
    from seawall.core.phi.known import KnownIdentifiers
    from seawall.core.registers.endpoint import EndpointSpec
    from seawall.core.registers.spec import Document, Spec
    from seawall.core.seal.envelope import Sealed

START: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
"""When a fake clock starts, unless told otherwise: a Monday morning."""

SIGNING_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
"""The key that signs the fake ledger's checkpoints."""

PUBLIC_KEY: Final = SIGNING_KEY.public_key().public_bytes_raw()
"""The public key of `SIGNING_KEY`, 32 bytes."""


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at
        self.ticks = 1_000.0
        """Seconds of the clock that never goes back."""

    def advance(self, seconds: float) -> None:
        """Let time pass, for both clocks."""
        self.at += timedelta(seconds=seconds)
        self.ticks += seconds

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self.at

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return int(self.at.timestamp() * 1000)

    def today(self) -> date:
        """Return the date in UTC."""
        return self.at.date()

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return self.ticks


class FakeRandom:
    """Bytes that follow from a seed: never the same twice, always the same sequence."""

    def __init__(self, seed: str = "seawall") -> None:
        self._seed = seed
        self._count = 0

    def bytes(self, count: int) -> bytes:
        """Return the next `count` bytes of the sequence."""
        self._count += 1
        return hashlib.shake_256(f"{self._seed}/{self._count}".encode()).digest(count)


@dataclass(slots=True)
class _MemoryLog:
    origin: str
    edge: Edge = Edge(0, ())  # noqa: RUF009  frozen
    entries: list[bytes] = field(default_factory=list)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    minimum: int = 0
    indexed: int = 0
    facets: set[tuple[str, str, int, int]] = field(default_factory=set)
    published: dict[int, Published] = field(default_factory=dict)
    archived: dict[tuple[int, str], Archived] = field(default_factory=dict)


class MemoryLedger:
    """The Ledger port in memory: real entries, trees and receipts, and faults on demand."""

    def __init__(self, journal: list[str] | None = None) -> None:
        self.logs: dict[str, _MemoryLog] = {}
        self.documents: dict[str, list[Document[Spec]]] = defaultdict(list)
        self.patients: dict[tuple[str, str], tuple[str, ...]] = {}
        self.kept: dict[tuple[str, str, str], Sealed] = {}
        self.references: dict[tuple[str, str, str], KeepReference] = {}
        self.spent: dict[str, int] = {}
        self.awaited: dict[tuple[str, str], str] = {}
        self.leases: dict[str, int] = {}
        self.people = MemorySessions()
        """Sessions of persons, and what requests with a key were answered."""
        self.keys = MemoryKeys()
        """The wrapped keys, which are kept and shredded with the rest."""
        self.down: Error | None = None
        """When set, every append raises it and records nothing."""
        self.failing: dict[str, Error] = {}
        """By an entry's action: what appending such an entry raises, recording nothing."""
        self.journal: list[str] = journal if journal is not None else []
        """What was recorded, as `append ACTION`; share it with others to see the order."""

    async def open_log(self, log: str, origin: str) -> None:
        """Begin a log under an origin; nothing changes if it exists."""
        if self.down is not None:
            raise self.down
        self.logs.setdefault(log, _MemoryLog(origin))

    async def append(
        self, log: str, entry: Mapping[str, Any], writes: Sequence[Write] = ()
    ) -> Receipt:
        """Record an entry and its writes together, or raise and record neither."""
        raw, action = encode(entry), str(entry.get("action"))
        fault = self.down or self.failing.get(action)
        if fault is not None:
            raise fault
        held = self.logs.get(log)
        if held is None:
            raise Missing("log-unknown", "there is no such log", "see `seawall ledger list`")
        for write in writes:
            self._refuse_conflict(write)
        for write in writes:
            self._apply(write)
        extension = extend(held.edge, [leaf_hash(raw)])
        held.edge = extension.edge
        held.tiles.update(extension.tiles)
        held.entries.append(raw)
        self.journal.append(f"append {action}")
        index = held.edge.size - 1
        return Receipt(held.origin, index, raw, receipt_mac(RECEIPT_KEY, held.origin, index, raw))

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Keep facts."""
        if self.down is not None:
            raise self.down
        for fact in facts:
            match fact:
                case KeepFacets(log, upto, rows):
                    self.logs[log].indexed = max(self.logs[log].indexed, upto)
                    self.logs[log].facets.update(rows)
                case KeepPublished(made):
                    self.logs[made.log].published[made.size] = made
                case KeepArchived(made):
                    self.logs[made.log].archived[made.bundle, made.archive] = made
                case KeepLease(replica, until_ms):
                    self.leases[replica] = until_ms
                case KeepTenantKey() | ReplaceTenantKey() | KeepRewrapped() | ReserveUses():
                    self.keys.remember(fact)
                case TouchSession() | BeginAnswer() | KeepAnswer() | ForgetExpired():
                    self.people.remember(fact)
                    if isinstance(fact, ForgetExpired):
                        before = fact.answers_before_ms - SPENT_LONGER_MS
                        self.spent = {one: end for one, end in self.spent.items() if end >= before}

    async def prune(self, log: str, minimum: int) -> None:
        """Delete what lies below `minimum`; `Refused` without two archives."""
        held = self.logs[log]
        if minimum <= held.minimum:
            return
        copies = [bundle for bundle, _ in held.archived]
        below = range(held.minimum // 256, minimum // 256)
        if (
            minimum % 256
            or minimum > held.edge.size
            or any(copies.count(bundle) < 2 for bundle in below)
        ):
            raise Refused("prune-refused", "the log is kept", "archive it first")
        held.minimum = minimum
        held.tiles = {
            place: tile
            for place, tile in held.tiles.items()
            if place[0] or place[1] >= minimum // 256
        }
        held.facets = {row for row in held.facets if row[3] >= minimum}

    def bodies(self, log: str) -> list[dict[str, Any]]:
        """Return the entries of a log as they read, for a test to look at."""
        return [Receipt("", 0, raw, b"").body() for raw in self.logs[log].entries]

    def _refuse_conflict(self, write: Write) -> None:
        if isinstance(write, DropTenantKeys):
            self.keys.refuse_drop(write)
        if isinstance(write, KeepSealed) and write.replaces is not None:
            place = write.sealed.context
            held = self.kept.get((place.tenant, place.kind, place.item))
            if (held.digest() if held else "") != write.replaces:
                raise Conflict("sealed-changed", "this was replaced meanwhile", "read it again")
        if isinstance(write, SpendAssertion) and write.digest in self.spent:
            raise Conflict("assertion-reused", "this assertion was used before", "sign a new one")
        if isinstance(write, KeepDocument) and any(
            made.reference == write.document.reference for made in self.documents[write.tenant]
        ):
            raise Conflict("version-exists", "this version exists", "apply again")
        if isinstance(write, OpenExchange) and (write.tenant, write.item) in self.awaited:
            raise Conflict("exchange-open", "this exchange is open", "choose a new id")

    @singledispatchmethod
    def _apply(self, write: object) -> None:
        raise RuntimeError(f"{type(write).__name__} is not a write")

    @_apply.register
    def _(self, write: KeepSealed) -> None:
        context = write.sealed.context
        self.kept[context.tenant, context.kind, context.item] = write.sealed

    @_apply.register
    def _(self, write: KeepReference) -> None:
        self.references[write.tenant, write.kind, write.item] = write

    @_apply.register
    def _(self, write: KeepDocument) -> None:
        self.documents[write.tenant].append(write.document)

    @_apply.register
    def _(self, write: KeepPatient) -> None:
        self.patients[write.tenant, write.patient] = write.terms

    @_apply.register
    def _(self, write: SpendAssertion) -> None:
        self.spent[write.digest] = write.until_ms

    @_apply.register
    def _(self, write: OpenExchange) -> None:
        self.awaited[write.tenant, write.item] = write.replica

    @_apply.register
    def _(self, write: CloseExchange) -> None:
        self.awaited.pop((write.tenant, write.item), None)

    @_apply.register
    def _(self, write: ShredSubjects) -> None:
        self.keys.shred(write)
        for place, sealed in list(self.kept.items()):
            if place[0] == write.tenant and sealed.context.subject in write.subjects:
                del self.kept[place]
        for place, held in list(self.references.items()):
            if held.tenant == write.tenant and held.subject in write.subjects:
                del self.references[place]
        for subject in write.subjects:
            self.patients.pop((write.tenant, subject), None)

    @_apply.register
    def _(self, write: ShredTenant) -> None:
        self.keys.shred(write)
        self.kept = {place: kept for place, kept in self.kept.items() if place[0] != write.tenant}
        for place in [place for place in self.patients if place[0] == write.tenant]:
            del self.patients[place]
        for where in [where for where in self.references if where[0] == write.tenant]:
            del self.references[where]

    @_apply.register
    def _(self, write: OfSessions) -> None:
        self.people.apply(write)

    @_apply.register
    def _(self, write: DropTenantKeys) -> None:
        self.keys.drop(write)

    @_apply.register
    def _(self, write: DropDataKeys) -> None:
        self.keys.drop_data_keys(write)


class MemoryStore:
    """The Store port over what a `MemoryLedger` recorded."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def logs(self) -> list[Head]:
        """Return every log."""
        return [await self.head(log) for log in sorted(self._ledger.logs)]

    async def head(self, log: str) -> Head:
        """Return one log; `Missing` if there is none of this name."""
        held = self._ledger.logs.get(log)
        if held is None:
            raise Missing("log-unknown", "there is no log of this name", "see `seawall ledger`")
        root = held.edge.root()
        checkpoint = sign_checkpoint(
            Checkpoint(held.origin, held.edge.size, root), held.origin, SIGNING_KEY.sign, PUBLIC_KEY
        )
        vkey = format_vkey(held.origin, PUBLIC_KEY)
        return Head(log, held.origin, held.edge.size, root, checkpoint, vkey, held.minimum)

    async def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Return the entries `start` to `stop` (exclusive), as they were hashed."""
        held = self._ledger.logs.get(log)
        return held.entries[max(start, held.minimum) : max(stop, 0)] if held else []

    async def tile(self, log: str, level: int, index: int) -> bytes:
        """Return the hashes of a tile, as many as there are; empty if there are none."""
        held = self._ledger.logs.get(log)
        return held.tiles.get((level, index), b"") if held else b""

    async def find(self, log: str, query: Query) -> list[tuple[int, bytes]]:
        """Return the entries that a query finds among those indexed, in the order of the log."""
        held = self._ledger.logs[log]
        end = held.edge.size if query.before is None else query.before
        in_time = (query.since_ms, query.until_ms, query.earlier) != (None, None, None)
        if not query.facets and not in_time:
            found = list(range(held.minimum, min(end, held.edge.size)))
        else:
            wanted = {("any", ""), *query.facets}
            moments = {at: moment for _, _, moment, at in held.facets}
            has = defaultdict(set)
            for facet, value, _, at in held.facets:
                has[at].add((facet, value))
            found = [
                at
                for moment, at in sorted((moment, at) for at, moment in moments.items())
                if wanted <= has[at]
                and at < end
                and (query.since_ms is None or moment >= query.since_ms)
                and (query.until_ms is None or moment < query.until_ms)
                and (query.earlier is None or (moment, at) < query.earlier)
            ]
        return sorted((at, held.entries[at]) for at in found[-query.last :])

    async def indexed(self, log: str) -> int:
        """Return up to which entry (exclusive) a log is indexed."""
        held = self._ledger.logs.get(log)
        return held.indexed if held else 0

    async def has_facet(self, log: str, facet: str, value: str) -> bool:
        """Return whether any indexed entry has this facet with this value."""
        held = self._ledger.logs.get(log)
        return held is not None and any(row[:2] == (facet, value) for row in held.facets)

    async def published(
        self, log: str, *, above: int = -1, limit: int | None = None
    ) -> list[Published]:
        """Return the first `limit` published checkpoints of sizes over `above`, oldest first."""
        held = self._ledger.logs.get(log)
        found = sorted(held.published.items()) if held else []
        return [made for size, made in found if size > above][:limit]

    async def last_published(self, log: str, size: int) -> Published | None:
        """Return the newest published checkpoint of at most this size, witnessed or not."""
        made = [one for one in await self.published(log) if one.size <= size]
        return made[-1] if made else None

    async def newest_witnessed(self, log: str, covering: int) -> Published | None:
        """Return the newest published checkpoint that is witnessed, of at least this size."""
        made = [one for one in await self.published(log) if one.is_witnessed]
        return next((one for one in reversed(made) if one.size >= covering), None)

    async def archived(self, log: str) -> list[Archived]:
        """Return what archives hold of a log, by bundle and archive."""
        held = self._ledger.logs.get(log)
        return [made for _, made in sorted(held.archived.items())] if held else []

    async def document_counts(self) -> dict[str, int]:
        """Return how many versions of documents each tenant has; it grows with every change."""
        return {tenant: len(held) for tenant, held in self._ledger.documents.items() if held}

    async def documents(self, tenant: str) -> list[Document[Spec]]:
        """Return every version of every document of a tenant, oldest first."""
        held = self._ledger.documents.get(tenant, [])
        return sorted(held, key=lambda item: (item.kind, item.name, item.version))

    async def tenants(self) -> list[str]:
        """Return the names of all tenants."""
        return sorted(log for log in self._ledger.logs if log != "system" and "~" not in log)

    async def patients(self, tenant: str, terms: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return, for each blind index term that is known, the ledger ids of its patients."""
        found: dict[str, set[str]] = defaultdict(set)
        for (whose, patient), known in self._ledger.patients.items():
            for term in set(terms).intersection(known if whose == tenant else ()):
                found[term].add(patient)
        return {term: frozenset(patients) for term, patients in found.items()}

    async def open_exchanges(self, tenant: str, *, expired_at_ms: int | None = None) -> list[str]:
        """Return the items of exchanges whose outcome is awaited."""
        return [
            item
            for (whose, item), replica in self._ledger.awaited.items()
            if whose == tenant
            and (expired_at_ms is None or self._ledger.leases.get(replica, 0) <= expired_at_ms)
        ]

    async def sealed(self, tenant: str, kind: str, item: str) -> Sealed | None:
        """Return a sealed value, or None if there is none."""
        return self._ledger.kept.get((tenant, kind, item))

    async def reference(self, tenant: str, kind: str, item: str) -> str | None:
        """Return the digest of a sealed value that lies in the payload store, or None."""
        held = self._ledger.references.get((tenant, kind, item))
        return held.digest if held else None

    async def session(self, digest: str) -> Session | None:
        """Return a session by its digest."""
        return self._ledger.people.sessions.get(digest)

    async def sessions(self, tenant: str, user: str | None = None) -> list[Session]:
        """Return a tenant's sessions, or one person's."""
        return self._ledger.people.of(tenant, user)

    async def answer(self, digest: str) -> KeptAnswer | None:
        """Return what is known of an idempotency key."""
        return self._ledger.people.answers.get(digest)

    async def spent_from(self, first: str, now_ms: int) -> frozenset[str]:
        """Return the digests of spent assertions from `first` on whose time is not over."""
        spent = self._ledger.spent.items()
        return frozenset(one for one, until_ms in spent if one >= first and until_ms > now_ms)

    async def referred(self, digests: Sequence[str]) -> frozenset[str]:
        """Return those of these digests that a reference names, whichever tenant's."""
        return frozenset(digests) & {held.digest for held in self._ledger.references.values()}


class RecordingNotifier:
    """The Notifier port as a list of what it was told."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, str, int | None]] = []

    def alarm(self, code: str, tenant: str, entry: int | None) -> None:
        """Keep the alarm."""
        self.alarms.append((code, tenant, entry))


@dataclass(frozen=True)
class ScriptedAnswer:
    """One answer of a model: its status, its body in pieces, and how it ends."""

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    fault: Error | None = None
    """What is raised after the last piece; None lets the body end as it should."""

    async def read(self) -> bytes:
        """Return the whole body, or raise the fault."""
        return b"".join([piece async for piece in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces, then raise the fault if there is one."""
        for piece in self.pieces:
            yield piece
        if self.fault is not None:
            raise self.fault


@dataclass(frozen=True)
class Sent:
    """What a model was sent."""

    endpoint: EndpointSpec
    path: str
    body: bytes


Turn = ScriptedAnswer | Error
"""An answer, or the error that is raised before there is one."""


class ScriptedModel:
    """The ModelClient port by script: one turn after the other, the last one for ever.

    A turn may also be a function of the request's body.
    """

    def __init__(
        self, *script: Turn | Callable[[bytes], Turn], journal: list[str] | None = None
    ) -> None:
        self._script = list(script)
        self.sent: list[Sent] = []
        """Every request, also those that were answered with an error."""
        self.closed = 0
        """How many answers were let go of."""
        self.journal: list[str] = journal if journal is not None else []
        """`send` for each request; share it with a `MemoryLedger` to see the order."""

    @asynccontextmanager
    async def send(
        self, endpoint: EndpointSpec, path: str, body: bytes
    ) -> AsyncIterator[ScriptedAnswer]:
        """Record the request and answer by the script."""
        self.sent.append(Sent(endpoint, path, body))
        self.journal.append("send")
        if not self._script:
            raise RuntimeError("this model has no script: nothing should have been sent")
        turn = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        answer = turn if isinstance(turn, ScriptedAnswer | Error) else turn(body)
        if isinstance(answer, Error):
            raise answer
        try:
            yield answer
        finally:
            self.closed += 1


class WordDetector:
    """The Detector port by a list: finds these words and nothing else."""

    def __init__(
        self, words: Mapping[str, Label] | None = None, clinical: Sequence[ClinicalTerm] = ()
    ) -> None:
        self._words = dict(words or {})
        self._clinical = list(clinical)

    def find(self, text: str, known: Sequence[KnownIdentifiers] = ()) -> list[Span]:  # noqa: ARG002  the port's
        """Return where the words stand, in order."""
        spans = [
            Span(at, at + len(word), label, "rule", 1.0)
            for word, label in self._words.items()
            for at in range(len(text))
            if text.startswith(word, at)
        ]
        return sorted(spans, key=lambda span: span.start)

    def clinical_terms(self, text: str) -> list[ClinicalTerm]:
        """Return the clinical terms that were given, for any text that is not empty."""
        return list(self._clinical) if text else []
