"""What the ledger says of backups and drills: entries of the system's log, without content.

A drill is addressable: 45 CFR 164.308(a)(7)(ii)(D), testing and revision procedures.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SUCCEEDED, SYSTEM_LOG, Query
from seawall.core.backup.statements import REPOSITORY_ID, SNAPSHOT_NAME
from seawall.core.errors import Invalid
from seawall.core.ledger.encoding import LARGEST_INTEGER, decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from seawall.app.backup.make import Made
    from seawall.app.ports import Clock, Ledger, Store
    from seawall.core.policy.principal import Principal

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLACE: Final = re.compile(r"settings|elsewhere")
_PAGE: Final = 200
"""How many entries are read at once: what bounds memory."""
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


def record_backup(made: Made, *, is_settings: bool) -> dict[str, Any]:
    """Return what an entry says of a snapshot: made where the settings say, or elsewhere."""
    fields = asdict(made)
    fields.pop("unread")
    return {**fields, "place": "settings" if is_settings else "elsewhere"}


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
        texts |= {"repository": REPOSITORY_ID, "note": _DIGEST, "place": _PLACE}
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


async def last_drill(store: Store) -> dict[str, Any] | None:
    """Return the entry of the newest drill, or None."""
    return await anext(_recorded(store, SYSTEM_LOG, "backup.drill"), None)


async def last_made(store: Store, repository: str) -> dict[str, Any] | None:
    """Return the entry of the newest backup that was made into a repository, or None."""
    async for said in _recorded(store, SYSTEM_LOG, "backup.make"):
        if said["repository"] == repository:
            return said
    return None


async def settings_repository(store: Store) -> str | None:
    """Return which repository the settings' folder held last, or None if none was made there.

    What was recorded before a restoring, in a log that was succeeded, counts as well.
    """
    own = f"{SYSTEM_LOG}{SUCCEEDED}"
    earlier = [head.log for head in await store.logs() if head.log.startswith(own)]
    numbered = sorted(earlier, key=lambda log: int(log.removeprefix(own)), reverse=True)
    for log in (SYSTEM_LOG, *numbered):
        async for said in _recorded(store, log, "backup.make"):
            if said.get("place") == "settings":
                return str(said["repository"])
    return None


async def _recorded(store: Store, log: str, action: str) -> AsyncIterator[dict[str, Any]]:
    """Yield a log's entries of an action, newest first, those too that are not indexed yet."""
    head = await store.head(log)
    indexed = max(await store.indexed(log), head.minimum)
    for stop in range(head.size, indexed, -_PAGE):
        start = max(indexed, stop - _PAGE)
        for raw in reversed(await store.entries(log, start, stop)):
            said = decode(raw)
            if said["action"] == action:
                yield said
    query = Query((("action", action),), before=indexed, last=_PAGE)
    while page := await store.find(log, query):
        for _, raw in reversed(page):
            yield decode(raw)
        query = replace(query, before=page[0][0])
