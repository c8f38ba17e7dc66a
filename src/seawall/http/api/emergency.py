"""Emergencies over HTTPS: breaking the glass, emergency mode, reviews, and offline factors.

Who may do what is asked by the intents themselves: they alone know whose emergency it
is, and which patient a reference means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.app.caller import Caller
from seawall.app.emergency_access import Asked
from seawall.app.try_limits import Where
from seawall.core.access.emergency import TYPED_MOST, Finding, Reason
from seawall.core.access.vocabulary import Action, On
from seawall.core.ledger.facets import moment_text
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.spec import Name
from seawall.http.api.guard import Rules, ruled, session_name, set_session
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from seawall.app.emergency_access import Begun, EmergencyAccess
    from seawall.app.emergency_mode import EmergencyMode
    from seawall.app.emergency_reviews import EmergencyReviews
    from seawall.app.offline_factors import OfflineFactors
    from seawall.core.access.question import Resource
    from seawall.http.api.guard import Api
    from seawall.http.api.guard import Asked as Request_

_MOST: Final = 16_384
_BOUNDED: Final = Rules(most=_MOST)
_UNKEPT: Final = Rules(keeps=False, most=_MOST)

Id = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9-]+$", examples=["access-1"])]
Short = Annotated[str, StringConstraints(max_length=200)]
Typed = Annotated[str, StringConstraints(max_length=2 * TYPED_MOST)]
"""A reason in a person's words; how long it may be is told once spaces are left out."""


class BeginBody(Body):
    """Whom, why, and that the warning was read."""

    patient: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """A FHIR id or a record number."""
    code: Reason
    reason: Typed
    purpose: Literal["treatment"]
    acknowledged: Short
    """The version of the warning that was shown and acknowledged."""


class EndBody(Body):
    """Why, if it is somebody else's."""

    reason: Typed = ""


class ReviewBody(Body):
    """What was found, and why."""

    finding: Finding
    reason: Typed


class ModeBody(Body):
    """Why for the whole tenant."""

    code: Reason
    reason: Typed


class WhyBody(Body):
    """Why."""

    reason: Typed


class PersonBody(Body):
    """Whose offline factor is ended."""

    person: Name


class OfflineBody(Body):
    """Who, and a code of each."""

    user: Short
    """NAME, or TENANT/NAME where there are several tenants."""
    code: Short
    """One of the paper that was not used."""
    device_code: Short
    """What the device shows."""


class WarningShown(BaseModel):
    """What is shown before, and acknowledged by its version."""

    version: str
    text: str
    minutes: int
    codes: list[str]


class BegunShown(BaseModel):
    """What began, and when it ends by itself."""

    id: str
    until: str
    entry: int


class EntryShown(BaseModel):
    """The entry that says it."""

    entry: int


class ReviewedShown(EntryShown):
    """What was recorded; where it may be an incident, which paragraphs apply."""

    finding: Finding
    incident: str | None = None


class EmergencyReview(BaseModel):
    """What somebody else found."""

    by: str
    at: str
    finding: Finding


class EmergencyShown(BaseModel):
    """One emergency, with what was done under it."""

    id: str
    what: Literal["access", "mode", "offline"]
    person: str
    patient: str | None
    reason: Reason
    state: str
    began: str
    until: str
    ended: str | None
    review_by: str
    did: dict[str, int]
    did_all: bool
    review: EmergencyReview | None


class EmergenciesShown(BaseModel):
    """Emergencies, the newest first."""

    items: list[EmergencyShown]


class TextsShown(BaseModel):
    """What was typed, by what it was typed for: `begin`, `renewed-1`, `end`, `review`."""

    texts: dict[str, str]


class ModeShown(BaseModel):
    """Whether emergency mode is on, and what that changes."""

    on: bool
    id: str | None = None
    began: str | None = None
    until: str | None = None
    changes: list[str] = []


class KitShown(BaseModel):
    """An offline factor, shown this once."""

    codes: list[str]
    uri: str
    entry: int


class OfflineShown(BaseModel):
    """Who is signed in, and how many codes are left; make a new factor afterwards."""

    tenant: str
    user: str
    left: int


def emergency_room(
    api: Api, glass: EmergencyAccess, mode: EmergencyMode, reviews: EmergencyReviews
) -> APIRouter:
    """Return the routes of emergencies."""
    room = api.router("emergency")
    _accesses(room, api, glass)
    _reviews(room, api, reviews)
    _mode(room, api, mode)
    return room


def _accesses(room: APIRouter, api: Api, glass: EmergencyAccess) -> None:
    @room.get("/emergencies/warning", summary="What is acknowledged before breaking the glass")
    async def warning(_caller: Caller = Depends(api.caller)) -> WarningShown:
        """Show the warning with its version, and the reasons to choose from."""
        warned = glass.warn()
        return WarningShown(
            version=warned.version,
            text=warned.text,
            minutes=warned.minutes,
            codes=list(warned.reasons),
        )

    @room.post("/emergencies", summary="Break the glass for one patient", status_code=201)
    @ruled(_BOUNDED)
    async def begun(
        body: BeginBody, caller: Caller = Depends(api.asking(Action.BREAK_GLASS, Purpose.TREATMENT))
    ) -> BegunShown:
        """Open one patient's record to the caller for 60 minutes."""
        asked = Asked(body.patient, body.code.value, body.reason, body.acknowledged)
        return _begun(await glass.begin(caller, asked))

    @room.post("/emergencies/{id}/end", summary="End an emergency access before its time")
    @ruled(_BOUNDED)
    async def ended(
        id: Id,  # noqa: A002  the path's name
        body: EndBody,
        caller: Caller = Depends(api.asking(None)),
    ) -> EntryShown:
        """End one's own, or, with a reason, one that the caller may review."""
        return EntryShown(entry=await glass.end(caller, id, body.reason))


