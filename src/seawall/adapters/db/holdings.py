"""How much either database holds of somebody: counted, and nothing of it opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, select

from seawall.adapters.db.schema import data_keys, patients, payloads, sealed
from seawall.adapters.db.store import read
from seawall.app.ports import Held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Engine, Executable, ScalarSelect, Table


def _count(table: Table, subject: Column[Any] | None) -> ScalarSelect[int]:
    query = select(func.count()).select_from(table).where(table.c.tenant == bindparam("tenant"))
    if subject is not None:
        query = query.where(subject == bindparam("subject"))
    return query.scalar_subquery()


def _counts(*, by_subject: bool) -> Executable:
    return select(
        _count(data_keys, data_keys.c.subject if by_subject else None).label("data_keys"),
        _count(sealed, sealed.c.subject if by_subject else None).label("sealed"),
        _count(payloads, payloads.c.subject if by_subject else None).label("payloads"),
        _count(patients, patients.c.patient if by_subject else None).label("terms"),
    )


_WHOLE: Final = _counts(by_subject=False)
_SUBJECT: Final = _counts(by_subject=True)


class SqlHoldings:
    """The Holdings port."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def of(self, tenant: str, subjects: Sequence[str] | None = None) -> Held:
        """Return how much is held of these subjects, or of the whole tenant."""
        if subjects is None:
            rows = list(await read(self._engine, _WHOLE, tenant=tenant))
        else:
            rows = [
                (await read(self._engine, _SUBJECT, tenant=tenant, subject=subject))[0]
                for subject in subjects
            ]
        return Held(
            sum(row.data_keys for row in rows),
            sum(row.sealed + row.payloads for row in rows),
            sum(row.terms for row in rows),
        )
