"""The tables, once for every database.

Columns that hold PHI hold sealed envelopes; search terms are keyed digests.
`entries` can be read and appended to, and triggers refuse everything else.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

REVISION: Final = "0005"
"""The newest step of `migrations`, which ends in these tables."""

metadata: Final = MetaData()

heads: Final = Table(
    "heads",
    metadata,
    Column("log", Text, primary_key=True),
    Column("origin", Text, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("edge", LargeBinary, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("minimum", BigInteger, nullable=False, server_default="0"),
)
"""One row per log: what the next batch continues from. Written by the sequencer alone.

`minimum` is the first entry that pruning left.
"""

entries: Final = Table(
    "entries",
    metadata,
    Column("log", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    PrimaryKeyConstraint("log", "position"),
    sqlite_with_rowid=False,
)

tiles: Final = Table(
    "tiles",
    metadata,
    Column("log", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("log", "level", "position"),
)
"""Full tiles of 256 hashes; the incomplete ones are the edge in `heads`."""

facets: Final = Table(
    "facets",
    metadata,
    Column("log", Text, nullable=False),
    Column("facet", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("log", "facet", "value", "at_ms", "position"),
    sqlite_with_rowid=False,
)
"""The index of entries: a projection, made after the commit, that may lag behind."""

indexed: Final = Table(
    "indexed",
    metadata,
    Column("log", Text, primary_key=True),
    Column("upto", BigInteger, nullable=False),
)
"""Up to which entry (exclusive) each log is in `facets`."""

published: Final = Table(
    "published",
    metadata,
    Column("log", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("is_witnessed", Boolean, nullable=False),
    Column("stamp", LargeBinary),
    PrimaryKeyConstraint("log", "size"),
)
"""Checkpoints that were shown to witnesses, with their cosignatures and time stamps."""

archived: Final = Table(
    "archived",
    metadata,
    Column("log", Text, nullable=False),
    Column("bundle", BigInteger, nullable=False),
    Column("archive", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("log", "bundle", "archive"),
    sqlite_with_rowid=False,
)
"""Which archives hold which full bundles; without two, no entry of a bundle may go."""

leases: Final = Table(
    "leases",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
)
"""Until when each replica speaks for the exchanges that it opened."""

documents: Final = Table(
    "documents",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "kind", "name", "version"),
    sqlite_with_rowid=False,
)

patients: Final = Table(
    "patients",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("term", Text, nullable=False),
    Column("patient", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "term", "patient"),
    sqlite_with_rowid=False,
)
"""Blind index: keyed digests of identifiers, and whose they are."""

sealed: Final = Table(
    "sealed",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant", "kind", "item"),
    Index("sealed_by_subject", "tenant", "subject"),
)
"""Sealed values; `subject` says whose, as the envelope does, so that shredding finds them."""

payloads: Final = Table(
    "payloads",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("digest", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "kind", "item"),
    Index("payloads_by_subject", "tenant", "subject"),
    Index("payloads_by_digest", "digest"),
    sqlite_with_rowid=False,
)
"""Sealed values that a payload store outside holds, by the digest of their ciphertext."""

data_keys: Final = Table(
    "data_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("tenant_key_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("uses", BigInteger, nullable=False, server_default="0"),
    Column("made_ms", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("tenant", "subject", "kind", "version"),
    Index("data_keys_by_wrapping", "tenant", "tenant_key_version", "key_id"),
)
"""Data keys under their tenant's key; `uses` counts sealings that were reserved."""

