"""What the ledger says of backups and drills: entries of the system's log, without content.

A drill is addressable: 45 CFR 164.308(a)(7)(ii)(D), testing and revision procedures.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, Query
from seawall.core.backup.statements import REPOSITORY_ID, SNAPSHOT_NAME
from seawall.core.errors import Invalid
from seawall.core.ledger.encoding import LARGEST_INTEGER, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.backup.make import Made
    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Clock, Ledger, Store
    from seawall.core.policy.principal import Principal

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NUMBERS: Final = {
    "make": ("files", "size", "written", "rows", "logs"),
    "drill": ("rows", "size", "milliseconds"),
}


@dataclass(frozen=True, slots=True)
class Drilled:
    """A restore drill: what was restored, and how long it took."""

    snapshot: str
    rows: int
    size: int
    milliseconds: int


def record_backup(made: Made) -> dict[str, Any]:
    """Return what an entry says of a snapshot that was made."""
    return asdict(made)


def record_drill(drilled: Drilled) -> dict[str, Any]:
    """Return what an entry says of a drill."""
    return asdict(drilled)


class RecordBackup:
    """Makes the entries `backup.make` and `backup.drill`."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def record(self, principal: Principal, said: Mapping[str, Any]) -> int:
        """Make what was done durable in the system's log; return the entry's index.

        `Invalid` if a field is missing, unknown, or not what it should be.
        """
        what = said.get("what")
        fields = {name: value for name, value in said.items() if name != "what"}
        if what not in _NUMBERS or not _is_sound(str(what), fields):
            raise Invalid(
                "backup-record-invalid",
                "what is to be recorded is no backup and no drill",
                "docs/reference/ledger-entries.md has the fields of backup.make and backup.drill",
            )
        if "note" in fields:
            fields["note"] = f"sha256:{fields['note']}"
        receipt = await self._ledger.append(
            SYSTEM_LOG, entry(f"backup.{what}", principal, self._clock, **fields)
        )
        return receipt.index


def _is_sound(what: str, fields: Mapping[str, Any]) -> bool:
    texts = {"snapshot": SNAPSHOT_NAME}
    if what == "make":
        texts |= {"repository": REPOSITORY_ID, "note": _DIGEST}
    numbers = _NUMBERS[what]
    return (
        fields.keys() == {*texts, *numbers}
        and all(
            isinstance(fields[name], str) and pattern.fullmatch(fields[name])
            for name, pattern in texts.items()
        )
        and all(
            type(fields[name]) is int and 0 <= fields[name] <= LARGEST_INTEGER for name in numbers
        )
    )


async def last_drill(store: Store, indexing: IndexLedger | None = None) -> dict[str, Any] | None:
    """Return the entry of the newest drill among those indexed, or None."""
    if indexing is not None:
        await indexing.caught_up(SYSTEM_LOG)
    found = await store.find(SYSTEM_LOG, Query((("action", "backup.drill"),), last=1))
    return decode(found[-1][1]) if found else None
