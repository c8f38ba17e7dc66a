"""A question about a patient reaches a model lawfully: the life of an exchange.

    identify -> decide -> minimise -> record -> send -> inspect -> restore -> record

The order is kept by the state table of `core/gateway/exchange.py`; what each
step means is in the module that it calls. Whatever refuses or fails on the way
becomes an entry too, and reaches the caller as one of our errors, which names
the entry.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seawall.app.access import refusal_of
from seawall.app.answer import LARGE_BYTES, PlainAnswer, StreamedAnswer, check_status
from seawall.app.entries import entry
from seawall.app.minimise import minimise
from seawall.app.ports import KeepSealed, OpenExchange
from seawall.app.recall import PLACEHOLDERS, UNATTRIBUTED
from seawall.app.trip import Trip
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Conflict, Error, Invalid, Refused, Tampered, Unavailable
from seawall.core.gateway.breaker import Breaker
from seawall.core.gateway.exchange import Event
from seawall.core.gateway.given import Given
from seawall.core.gateway.inspection import Inspector
from seawall.core.gateway.openai_answer import Rewriting
from seawall.core.gateway.openai_chat import PATH, outgoing, read_request
from seawall.core.phi.walking import dump, parse_strict
from seawall.core.policy.decision import Question, Refusal, decide
from seawall.core.policy.scope import applied, refuse_clinical
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from seawall.app.access import Access
    from seawall.app.caller import Caller
    from seawall.app.close_exchanges import CloseExchanges
    from seawall.app.documents import Documents
    from seawall.app.minimise import Minimised
    from seawall.app.ports import (
        Clock,
        Detector,
        KeyRing,
        Ledger,
        ModelClient,
        Notifier,
        Random,
        Store,
        Write,
    )
    from seawall.app.recall import Recall
    from seawall.app.trip import Call
    from seawall.core.phi.spans import Span
    from seawall.core.policy.decision import Decision
    from seawall.core.registers.register import Register

REQUEST: Final = "exchange.request"

_MOST_WAITING: Final = 16
"""Large requests that may wait for a search at once."""
_SAYING: Final = frozenset({"upstream-unreachable", "upstream-timeout", "upstream-failed"})
"""Failures that say something of the endpoint, and not of one request."""


class AskModel:
    """Carries exchanges; holds nothing of one after it ends."""

    def __init__(
        self,
        *,
        documents: Documents,
        recall: Recall,
        ledger: Ledger,
        store: Store,
        keys: KeyRing,
        models: ModelClient,
        detector: Detector,
        notifier: Notifier,
        closing: CloseExchanges,
        clock: Clock,
        random: Random,
        replica: str = "",
        access: Access | None = None,
    ) -> None:
        self._documents = documents
        self._access = access
        """Asks the policies; the product always has it."""
        self._recall = recall
        self._ledger = ledger
        self._store = store
        self._keys = keys
        self._models = models
        self._detector = detector
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._closing = closing
        self._replica = replica
        self._breakers: dict[str, Breaker] = {}
        self._executor = ThreadPoolExecutor(1, "search")
        self._waiting = 0

    def close(self) -> None:
        """Let go of the thread for long searches."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def ask(self, call: Call) -> PlainAnswer | StreamedAnswer:
        """Carry one exchange as far as its answer, or its stream's beginning.

        Raises `Invalid`, `Refused`, `Unavailable` or `Tampered`; the error's
        `entry` is the index of the entry that recorded it, where one could be.
        """
        if self._access is not None:
            await self._access.ready(call.principal.tenant, Action.ASK_MODEL)
        trip = self._begin(call)
        try:
            _stop(trip.decision.refusal)
            trip.exchange.advance(Event.ALLOW)
            trip.recalled = await self._recall.recall(
                call.principal,
                trip.decision,
                patient=call.patient,
                conversation=call.conversation,
                for_user=call.caller.acting_user,
            )
            async with trip.recalled.lock:
                minimised = await self._minimise(trip)
                await self._documents.refresh()
                self._check_still(trip)
                body = dump(outgoing(minimised.body, trip.endpoint.spec.model))
                await self._record_intent(trip, minimised, body)
        except (Refused, Invalid) as refused:
            trip.exchange.advance(Event.REFUSE)
            refused.entry = await self._record_refusal(trip, refused)
            raise
        except Tampered as tampered:
            self._notifier.alarm(tampered.code, trip.tenant, None)
            raise
        return await self._send(trip, minimised, body)

    def _begin(self, call: Call) -> Trip:
        """Understand the request and decide on it."""
        request = read_request(parse_strict(call.body))
        caller, principal = call.caller, call.principal
        question = Question(
            # Only a client is asked about: a person of the same name is another.
            client=principal.name if principal.kind == "client" else "",
            use_case=call.use_case,
            endpoint=request.endpoint,
            features=request.features,
            today=self._clock.today(),
            user=caller.acting_user,
            granted_use_cases=caller.use_cases,
            is_patient_granted=(
                None if caller.patient is None else caller.is_for_patient(call.patient)
            ),
        )
        register = self._documents.register(principal.tenant)
        decision = self._decide(call, question, register)
        # Ordered by time, so that the database's indexes grow at one end.
        item = self._clock.now_ms().to_bytes(6, "big") + self._random.bytes(10)
        return Trip(call, request, question, decision, register, item.hex())

    def _decide(self, call: Call, question: Question, register: Register) -> Decision:
        """Decide by the documents, and then ask the policies of access.

        They are asked for the client, and for the person for whom it acts; both must be let.
        """
        decision = decide(question, register)
        if not decision.allowed or self._access is None:
            return decision
        decision = self._permitted(decision, call.caller, self._access)
        if not decision.allowed or call.caller.person is None:
            return decision
        return self._permitted(decision, call.caller.person, self._access)

    @staticmethod
    def _permitted(decision: Decision, caller: Caller, access: Access) -> Decision:
        """Return the decision as the policies leave it, with those that determined it."""
        if decision.use_case is None:
            return decision
        answer = access.ask(
            access.asker(caller),
            Action.ASK_MODEL,
            Resource(On.EXCHANGE, caller.principal.tenant, decision.use_case.name),
            purpose=decision.use_case.spec.purpose,
            elements=decision.use_case.spec.sees.named,
        )
        if answer.allowed:
            return replace(decision, policies=(*(decision.policies or ()), *answer.policies))
        said = refusal_of(answer, Action.ASK_MODEL)
        is_person = caller.principal.kind == "user"
        whose = "for the person for whom the client acts: " if is_person else ""
        refusal = Refusal(said.code, f"{whose}{said.message}", said.help)
        return replace(decision, policies=answer.policies).refused(refusal)

    def _check_still(self, trip: Trip) -> None:
        """Refuse if documents were applied meanwhile that change the decision.

        The policies are asked again only if a document changed: they are documents too.
        """
        question = replace(trip.question, today=self._clock.today())
        register = self._documents.register(trip.tenant)
        is_new = register is not trip.register
        fresh = (
            self._decide(trip.call, question, register) if is_new else decide(question, register)
        )
        trip.register = register
        _stop(fresh.refusal)
        if fresh.determined_by != trip.decision.determined_by:
            raise Refused(
                "documents-changed",
                "the documents that decide on this request were changed meanwhile",
                "ask again: the request is then decided by the new versions",
            )

    async def _minimise(self, trip: Trip) -> Minimised:
        """Replace what the use case may not see; `Refused` if that is not enough."""
        sees = trip.use_case.spec.sees

        def work() -> Minimised:
            return minimise(
                trip.request.body,
                sees=sees,
                detector=self._detector,
                known=trip.recalled.known,
                placeholders=trip.recalled.placeholders,
            )

        minimised = await self._aside(work) if len(trip.call.body) > LARGE_BYTES else work()
        _stop(refuse_clinical(minimised.clinical, sees))
        trip.patients = await self._attribute(trip, minimised)
        trip.exchange.advance(Event.MINIMISE)
        return minimised

    async def _aside(self, work: Callable[[], Minimised]) -> Minimised:
        """Run a long search away from the event loop, a few at a time."""
        if self._waiting >= _MOST_WAITING:
            raise Unavailable(
                "gateway-busy",
                "too many large requests are being searched at once",
                "try again in a few seconds, or send less at once",
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    async def _attribute(self, trip: Trip, minimised: Minimised) -> tuple[str, ...]:
        """Return whose data this is; `Refused` if it is plainly not the named patient's."""
        named = trip.recalled.patient
        terms = sorted(minimised.terms)
        said = [f"{kind}\n{value}" for kind, value in terms]
        blinded = await self._keys.blind(trip.tenant, said) if said else []
        kinds = {term: kind for term, (kind, _) in zip(blinded, terms, strict=True)}
        matched = await self._store.patients(trip.tenant, list(kinds)) if kinds else {}
        others = {
            (kinds[term], patient)
            for term, whose in matched.items()
            if named not in whose
            for patient in whose
        }
        # A record number is one person's; a name alone may be a relative's.
        certain = any(kind in ("mrn", "ssn") for kind, _ in others)
        if named is not None and others and (certain or not minimised.has_known):
            raise Refused(
                "wrong-patient",
                "the request holds identifiers of another patient than Seawall-Patient names",
                "check which patient this is about; nothing was sent",
            )
        concerned = {patient for _, patient in others}
        return tuple(sorted(concerned | {named} if named else concerned))

    async def _record_intent(self, trip: Trip, minimised: Minimised, body: bytes) -> None:
        """Make the intent and the sealed request durable; nothing has left yet."""
        payload = dump({"received": trip.call.body.decode(), "sent": body.decode()})
        sealed = await self._keys.seal(
            payload, Context(trip.tenant, REQUEST, trip.subject, trip.item)
        )
        writes: list[Write] = [
            KeepSealed(sealed),
            OpenExchange(trip.tenant, trip.item, self._replica),
        ]
        recalled, kept = trip.recalled, None
        if recalled.conversation is not None:
            subject = recalled.patient or UNATTRIBUTED
            context = Context(trip.tenant, PLACEHOLDERS, subject, recalled.conversation)
            kept = await self._keys.seal(recalled.placeholders.to_json(), context)
            writes.append(KeepSealed(kept, replaces=recalled.kept))
        intent = entry(
            "exchange.intent",
            trip.call.principal,
            self._clock,
            **trip.people,
            decision={**trip.decision.fields(), "scope": applied(trip.use_case)},
            patients=list(trip.patients),
            unattributed=bool(minimised.found) and not trip.patients,
            found=dict(minimised.found),
            left=minimised.left(),
            features=sorted(trip.request.features),
            stream=trip.request.is_stream,
            item=trip.item,
            request=sealed.digest(),
        )
        try:
            receipt = await self._ledger.append(trip.tenant, intent, writes)
        except Conflict as conflict:
            if conflict.code != "sealed-changed":
                raise
            self._recall.forget(recalled)
            raise Refused(
                "conversation-changed",
                "another turn of this conversation was recorded at the same time",
                "send the request again; nothing of it was sent",
            ) from None
        except Unavailable:
            self._recall.forget(recalled)
            # It may be durable all the same; then an entry will say that nothing left.
            self._closing.close_later(trip.tenant, trip.item, "not-sent")
            raise
        recalled.kept = kept.digest() if kept else ""
        trip.intent = receipt.index
        trip.exchange.advance(Event.RECORD_INTENT)

    async def _record_refusal(self, trip: Trip, refused: Error) -> int | None:
        """Record why nothing went out; that the ledger is down does not hide the refusal."""
        fields = entry(
            "exchange.refuse",
            trip.call.principal,
            self._clock,
            **trip.people,
            decision=trip.decision.fields(),
            patients=list(trip.patients),
            code=refused.code,
        )
        try:
            return (await self._ledger.append(trip.tenant, fields)).index
        except Unavailable:
            self._notifier.alarm("refusal-unrecorded", trip.tenant, None)
            return None

    async def _send(
        self, trip: Trip, minimised: Minimised, body: bytes
    ) -> PlainAnswer | StreamedAnswer:
        """Send the recorded request, take the answer back, and record how it ended."""
        answer = self._answer(trip, minimised)
        try:
            async with AsyncExitStack() as stack, self._breaker(trip):
                self._check_still(trip)
                trip.exchange.advance(Event.SEND)
                upstream = await stack.enter_async_context(
                    self._models.send(trip.endpoint.spec, PATH, body)
                )
                check_status(upstream.status)
                trip.exchange.advance(Event.RECEIVE)
                await answer.receive(upstream, stack)
        except Error as error:
            await answer.record_failure(error)
            raise
        except asyncio.CancelledError:
            # A plain call's task is cancelled by the server alone.
            await asyncio.shield(answer.record_departure("server-stopping"))
            raise
        except Exception:  # a bug, raised on: but the intent must not stay open for it
            await answer.record_bug()
            raise
        await answer.conclude()
        return answer

    def _answer(self, trip: Trip, minimised: Minimised) -> PlainAnswer | StreamedAnswer:
        def find(text: str) -> list[Span]:
            return self._detector.find(text, trip.recalled.known)

        rewriting = Rewriting(
            placeholders=trip.recalled.placeholders,
            inspector=Inspector(find, Given(minimised.texts, minimised.identifiers)),
            rule=trip.use_case.spec.answers,
            writes_json=trip.request.writes_json,
        )
        kind = StreamedAnswer if trip.request.is_stream else PlainAnswer
        return kind(
            trip=trip,
            rewriting=rewriting,
            ledger=self._ledger,
            keys=self._keys,
            clock=self._clock,
            notifier=self._notifier,
            closing=self._closing,
            aside=self._executor,
        )

    @asynccontextmanager
    async def _breaker(self, trip: Trip) -> AsyncIterator[None]:
        """Let one call through the endpoint's circuit breaker, and learn from how it went."""
        place = f"{trip.tenant}/{trip.endpoint.name}"
        breaker = self._breakers.get(place, Breaker())
        if not breaker.may_call(self._clock.monotonic()):
            raise Unavailable(
                "circuit-open",
                "the endpoint failed several times and is given a rest",
                "try again in a few seconds, or go on without AI",
            )
        self._breakers[place] = breaker.calling(self._clock.monotonic())
        try:
            yield
        except BaseException as error:
            held = self._breakers[place]
            says = isinstance(error, Unavailable) and error.code in _SAYING
            now = self._clock.monotonic()
            self._breakers[place] = held.failed(now) if says else held.abandoned()
            raise
        self._breakers[place] = self._breakers[place].succeeded()


def _stop(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Refused(refusal.code, refusal.reason, refusal.help)
