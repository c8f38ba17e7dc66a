"""The tables of schema version 1: logs, entries, and what goes with them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None


def upgrade() -> None:
    """Make the tables of the first release."""
    op.create_table(
        "heads",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False, unique=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("edge", sa.LargeBinary, nullable=False),
        sa.Column("checkpoint", sa.Text, nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tiles",
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "position"),
    )
    _create_registers()
    _create_keys()


def _create_registers() -> None:
    op.create_table(
        "documents",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "patients",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("term", sa.Text, nullable=False),
        sa.Column("patient", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "term", "patient"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sealed",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "item"),
    )


def _create_keys() -> None:
    op.create_table(
        "data_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("tenant_key_version", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "subject", "kind", "version"),
    )
    op.create_table(
        "assertions",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "open_exchanges",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "item"),
        sqlite_with_rowid=False,
    )
