"""May this be done? Asked of the policies for every act, and a refusal is an entry.

What is known of an asker is read from the registers and the session at each
question, so a role that is taken away counts at once. What the same policies said
to the very same question of a client is kept: deciding looks nothing up.
45 CFR 164.308(a)(4)(ii)(B), 164.312(a)(1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from seawall.app.entries import entry
from seawall.core.access import standing
from seawall.core.access.question import Answer, Asker, Question, Resource
from seawall.core.access.vocabulary import ACTS, Action, Role
from seawall.core.errors import Error, Refused
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Ledger, Notifier
    from seawall.core.policy.principal import Principal
    from seawall.core.policy.purpose import Purpose

ErrorT = TypeVar("ErrorT", bound=Error)
_HELP: Final = {
    "step-up-needed": "show a factor again, and then repeat the request (RFC 9470)",
    "reason-needed": "say why, in the field `reason`",
    "purpose-needed": "name a purpose of use, in the field `purpose`",
    "second-factor-needed": "sign in with a second factor",
}
_MESSAGES: Final = {
    "step-up-needed": "this needs a factor that was shown within the last five minutes",
    "reason-needed": "this needs a reason, which is recorded",
    "purpose-needed": "this needs a purpose of use",
    "second-factor-needed": "this needs a session that was begun with two factors",
    "policy-broken": "a policy could not be evaluated, so that nothing is allowed",
    "tenant-crossed": "nothing of another tenant is anybody's to act on",
}


_OF_PERSONS: Final = frozenset({Action.VIEW_PERSONS, Action.MANAGE_PERSONS})
"""What `may_provision` is for."""
_KEPT: Final = 1024
"""So many permitted questions are kept."""


class Decider(Protocol):
    """The policies of one tenant, ready to decide; it never changes, and looks nothing up."""

    def decide(self, question: Question) -> Answer:
        """Return the answer; it never raises."""
        ...


class Policies(Protocol):
    """The policies of every tenant: the shipped ones, and what a tenant forbids besides."""

    def of(self, tenant: str) -> Decider:
        """Return a tenant's policies as its documents stand."""
        ...


class Preparing(Protocol):
    """Prepares policies aside, so that nobody else waits for them."""

    async def ready(self, tenant: str, action: Action) -> None:
        """Prepare what takes long, before a question about an action."""
        ...


class Emergencies(Protocol):
    """Which emergency accesses are under way."""

    def patient_of(self, caller: Caller) -> str | None:
        """Return the ledger id of the patient whom the caller's emergency access opens."""
        ...

    def is_mode_on(self, tenant: str) -> bool:
        """Whether emergency mode is on (45 CFR 164.308(a)(7)(ii)(C))."""
        ...


@dataclass(frozen=True, slots=True)
class Allowed:
    """An act that was allowed: who does it, to what, why, and by which policies."""

    caller: Caller
    action: Action
    resource: Resource
    answer: Answer
    purpose: Purpose | None = None


def together(each: Sequence[Allowed]) -> Allowed:
    """Return an act that is several, all of them allowed: by the policies of each."""
    policies = sorted({name for one in each for name in one.answer.policies})
    answer = replace(each[0].answer, policies=tuple(policies))
    return replace(each[0], answer=answer)


