"""Recording backups and drills that a terminal made, while the server holds the folder.

The backup itself is made by the terminal's own process, which reads beside the server
and takes nothing from it. The client must be one whose document says `may_apply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from seawall.core.errors import Error, Invalid, Refused
from seawall.core.registers.client import ClientSpec
from seawall.http.errors import json_response, respond
from seawall.http.requests import bearer, read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from seawall.app.backup.recording import RecordBackup
    from seawall.app.documents import Documents
    from seawall.app.issue_token import IssueToken

_MAX_BODY = 4_096


class BackupDoor:
    """POST /api/backups: what was made."""

    def __init__(
        self, *, issue_token: IssueToken, documents: Documents, recording: RecordBackup
    ) -> None:
        self._issue_token = issue_token
        self._documents = documents
        self._recording = recording

    async def record(self, request: Request) -> Response:
        """Record a backup or a drill; answer with the entry's index."""
        try:
            principal = (await self._issue_token.identify_whole(bearer(request))).principal
            client = self._documents.register(principal.tenant).find(ClientSpec, principal.name)
            if client is None or not client.spec.may_apply:
                raise Refused(
                    "backup-not-granted",
                    "this client may not record backups",
                    "record them as a client whose document says may_apply: true",
                )
            index = await self._recording.record(principal, await _body(request))
        except Error as error:
            return respond(error)
        return json_response({"entry": index})


async def _body(request: Request) -> dict[str, object]:
    try:
        said = orjson.loads(await read_body(request, _MAX_BODY))
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise Invalid(
            "backup-record-invalid",
            "the body is not an object",
            "docs/reference/http.md has the fields of this path",
        )
    return said
