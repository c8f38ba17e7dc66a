"""A question about a patient reaches a model lawfully: the life of an exchange.

    identify -> decide -> minimise -> record -> send -> inspect -> restore -> record

The order is kept by the state table of `core/gateway/exchange.py`; what each
step means is in the module that it calls. Whatever refuses or fails on the way
becomes an entry too, and reaches the caller as one of our errors, which names
the entry.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from seawall.app.answer import PlainAnswer, StreamedAnswer, check_status
from seawall.app.entries import entry
from seawall.app.minimise import minimise
from seawall.app.ports import KeepSealed, OpenExchange
from seawall.app.recall import PLACEHOLDERS, UNATTRIBUTED
from seawall.app.trip import Trip
from seawall.core.errors import Error, Refused, Tampered, Unavailable
from seawall.core.gateway.breaker import Breaker
from seawall.core.gateway.exchange import Event
from seawall.core.gateway.given import Given
from seawall.core.gateway.inspection import Inspector
from seawall.core.gateway.openai_answer import Rewriting
from seawall.core.gateway.openai_chat import PATH, outgoing, read_request
from seawall.core.phi.walking import dump, parse_strict
from seawall.core.policy.decision import Question, decide
from seawall.core.policy.scope import refuse_clinical
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
    from seawall.core.policy.decision import Refusal

REQUEST: Final = "exchange.request"

_LARGE: Final = 16_384
"""Bytes of a body from which walking leaves the event loop."""


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
        clock: Clock,
        random: Random,
    ) -> None:
        self._documents = documents
        self._recall = recall
        self._ledger = ledger
        self._store = store
        self._keys = keys
        self._models = models
        self._detector = detector
        self._notifier = notifier
        self._clock = clock
        self._random = random
        self._breakers: dict[str, Breaker] = {}

    async def ask(self, call: Call) -> PlainAnswer | StreamedAnswer:
        """Carry one exchange as far as its answer, or its stream's beginning.

        Raises `Invalid`, `Refused`, `Unavailable` or `Tampered`; the error's
        `entry` is the index of the entry that recorded it, where one could be.
        """
        trip = self._begin(call)
        try:
            _stop(trip.decision.refusal)
            trip.exchange.advance(Event.ALLOW)
            trip.recalled = await self._recall.recall(
                call.principal,
                trip.decision,
                patient=call.patient,
                conversation=call.conversation,
            )
            async with trip.recalled.lock:
                minimised = await self._minimise(trip)
                body = dump(outgoing(minimised.body, trip.endpoint.spec.model))
                await self._record_intent(trip, minimised, body)
        except Refused as refused:
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
        question = Question(
            client=call.principal.name,
            use_case=call.use_case,
            endpoint=request.endpoint,
            features=request.features,
            today=self._clock.today(),
        )
        decision = decide(question, self._documents.register(call.principal.tenant))
        return Trip(call, request, decision, self._random.bytes(16).hex())

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

        large = len(trip.call.body) > _LARGE
        minimised = await asyncio.to_thread(work) if large else work()
        _stop(refuse_clinical(minimised.clinical, sees))
        trip.patients = await self._attribute(trip, minimised)
        trip.exchange.advance(Event.MINIMISE)
        return minimised

    async def _attribute(self, trip: Trip, minimised: Minimised) -> tuple[str, ...]:
        """Return whose data this is; `Refused` if it is plainly not the named patient's."""
        named = trip.recalled.patient
        kinds = {
            self._keys.blind(trip.tenant, f"{kind}\n{value}"): kind
            for kind, value in minimised.terms
        }
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
        writes: list[Write] = [KeepSealed(sealed), OpenExchange(trip.tenant, trip.item)]
        recalled = trip.recalled
        if recalled.conversation is not None:
            subject = recalled.patient or UNATTRIBUTED
            context = Context(trip.tenant, PLACEHOLDERS, subject, recalled.conversation)
            kept = await self._keys.seal(recalled.placeholders.to_json(), context)
            writes.append(KeepSealed(kept))
        receipt = await self._ledger.append(
            trip.tenant,
            entry(
                "exchange.intent",
                trip.call.principal,
                self._clock,
                decision=trip.decision.fields(),
                patients=list(trip.patients),
                unattributed=bool(minimised.found) and not trip.patients,
                found=dict(minimised.found),
                left=minimised.left(),
                features=sorted(trip.request.features),
                stream=trip.request.is_stream,
                item=trip.item,
                request=sealed.digest(),
            ),
            writes,
        )
        trip.intent = receipt.index
        trip.exchange.advance(Event.RECORD_INTENT)

    async def _record_refusal(self, trip: Trip, refused: Refused) -> int | None:
        """Record why nothing went out; that the ledger is down does not hide the refusal."""
        fields = entry(
            "exchange.refuse",
            trip.call.principal,
            self._clock,
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
            await asyncio.shield(answer.record_departure())
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
        except Unavailable:
            self._breakers[place] = self._breakers[place].failed(self._clock.monotonic())
            raise
        except BaseException:
            self._breakers[place] = self._breakers[place].abandoned()
            raise
        self._breakers[place] = self._breakers[place].succeeded()


def _stop(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Refused(refusal.code, refusal.reason, refusal.help)
