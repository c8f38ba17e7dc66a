"""What is the same in every room's bodies: strict models, the error, reasons and purposes."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from seawall.core.policy.purpose import Purpose
from seawall.http.api.guard import LONGEST_REASON

Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_REASON, strip_whitespace=True)
]
"""Why something is done, in a person's words: sealed, and never in an entry."""


class Body(BaseModel):
    """A request's body: strict about its fields, hidden in no error message."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Reasoned(Body):
    """A body that says why."""

    reason: Reason


class ForPurpose(Reasoned):
    """A body that says why, and for which purpose of use."""

    purpose: Purpose


class ErrorFields(BaseModel):
    """What went wrong: a stable code, and words without any value of the request."""

    code: str
    message: str
    help: str
    type: str
    param: str | None = None


class ErrorBody(BaseModel):
    """Every error's body."""

    error: ErrorFields


_TOLD: Final = {
    400: "The request cannot be understood.",
    401: "No token, no session, or a factor must be shown again (RFC 9470).",
    403: "The policies do not allow it; the header Seawall-Entry names the entry that says so.",
    404: "There is no such thing, or not for this caller.",
    408: "The body did not come in time.",
    409: "It contradicts what is there already, or its key is under way.",
    412: "It is another version than the request names.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    422: "The idempotency key was used for another request (`key-reused`).",
    428: "A change must say of which version, by If-Match.",
    429: "Too many of them; the header Retry-After says when again.",
    503: "What Seawall needs does not answer.",
}

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody, "description": told} for status, told in _TOLD.items()
}
"""What every route may answer besides."""
