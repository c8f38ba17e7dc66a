"""What must be done, by whom and by when: of every part of the product that knows of something."""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from seawall.app.access import Allowed
from seawall.core.access.vocabulary import Action

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from seawall.app.ports import Clock
    from seawall.core.registers.obligation import Obligation
    from seawall.http.api.guard import Api

    Source = Callable[[str], Sequence[Obligation] | Awaitable[Sequence[Obligation]]]
    """Tells what a tenant must do, as far as one part of the product knows."""


class ObligationShown(BaseModel):
    """One thing that must be done."""

    tenant: str
    what: str
    about: str
    whose: str
    by: str
    overdue: bool
    citation: str
    strength: str


class ObligationsShown(BaseModel):
    """Everything that must be done, the most urgent first."""

    items: list[ObligationShown]


def obligations_room(api: Api, sources: Sequence[Source], clock: Clock) -> APIRouter:
    """Return the route of obligations."""
    room = api.router("obligations")

    @room.get("/obligations", summary="What must be done")
    async def listed(allowed: Allowed = Depends(api.allow(Action.OPERATE))) -> ObligationsShown:
        """List what the tenant must do, the most urgent first."""
        found: list[Obligation] = []
        for source in sources:
            told: Any = source(allowed.caller.principal.tenant)
            found += await told if isawaitable(told) else told
        now_ms = clock.now_ms()
        ordered = sorted(found, key=lambda one: (one.by_ms, one.what, one.about))
        items = [ObligationShown(**one.fields(now_ms)) for one in ordered]
        return ObligationsShown(items=items)

    return room
