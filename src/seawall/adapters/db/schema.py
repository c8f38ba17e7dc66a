"""The tables, once for every database.

Columns that hold PHI hold sealed envelopes; search terms are keyed digests.
`entries` can be read and appended to, and triggers refuse everything else.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = 1

metadata: Final = MetaData()

heads: Final = Table(
    "heads",
    metadata,
    Column("log", Text, primary_key=True),
    Column("origin", Text, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("edge", LargeBinary, nullable=False),
    Column("checkpoint", Text, nullable=False),
)
"""One row per log: what the next batch continues from. Written by the sequencer alone."""

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
    PrimaryKeyConstraint("tenant", "kind", "item"),
)

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
    UniqueConstraint("tenant", "subject", "kind", "version"),
)

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
    PrimaryKeyConstraint("tenant", "item"),
    sqlite_with_rowid=False,
)
"""Exchanges with an intent and no outcome yet."""

_EXISTS: Final = "exists (select 1 from entries where log = new.log and position = new.position)"
APPEND_ONLY: Final = tuple(
    f"create trigger entries_refuse_{name} before {moment} begin "
    "select raise(abort, 'entries are append-only'); end"
    for name, moment in (
        ("update", "update on entries"),
        ("delete", "delete on entries"),
        # `insert or replace` deletes without asking the trigger above.
        ("replace", f"insert on entries when {_EXISTS}"),
    )
)
"""Statements that make SQLite refuse changes to entries."""
