"""Exchanges: their shape for who may see that they were, their text for who may open it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.app.open_payload import Part
from seawall.app.view_exchanges import Which
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import ACTS, Action
from seawall.core.errors import Invalid
from seawall.core.ledger.encoding import LARGEST_INTEGER
from seawall.core.registers.spec import NAME_PATTERN
from seawall.http.api.guard import Rules, ruled
from seawall.http.api.paging import After, Limit
from seawall.http.api.shapes import ForPurpose
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from seawall.app.open_payload import OpenPayload
    from seawall.app.view_exchanges import ViewExchanges
    from seawall.http.api.guard import Api, Asked

UseCase = Annotated[str | None, Query(max_length=63, pattern=f"^{NAME_PATTERN}$")]


class ExchangeListed(BaseModel):
    """One exchange's shape; `entry` is its place in the tenant's ledger."""

    entry: int
    at: str
    client: str
    use_case: str | None
    purpose: str | None
    model: str | None
    outcome: str | None
    found: dict[str, int]
    left: dict[str, int]


class ExchangesPage(BaseModel):
    """Exchanges, the newest first page first, and the entry that says that they were read."""

    items: list[ExchangeListed]
    next: str | None
    reading: int


class PayloadAsked(ForPurpose):
    """Which part of which exchange is to be opened, for what."""

    entry: int = Field(
        ge=0, le=LARGEST_INTEGER, strict=True, description="The entry of its intent."
    )
    part: Part


class PayloadShown(BaseModel):
    """The text of the part, as it was sealed, and the entry by which it was opened."""

    entry: int
    part: Part
    text: str


def exchanges_room(api: Api, viewing: ViewExchanges) -> APIRouter:
    """Return the route of exchanges' shapes."""
    room = api.router("exchanges")

    @room.get("/exchanges", summary="List exchanges", response_model=ExchangesPage)
    async def listed(
        request: Request,
        which: Which = "sent",
        use_case: UseCase = None,
        limit: Limit = 50,
        after: After = None,  # noqa: ARG001  the pages read it from the request
        allowed: Allowed = Depends(api.allow(Action.VIEW_EXCHANGES, _of_use_case)),
    ) -> Response:
        """List exchanges without any text of them; the newest come with the first page."""
        caller = allowed.caller
        before = api.pages.position(request, caller)
        shown = await viewing.of(
            caller.principal,
            which=which,
            use_case=use_case,
            before=before,
            last=limit,
            access=allowed.answer.fields(),
        )
        items: list[Any] = [asdict(one) for one in shown.exchanges]
        page = api.pages.page(request, caller, items, shown.before)
        content = {**page.content(), "reading": shown.reading}
        return json_response(content, headers=page.headers())

    return room


def payloads_room(api: Api, opening: OpenPayload) -> APIRouter:
    """Return the route that opens the text of an exchange."""
    room = api.router("exchanges")

    @room.post("/payloads/open", summary="Open a part of an exchange", response_model=PayloadShown)
    @ruled(Rules(keeps=False))
    async def opened(
        asked: PayloadAsked,
        allowed: Allowed = Depends(api.allow(Action.OPEN_PAYLOAD, _of_entry)),
    ) -> Response:
        """Open one part, by an entry of its own that says who, whose, why and for what."""
        found = await opening.open(allowed, asked.entry, asked.part, asked.reason)
        content = {"entry": found.entry, "part": found.part, "text": found.text}
        return json_response(content, headers={"Seawall-Entry": str(found.entry)})

    return room


def _of_use_case(asked: Asked) -> Resource:
    name = asked.query.get("use_case", "*")
    return asked.resource(ACTS[Action.VIEW_EXCHANGES].on, name)


def _of_entry(asked: Asked) -> Resource:
    said = asked.body.get("entry") if isinstance(asked.body, dict) else None
    # What the policies are asked of is what is opened: nothing that could be read as a number.
    if not isinstance(said, int) or isinstance(said, bool):
        raise Invalid(
            "request-invalid",
            "the request does not have the form that it needs: body.entry: int type",
            "name the entry of the exchange's intent, as GET /api/exchanges lists it",
        )
    return asked.resource(ACTS[Action.OPEN_PAYLOAD].on, str(said))
