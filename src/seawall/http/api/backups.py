"""Recording backups and drills that a terminal made, while the server holds the folder.

The backup itself is made by the terminal's own process, which reads beside the server
and takes nothing from it. What the terminal reports counts for the whole installation,
so it shows that it holds the installation's keys; no role and no power stands in for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.core.access.vocabulary import Action
from seawall.http.api.guard import Rules, ruled
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from seawall.app.backup.recording import RecordBackup
    from seawall.http.api.guard import Api

_MAX_BODY: Final = 4_096


class Recorded(BaseModel):
    """The entry of the system's log that says what was made."""

    entry: int


def backups_room(api: Api, recording: RecordBackup) -> APIRouter:
    """Return the route of backups."""
    room = api.router("backups", prefix="/backups")

    @room.post("", summary="Record a backup or a drill", response_model=Recorded)
    @ruled(Rules(most=_MAX_BODY))
    async def record(
        said: Annotated[dict[str, Any], Body()],
        allowed: Allowed = Depends(api.allow(Action.RECORD_BACKUP)),
    ) -> Response:
        """Record what was made: the fields of backup.make or backup.drill, and their proof."""
        return json_response({"entry": await recording.record_reported(allowed, said)})

    return room
