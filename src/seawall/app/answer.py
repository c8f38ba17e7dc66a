"""The way back of an exchange: inspect, restore, record the outcome, hand over.

A plain answer is handed over only after its outcome was recorded. A stream is
handed over as it comes, but its end is held back until the outcome was
recorded; if that fails, the stream ends in the dialect's error.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from seawall.app.entries import entry
from seawall.app.ports import CloseExchange, KeepSealed
from seawall.core.errors import Error, Invalid, Refused, Tampered, Unavailable
from seawall.core.gateway.events import EventFramer, event
from seawall.core.gateway.exchange import Event
from seawall.core.gateway.openai_answer import Rewriting, StreamRewriter, rewrite_answer
from seawall.core.gateway.openai_chat import error_body
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from concurrent.futures import Executor

    from seawall.app.close_exchanges import CloseExchanges
    from seawall.app.ports import Answer, Clock, KeyRing, Ledger, Notifier
    from seawall.app.trip import Trip

ANSWER: Final = "exchange.answer"
LARGE_BYTES: Final = 16_384
"""Size from which a body is searched away from the event loop."""

Outcome = Literal["answered", "blocked", "failed", "abandoned"]

_OK: Final = 200
_BUSY: Final = 429
_SERVER: Final = 500
_CREDENTIALS: Final = (401, 403)


def check_status(status: int) -> None:
    """Raise unless an upstream answered 200; its own words are not passed on."""
    if status == _OK:
        return
    if status in _CREDENTIALS:
        raise Unavailable(
            "upstream-credentials",
            "the model does not accept the endpoint's credentials",
            "check the secret that the Endpoint names",
        )
    if status == _BUSY:
        raise Unavailable(
            "upstream-busy", "the model is over its limit of requests", "try again later"
        )
    if status < _SERVER:
        raise Invalid(
            "upstream-rejected",
            f"the model rejects the request with status {status}",
            "check parameters such as max_tokens or response_format against the model's manual",
        )
    raise Unavailable(
        "upstream-failed",
        f"the model failed with status {status}",
        "try again later, or go on without AI",
    )


class _Return:
    """What plain and streamed answers have in common: recording how the exchange ended."""

    def __init__(
        self,
        *,
        trip: Trip,
        rewriting: Rewriting,
        ledger: Ledger,
        keys: KeyRing,
        clock: Clock,
        notifier: Notifier,
        closing: CloseExchanges,
        aside: Executor,
    ) -> None:
        self._trip = trip
        self._closing = closing
        self._aside = aside
        self._rewriting = rewriting
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._notifier = notifier

    @property
    def entry(self) -> int:
        """The index of the intent's entry in the tenant's log."""
        return self._trip.intent

    async def record_failure(self, error: Error) -> None:
        """Record that the exchange ended in `error`, and tell the caller's error its entry."""
        error.entry = self._trip.intent
        blocked = isinstance(error, Refused)
        self._trip.exchange.advance(Event.REFUSE if blocked else Event.FAIL)
        if isinstance(error, Tampered):
            self._notifier.alarm(error.code, self._trip.tenant, self._trip.intent)
        await self._record("blocked" if blocked else "failed", self._so_far(), code=error.code)

    async def record_bug(self) -> None:
        """Record that the exchange ended in a mistake of the program."""
        if not self._trip.exchange.is_over:
            self._trip.exchange.advance(Event.FAIL)
            await self._record("failed", self._so_far(), code="internal")

    async def record_departure(self, code: str) -> None:
        """Record that the exchange was given up: `client-gone` or `server-stopping`."""
        self._trip.exchange.advance(Event.FAIL)
        await self._record("abandoned", self._so_far(), code=code)

    async def _record_answer(self, payload: bytes) -> None:
        """Make the outcome durable; if that fails, nothing is handed over."""
        self._trip.exchange.advance(Event.INSPECT)
        try:
            await self._append("answered", payload, {})
        except Error as error:
            self._trip.exchange.advance(Event.FAIL)
            self._leave_open()
            withheld = Unavailable(
                "outcome-unrecorded",
                "the model answered, but the ledger cannot record the answer",
                "the request was sent once already: ask again only if that may happen twice",
            )
            withheld.entry = self._trip.intent
            raise withheld from error
        self._trip.exchange.advance(Event.RECORD_OUTCOME)

    async def _record(self, outcome: Outcome, payload: bytes, **fields: Any) -> None:
        try:
            await self._append(outcome, payload, fields)
        except Error:
            # The exchange failed already; that its end is not recorded either is alarmed.
            self._leave_open()

    def _leave_open(self) -> None:
        """Alarm that the outcome is not recorded, and have it recorded as soon as may be."""
        self._notifier.alarm("outcome-unrecorded", self._trip.tenant, self._trip.intent)
        self._closing.close_later(self._trip.tenant, self._trip.item, "unrecorded")

    async def _append(self, outcome: Outcome, payload: bytes, fields: dict[str, Any]) -> None:
        trip = self._trip
        if payload:
            context = Context(trip.tenant, ANSWER, trip.subject, trip.item)
            sealed = await self._keys.seal(payload, context)
            fields["answer"] = sealed.digest()
        await self._ledger.append(
            trip.tenant,
            entry(
                "exchange.outcome",
                trip.call.principal,
                self._clock,
                intent=trip.intent,
                item=trip.item,
                patients=list(trip.patients),
                outcome=outcome,
                new=dict(self._rewriting.inspector.found),
                **fields,
            ),
            [CloseExchange(trip.tenant, trip.item), *([KeepSealed(sealed)] if payload else [])],
        )

    def _so_far(self) -> bytes:
        return b""


