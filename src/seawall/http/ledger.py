"""Reading a log over HTTPS: queries, entries, proofs; and recording what a terminal reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from seawall.app.ledger_query import read_query
from seawall.app.ports import SYSTEM_LOG
from seawall.app.record_reading import WHATS, Reading
from seawall.core.errors import Error, Invalid
from seawall.core.ledger.encoding import LARGEST_INTEGER, decode
from seawall.http.errors import json_response, respond
from seawall.http.requests import bearer, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from seawall.app.documents import Documents
    from seawall.app.issue_token import IssueToken
    from seawall.app.ports import Clock, Query
    from seawall.app.read_ledger import ReadLedger
    from seawall.app.record_reading import Auditors, Recorded, RecordReading
    from seawall.core.policy.principal import Principal

_MAX_BODY: Final = 16_384
_MINUTE: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}Z", re.ASCII)
_LOGS: Final = re.compile(r"(tenant|system)((?:~\d{1,3})?)", re.ASCII)
_FIELDS: Final = frozenset({"what", "log", "query", "index", "minute", "fetches"})


class LedgerDoor:
    """The paths below /api/ledger: every one records the reading before it answers."""

    def __init__(
        self,
        *,
        issue_token: IssueToken,
        documents: Documents,
        auditors: Auditors,
        read_ledger: ReadLedger,
        readings: RecordReading,
        clock: Clock,
    ) -> None:
        self._issue_token = issue_token
        self._documents = documents
        self._auditors = auditors
        self._read_ledger = read_ledger
        self._readings = readings
        self._clock = clock

    async def entries(self, request: Request) -> Response:
        """Answer GET /api/ledger/entries: what a query finds, the newest of it."""
        try:
            given = _parameters(request)
            principal, log = await self._reader(request, given.pop("log", "tenant"))
            query = read_query(given, self._clock.now_ms())
            recorded = await self._readings.record(principal, Reading("list", log, query))
            found = [{"entry": index, **decode(raw)} for index, raw in recorded.entries]
        except Error as error:
            return respond(error)
        return json_response({**_told(recorded), "entries": found})

    async def entry(self, request: Request) -> Response:
        """Answer GET /api/ledger/entries/{index}: one entry."""
        try:
            log, index = await self._one(request, "show")
            shown = {"entry": index, **await self._read_ledger.entry(log, index)}
        except Error as error:
            return respond(error)
        return json_response(shown)

    async def proof(self, request: Request) -> Response:
        """Answer GET /api/ledger/proof/{index}: a C2SP tlog-proof."""
        try:
            log, index = await self._one(request, "prove")
            proof = await self._read_ledger.proof(log, index)
        except Error as error:
            return respond(error)
        return Response(proof, 200, {"Cache-Control": "no-store"}, "text/plain")

    async def record(self, request: Request) -> Response:
        """Answer POST /api/ledger/readings: record what the terminal is about to read."""
        try:
            body = _body(await read_body(request, _MAX_BODY))
            principal, log = await self._reader(request, body.get("log", "tenant"))
            recorded = await self._readings.record(
                principal, _reading(body, log, self._clock.now_ms())
            )
        except Error as error:
            return respond(error)
        return json_response(_told(recorded))

    async def _one(self, request: Request, what: Any) -> tuple[str, int]:
        """Return which entry of which log is asked for, once the reading is recorded."""
        given = _parameters(request)
        principal, log = await self._reader(request, given.pop("log", "tenant"))
        if given:
            raise _wrong("only log is asked for beside the index")
        index = _index(request.path_params["index"])
        await self._readings.record(principal, Reading(what, log, index=index))
        return log, index

    async def _reader(self, request: Request, log: Any) -> tuple[Principal, str]:
        """Return who asks, and the log that is meant, if it may be read."""
        principal = (await self._issue_token.identify_whole(bearer(request))).principal
        found = _LOGS.fullmatch(log) if isinstance(log, str) else None
        if found is None:
            raise _wrong("log is neither tenant nor system")
        name = (SYSTEM_LOG if found[1] == "system" else principal.tenant) + found[2]
        register = self._documents.register(principal.tenant)
        self._auditors.require(register, principal, name, self._documents.tenants())
        return principal, name


def _told(recorded: Recorded) -> dict[str, Any]:
    return {"reading": recorded.entry, "size": recorded.size, "found": recorded.found}


def _parameters(request: Request) -> dict[str, str]:
    given = dict(request.query_params)
    if len(request.query_params.multi_items()) != len(given):
        raise _wrong("a parameter is given twice")
    return given


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or not body.keys() <= _FIELDS:
        raise _wrong("the body is not an object of the fields of a reading")
    return body


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
