"""The OpenAI doors: chat completions and models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

from seawall.app.answer import StreamedAnswer
from seawall.app.trip import Call
from seawall.core.errors import Error, Invalid, Unavailable
from seawall.core.gateway.events import event
from seawall.core.gateway.openai_chat import error_body
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.endpoint import EndpointSpec
from seawall.core.registers.use_case import UseCaseSpec
from seawall.http.errors import json_response, respond
from seawall.http.requests import bearer, read_body, short_header

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from seawall.app.ask_model import AskModel
    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.issue_token import IssueToken
    from seawall.http.metrics import Metrics


_STOPPING: Final = event(
    orjson.dumps(
        error_body(
            Unavailable(
                "server-stopping",
                "Seawall is being stopped, and the answer is incomplete",
                "ask again in a moment",
            )
        )
    )
)


class ChatDoor:
    """Endpoints of the OpenAI dialect; parses, asks, answers."""

    def __init__(
        self,
        *,
        ask_model: AskModel,
        issue_token: IssueToken,
        documents: Documents,
        metrics: Metrics,
    ) -> None:
        self._ask_model = ask_model
        self._issue_token = issue_token
        self._documents = documents
        self._metrics = metrics

    async def completions(self, request: Request) -> Response:
        """Answer POST /v1/chat/completions."""
        try:
            caller = await self._issue_token.identify(bearer(request))
            call = Call(
                caller=caller,
                use_case=self._use_case(request, caller),
                patient=short_header(request, "Seawall-Patient"),
                conversation=short_header(request, "Seawall-Conversation"),
                body=await read_body(request),
            )
            answer = await self._ask_model.ask(call)
        except Error as error:
            self._metrics.exchange(error.code)
            return respond(error)
        self._metrics.exchange("answered")
        headers = {"Seawall-Entry": str(answer.entry), "Cache-Control": "no-store"}
        if isinstance(answer, StreamedAnswer):
            return EventStream(answer, headers)
        return Response(answer.body, 200, headers, "application/json")

    async def models(self, request: Request) -> Response:
        """Answer GET /v1/models: the endpoints that the client's use cases name."""
        try:
            caller = await self._issue_token.identify(bearer(request))
        except Error as error:
            return respond(error)
        register = self._documents.register(caller.principal.tenant)
        use_cases = [register.find(UseCaseSpec, name) for name in self._use_cases(caller)]
        names = {name for use_case in use_cases if use_case for name in use_case.spec.endpoints}
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "seawall"}
            for name in sorted(names)
            if register.find(EndpointSpec, name)
        ]
        return json_response({"object": "list", "data": listed})

    def _use_case(self, request: Request, caller: Caller) -> str:
        """Return the use case that the request names, or the caller's only one."""
        named = short_header(request, "Seawall-Use-Case")
        if named is not None:
            return named
        only = self._use_cases(caller)
        if len(only) != 1:
            raise Invalid(
                "use-case-missing",
                "the request does not say under which use case it is made",
                "send the header Seawall-Use-Case; only a client with a single use case may not",
            )
        return next(iter(only))

    def _use_cases(self, caller: Caller) -> frozenset[str]:
        """Return the use cases of the client to which its token is not closed."""
        principal = caller.principal
        client = self._documents.register(principal.tenant).find(ClientSpec, principal.name)
        if client is None:
            return frozenset()
        granted = client.spec.use_cases
        return granted if caller.use_cases is None else granted & caller.use_cases


class EventStream(Response):
    """Server-sent events that stop, upstream included, when the caller goes away."""

    def __init__(self, answer: StreamedAnswer, headers: dict[str, str]) -> None:
        super().__init__(None, 200, headers, "text/event-stream")
        del self.headers["content-length"]
        self._answer = answer

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; cancel the exchange at once on a disconnect."""
        sending = asyncio.create_task(self._send_events(send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The server stops: the caller is there still, and is told.
            self._answer.leaving = "server-stopping"
            raise
        finally:
            leaving.cancel()
            if not sending.done():
                sending.cancel()
            sent, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(sent, Exception):
            raise sent

    async def _send_events(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        events = self._answer.events()
        try:
            async for data in events:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except asyncio.CancelledError:
            if self._answer.leaving == "server-stopping":
                await send({"type": "http.response.body", "body": _STOPPING, "more_body": False})
            raise
        finally:
            await events.aclose()
            await self._answer.close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
