"""Keys over HTTPS: what there is, orders about it, and how far they are.

A client needs the second factor of a named operator beside each order; a person
acts under their own name, with a factor that the policies ask to be fresh. What
takes long goes on after the answer, and is followed by its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.app.manage_keys import UNPROVEN, check_order
from seawall.app.step_up import Proof
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import ACTS, Action
from seawall.core.errors import Invalid
from seawall.http.api.guard import Rules, hide, ruled
from seawall.http.errors import json_response
from seawall.http.requests import short_header

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from seawall.app.manage_keys import ManageKeys
    from seawall.http.api.guard import Api, Asked
    from seawall.http.api.works import Works

_MAX_BODY: Final = 65_536
_ACTIONS: Final = {
    "shred": Action.SHRED_KEYS,
    "resume": Action.SHRED_KEYS,
    "certificate": Action.VIEW_KEYS,
}
"""Which action an order is; every other one changes keys, or destroys some by `drop_damaged`."""
_TOLD: Final = frozenset({"resume", "rewrap"})
"""Orders that say why by themselves: the shredding that is finished has its reason in its entry,
and keys that open nothing are dropped because they are in the way."""
_EXAMPLES: Final = [
    {"do": "rotate", "what": "tenant"},
    {"do": "rewrap"},
    {"do": "shred", "ids": ["0123456789abcdef01234567"], "reason": "relationship-ended"},
]


class Begun(BaseModel):
    """Work that was begun: GET /api/keys/work/{id} says how far it is."""

    work: str


def keys_room(api: Api, managing: ManageKeys, works: Works) -> APIRouter:
    """Return the routes of keys; end `works` when the server ends."""
    room = api.router("keys")

    @room.get("/keys", summary="What there is of the tenant's keys", response_model=dict[str, Any])
    async def status(allowed: Allowed = Depends(api.allow(Action.VIEW_KEYS))) -> Response:
        """Show versions, ages, what is left to do, and whether anybody may change keys."""
        return json_response(await managing.status(allowed.caller.principal.tenant))

    @room.post(
        "/keys",
        summary="Order something about keys",
        response_model=dict[str, Any],
        responses={202: {"model": Begun, "description": "It goes on after the answer."}},
    )
    @ruled(Rules(most=_MAX_BODY))
    async def order(
        request: Request,
        ordered: Annotated[dict[str, Any], Body(examples=_EXAMPLES)],
        allowed: list[Allowed] = Depends(api.allow_each(_acts, _has_reason)),
    ) -> Response:
        """Do what is ordered: what is quick at once, and the rest as work that is followed."""
        caller, proof, access = allowed[0].caller, _proof(request), allowed[0].answer.fields()
        if ordered["do"] == "enrol":
            hide(request)
            return json_response(await managing.enrol(caller.principal, ordered, proof))
        by = caller.principal
        if caller.session is None:
            by = await managing.prove(by, ordered, proof)
        if ordered["do"] in UNPROVEN:
            return json_response(await managing.do(by, ordered, access=access))

        def begin(progress: Callable[[str, int, int], None]) -> Coroutine[Any, Any, dict[str, Any]]:
            """Do what was ordered."""
            return managing.do(by, ordered, progress, access=access)

        return json_response({"work": works.begin(by.tenant, begin)}, 202)

    @room.get("/keys/work/{id}", summary="How far an order is", response_model=dict[str, Any])
    async def work(
        id: Annotated[str, Path(max_length=64)],  # noqa: A002  the path's name
        allowed: Allowed = Depends(api.allow(Action.VIEW_KEYS)),
    ) -> Response:
        """Show how far an order of the tenant is, or how it ended."""
        return json_response(works.told(allowed.caller.principal.tenant, id))

    return room


def _acts(asked: Asked) -> Iterator[tuple[Action, Resource]]:
    if not isinstance(asked.body, dict):
        raise Invalid(
            "order-invalid",
            "the body is not an order about keys",
            'send {"do": ...}: docs/reference/http.md has the fields of every order',
        )
    do = check_order(asked.body)
    # Whatever destroys a key is asked as that, so that nothing is in emergency mode.
    destroys = asked.body.get("drop_damaged", False) is not False
    action = Action.SHRED_KEYS if destroys else _ACTIONS.get(do, Action.CHANGE_KEYS)
    yield action, asked.resource(ACTS[action].on)


def _has_reason(asked: Asked) -> bool:
    return asked.text("do") in _TOLD or asked.has_reason()


def _proof(request: Request) -> Proof | None:
    name = short_header(request, "Seawall-Operator")
    code = short_header(request, "Seawall-Code")
    return None if name is None or code is None else Proof(name, code)