def _reviews(room: APIRouter, api: Api, reviews: EmergencyReviews) -> None:
    @room.get("/emergencies", summary="Emergencies, with what was done under them")
    async def listed(
        *,
        open_only: Annotated[bool, Query(alias="open")] = False,
        allowed: Allowed = Depends(api.allow(Action.READ_LEDGER, _tenants_log)),
    ) -> EmergenciesShown:
        """List the tenant's, the newest first; the reading is an entry."""
        return _shown(await reviews.listed(allowed.caller, open_only=open_only))

    @room.get("/emergencies/mine", summary="The caller's own emergencies")
    async def own(caller: Caller = Depends(api.caller)) -> EmergenciesShown:
        """List the caller's own, the newest first."""
        return _shown(await reviews.listed(caller, is_own=True))

    @room.post("/emergencies/{id}/texts", summary="What was typed about an emergency")
    @ruled(_UNKEPT)
    async def texts(
        id: Id,  # noqa: A002  as above
        caller: Caller = Depends(api.asking(Action.REVIEW_EMERGENCY)),
    ) -> TextsShown:
        """Open what was typed, for one who may review it."""
        return TextsShown(texts=await reviews.texts(caller, id))

    @room.post("/emergencies/{id}/review", summary="Review an emergency")
    @ruled(_BOUNDED)
    async def reviewed(
        id: Id,  # noqa: A002  as above
        body: ReviewBody,
        caller: Caller = Depends(api.asking(Action.REVIEW_EMERGENCY)),
    ) -> ReviewedShown:
        """Record what was found of somebody else's emergency."""
        found = await reviews.review(caller, id, body.finding.value, body.reason)
        return ReviewedShown(**found.fields())


def _mode(room: APIRouter, api: Api, mode: EmergencyMode) -> None:
    @room.get("/emergency-mode", summary="Whether emergency mode is on")
    async def shown(caller: Caller = Depends(api.caller)) -> ModeShown:
        """Show since when, until when, and what it changes."""
        return ModeShown(**mode.of(caller.principal.tenant).fields())

    @room.post("/emergency-mode", summary="Turn emergency mode on", status_code=201)
    @ruled(_BOUNDED)
    async def begun(
        body: ModeBody, caller: Caller = Depends(api.asking(Action.EMERGENCY_MODE))
    ) -> BegunShown:
        """Turn it on for a day."""
        return _begun(await mode.begin(caller, body.code.value, body.reason))

    @room.post("/emergency-mode/renew", summary="Let emergency mode last a day from now")
    @ruled(_BOUNDED)
    async def renewed(
        body: WhyBody, caller: Caller = Depends(api.asking(Action.EMERGENCY_MODE))
    ) -> BegunShown:
        """Move its end."""
        return _begun(await mode.renew(caller, body.reason))

    @room.post("/emergency-mode/end", summary="Turn emergency mode off")
    @ruled(_BOUNDED)
    async def ended(
        body: WhyBody, caller: Caller = Depends(api.asking(Action.EMERGENCY_MODE))
    ) -> EntryShown:
        """Turn it off before its time."""
        return EntryShown(entry=await mode.end(caller, body.reason))


def offline_room(api: Api, offline: OfflineFactors) -> APIRouter:
    """Return the routes by which offline factors are made and used."""
    room = api.router("emergency")

    @room.post("/offline-factors", summary="Make oneself an offline factor", status_code=201)
    @ruled(_UNKEPT)
    async def made(caller: Caller = Depends(api.caller)) -> KitShown:
        """Answer with codes to print and a secret for a device, this once."""
        kit = await offline.make(caller)
        return KitShown(codes=list(kit.codes), uri=kit.uri, entry=kit.entry)

    def whom(asked: Request_) -> Resource:
        """Name the person whose offline factor is ended."""
        return asked.resource(On.PERSON, asked.text("person"), about=asked.text("person"))

    @room.post("/offline-factors/end", summary="End somebody's offline factor")
    @ruled(_BOUNDED)
    async def ended(
        body: PersonBody, allowed: Allowed = Depends(api.allow(Action.RESET_FACTORS, whom))
    ) -> EntryShown:
        """End it with the person's sessions; other factors stay as they are."""
        by, access = allowed.caller.principal, allowed.answer.fields()
        return EntryShown(entry=await offline.end(by, body.person, access))

    @room.post(
        "/sign-in/offline",
        summary="Sign in with an offline factor",
        response_model=OfflineShown,
    )
    @ruled(Rules(is_public=True, most=_MOST))
    async def signed_in(request: Request, body: OfflineBody) -> Response:
        """Begin a session, while the identity provider is down or emergency mode is on."""
        api.check_origin(request, is_needed=True)
        where = Where(api.network_of(request))
        done = await offline.sign_in(
            where, body.user, body.code, body.device_code, session_name(request)
        )
        response = json_response({"tenant": done.tenant, "user": done.user, "left": done.left})
        set_session(response, done.session)
        return response

    return room


def _tenants_log(asked: Request_) -> Resource:
    return asked.resource(On.LOG, "tenant")


def _begun(begun: Begun) -> BegunShown:
    return BegunShown(id=begun.id, until=moment_text(begun.until_ms), entry=begun.entry)


def _shown(found: list[Any]) -> EmergenciesShown:
    return EmergenciesShown(items=[EmergencyShown(**one.fields()) for one in found])
