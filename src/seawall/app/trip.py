"""One exchange under way: what arrived, what was decided, where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.app.recall import UNATTRIBUTED, Recalled
from seawall.core.gateway.exchange import Exchange

if TYPE_CHECKING:
    from seawall.app.caller import Caller
    from seawall.core.gateway.openai_chat import ChatRequest
    from seawall.core.policy.decision import Decision, Question
    from seawall.core.policy.principal import Principal
    from seawall.core.registers.endpoint import EndpointSpec
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document
    from seawall.core.registers.use_case import UseCaseSpec


@dataclass(frozen=True, slots=True)
class Call:
    """What arrived at the gateway: an identified caller, three headers, a body."""

    caller: Caller
    use_case: str
    patient: str | None
    conversation: str | None
    body: bytes = field(repr=False)

    @property
    def principal(self) -> Principal:
        """Who is the actor of the exchange's entries."""
        return self.caller.principal


@dataclass(slots=True)
class Trip:
    """One exchange under way; shows nothing of its content."""

    call: Call
    request: ChatRequest = field(repr=False)
    question: Question
    decision: Decision
    register: Register = field(repr=False)
    """The documents by which policies were asked last."""
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
    def people(self) -> dict[str, str]:
        """For whom the client acts, as entries name it; empty if for nobody."""
        user = self.call.caller.acting_user
        return {} if user is None else {"for_user": user}

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
