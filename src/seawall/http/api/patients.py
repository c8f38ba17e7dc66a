"""One patient over HTTPS: what the caller's role may see, or, in an emergency, all that is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, StringConstraints
from starlette.responses import Response

from seawall.app.caller import Caller
from seawall.core.access.vocabulary import Action
from seawall.core.policy.purpose import Purpose
from seawall.http.api.guard import Rules, ruled
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from seawall.app.view_patient import ViewPatient
    from seawall.http.api.guard import Api

_MOST = 4_096


class ViewBody(Body):
    """Whom, and for what; no address, which servers and browsers write down, has the reference."""

    patient: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """A FHIR id or a record number."""
    purpose: Purpose


class AnswerOf(BaseModel):
    """What a model said about the patient; `entry` is where its exchange began."""

    entry: int
    at: str
    text: str


class PatientShown(BaseModel):
    """What was shown, which classes were withheld, and the entry that says so."""

    patient: str
    """The ledger id."""
    entry: int
    emergency: str | None
    """The emergency access under which all was shown."""
    identifiers: dict[str, Any]
    withheld: list[str]
    answers: list[AnswerOf]


def patients_room(api: Api, viewing: ViewPatient) -> APIRouter:
    """Return the route that shows a patient."""
    room = api.router("patients")

    @room.post("/patients/view", summary="See one patient", response_model=PatientShown)
    @ruled(Rules(keeps=False, most=_MOST))
    async def viewed(
        body: ViewBody, caller: Caller = Depends(api.asking(Action.VIEW_PATIENT))
    ) -> Response:
        """Show one patient; the policies are asked once it is known who is meant."""
        found = await viewing.view(caller, body.patient, body.purpose)
        content = {
            "patient": found.patient,
            "entry": found.entry,
            "emergency": found.emergency,
            "identifiers": dict(found.identifiers),
            "withheld": list(found.withheld),
            "answers": [
                {"entry": one.entry, "at": one.at, "text": one.text} for one in found.answers
            ],
        }
        return json_response(content, headers={"Seawall-Entry": str(found.entry)})

    return room
