"""What a batch of jobs changes in PostgreSQL, one statement per kind and not per job.

Who conflicts is decided here, in the order of the jobs, from what the database
holds; a job that conflicts leaves nothing. Statements come in a fixed order
and rows sorted, so that two replicas never wait for each other in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.adapters.db.postgres_keys import of_key_fact, of_keys, shredding
from seawall.adapters.db.postgres_statement import Statement, columns_of, insert, of_session
from seawall.adapters.db.statements import keys_in_use
from seawall.app.ports import (
    BeginAnswer,
    CloseExchange,
    DropDataKeys,
    DropTenantKeys,
    EndSession,
    EndSessions,
    ForgetExpired,
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
    KeepSession,
    KeepTenantKey,
    OpenExchange,
    ReplaceTenantKey,
    ReserveUses,
    ShredSubjects,
    ShredTenant,
    SpendAssertion,
    TouchSession,
    Write,
)
from seawall.core.errors import Conflict
from seawall.core.registers.spec import canonical_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seawall.app.ports import Fact, WrappedKey

Key = tuple[str, ...]
"""What can exist once: its kind, then its columns as text."""

_TAKEN: Final = {
    "assertion": "select 'assertion', digest from assertions where digest = any(%b::text[])",
    "exchange": "select 'exchange', tenant, item from open_exchanges "
    "join unnest(%b::text[], %b::text[]) as wanted (tenant, item) using (tenant, item)",
    "sealed": "select 'sealed', tenant, kind, item, encode(sha256(envelope), 'hex') from sealed "
    "join unnest(%b::text[], %b::text[], %b::text[]) as wanted (tenant, kind, item) "
    "using (tenant, kind, item)",
    "document": "select 'document', tenant, kind, name, version::text from documents "
    "join unnest(%b::text[], %b::text[], %b::text[], %b::int[]) "
    "as wanted (tenant, kind, name, version) using (tenant, kind, name, version)",
    # Asked after the keys are locked, so that no other replica adds one under them.
    "keys": "select 'keys', tenant, below::text from unnest(%b::text[], %b::int[]) "
    "as wanted (tenant, below) where exists (select 1 from data_keys "
    "where data_keys.tenant = wanted.tenant and tenant_key_version < wanted.below)",
}


_FACTS: Final = (
    KeepFacets,
    KeepPublished,
    KeepArchived,
    KeepLease,
    KeepTenantKey,
    ReplaceTenantKey,
    KeepRewrapped,
    ReserveUses,
    ForgetExpired,
    TouchSession,
    BeginAnswer,
    KeepAnswer,
)
"""The order in which every replica keeps facts."""


class NotAWriteError(RuntimeError):
    """A job asked for what is no write: a mistake of the program, told to that job alone."""


def taken_queries(writes: Iterable[Write]) -> Iterator[Statement]:
    """Yield what asks the database which keys of these writes exist."""
    wanted: dict[str, list[Key]] = {}
    for write in writes:
        key = _key(write)
        if isinstance(write, KeepSealed) and write.replaces is None:
            continue
        if key is not None:
            wanted.setdefault(key[0], []).append(key)
    for kind, keys in wanted.items():
        columns: list[Any] = [list(column) for column in zip(*keys, strict=True)][1:]
        if kind in {"document", "keys"}:
            columns[-1] = [int(version) for version in columns[-1]]
        yield Statement(_TAKEN[kind], tuple(columns))


def _key(write: Write) -> Key | None:
    """Return what a write would make that can exist once, or would end or replace."""
    if isinstance(write, SpendAssertion):
        return "assertion", write.digest
    if isinstance(write, OpenExchange | CloseExchange):
        return "exchange", write.tenant, write.item
    if isinstance(write, KeepSealed):
        context = write.sealed.context
        return "sealed", context.tenant, context.kind, context.item
    if isinstance(write, KeepDocument):
        made = write.document
        return "document", write.tenant, made.kind, made.name, str(made.version)
    if isinstance(write, DropTenantKeys):
        return "keys", write.tenant, str(write.below)
    return None


@dataclass(slots=True)
class Changes:
    """The writes and facts of one batch that will be made, by kind."""

    taken: set[Key] = field(default_factory=set)
    """What exists: at first in the database, then after each job that was taken too."""
    digests: dict[Key, str] = field(default_factory=dict)
    """Of the sealed values that jobs would replace: at first in the database, then as `taken`."""
    closed: set[tuple[str, str]] = field(default_factory=set)
    opened: dict[tuple[str, str], str] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    made: list[tuple[str, str, str, int, bytes]] = field(default_factory=list)
    patients: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    sealed: dict[tuple[str, str, str], tuple[bytes, str]] = field(default_factory=dict)
    references: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)
    shredding: list[ShredSubjects | ShredTenant | DropTenantKeys | DropDataKeys] = field(
        default_factory=list
    )
    sessions: list[KeepSession | EndSession | EndSessions] = field(default_factory=list)
    """In the order of the jobs: who signs in after the end of all sessions has one."""
    keys: list[WrappedKey] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def know(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Take in what one of `taken_queries` answered."""
        for row in rows:
            if row[0] == "sealed":
                self.digests[row[:4]] = f"sha256:{row[4]}"
            else:
                self.taken.add(row)

    def take(self, writes: Sequence[Write]) -> None:
        """Take one job's writes, all or none; `Conflict` if one contradicts what is there."""
        begun: set[Key] = set()
        ended: set[Key] = set()
        replaced: dict[Key, str] = {}
        for write in writes:
            if not isinstance(write, Write):
                raise NotAWriteError(type(write).__name__)
            key = _key(write)
            if key is None:
                continue
            if isinstance(write, KeepSealed):
                held = replaced.get(key, self.digests.get(key, ""))
                if write.replaces not in {None, held}:
                    raise _conflict(write)
                replaced[key] = write.sealed.digest()
            elif isinstance(write, CloseExchange):
                begun.discard(key)
                ended.add(key)
            elif key in begun or (key in self.taken and key not in ended):
                raise _conflict(write)
            else:
                begun.add(key)
        self.taken -= ended
        self.taken |= begun
        self.digests |= replaced
        for write in writes:
            if isinstance(write, KeepSession | EndSession | EndSessions):
                self.sessions.append(write)
            else:
                self._take(write)

    def _take(self, write: Write) -> None:
        match write:
            case KeepSealed(sealed):
                context = sealed.context
                place = (context.tenant, context.kind, context.item)
                self.sealed[place] = (bytes(sealed), context.subject)
            case KeepReference(tenant, kind, item, subject, digest):
                self.references[tenant, kind, item] = (subject, digest)
            case KeepDocument(tenant, made):
                spec = canonical_spec(made.spec)
                self.made.append((tenant, made.kind, made.name, made.version, spec))
            case KeepPatient(tenant, patient, terms):
                self.patients[tenant, patient] = terms
            case SpendAssertion(digest, until_ms):
                self.spent[digest] = until_ms
            case OpenExchange(tenant, item, replica):
                self.opened[tenant, item] = replica
            case CloseExchange(tenant, item):
                if self.opened.pop((tenant, item), None) is None:
                    self.closed.add((tenant, item))
            case ShredSubjects() | ShredTenant() | DropTenantKeys() | DropDataKeys():
                self.shredding.append(write)

    def statements(self) -> Iterator[Statement]:
        """Yield what makes the changes, in the order that every replica keeps to."""
        yield from self._statements_of_exchanges()
        if self.spent:
            spent = sorted(self.spent.items())
            yield insert("assertions", ("text", "bigint"), spent, each=True)
        if self.made:
            types = ("text", "text", "text", "int", "bytea")
            yield insert("documents", types, sorted(self.made), each=True)
        yield from self._statements_of_patients()
        yield from self._statements_of_sealed()
        for session in self.sessions:
            yield from of_session(session)
        # What ends keys comes first: no data key is then kept under one that is gone.
        for change in self.shredding:
            yield from shredding(change)
        if self.keys:
            yield of_keys(self.keys)
        for kind in _FACTS:
            for fact in self.facts:
                if isinstance(fact, kind):
                    yield from _of_fact(fact)

    def _statements_of_sealed(self) -> Iterator[Statement]:
        if self.sealed:
            kinds = ("text", "text", "text", "bytea", "text")
            sealed = [(*key, *kept) for key, kept in sorted(self.sealed.items())]
            then = (
                "(tenant, kind, item) do update set envelope = excluded.envelope, "
                "subject = excluded.subject"
            )
            yield insert("sealed (tenant, kind, item, envelope, subject)", kinds, sealed, then)
        if self.references:
            columns = "payloads (tenant, kind, item, subject, digest)"
            then = (
                "(tenant, kind, item) do update set subject = excluded.subject, "
                "digest = excluded.digest"
            )
            rows = [(*place, *where) for place, where in sorted(self.references.items())]
            yield insert(columns, ("text",) * 5, rows, then)

    def _statements_of_exchanges(self) -> Iterator[Statement]:
        if self.closed:
            yield Statement(
                "delete from open_exchanges using unnest(%b::text[], %b::text[]) "
                "as closed (tenant, item) where open_exchanges.tenant = closed.tenant "
                "and open_exchanges.item = closed.item",
                columns_of(sorted(self.closed)),
            )
        if self.opened:
            rows = [(*key, replica) for key, replica in sorted(self.opened.items())]
            yield insert("open_exchanges", ("text", "text", "text"), rows, each=True)

    def _statements_of_patients(self) -> Iterator[Statement]:
        if not self.patients:
            return
        yield Statement(
            "delete from patients using unnest(%b::text[], %b::text[]) as old (tenant, patient) "
            "where patients.tenant = old.tenant and patients.patient = old.patient",
            columns_of(sorted(self.patients)),
        )
        rows = sorted(
            {
                (tenant, term, patient)
                for (tenant, patient), terms in self.patients.items()
                for term in terms
            }
        )
        if rows:
            yield insert("patients", ("text", "text", "text"), rows)


