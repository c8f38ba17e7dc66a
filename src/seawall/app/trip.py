"""One exchange under way: what arrived, what was decided, where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.app.recall import UNATTRIBUTED, Recalled
from seawall.core.gateway.exchange import Exchange

if TYPE_CHECKING:
    from seawall.core.gateway.openai_chat import ChatRequest
    from seawall.core.policy.decision import Decision, Question
    from seawall.core.policy.principal import Principal
    from seawall.core.registers.endpoint import EndpointSpec
    from seawall.core.registers.spec import Document
    from seawall.core.registers.use_case import UseCaseSpec


@dataclass(frozen=True, slots=True)
class Call:
    """What arrived at the gateway: an identified client, three headers, a body."""

    principal: Principal
    use_case: str
    patient: str | None
    conversation: str | None
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Trip:
    """One exchange under way; shows nothing of its content."""

    call: Call
    request: ChatRequest = field(repr=False)
    question: Question
    decision: Decision
    item: str
    """The exchange's random id, under which its payloads are sealed."""
    exchange: Exchange = field(default_factory=Exchange)
    recalled: Recalled = field(default_factory=Recalled, repr=False)
    patients: tuple[str, ...] = ()
    """Ledger ids of everyone whom the request is known to concern."""
    intent: int = -1
    """Index of the intent's entry, once there is one."""

    @property
    def tenant(self) -> str:
        """Whose log and keys this exchange uses."""
        return self.call.principal.tenant

    @property
    def subject(self) -> str:
        """Whose data keys seal what this exchange leaves behind."""
        return self.patients[0] if len(self.patients) == 1 else UNATTRIBUTED

    @property
    def use_case(self) -> Document[UseCaseSpec]:
        """The use case of an allowed exchange."""
        if self.decision.use_case is None:
            raise RuntimeError("an exchange that was not allowed has no use case")
        return self.decision.use_case

    @property
    def endpoint(self) -> Document[EndpointSpec]:
        """The endpoint of an allowed exchange."""
        if self.decision.endpoint is None:
            raise RuntimeError("an exchange that was not allowed has no endpoint")
        return self.decision.endpoint
