"""Reading a log over HTTPS: queries, entries, proofs; and recording what a terminal reads.

Every path records the reading before it answers. The system's log tells of every
tenant: where there are several, the installation's settings name who may read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from seawall.app.access import Allowed, together
from seawall.app.ledger_query import read_query
from seawall.app.ports import SYSTEM_LOG
from seawall.app.record_reading import HANDED_OUT, WHATS, Reading
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import ACTS, Action
from seawall.core.errors import Invalid
from seawall.core.ledger.encoding import LARGEST_INTEGER, decode
from seawall.core.ledger.facets import FACETS
from seawall.http.api.guard import LONGEST_REASON, Rules, ruled
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Query
    from seawall.app.read_ledger import ReadLedger
    from seawall.app.record_reading import Auditors, Recorded, RecordReading
    from seawall.core.policy.principal import Principal
    from seawall.http.api.guard import Api, Asked

_MAX_BODY: Final = 16_384
_MINUTE: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}Z", re.ASCII)
_LOGS: Final = re.compile(r"(tenant|system)((?:~\d{1,3})?)", re.ASCII)
_FIELDS: Final = frozenset({"what", "log", "query", "index", "minute", "fetches", "reason"})
_ASKED: Final = (*FACETS, "since", "until", "before", "last")


def _parameter(name: str, told: str) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": 80}
    return {"name": name, "in": "query", "required": False, "description": told, "schema": schema}


_LOG: Final = _parameter("log", "`tenant` or `system`, or one that a restoring succeeded.")
_QUERY: Final = [
    _LOG,
    *(_parameter(name, "docs/reference/http.md has its form.") for name in _ASKED),
]
Index = Annotated[str, Path(max_length=20, examples=["0"])]


class ReadingShown(BaseModel):
    """A recorded reading: its entry in the system's log, the log's size, how many it finds."""

    reading: int
    size: int
    found: int


class EntriesShown(ReadingShown):
    """What a query found."""

    entries: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LedgerParts:
    """What the routes of the ledger read with."""

    documents: Documents
    auditors: Auditors
    read_ledger: ReadLedger
    readings: RecordReading
    clock: Clock

    def log(self, allowed: Allowed, asked: Any) -> tuple[Principal, str]:
        """Return who reads which log, if the settings let them read it."""
        principal, log = allowed.caller.principal, _log(asked)
        name = (SYSTEM_LOG if log[1] == "system" else principal.tenant) + log[2]
        if log[1] == "system":
            self.auditors.require_named(principal, self.documents.tenants())
        return principal, name

    async def one(self, request: Request, allowed: Allowed, what: Any) -> tuple[str, int]:
        """Return which entry of which log is asked for, once the reading is recorded."""
        given = dict(request.query_params)
        principal, log = self.log(allowed, given.pop("log", "tenant"))
        if given:
            raise _wrong("only log is asked for beside the index")
        index = _index(request.path_params["index"])
        said = allowed.answer.fields()
        await self.readings.record(principal, Reading(what, log, index=index), said)
        return log, index


def ledger_room(api: Api, parts: LedgerParts) -> APIRouter:
    """Return the routes of the ledger."""
    room = api.router("ledger", prefix="/ledger")

    @room.get(
        "/entries",
        summary="Find entries",
        response_model=EntriesShown,
        openapi_extra={"parameters": _QUERY},
    )
    async def entries(
        request: Request, allowed: list[Allowed] = Depends(api.allow_each(_of_query))
    ) -> Response:
        """Find what a query finds, the newest of it; `before` leads to the page before."""
        given = dict(request.query_params)
        principal, log = parts.log(allowed[0], given.pop("log", "tenant"))
        query = read_query(given, parts.clock.now_ms())
        said = allowed[0].answer.fields()
        recorded = await parts.readings.record(principal, Reading("list", log, query), said)
        found = [{"entry": index, **decode(raw)} for index, raw in recorded.entries]
        return json_response({**_told(recorded), "entries": found})

    @room.get(
        "/entries/{index}",
        summary="Show an entry",
        response_model=dict[str, Any],
        openapi_extra={"parameters": [_LOG]},
    )
    async def entry(
        request: Request,
        index: Index,  # noqa: ARG001  read with the rest of what is asked
        allowed: list[Allowed] = Depends(api.allow_each(_of_query)),
    ) -> Response:
        """Show one entry."""
        log, at = await parts.one(request, allowed[0], "show")
        return json_response({"entry": at, **await parts.read_ledger.entry(log, at)})

    @room.get(
        "/proof/{index}",
        summary="Prove an entry",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        openapi_extra={"parameters": [_LOG]},
    )
    async def proof(
        request: Request,
        index: Index,  # noqa: ARG001  as for one entry
        allowed: list[Allowed] = Depends(api.allow_each(_of_query)),
    ) -> Response:
        """Prove that an entry is in the signed log, as a C2SP tlog-proof."""
        log, at = await parts.one(request, allowed[0], "prove")
        made = await parts.read_ledger.proof(log, at)
        return Response(made, 200, {"Cache-Control": "no-store"}, "text/plain")

    @room.post("/readings", summary="Record a reading", response_model=ReadingShown)
    @ruled(Rules(most=_MAX_BODY))
    async def record(
        said: Annotated[dict[str, Any], Body(examples=[{"what": "verify", "log": "tenant"}])],
        allowed: list[Allowed] = Depends(api.allow_each(_of_body)),
    ) -> Response:
        """Record what the terminal is about to read from the folder itself, and why."""
        whole = together(allowed)
        principal, log = parts.log(whole, said.get("log", "tenant"))
        reading, access = _reading(said, log, parts.clock.now_ms()), whole.answer.fields()
        recorded = await parts.readings.record(principal, reading, access, _reason(said))
        return json_response(_told(recorded))

    return room


def _of_query(asked: Asked) -> Iterator[tuple[Action, Resource]]:
    yield _act(asked, asked.query.get("log", "tenant"))


def _of_body(asked: Asked) -> Iterator[tuple[Action, Resource]]:
    if not isinstance(asked.body, dict) or not asked.body.keys() <= _FIELDS:
        raise _wrong("the body is not an object of the fields of a reading")
    action, log = _act(asked, asked.body.get("log", "tenant"))
    yield action, log
    if str(asked.body.get("what")) in HANDED_OUT:
        # Who takes entries away needs to be let read them, and to be let take them away.
        yield Action.EXPORT_LEDGER, log


def _act(asked: Asked, log: Any) -> tuple[Action, Resource]:
    is_system = _log(log)[1] == "system"
    action = Action.READ_SYSTEM_LEDGER if is_system else Action.READ_LEDGER
    return action, asked.resource(ACTS[action].on, "system" if is_system else "tenant")


def _log(said: Any) -> re.Match[str]:
    found = _LOGS.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise _wrong("log is neither tenant nor system")
    return found


def _told(recorded: Recorded) -> dict[str, Any]:
    return {"reading": recorded.entry, "size": recorded.size, "found": recorded.found}


def _reading(body: Mapping[str, Any], log: str, now_ms: int) -> Reading:
    what, minute = body.get("what"), body.get("minute")
    index, fetches = body.get("index"), body.get("fetches")
    if what not in WHATS:
        raise _wrong("what is not a way of reading")
    if minute is not None and not (isinstance(minute, str) and _MINUTE.fullmatch(minute)):
        raise _wrong("minute is not a minute, such as 2026-11-24T16:37Z")
    if not all(number is None or _is_number(number) for number in (index, fetches)):
        raise _wrong("index or fetches is not a whole number of at least 0")
    return Reading(what, log, _query(body.get("query"), now_ms), index, minute, fetches)


def _reason(body: Mapping[str, Any]) -> str:
    """Return why, as the body says it, in words; empty where it says nothing."""
    said = body.get("reason", "")
    if not isinstance(said, str) or len(said) > LONGEST_REASON:
        raise _wrong(f"reason is not a text of at most {LONGEST_REASON:,} characters")
    return said.strip()


def _query(given: Any, now_ms: int) -> Query | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _wrong("the query is not an object of texts")
    return read_query(given, now_ms)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_INTEGER


def _index(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(LARGEST_INTEGER)):
        raise _wrong("the index is not a whole number of at least 0")
    if str(int(text)) != text or int(text) > LARGEST_INTEGER:
        raise _wrong("the index is not a whole number of at least 0")
    return int(text)


def _wrong(message: str) -> Invalid:
    return Invalid(
        "reading-invalid", message, "docs/reference/http.md has the fields of every path"
    )
