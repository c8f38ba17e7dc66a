"""Tenants' keys beside the data, counted data keys, payloads outside, whose sealed values are."""

from __future__ import annotations

import json
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

_HEADER: Final = 6
"""Where an envelope's header starts; its length is in the two bytes before."""
_LONGEST: Final = 65_535
_PIECE: Final = 500
_sealed: Final = sa.table(
    "sealed",
    sa.column("tenant", sa.Text),
    sa.column("kind", sa.Text),
    sa.column("item", sa.Text),
    sa.column("envelope", sa.LargeBinary),
    sa.column("subject", sa.Text),
)


def upgrade() -> None:
    """Add the tables and columns, and note whose each sealed value is."""
    op.add_column("data_keys", sa.Column("uses", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column(
        "data_keys", sa.Column("made_ms", sa.BigInteger, nullable=False, server_default="0")
    )
    op.create_index(
        "data_keys_by_wrapping", "data_keys", ["tenant", "tenant_key_version", "key_id"]
    )
    op.add_column("sealed", sa.Column("subject", sa.Text, nullable=False, server_default=""))
    op.create_index("sealed_by_subject", "sealed", ["tenant", "subject"])
    op.create_table(
        "payloads",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "item"),
        sqlite_with_rowid=False,
    )
    op.create_index("payloads_by_subject", "payloads", ["tenant", "subject"])
    op.create_table(
        "tenant_keys",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("use", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("root_version", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "use", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _note_subjects()


def _note_subjects() -> None:
    """Copy the subject of each envelope into its row; an envelope's header is not sealed.

    A piece at a time, and of each envelope no more than its header.
    """
    run = op.get_bind().execute
    key = (_sealed.c.tenant, _sealed.c.kind, _sealed.c.item)
    start = sa.func.substr(_sealed.c.envelope, 1, _HEADER + _LONGEST).label("start")
    piece = sa.select(*key, start).order_by(*key).limit(_PIECE)
    last: tuple[str, ...] | None = None
    while rows := run(piece if last is None else piece.where(sa.tuple_(*key) > last)).all():
        for row in rows:
            length = int.from_bytes(row.start[4:_HEADER], "big")
            header = json.loads(row.start[_HEADER : _HEADER + length])
            matching = [column == getattr(row, column.name) for column in key]
            run(sa.update(_sealed).where(*matching).values(subject=header["subject"]))
        last = (rows[-1].tenant, rows[-1].kind, rows[-1].item)