class Access:
    """Asks the policies; `require` is the one way to act on anything over the API."""

    def __init__(
        self,
        *,
        documents: Documents,
        policies: Policies,
        emergencies: Emergencies | None,
        ledger: Ledger,
        clock: Clock,
        notifier: Notifier | None = None,
        preparing: Preparing | None = None,
    ) -> None:
        self._documents = documents
        self._preparing = preparing
        self._notifier = notifier
        self._alarmed: dict[str, Decider] = {}
        """Of which policies of each tenant it was told that one is broken."""
        self._policies = policies
        self._emergencies = emergencies
        self._ledger = ledger
        self._clock = clock
        self._permitted: dict[Question, tuple[Decider, Answer]] = {}

    def asker(self, caller: Caller) -> Asker:
        """Return what is known of a caller now; who is unknown has no role and no power."""
        principal = caller.principal
        register = self._documents.register(principal.tenant)
        if principal.kind == "client":
            client = register.find(ClientSpec, principal.name)
            if client is None:
                return Asker(principal)
            spec = client.spec
            cases = (
                spec.use_cases if caller.use_cases is None else spec.use_cases & caller.use_cases
            )
            # A token for a part of the client's work has none of its powers.
            powers = frozenset[str]() if caller.is_limited else self._powers(principal, spec)
            return Asker(principal, frozenset({Role.SERVICE}), powers, cases)
        user = register.find(UserSpec, principal.name)
        session = caller.session
        if principal.kind != "user" or user is None or session is None:
            return Asker(principal)
        now_ms = self._clock.now_ms()
        return Asker(
            principal,
            user.spec.roles_on(self._clock.today()),
            has_second_factor=session.has_second_factor,
            factor_age_ms=max(0, now_ms - session.factor_ms),
            emergency_patient=(
                None if self._emergencies is None else self._emergencies.patient_of(caller)
            ),
        )

    def _powers(self, principal: Principal, spec: ClientSpec) -> frozenset[str]:
        """Return the powers of a client that count: not to change persons, unless it is named."""
        whose = f"{principal.tenant}/{principal.name}"
        return standing.counted(spec.powers, whose, self._documents.provisioners)

    def ask(
        self,
        asker: Asker,
        action: Action,
        resource: Resource,
        *,
        purpose: Purpose | None = None,
        has_reason: bool = False,
        elements: frozenset[str] = frozenset(),
    ) -> Answer:
        """Return what the policies say; nothing is recorded."""
        tenant = asker.principal.tenant
        is_on = self._emergencies is not None and self._emergencies.is_mode_on(tenant)
        question = Question(asker, action, resource, purpose, has_reason, elements, is_on)
        return self._answer(self._policies.of(tenant), question)

    def _answer(self, policies: Decider, question: Question) -> Answer:
        """Return the policies' answer; a permit of a client from memory, if it is theirs."""
        held = self._permitted.get(question)
        if held is not None and held[0] is policies:
            return held[1]
        answer = policies.decide(question)
        if answer.broken:
            self._tell(question.asker.principal.tenant, policies)
        # A refusal may be of an engine that failed, and a person's factor grows older.
        if answer.allowed and question.asker.principal.kind == "client":
            if len(self._permitted) >= _KEPT:
                self._permitted.clear()
            self._permitted[question] = (policies, answer)
        return answer

    def _tell(self, tenant: str, policies: Decider) -> None:
        """Raise an alarm about a broken policy, once for each state of a tenant's policies."""
        if self._notifier is not None and self._alarmed.get(tenant) is not policies:
            self._alarmed[tenant] = policies
            self._notifier.alarm("policy-broken", tenant, None)

    async def ready(self, tenant: str, action: Action) -> None:
        """Let what decides on an action be prepared, if it takes long; then `ask`."""
        if self._preparing is not None:
            await self._preparing.ready(tenant, action)

    async def require(
        self,
        caller: Caller,
        action: Action,
        resource: Resource,
        *,
        purpose: Purpose | None = None,
        has_reason: bool = False,
        elements: frozenset[str] = frozenset(),
    ) -> Allowed:
        """Return that an act is allowed; else record the refusal and raise `Refused`.

        Its code is the answer's; the error's `entry` is the refusal's.
        """
        await self.ready(caller.principal.tenant, action)
        answer = self.ask(
            self.asker(caller),
            action,
            resource,
            purpose=purpose,
            has_reason=has_reason,
            elements=elements,
        )
        if answer.allowed:
            return Allowed(caller, action, resource, answer, purpose)
        is_unnamed = action in _OF_PERSONS and self._is_unnamed(caller.principal)
        error = standing.unnamed() if is_unnamed else refusal_of(answer, action)
        error.entry = await self._record(caller, action, resource, answer)
        raise error

    def _is_unnamed(self, principal: Principal) -> bool:
        """Whether a client's document says that it changes persons, and the settings do not."""
        client = self._documents.register(principal.tenant).find(ClientSpec, principal.name)
        is_said = client is not None and standing.PROVISIONS in client.spec.powers
        named = f"{principal.tenant}/{principal.name}" in self._documents.provisioners
        return principal.kind == "client" and is_said and not named

    async def recorded(
        self, error: ErrorT, caller: Caller, action: Action, resource: Resource
    ) -> ErrorT:
        """Record a refusal that is no policy's, and return the error with its entry.

        So trying record numbers leaves a trace; what was named is in no entry.
        """
        answer = Answer(allowed=False, code=error.code)
        error.entry = await self._record(caller, action, resource, answer)
        return error

    async def _record(
        self, caller: Caller, action: Action, resource: Resource, answer: Answer
    ) -> int:
        # What was asked for by a name of the caller's making is told by its kind alone.
        said = {"what": action.value, "on": resource.on.value, "access": answer.fields()}
        body = entry("access.refused", caller.principal, self._clock, **said)
        return (await self._ledger.append(caller.principal.tenant, body)).index


def refusal_of(answer: Answer, action: Action) -> Refused:
    """Return the error that says a refusing answer; its code is the answer's."""
    return Refused(
        answer.code,
        _MESSAGES.get(answer.code, f"the policies do not let you {ACTS[action].title}"),
        _HELP.get(answer.code, "ask `seawall access explain` what would change it"),
    )
