"""Applying documents over HTTPS, while the server runs.

The client must be one whose document says `may_apply`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from seawall.core.errors import Error, Invalid, Refused
from seawall.core.registers.client import ClientSpec
from seawall.http.errors import json_response, respond
from seawall.http.requests import bearer, read_body

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from seawall.app.documents import Documents
    from seawall.app.issue_token import IssueToken


class DocumentsDoor:
    """POST /api/documents: a JSON list of documents."""

    def __init__(self, *, issue_token: IssueToken, documents: Documents) -> None:
        self._issue_token = issue_token
        self._documents = documents

    async def apply(self, request: Request) -> Response:
        """Apply documents; answer what changed."""
        try:
            principal = (await self._issue_token.identify_whole(bearer(request))).principal
            client = self._documents.register(principal.tenant).find(ClientSpec, principal.name)
            if client is None or not client.spec.may_apply:
                raise Refused(
                    "apply-not-granted",
                    "this client may not apply documents",
                    "apply them as a client whose document says may_apply: true",
                )
            parsed = _json(await read_body(request))
            if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
                raise Invalid(
                    "documents-not-list",
                    "the body is not a list of documents",
                    'send [{"kind": ..., "name": ..., "spec": {...}}]',
                )
            applied = await self._documents.apply(principal, parsed)
        except Error as error:
            return respond(error)
        return json_response([asdict(one) for one in applied])


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
