"""Access reviews: begun and closed by who runs them, answered by who is asked.

45 CFR 164.308(a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from seawall.app.access import Allowed
from seawall.app.caller import Caller
from seawall.core.access.review_report import item_report, text
from seawall.core.access.vocabulary import Action, On
from seawall.core.registers.user import HumanRole
from seawall.http.api.conditions import versioned
from seawall.http.api.guard import Rules, ruled
from seawall.http.api.paging import After, Limit
from seawall.http.api.shapes import Body, Reason
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from seawall.app.access_reviews import AccessReviews
    from seawall.app.documents import Applied
    from seawall.core.access.question import Resource
    from seawall.core.registers.access_review import AccessReviewSpec
    from seawall.core.registers.spec import Document
    from seawall.http.api.guard import Api, Asked

Name = Annotated[str, Path(max_length=63, pattern="^[a-z0-9._-]+$", examples=["2026-q4"])]


class ReviewGiven(Body):
    """What a review is to ask about, and until when."""

    scope: Literal["all", "role", "persons"]
    role: HumanRole | None = None
    persons: list[str] = Field(default=[], max_length=500)
    due: date


class AnswerGiven(Body):
    """The answer about one grant, and why."""

    answer: Literal["confirmed", "revoked"]
    reason: Reason


class Nothing(Body):
    """A body that says nothing."""


class ReviewListed(BaseModel):
    """A review as lists have it."""

    review: str
    version: int
    scope: str
    begun: str
    due: str
    state: str
    grants: int


class ReviewsPage(BaseModel):
    """Reviews by name, and where there is more."""

    items: list[ReviewListed]
    next: str | None


class Done(BaseModel):
    """What was recorded."""

    name: str
    version: int
    change: str
    entry: int | None


class ReasonShown(BaseModel):
    """What a reviewer typed."""

    reason: str


def reviews_room(api: Api, reviews: AccessReviews) -> APIRouter:
    """Return the routes of access reviews."""
    room = api.router("reviews")
    _add_seeing(room, api, reviews)
    _add_answering(room, api, reviews)
    run = api.allow(Action.RUN_REVIEWS, _review)

    @room.post("/reviews/{name}", summary="Begin a review", status_code=201, response_model=Done)
    async def begin(
        request: Request, name: Name, given: ReviewGiven, allowed: Allowed = Depends(run)
    ) -> Response:
        """Freeze the grants of a scope, and ask for each somebody who does not hold it."""
        applied = await reviews.begin(allowed, name, given.model_dump(exclude_none=True))
        return _done(request, applied, 201)

    @room.post("/reviews/{name}/close", summary="Close a review", response_model=Done)
    async def close(
        request: Request,
        name: Name,
        given: Nothing,  # noqa: ARG001  a body that says nothing is no other body
        allowed: Allowed = Depends(run),
    ) -> Response:
        """Close it: what nobody answered in time is taken away."""
        return _done(request, await reviews.close(allowed, name))

    return room


def _add_seeing(room: APIRouter, api: Api, reviews: AccessReviews) -> None:
    see = api.allow(Action.VIEW_PERSONS)

    @room.get("/reviews", summary="List reviews", response_model=ReviewsPage)
    async def listed(
        request: Request,
        limit: Limit = 100,
        after: After = None,  # noqa: ARG001  the pages read it from the request
        allowed: Allowed = Depends(see),
    ) -> Response:
        """List every review by name."""
        caller, held = allowed.caller, reviews.all(allowed.resource.tenant)
        found, position = api.pages.of_list(request, caller, held, lambda one: one.name, limit)
        page = api.pages.page(request, caller, [_listed(one) for one in found], position)
        return json_response(page.content(), 200, page.headers())

    @room.get("/reviews/{name}", summary="A review whole", response_model=dict[str, Any])
    async def one(name: Name, allowed: Allowed = Depends(see)) -> Response:
        """Show a review with every grant, its evidence and its answer."""
        return json_response(reviews.status(allowed.resource.tenant, name))

    @room.get(
        "/reviews/{name}/report",
        summary="A review to be read",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def report(name: Name, allowed: Allowed = Depends(see)) -> Response:
        """Show the same as plain text, by reviewer."""
        said = text(reviews.status(allowed.resource.tenant, name))
        return PlainTextResponse(said, headers={"Cache-Control": "no-store"})


def _add_answering(room: APIRouter, api: Api, reviews: AccessReviews) -> None:
    def asked_for(asked: Asked) -> Resource:
        """Return the grant that is answered: whom it is about, and who is to answer."""
        return reviews.resource(asked.caller.principal.tenant, asked.path["name"])

    @room.get(
        "/reviewed-grants", summary="What the caller is asked", response_model=list[dict[str, Any]]
    )
    async def waiting(caller: Caller = Depends(api.caller)) -> Response:
        """List the grants that wait for the caller's own answer."""
        principal = caller.principal
        found = reviews.asked(principal.tenant, principal.name) if caller.session else []
        return json_response([item_report(one) for one in found])

    @room.post("/reviewed-grants/{name}/answer", summary="Answer", response_model=Done)
    async def answer(
        request: Request,
        name: Name,
        given: AnswerGiven,
        allowed: Allowed = Depends(api.allow(Action.ANSWER_REVIEW, asked_for)),
    ) -> Response:
        """Confirm a grant, or take it away at once."""
        applied = await reviews.answer(allowed, name, given.answer, given.reason)
        return _done(request, applied)

    @room.post("/reviewed-grants/{name}/reason", summary="Read why", response_model=ReasonShown)
    @ruled(Rules(keeps=False))
    async def reason(
        name: Name,
        given: Nothing,  # noqa: ARG001  as above
        allowed: Allowed = Depends(api.allow(Action.RUN_REVIEWS, _review)),
    ) -> Response:
        """Open what the reviewer typed, under an entry that says so."""
        return json_response({"reason": await reviews.reason(allowed, name)})


def _review(asked: Asked) -> Resource:
    return asked.resource(On.REVIEW, asked.path["name"])


def _listed(held: Document[AccessReviewSpec]) -> dict[str, Any]:
    spec = held.spec
    return {
        "review": held.name,
        "version": held.version,
        "scope": spec.scope,
        "begun": spec.begun.isoformat(),
        "due": spec.due.isoformat(),
        "state": spec.state,
        "grants": spec.grants,
    }


def _done(request: Request, applied: Applied, status: int = 200) -> Response:
    said = {key: value for key, value in asdict(applied).items() if key != "kind"}
    return versioned(request, said, applied.version, status=status)
