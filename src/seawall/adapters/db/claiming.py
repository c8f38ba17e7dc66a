"""Which key ring a database goes with: noted once, and compared ever after.

Two rings on one database would each seal what the other cannot open, and sign
logs by two keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, text

from seawall.adapters.db.schema import installation
from seawall.adapters.db.store import translated
from seawall.core.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NOTE: Final = text("insert into installation values ('ring', :ring) on conflict do nothing")
_NOTED: Final = select(installation.c.value).where(installation.c.name == bindparam("wanted"))


def claim_for(engine: Engine, ring: str) -> None:
    """Note a key ring's fingerprint; `Conflict` (`ring-foreign`) if another one is noted."""
    with translated(), engine.connect() as connection:
        held = connection.execute(_NOTED, {"wanted": "ring"}).scalar_one_or_none()
        if held is None:
            connection.execute(_NOTE, {"ring": ring})
            connection.commit()
            held = connection.execute(_NOTED, {"wanted": "ring"}).scalar_one()
    if held != ring:
        raise Conflict(
            "ring-foreign",
            "the database belongs to another key ring",
            "use the key ring that was made with this database, or another database",
        )
