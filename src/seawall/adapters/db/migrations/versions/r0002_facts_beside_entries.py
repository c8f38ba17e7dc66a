"""Facts beside entries, pruning under rules, leases; and what makes a database keep its entries.

PostgreSQL's triggers hold for every role, the owner included, replication too.
They name their tables with the schema, because a temporary table of the same
name would otherwise be asked instead.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

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
_SQLITE: Final = (
    "drop trigger if exists entries_refuse_update",
    "drop trigger if exists entries_refuse_delete",
    "drop trigger if exists entries_refuse_replace",
    *(
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
            (
                "heads_refuse_replace",
                f"insert on heads when {_ANOTHER_HEAD}",
                "a log is not replaced",
            ),
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
            (
                "tiles_refuse_replace",
                f"insert on tiles when {_ANOTHER_TILE}",
                "the tree only grows",
            ),
        )
    ),
)
_CHECKING: Final = "language plpgsql set search_path = pg_catalog, pg_temp as"
"""No operator or function that a role made is asked in place of the database's own."""
_POSTGRESQL: Final = (
    f"""
    create function public.seawall_refuse() returns trigger {_CHECKING} $$
    begin
      raise exception using errcode = 'check_violation', message = tg_argv[0];
    end $$
    """,
    f"""
    create function public.seawall_keep_entries() returns trigger {_CHECKING} $$
    begin
      if exists (select 1 from gone left join public.heads as head on head.log = gone.log
                 where head.log is null or gone.position >= head.minimum) then
        raise exception using errcode = 'check_violation', message = 'entries are append-only';
      end if;
      return null;
    end $$
    """,  # noqa: S608  words of ours
    f"""
    create function public.seawall_append_entries() returns trigger {_CHECKING} $$
    begin
      if exists (select 1 from come left join public.heads as head on head.log = come.log
                 group by come.log, head.size
                 having min(come.position) is distinct from head.size
                 or max(come.position) - head.size + 1 <> count(*)) then
        raise exception using errcode = 'check_violation', message = 'entries join at the end';
      end if;
      return null;
    end $$
    """,  # noqa: S608  words of ours
    # A plan made while the log was short would read the whole of a long one.
    f"""
    create function public.seawall_keep_heads() returns trigger
      set enable_seqscan = off {_CHECKING} $$
    declare
      refusal text := case
        when new.log <> old.log or new.origin <> old.origin then 'a log keeps its name'
        when new.size < old.size then 'a log does not shrink'
        when new.size > old.size and not (
          select count(*) = new.size - old.size and max(position) = new.size - 1
          from public.entries where log = new.log and position >= old.size
        ) then 'a log is as long as its entries'
      end;
    begin
      if new.minimum <> old.minimum and (
        new.minimum < old.minimum or mod(new.minimum, 256) <> 0 or new.minimum > old.size
        or new.minimum / 256 - old.minimum / 256 > (
          select count(*) from (
            select bundle from public.archived
            where log = new.log and bundle >= old.minimum / 256 and bundle < new.minimum / 256
            group by bundle having count(*) >= 2) as held)
      ) then
        refusal := 'a log is pruned only where two archives hold it';
      end if;
      if refusal is not null then
        raise exception using errcode = 'check_violation', message = refusal;
      end if;
      return new;
    end $$
    """,  # noqa: S608  words of ours
    f"""
    create function public.seawall_keep_tiles() returns trigger {_CHECKING} $$
    begin
      if tg_op = 'DELETE' then
        if old.level = 0 and old.position < (
          select minimum / 256 from public.heads where log = old.log
        ) then
          return old;
        end if;
        raise exception using errcode = 'check_violation', message = 'the tree is kept';
      end if;
      if (new.log, new.level, new.position) <> (old.log, old.level, old.position)
        or substr(new.hashes, 1, length(old.hashes)) <> old.hashes then
        raise exception using errcode = 'check_violation', message = 'the tree only grows';
      end if;
      return new;
    end $$
    """,  # noqa: S608  words of ours
    f"""
    create function public.seawall_keep_published() returns trigger {_CHECKING} $$
    begin
      if (new.log, new.size) <> (old.log, old.size) or length(new.note) < length(old.note)
        or (old.stamp is not null and new.stamp is null) then
        raise exception using errcode = 'check_violation', message = 'what was published is kept';
      end if;
      return new;
    end $$
    """,
    *(
        statement
        for table, name, moment, function in (
            (
                "entries",
                "refuse_change",
                "before update or truncate on public.entries for each statement",
                "refuse('entries are append-only')",
            ),
            (
                "entries",
                "refuse_delete",
                "after delete on public.entries referencing old table as gone for each statement",
                "keep_entries()",
            ),
            (
                "entries",
                "refuse_insert",
                "after insert on public.entries referencing new table as come for each statement",
                "append_entries()",
            ),
            (
                "heads",
                "refuse_delete",
                "before delete or truncate on public.heads for each statement",
                "refuse('a log is not deleted')",
            ),
            (
                "heads",
                "refuse_change",
                "before update on public.heads for each row",
                "keep_heads()",
            ),
            (
                "tiles",
                "refuse_truncate",
                "before truncate on public.tiles for each statement",
                "refuse('the tree is kept')",
            ),
            (
                "tiles",
                "refuse_change",
                "before update or delete on public.tiles for each row",
                "keep_tiles()",
            ),
            (
                "published",
                "refuse_delete",
                "before delete or truncate on public.published for each statement",
                "refuse('what was published is kept')",
            ),
            (
                "published",
                "refuse_change",
                "before update on public.published for each row",
                "keep_published()",
            ),
        )
        for statement in (
            f"create trigger {table}_{name} {moment} execute function public.seawall_{function}",
            f"alter table public.{table} enable always trigger {table}_{name}",
        )
    ),
)


def upgrade() -> None:
    """Add the tables and columns, and replace what keeps entries."""
    op.add_column("heads", sa.Column("minimum", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column(
        "open_exchanges", sa.Column("replica", sa.Text, nullable=False, server_default="")
    )
    _create_index()
    _create_outside()
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE if is_sqlite else _POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


def _create_index() -> None:
    op.create_table(
        "facets",
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("facet", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("log", "facet", "value", "at_ms", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "indexed",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("upto", sa.BigInteger, nullable=False),
    )


def _create_outside() -> None:
    op.create_table(
        "published",
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("is_witnessed", sa.Boolean, nullable=False),
        sa.Column("stamp", sa.LargeBinary),
        sa.PrimaryKeyConstraint("log", "size"),
    )
    op.create_table(
        "archived",
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("bundle", sa.BigInteger, nullable=False),
        sa.Column("archive", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("log", "bundle", "archive"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("replica", sa.Text, primary_key=True),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
