"""Who may do what: the table of roles and actions, and why somebody may or may not.

Both ask the policies many times, so they work beside the server's own thread; the table
is of the shipped policies, which do not change while the server runs, and is made once.
An explanation takes a good part of a second of computing: one at a time is made, in one
thread, and each caller gets so many a minute.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.app.explain_access import Asked
from seawall.core.access.vocabulary import Action
from seawall.core.errors import Refused
from seawall.http.api.conditions import READ, versioned
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.explain_access import ExplainAccess
    from seawall.app.ports import Rates
    from seawall.core.policy.principal import Principal
    from seawall.http.api.guard import Api

Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ActionShown(BaseModel):
    """An action, what it asks for, and which roles and powers may do it for which purposes."""

    action: str
    on: str
    needs_fresh_factor: bool
    needs_reason: bool
    allowed: dict[str, list[str]]
    """By role or power; an empty list where no purpose is asked for."""
    stopped_in_emergency_mode: list[str]


class MatrixShown(BaseModel):
    """The table, without what a tenant's own documents forbid besides."""

    actions: list[ActionShown]


class WhyAsked(Body):
    """Who would do what to what, for what."""

    principal: Words = Field(examples=["role/clinician", "user/ada", "client/portal"])
    action: Words = Field(examples=["open-payload"])
    resource: Words = Field(examples=["Payload/*"])
    purpose: Words | None = None
    fresh_factor: bool = False
    reason_given: bool = False
    emergency_mode: bool = False


class PolicyTold(BaseModel):
    """A policy that determined the answer."""

    name: str
    title: str
    law: str


class WhyShown(BaseModel):
    """The answer, the policies behind it, and what would change it."""

    allowed: bool
    code: str | None = None
    policies: list[PolicyTold]
    lacking: list[str]
    would_allow: list[list[str]]


def access_room(
    api: Api,
    explaining: ExplainAccess,
    matrix: Callable[[], list[dict[str, Any]]],
    rates: Rates,
) -> APIRouter:
    """Return the routes of access; `matrix` is called once, and may take its time."""
    room = api.router("access", prefix="/access")
    one_at_a_time = asyncio.Semaphore()
    table: asyncio.Task[tuple[list[dict[str, Any]], str]] | None = None

    @room.get("/matrix", summary="Who may do what", response_model=MatrixShown, **READ)
    async def shown(
        request: Request,
        _allowed: Allowed = Depends(api.allow(Action.EXPLAIN_ACCESS)),
    ) -> Response:
        """Show the table; its ETag changes with the policies that the product ships."""
        nonlocal table
        if table is None or (table.done() and table.exception() is not None):
            table = asyncio.create_task(asyncio.to_thread(_made, matrix))
        rows, version = await asyncio.shield(table)
        return versioned(request, {"actions": rows}, version)

    @room.post("/explain", summary="Why somebody may or may not", response_model=WhyShown)
    async def explained(
        asked: WhyAsked, allowed: Allowed = Depends(api.allow(Action.EXPLAIN_ACCESS))
    ) -> Response:
        """Answer from the policies and the documents as they stand; nothing is done."""
        _count(rates, allowed.caller.principal)
        question = Asked(
            asked.principal,
            asked.action,
            asked.resource,
            asked.purpose,
            asked.fresh_factor,
            asked.reason_given,
            asked.emergency_mode,
        )
        tenant = allowed.caller.principal.tenant
        async with one_at_a_time:
            found = await asyncio.to_thread(explaining.explain, tenant, question)
        return json_response(found.fields())

    return room


def _count(rates: Rates, by: Principal) -> None:
    """Count an explanation for whoever asks; `Refused` if it is one too many."""
    if not rates.take("explain", f"{by.tenant}/{by.kind}/{by.name}"):
        raise Refused(
            "explain-limited",
            "you asked for too many explanations",
            "wait a minute; the table of access answers for all roles at once",
        )


def _made(matrix: Callable[[], list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], str]:
    rows = matrix()
    return rows, hashlib.sha256(orjson.dumps(rows)).hexdigest()[:32]
