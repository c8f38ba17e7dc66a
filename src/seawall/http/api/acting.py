"""A person lets a client act for them: a subject token, for one client and five minutes.

The client exchanges it at /oauth2/token, once (RFC 8693). Whoever calls with a token
of a client gets none: only a person can be acted for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from seawall.app.acting import SUBJECT_SECONDS
from seawall.app.caller import Caller
from seawall.core.registers.spec import Name
from seawall.http.api.guard import Rules, ruled
from seawall.http.api.shapes import Body

if TYPE_CHECKING:
    from seawall.app.acting import Acting
    from seawall.http.api.guard import Api


class ToAct(Body):
    """Which client is to act for the caller."""

    client: Name


class SubjectToken(BaseModel):
    """What the client exchanges."""

    subject_token: str
    subject_token_type: str = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a name of RFC 8693
    expires_in: int = SUBJECT_SECONDS


def acting_room(api: Api, acting: Acting) -> APIRouter:
    """Return the route by which a person lets a client act."""
    room = api.router("session")

    @room.post("/person-tokens", summary="Let a client act for the caller", status_code=201)
    @ruled(Rules(keeps=False))
    async def made(body: ToAct, caller: Caller = Depends(api.caller)) -> SubjectToken:
        """Answer with a subject token for the client that is named; it is recorded."""
        return SubjectToken(subject_token=await acting.subject_token(caller, body.client))

    return room