def _conflict(write: Write) -> Conflict:
    if isinstance(write, SpendAssertion):
        return Conflict(
            "assertion-reused",
            "this assertion was used before",
            "sign a new assertion, with its own jti, for each token",
        )
    if isinstance(write, KeepDocument):
        return Conflict(
            "version-exists",
            f"{write.document.reference} was applied by someone else meanwhile",
            "apply again: it will become the next version",
        )
    if isinstance(write, DropTenantKeys):
        return keys_in_use()
    if isinstance(write, KeepSealed):
        return Conflict(
            "sealed-changed",
            "what this would replace was replaced by someone else meanwhile",
            "read it again, and then change it",
        )
    return Conflict(
        "exchange-open",
        "an exchange of this id awaits its outcome",
        "send the request again; it gets a new id",
    )


def _of_fact(fact: Fact) -> Iterator[Statement]:
    match fact:
        case KeepFacets(log, upto, rows):
            if rows:
                named = [(log, *row) for row in sorted(rows)]
                yield insert("facets", ("text", "text", "text", "bigint", "bigint"), named)
            yield Statement(
                "insert into indexed values (%b, %b) on conflict (log) do update set "
                "upto = greatest(indexed.upto, excluded.upto)",
                (log, upto),
            )
        case KeepPublished(made):
            # A trigger refuses to shorten a note and to drop a stamp: a replica that knew less
            # must not make a whole batch fail.
            yield Statement(
                "insert into published (log, size, at_ms, note, is_witnessed, stamp) "
                "values (%b, %b, %b, %b, %b, %b) on conflict (log, size) do update set "
                "at_ms = excluded.at_ms, note = excluded.note, "
                "is_witnessed = excluded.is_witnessed, stamp = excluded.stamp "
                "where length(excluded.note) >= length(published.note) "
                "and (published.stamp is null or excluded.stamp is not null)",
                (made.log, made.size, made.at_ms, made.note, made.is_witnessed, made.stamp),
            )
        case KeepArchived(held):
            yield Statement(
                "insert into archived (log, bundle, archive, version, digest, at_ms) "
                "values (%b, %b, %b, %b, %b, %b) on conflict (log, bundle, archive) do update "
                "set version = excluded.version, digest = excluded.digest, "
                "at_ms = excluded.at_ms",
                (held.log, held.bundle, held.archive, held.version, held.digest, held.at_ms),
            )
        case KeepLease(replica, until_ms):
            yield Statement(
                "insert into leases values (%b, %b) on conflict (replica) do update set "
                "until_ms = excluded.until_ms",
                (replica, until_ms),
            )
        case KeepTenantKey() | ReplaceTenantKey() | KeepRewrapped() | ReserveUses():
            yield of_key_fact(fact)
        case TouchSession() | BeginAnswer() | KeepAnswer() | ForgetExpired():
            yield from of_session(fact)
