"""The caller's own session: what it is, and its end.

A page reads here what it sends in `Seawall-Csrf`, and how long ago a factor was shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import Response

from seawall.app.caller import Caller
from seawall.core.ledger.facets import moment_text
from seawall.http.api.guard import clear_session

if TYPE_CHECKING:
    from seawall.app.ports import Clock
    from seawall.app.sessions import Sessions
    from seawall.http.api.guard import Api


class SessionShown(BaseModel):
    """Who the caller is, and what is known of the session."""

    kind: Literal["user", "client"]
    tenant: str
    name: str
    roles: list[str]
    """The roles that count today."""
    methods: list[str]
    """How the person was shown (RFC 8176); empty for a client."""
    factor_age_seconds: int | None
    """How long ago a factor was shown; null for a client."""
    csrf: str
    """What changes send in the header Seawall-Csrf; empty for a client."""


class OtherShown(BaseModel):
    """Another session of the caller's: when and how it began, and when it was used last."""

    began: str
    seen: str
    """To the minute."""
    methods: list[str]
    same_network: bool


class OthersShown(BaseModel):
    """The caller's other sessions, the one used last first."""

    items: list[OtherShown]


def session_room(api: Api, sessions: Sessions, clock: Clock) -> APIRouter:
    """Return the routes of the caller's own session."""
    room = api.router("session")

    @room.get("/session", summary="Who the caller is")
    async def shown(caller: Caller = Depends(api.caller)) -> SessionShown:
        """Answer who calls, with which roles, and how."""
        session, asker = caller.session, api.access.asker(caller)
        return SessionShown(
            kind="client" if session is None else "user",
            tenant=caller.principal.tenant,
            name=caller.principal.name,
            roles=sorted(asker.roles),
            methods=[] if session is None else list(session.methods),
            factor_age_seconds=(
                None if session is None else max(0, clock.now_ms() - session.factor_ms) // 1000
            ),
            csrf=api.csrf(caller),
        )

    @room.delete("/session", summary="Sign out", status_code=204, response_class=Response)
    async def ended(caller: Caller = Depends(api.caller)) -> Response:
        """End the session; a client has none, and its token ends by itself."""
        await sessions.end(caller)
        response = Response(status_code=204, headers={"Clear-Site-Data": '"cache", "storage"'})
        clear_session(response)
        return response

    @room.get("/session/others", summary="The caller's other sessions")
    async def others(caller: Caller = Depends(api.caller)) -> OthersShown:
        """Answer where else the caller is signed in; no name of a session is in it."""
        network = "" if caller.session is None else caller.session.network
        return OthersShown(
            items=[
                OtherShown(
                    began=moment_text(one.began_ms),
                    seen=moment_text(one.seen_ms),
                    methods=list(one.methods),
                    same_network=one.network == network,
                )
                for one in await sessions.others(caller)
            ]
        )

    @room.delete("/session/others", summary="End the caller's other sessions", status_code=204)
    async def others_ended(caller: Caller = Depends(api.caller)) -> Response:
        """End them, and not this one; needs a fresh factor."""
        index = await sessions.end_others(caller)
        return Response(status_code=204, headers={"Seawall-Entry": str(index)})

    return room
