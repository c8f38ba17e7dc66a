"""Which step of `migrations` a database has taken, and taking those that it lacks.

The question is plain SQL, asked at every start; Alembic, which is slow to
import, is needed only where the answer is not the newest step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from seawall.adapters.db.schema import REVISION
from seawall.core.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy import Connection

_STEPS: Final = Path(__file__).parent / "migrations"
_KNOWN: Final = frozenset({None, "0001", "0002", "0003", "0004", REVISION})
STAMP_TABLE: Final = (
    "create table if not exists alembic_version (version_num varchar(32) not null, "
    "constraint alembic_version_pkc primary key (version_num))"
)
"""The table in which Alembic finds a database's step."""


def stamp(connection: Connection, revision: str) -> None:
    """Note in a database, for Alembic, which step its tables are of; replaces no note."""
    connection.exec_driver_sql(STAMP_TABLE)
    connection.execute(
        text("insert into alembic_version values (:revision) on conflict do nothing"),
        {"revision": revision},
    )


def check_known(revision: str | None) -> None:
    """Raise `Conflict` if a database has taken a step that this program does not know."""
    if revision not in _KNOWN:
        raise Conflict(
            "schema-version",
            f"the database has a newer schema than this program, which knows {REVISION}",
            "use the program version that prepared the database, or a newer one",
        )


def upgrade(connection: Connection) -> None:
    """Take the steps that a database lacks, within the transaction that the caller began."""
    from alembic import command  # noqa: PLC0415  it costs a start of the program half as much again
    from alembic.config import Config  # noqa: PLC0415  as above

    config = Config()
    config.set_main_option("script_location", str(_STEPS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
