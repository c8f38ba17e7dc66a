"""Emergency mode: a tenant works on while systems that it relies on are down.

It lets people sign in with factors that were made in advance, and what can wait, waits
(the policies say which). Nobody sees more, sessions idle no longer, no limit is lifted.
It ends by itself after a day unless somebody renews it, and is reviewed.
45 CFR 164.308(a)(7)(ii)(C) (required); a day, and the review, are practice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.emergency_access import Begun, read_reason
from seawall.core.access.emergency import MODE_MS, REVIEW_HOURS, Reason, check_typed
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Conflict, Invalid, Missing, Unavailable
from seawall.core.ledger.facets import moment_text
from seawall.core.registers.emergency import EmergencySpec

if TYPE_CHECKING:
    from seawall.app.access import Access, Allowed
    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.emergencies import CurrentEmergencies, EmergencySteps, TypedTexts
    from seawall.app.ports import Clock, Notifier
    from seawall.core.registers.spec import Document

CITATION: Final = "45 CFR 164.308(a)(7)(ii)(C)"
CHANGES: Final = (
    "people may sign in with an offline factor",
    "research waits",
    "data sets are neither sealed nor opened",
    "nothing is shredded, and no retention changes",
)
"""What is different while the mode is on: the whole list."""
_REASONS: Final = frozenset({Reason.PROVIDER_DOWN, Reason.DISASTER, Reason.OTHER})
"""Reasons that are a tenant's; the others are about one patient."""


@dataclass(frozen=True, slots=True)
class Mode:
    """Whether emergency mode is on, since when, until when, and what that changes."""

    is_on: bool
    id: str | None = None
    began_ms: int = 0
    until_ms: int = 0

    def fields(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        if not self.is_on:
            return {"on": False}
        return {
            "on": True,
            "id": self.id,
            "began": moment_text(self.began_ms),
            "until": moment_text(self.until_ms),
            "changes": list(CHANGES),
        }


class EmergencyMode:
    """Begins, renews and ends emergency mode."""

    def __init__(
        self,
        *,
        access: Access,
        current: CurrentEmergencies,
        documents: Documents,
        steps: EmergencySteps,
        typed: TypedTexts,
        notifier: Notifier,
        clock: Clock,
        review_hours: int = REVIEW_HOURS,
    ) -> None:
        self._access = access
        self._current = current
        self._documents = documents
        self._steps = steps
        self._typed = typed
        self._notifier = notifier
        self._clock = clock
        self._review_hours = review_hours

    def of(self, tenant: str) -> Mode:
        """Return how it stands with a tenant."""
        found = self._current.under_way(tenant, "mode")
        if found is None:
            return Mode(is_on=False)
        return Mode(True, found.name, found.spec.began_ms, found.spec.until_ms)

    async def begin(self, caller: Caller, reason: str, typed: str) -> Begun:
        """Turn it on for a day; `Conflict` (`emergency-mode-on`) if it is on."""
        chosen, text, allowed = read_reason(reason), check_typed(typed), await self._may(caller)
        if chosen not in _REASONS:
            raise Invalid(
                "emergency-reason-unknown",
                "this reason is about one patient, and emergency mode is for a tenant",
                f"choose one of {', '.join(sorted(_REASONS))}",
            )
        tenant = caller.principal.tenant
        await self._documents.refresh()
        self._refuse_second(tenant)
        name, now_ms = self._current.next_name(tenant, "mode"), self._clock.now_ms()
        sealed = await self._typed.seal(tenant, None, name, text)
        spec = EmergencySpec(
            what="mode",
            person=caller.principal.name,
            reason=chosen,
            told=sealed.digest(),
            began_ms=now_ms,
            until_ms=now_ms + MODE_MS,
            review_hours=self._review_hours,
        )
        said = {
            "emergency": name,
            "what": "mode",
            "patients": [],
            "outcome": "emergency",
            "reason": chosen.value,
            "until": spec.until_ms,
            "access": allowed.answer.fields(),
        }
        try:
            entry = await self._steps.begin(caller.principal, name, spec, said, sealed)
        except Conflict:
            # Another process turned it on meanwhile.
            await self._documents.refresh()
            self._refuse_second(tenant)
            raise
        except (Unavailable, asyncio.CancelledError):
            # Whether it is on now is not known: whoever reviews hears of it rather than not.
            self._notifier.alarm("emergency-mode", tenant, None)
            raise
        self._notifier.alarm("emergency-mode", tenant, entry)
        return Begun(name, spec.until_ms, entry)

    async def renew(self, caller: Caller, typed: str) -> Begun:
        """Let it last a day from now; who renews it reviews it as little as who began it."""
        text, allowed = check_typed(typed), await self._may(caller)
        document, tenant = await self._on(caller), caller.principal.tenant
        item = f"{document.name}/renewed-{len(document.spec.renewed) + 1}"
        sealed = await self._typed.seal(tenant, None, item, text)
        step = self._steps.step(caller, sealed)
        spec = document.spec.model_copy(
            update={"renewed": (*document.spec.renewed, step), "until_ms": step.at_ms + MODE_MS}
        )
        said = {"until": spec.until_ms, "access": allowed.answer.fields()}
        entry = await self._steps.follow(
            caller.principal, "emergency.renew", document, spec, said=said, sealed=sealed
        )
        self._notifier.alarm("emergency-mode", tenant, entry)
        return Begun(document.name, spec.until_ms, entry)

    async def end(self, caller: Caller, typed: str) -> int:
        """Turn it off; return the entry."""
        text, allowed = check_typed(typed), await self._may(caller)
        document = await self._on(caller)
        sealed = await self._typed.seal(caller.principal.tenant, None, f"{document.name}/end", text)
        return await self._steps.end(caller, document, sealed, {"access": allowed.answer.fields()})

    async def _may(self, caller: Caller) -> Allowed:
        return await self._access.require(
            caller,
            Action.EMERGENCY_MODE,
            Resource(On.INSTALLATION, caller.principal.tenant),
            has_reason=True,
        )

    async def _on(self, caller: Caller) -> Document[EmergencySpec]:
        await self._documents.refresh()
        found = self._current.under_way(caller.principal.tenant, "mode")
        if found is None:
            raise Missing("emergency-mode-off", "emergency mode is not on", "nothing to do")
        return found

    def _refuse_second(self, tenant: str) -> None:
        if self._current.under_way(tenant, "mode") is not None:
            raise Conflict(
                "emergency-mode-on",
                "emergency mode is on already",
                "renew it if it has to last longer",
            )
