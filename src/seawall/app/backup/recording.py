"""What the ledger says of backups and drills: entries of the system's log, without content.

They are made by a process that holds the data folder, or reported over the API by who
shows that they hold its keys: which backup counts, and which copies a shredding must
rewrite, is read from them.
A drill is addressable: 45 CFR 164.308(a)(7)(ii)(D), testing and revision procedures.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SUCCEEDED, SYSTEM_LOG, Query, SpendAssertion
from seawall.core.backup.proof import FRESH_MS, is_proven, report_proof
from seawall.core.backup.statements import REPOSITORY_ID, SNAPSHOT_NAME
from seawall.core.errors import Conflict, Invalid, Refused
from seawall.core.ledger.encoding import LARGEST_INTEGER, decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from seawall.app.access import Allowed
    from seawall.app.backup.make import Made
    from seawall.app.ports import Clock, Ledger, Store, Write
    from seawall.core.policy.principal import Principal

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLACE: Final = re.compile(r"settings|elsewhere")
_SPENT: Final = "assertion-reused"
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


def reported(said: Mapping[str, Any], *, receipt_key: bytes, by: str, at_ms: int) -> dict[str, Any]:
    """Return what a terminal reports to a server, with the proof that it holds the keys."""
    proof = report_proof(receipt_key, by, at_ms, said)
    return {**said, "reported_ms": at_ms, "proof": proof}


class RecordBackup:
    """Makes the entries `backup.make` and `backup.drill`."""

    def __init__(self, *, ledger: Ledger, clock: Clock, receipt_key: bytes) -> None:
        self._ledger = ledger
        self._clock = clock
        self._receipt_key = receipt_key

    async def record(self, principal: Principal, said: Mapping[str, Any]) -> int:
        """Make what this process did durable in the system's log; return the entry's index.

        `Invalid` if a field is missing, unknown, or not what it should be.
        """
        return await self._append(principal, said)

    async def record_reported(self, allowed: Allowed, told: Mapping[str, Any]) -> int:
        """Make what a terminal reports durable, as reported, if it shows that it holds the keys.

        Once; else `Refused` (`backup-unproven`), which is an entry of the caller's own log.
        """
        said = {name: told[name] for name in told if name not in {"reported_ms", "proof"}}
        _check(said)
        by = allowed.caller.principal
        proof, at_ms = told.get("proof"), told.get("reported_ms")
        whose, now_ms = f"{by.tenant}/{by.name}", self._clock.now_ms()
        key = self._receipt_key
        if not is_proven(key, whose, said, at_ms=at_ms, proof=proof, now_ms=now_ms):
            raise await self._unproven(allowed)
        digest = hashlib.sha256(f"backup report {proof}".encode()).hexdigest()
        spent = SpendAssertion(digest, now_ms + 2 * FRESH_MS)
        access = allowed.answer.fields()
        try:
            return await self._append(by, said, [spent], reported=True, access=access)
        except Conflict as conflict:
            if conflict.code != _SPENT:
                raise
            raise await self._unproven(allowed) from None

    async def _append(
        self,
        principal: Principal,
        said: Mapping[str, Any],
        writes: Sequence[Write] = (),
        **more: Any,
    ) -> int:
        what = _check(said)
        fields = {name: value for name, value in said.items() if name != "what"}
        if "note" in fields:
            fields["note"] = f"sha256:{fields['note']}"
        body = entry(f"backup.{what}", principal, self._clock, **fields, **more)
        return (await self._ledger.append(SYSTEM_LOG, body, writes)).index

    async def _unproven(self, allowed: Allowed) -> Refused:
        """Record the refusal in the caller's own log; return the error."""
        error = Refused(
            "backup-unproven",
            "nothing shows that whoever reports this holds the installation's keys, just now",
            "make backups and drills by `seawall backup` and `seawall restore --drill`, with the "
            "data folder of the server, and a clock that is right",
        )
        by = allowed.caller.principal
        answer = {**allowed.answer.fields(), "allowed": False, "code": error.code}
        said = {"what": allowed.action.value, "on": allowed.resource.on.value, "access": answer}
        body = entry("access.refused", by, self._clock, **said)
        error.entry = (await self._ledger.append(by.tenant, body)).index
        return error


def _check(said: Mapping[str, Any]) -> str:
    """Return whether a backup or a drill is told of; `Invalid` unless every field is sound."""
    what = said.get("what")
    fields = {name: value for name, value in said.items() if name != "what"}
    if not isinstance(what, str) or what not in _NUMBERS or not _is_sound(what, fields):
        raise Invalid(
            "backup-record-invalid",
            "what is to be recorded is no backup and no drill",
            "docs/reference/ledger-entries.md has the fields of backup.make and backup.drill",
        )
    return what


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
