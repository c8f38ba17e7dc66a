"""Persons of the workforce: who works here, and joining, other roles and leaving.

45 CFR 164.308(a)(3)(ii)(A)-(C) (addressable).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from seawall.app.access import Allowed, together
from seawall.core.access.standing import milliseconds
from seawall.core.access.vocabulary import Action, On
from seawall.core.ledger.facets import moment_text
from seawall.core.registers.user import HumanRole, ProviderAccount
from seawall.http.api.conditions import check_match, versioned
from seawall.http.api.paging import After, Limit
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.app.documents import Applied
    from seawall.app.workforce import Workforce
    from seawall.core.access.question import Resource
    from seawall.core.identity.session import Session
    from seawall.core.registers.spec import Document
    from seawall.core.registers.user import UserSpec
    from seawall.http.api.guard import Api, Asked

Name = Annotated[str, Path(max_length=63, pattern="^[a-z0-9._-]+$", examples=["anna.berg"])]


class PersonGiven(Body):
    """Somebody who joins."""

    title: str = Field(min_length=1, max_length=2_000, examples=["Anna Berg"])
    roles: list[HumanRole] = Field(max_length=20)
    until: date | None = None
    account: ProviderAccount | None = None
    reviewer: str | None = Field(None, max_length=63)


class PersonChanged(Body):
    """What is to be another; what is not mentioned stays, and null takes away."""

    title: str | None = Field(None, min_length=1, max_length=2_000)
    roles: list[HumanRole] | None = Field(None, max_length=20)
    until: date | None = None
    account: ProviderAccount | None = None
    reviewer: str | None = Field(None, max_length=63)
    standing: Literal["active", "suspended"] | None = None


class LeavingGiven(Body):
    """When somebody left; without it now."""

    left_at: AwareDatetime | None = Field(None, examples=["2026-11-24T16:30:00Z"])


class PersonShown(BaseModel):
    """A person as the document says, and whether it is to be closed."""

    name: str
    version: int
    title: str
    roles: list[str]
    standing: str
    until: str | None
    reviewer: str | None
    has_account: bool
    left_at: str | None
    is_overdue: bool
    """Whether the last day is over while the document says that the person works here."""


class PersonsPage(BaseModel):
    """Persons by name, and where there is more."""

    items: list[PersonShown]
    next: str | None


class SessionListed(BaseModel):
    """A session of a person, without what would let anybody use it."""

    began: str
    seen: str
    factor: str
    methods: list[str]


class ChangeShown(BaseModel):
    """What a change did; `entry` is null where nothing changed."""

    name: str
    version: int
    change: str
    entry: int | None


def persons_room(api: Api, workforce: Workforce) -> APIRouter:
    """Return the routes of persons."""
    room = api.router("persons", prefix="/persons")
    _add_seeing(room, api, workforce)
    manage = api.allow(Action.MANAGE_PERSONS, _person)

    @room.post(
        "/{name}/join", summary="Let somebody join", status_code=201, response_model=ChangeShown
    )
    async def join(
        request: Request, name: Name, given: PersonGiven, allowed: Allowed = Depends(manage)
    ) -> Response:
        """Make a person's document, under a name that was never anybody's."""
        applied = await workforce.join(allowed, name, given.model_dump(exclude_none=True))
        return _changed(request, applied, 201)

    def changing(asked: Asked) -> Iterator[tuple[Action, Resource]]:
        """Tell what a change is: of another account a reset of every factor too."""
        yield Action.MANAGE_PERSONS, _person(asked)
        said = asked.body if isinstance(asked.body, dict) else {}
        tenant, name = asked.caller.principal.tenant, asked.path["name"]
        if "account" in said and workforce.is_other_account(tenant, name, said["account"]):
            yield Action.RESET_FACTORS, _person(asked)

    @room.post("/{name}/change", summary="Change somebody's roles", response_model=ChangeShown)
    async def change(
        request: Request,
        name: Name,
        given: PersonChanged,
        each: list[Allowed] = Depends(api.allow_each(changing)),
    ) -> Response:
        """Change the version that If-Match names; the roles count at the next request.

        Another account at an identity provider voids every factor and session of the person.
        """
        allowed = together(each)
        held = workforce.person(allowed.resource.tenant, name)
        check_match(request, held.version)
        fields = given.model_dump(exclude_unset=True)
        return _changed(request, await workforce.change(allowed, name, fields, after=held.version))

    @room.post("/{name}/leave", summary="Say that somebody left", response_model=ChangeShown)
    async def leave(
        request: Request, name: Name, given: LeavingGiven, allowed: Allowed = Depends(manage)
    ) -> Response:
        """End what somebody may do, and every session, at once and for good."""
        return _changed(request, await workforce.leave(allowed, name, given.left_at))

    @room.delete(
        "/{name}/sessions", summary="End every session", status_code=204, response_class=Response
    )
    async def ended(name: Name, allowed: Allowed = Depends(manage)) -> Response:
        """End every session of a person, who may sign in again."""
        entry = await workforce.end_sessions(allowed, name)
        return Response(status_code=204, headers={"Seawall-Entry": str(entry)})

    return room


def _add_seeing(room: APIRouter, api: Api, workforce: Workforce) -> None:
    see = api.allow(Action.VIEW_PERSONS)
    see_one = api.allow(Action.VIEW_PERSONS, _person)

    def overdue(tenant: str) -> frozenset[str]:
        """Return whose last day is over."""
        return frozenset(one.person for one in workforce.overdue(tenant))

    @room.get("", summary="List persons", response_model=PersonsPage)
    async def listed(
        request: Request,
        limit: Limit = 100,
        after: After = None,  # noqa: ARG001  the pages read it from the request
        allowed: Allowed = Depends(see),
    ) -> Response:
        """List everybody, those who left included."""
        tenant, caller = allowed.resource.tenant, allowed.caller
        held, late = workforce.persons(tenant), overdue(tenant)
        found, position = api.pages.of_list(request, caller, held, lambda one: one.name, limit)
        items = [_shown(one, is_overdue=one.name in late) for one in found]
        page = api.pages.page(request, caller, items, position)
        return json_response(page.content(), 200, page.headers())

    @room.get("/{name}", summary="One person", response_model=PersonShown)
    async def one(request: Request, name: Name, allowed: Allowed = Depends(see_one)) -> Response:
        """Show a person as the document stands."""
        held = workforce.person(allowed.resource.tenant, name)
        is_overdue = name in overdue(allowed.resource.tenant)
        return versioned(request, _shown(held, is_overdue=is_overdue), held.version)

    @room.get("/{name}/sessions", summary="A person's sessions")
    async def sessions(name: Name, allowed: Allowed = Depends(see_one)) -> list[SessionListed]:
        """List a person's sessions, oldest first."""
        return [_session(one) for one in await workforce.sessions(allowed.resource.tenant, name)]


def _person(asked: Asked) -> Resource:
    return asked.resource(On.PERSON, asked.path["name"], about=asked.path["name"])


def _changed(request: Request, applied: Applied, status: int = 200) -> Response:
    said = {key: value for key, value in asdict(applied).items() if key != "kind"}
    return versioned(request, said, applied.version, status=status)


def _shown(held: Document[UserSpec], *, is_overdue: bool) -> dict[str, Any]:
    spec = held.spec
    return {
        "name": held.name,
        "version": held.version,
        "title": spec.title,
        "roles": sorted(role.value for role in spec.roles),
        "standing": spec.standing,
        "until": None if spec.until is None else spec.until.isoformat(),
        "reviewer": spec.reviewer,
        "has_account": spec.account is not None,
        "left_at": None if spec.left_at is None else moment_text(milliseconds(spec.left_at)),
        "is_overdue": is_overdue,
    }


def _session(session: Session) -> SessionListed:
    return SessionListed(
        began=moment_text(session.began_ms),
        seen=moment_text(session.seen_ms),
        factor=moment_text(session.factor_ms),
        methods=list(session.methods),
    )
