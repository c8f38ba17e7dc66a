"""The logs as C2SP tlog-tiles, for reading alone: checkpoint, tiles, entry bundles.

A log's URL is https://ORIGIN/. Entries are handled as PHI, so every fetch takes
a token of a client that may audit the log; a log that it may not read and one
that is not there are the same to it. The policies are asked at every fetch, and a
refusal is an entry. Fetches are recorded per client and minute.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from seawall.app.ports import SYSTEM_LOG, whose
from seawall.app.read_ledger import tile_unknown
from seawall.app.record_reading import Reading
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Error, Missing, Refused
from seawall.core.ledger.tiles import parse_path
from seawall.http.errors import respond
from seawall.http.requests import bearer

if TYPE_CHECKING:
    from starlette.requests import Request

    from seawall.app.access import Access
    from seawall.app.caller import Caller
    from seawall.app.count_readings import CountReadings
    from seawall.app.documents import Documents
    from seawall.app.issue_token import IssueToken
    from seawall.app.ports import Head, Store
    from seawall.app.read_ledger import ReadLedger
    from seawall.app.record_reading import Auditors

_IMMUTABLE: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_COMPRESSION: Final = 6


class TlogDoor:
    """GET below /log/: what a tiled transparency log serves."""

    def __init__(
        self,
        *,
        issue_token: IssueToken,
        documents: Documents,
        auditors: Auditors,
        access: Access,
        store: Store,
        read_ledger: ReadLedger,
        counting: CountReadings,
    ) -> None:
        self._issue_token = issue_token
        self._documents = documents
        self._auditors = auditors
        self._access = access
        self._store = store
        self._read_ledger = read_ledger
        self._counting = counting

    async def checkpoint(self, request: Request) -> Response:
        """Answer GET /log/{log}/checkpoint: tlog-tiles, "Checkpoints"."""
        try:
            head = await self._fetched(request)
            note = await self._read_ledger.checkpoint(head)
        except Error as error:
            return respond(error)
        return Response(note, 200, {"Cache-Control": "no-store"}, "text/plain")

    async def tile(self, request: Request) -> Response:
        """Answer GET /log/{log}/tile/...: tlog-tiles, "Merkle Tree" and "Log entries"."""
        try:
            head = await self._fetched(request)
            # A path has one spelling here: what was percent-encoded is another.
            is_plain = b"%" not in request.scope.get("raw_path", b"%")
            place = parse_path(f"tile/{request.path_params['path']}") if is_plain else None
            if place is None:
                raise tile_unknown()
            level, index, width = place
            if level is not None:
                tile = await self._read_ledger.tile(head, level, index, width)
                return Response(tile, 200, _IMMUTABLE, "application/octet-stream")
            return await _compressed(request, await self._read_ledger.bundle(head, index, width))
        except Error as error:
            return respond(error)

    async def _fetched(self, request: Request) -> Head:
        """Return the head of the log that the path names, once the fetch is recorded."""
        caller = await self._issue_token.identify_whole(bearer(request))
        head = await self._log(caller, request.path_params["log"])
        await self._counting.fetch(caller.principal, Reading("tiles", head.log))
        return head

    async def _log(self, caller: Caller, name: str) -> Head:
        """Return the head of a log by its random id, of those that the client may audit."""
        granted = self._granted(caller)
        # Those too that a log succeeded: they are read and not appended to.
        found = [
            head
            for head in await self._store.logs()
            if whose(head.log) in granted and head.origin.rpartition("/")[2] == name
        ]
        # Asked for a log that is not there too, so that the policies' no shows nobody which are.
        log = whose(found[0].log) if found else granted[0]
        action, on = (
            (Action.READ_SYSTEM_LEDGER, "system")
            if log == SYSTEM_LOG
            else (Action.READ_LEDGER, "tenant")
        )
        await self._access.require(caller, action, Resource(On.LOG, caller.principal.tenant, on))
        if found:
            return found[0]
        raise Missing(
            "log-unknown",
            "there is no log of this address that this client may read",
            "a log's address is https:// and its origin, the first line of its checkpoint",
        )

    def _granted(self, caller: Caller) -> list[str]:
        """Return the logs that the client's document lets it audit; `Refused` if none."""
        principal, granted = caller.principal, []
        register, tenants = self._documents.register(principal.tenant), self._documents.tenants()
        refused: list[Refused] = []
        for log in (principal.tenant, SYSTEM_LOG):
            try:
                self._auditors.require(register, principal, log, tenants)
                granted.append(log)
            except Refused as error:
                refused.append(error)
        if not granted:
            raise refused[0]
        return granted


async def _compressed(request: Request, bundle: bytes) -> Response:
    """Return an entry bundle, by gzip if the client takes it; tlog-tiles: SHOULD."""
    headers = {**_IMMUTABLE, "Vary": "Accept-Encoding"}
    accepted = [
        item.strip().lower() for item in request.headers.get("accept-encoding", "").split(",")
    ]
    if "gzip" in accepted:
        bundle = await asyncio.to_thread(gzip.compress, bundle, _COMPRESSION, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(bundle, 200, headers, "application/octet-stream")