tenant_keys: Final = Table(
    "tenant_keys",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("use", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("root_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "use", "version"),
    sqlite_with_rowid=False,
)
"""Tenants' own keys under their root keys; an empty one marks a tenant that was shredded."""

installation: Final = Table(
    "installation",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""What must be the same for every process of this database, such as whose key ring it is."""

assertions: Final = Table(
    "assertions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
)
"""Client assertions that were used; a row may go once its assertion has expired."""

open_exchanges: Final = Table(
    "open_exchanges",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("replica", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant", "item"),
    sqlite_with_rowid=False,
)
"""Exchanges with an intent and no outcome yet, and the replica that awaits it."""

sessions: Final = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("methods", Text, nullable=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("factor_ms", BigInteger, nullable=False),
    Column("network", Text, nullable=False),
    Index("sessions_by_person", "tenant", "person"),
)
"""Sessions by the digest of the name that the browser holds; no PHI, and none of a person."""

answers: Final = Table(
    "answers",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("asked", Text, nullable=False),
    Column("claimed_by", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("body", LargeBinary),
)
"""What requests with an idempotency key were answered, without PHI."""

OF_TENANTS: Final = (
    *(documents, patients, sealed, payloads, data_keys, tenant_keys, open_exchanges),
    *(entries, facets),
)
"""Whose rows PostgreSQL shows to nobody who does not name their tenant, or their log."""

_NEW: Final = "exists (select 1 from entries where log = new.log and position = new.position)"
_MINIMUM: Final = "coalesce((select minimum from heads where log = old.log), 0)"
_ANOTHER_HEAD: Final = (
    "new.minimum <> 0 or exists (select 1 from heads "
    "where log = new.log or origin = new.origin or rowid = new.rowid)"
)
_RENAMED: Final = (
    "new.log is not old.log or new.origin is not old.origin or new.rowid is not old.rowid"
)
_UNSAFE: Final = (
    "new.minimum < old.minimum or new.minimum % 256 or new.minimum > old.size "
    "or new.minimum / 256 - old.minimum / 256 > (select count(*) from (select bundle "
    "from archived where log = new.log and bundle >= old.minimum / 256 "
    "and bundle < new.minimum / 256 group by bundle having count(*) >= 2))"
)
_NEEDED_TILE: Final = f"old.level <> 0 or old.position >= {_MINIMUM} / 256"
_MOVED_TILE: Final = (
    "new.log is not old.log or new.level is not old.level or new.position is not old.position "
    "or new.rowid is not old.rowid"
)
_OTHER_TILE: Final = "substr(new.hashes, 1, length(old.hashes)) is not old.hashes"
_ANOTHER_TILE: Final = (
    "exists (select 1 from tiles as old where log = new.log and level = new.level "  # noqa: S608  words of ours
    f"and position = new.position and {_OTHER_TILE}) "
    f"or exists (select 1 from tiles as old where rowid = new.rowid and ({_MOVED_TILE}))"
)
APPEND_ONLY: Final = tuple(
    f"create trigger {name} before {moment} begin select raise(abort, '{reason}'); end"
    for name, moment, reason in (
        ("entries_refuse_update", "update on entries", "entries are append-only"),
        (
            "entries_refuse_delete",
            f"delete on entries when old.position >= {_MINIMUM}",
            "entries are append-only",
        ),
        # `insert or replace` deletes without asking the triggers on deleting, also what has
        # the same rowid or the same origin.
        ("entries_refuse_replace", f"insert on entries when {_NEW}", "entries are append-only"),
        ("heads_refuse_delete", "delete on heads", "a log is not deleted"),
        ("heads_refuse_replace", f"insert on heads when {_ANOTHER_HEAD}", "a log is not replaced"),
        ("heads_refuse_renaming", f"update on heads when {_RENAMED}", "a log keeps its name"),
        (
            "heads_refuse_shrinking",
            "update of size on heads when new.size < old.size",
            "a log does not shrink",
        ),
        (
            "heads_refuse_pruning",
            f"update of minimum on heads when {_UNSAFE}",
            "a log is pruned only where two archives hold it",
        ),
        ("tiles_refuse_delete", f"delete on tiles when {_NEEDED_TILE}", "the tree is kept"),
        (
            "tiles_refuse_change",
            f"update on tiles when {_MOVED_TILE} or {_OTHER_TILE}",
            "the tree only grows",
        ),
        ("tiles_refuse_replace", f"insert on tiles when {_ANOTHER_TILE}", "the tree only grows"),
    )
)
"""Statements that make SQLite refuse changes to entries and tree, and pruning without archives."""