class PlainAnswer(_Return):
    """A whole answer, inspected, restored and recorded."""

    body: bytes = b""

    async def receive(self, upstream: Answer, _stack: AsyncExitStack) -> None:
        """Read and rewrite the upstream's answer."""
        raw = await upstream.read()
        if len(raw) > LARGE_BYTES:
            loop = asyncio.get_running_loop()
            self.body = await loop.run_in_executor(
                self._aside, rewrite_answer, raw, self._rewriting
            )
        else:
            self.body = rewrite_answer(raw, self._rewriting)

    async def conclude(self) -> None:
        """Record the outcome; the body may be handed over when this returns."""
        await self._record_answer(self.body)


class StreamedAnswer(_Return):
    """An answer that is handed over as it comes."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._framer = EventFramer()
        self._rewriter = StreamRewriter(self._rewriting)
        self._chunks: AsyncIterator[bytes]
        self._first = b""
        self._stack = AsyncExitStack()
        self.leaving = "client-gone"
        """Why the stream is given up, if it is."""

    async def receive(self, upstream: Answer, stack: AsyncExitStack) -> None:
        """Wait for the first bytes, then take over the connection."""
        self._chunks = upstream.chunks()
        self._first = await anext(self._chunks, b"")
        self._stack = stack.pop_all()

    async def conclude(self) -> None:
        """Do nothing: a stream's outcome is recorded before its end is handed over."""

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield the events for the caller, as bytes on the wire; always ends, never raises ours."""
        try:
            for data in self._feed(self._first):
                yield event(data)
            async for chunk in self._chunks:
                for data in self._feed(chunk):
                    yield event(data)
            ending = self._rewriter.finish()
            await self._record_answer(self._rewriter.transcript())
            for data in ending:
                yield event(data)
        except Error as error:
            if not self._trip.exchange.is_over:
                await self.record_failure(error)
            yield event(orjson.dumps(error_body(error)))
        except Exception:  # a bug, raised on: but the intent must not stay open for it
            await self.record_bug()
            raise
        finally:
            await asyncio.shield(self.close())

    async def close(self) -> None:
        """End the exchange, if it has not ended, and let go of the upstream; may be repeated."""
        if not self._trip.exchange.is_over:
            await self.record_departure(self.leaving)
        await self._stack.aclose()

    def _feed(self, chunk: bytes) -> list[bytes]:
        return [out for data in self._framer.feed(chunk) for out in self._rewriter.feed(data)]

    def _so_far(self) -> bytes:
        return self._rewriter.transcript()
