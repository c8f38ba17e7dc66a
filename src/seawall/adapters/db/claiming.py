"""Which key ring a database goes with: noted once, and compared ever after.

Two rings on one database would each seal what the other cannot open, and sign
logs by two keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, text

from seawall.adapters.db.schema import data_keys, installation
from seawall.adapters.db.store import EVERY_TENANT, read_now, translated
from seawall.core.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NOTE: Final = text("insert into installation values ('ring', :ring) on conflict do nothing")
_HAS_KEYS: Final = select(data_keys.c.key_id).limit(1)
_NOTED: Final = select(installation.c.value).where(installation.c.name == bindparam("wanted"))


def claim_for(engine: Engine, ring: str) -> None:
    """Note a key ring's fingerprint; `Conflict` (`ring-foreign`) if another one is noted.

    Nor is a database taken (`keys-outdated`) whose data keys are under what no ring holds now.
    """
    held = _noted(engine)
    if held is None:
        if read_now(engine, _HAS_KEYS, {}, EVERY_TENANT):
            raise Conflict(
                "keys-outdated",
                "the database's keys are of a build that kept tenants' keys in the ring's file",
                "go on with that build, or begin a new data folder; nothing was changed",
            )
        with translated(), engine.begin() as connection:
            connection.execute(_NOTE, {"ring": ring})
        held = _noted(engine)
    if held != ring:
        raise Conflict(
            "ring-foreign",
            "the database belongs to another key ring",
            "use the key ring that was made with this database, or another database",
        )


def _noted(engine: Engine) -> str | None:
    rows = read_now(engine, _NOTED, {"wanted": "ring"}, "")
    return str(rows[0].value) if rows else None
