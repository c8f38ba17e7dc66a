"""seawall.client with the official Anthropic SDK, against the token door and a Messages shape."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from certified import TestAuthority
from fakes import FakeClock
from seawall.client import TokenSource, anthropic_client, async_anthropic_client
from seawall.core.errors import Error
from seawall.http.errors import json_response, respond
from seawall.http.oauth import TokenDoor
from seawall.http.requests import bearer
from served import listening
from token_desk import ED, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

ORIGIN = "https://localhost"
ASKED: dict[str, Any] = {
    "model": "model",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hi"}],
}


class Messages:
    """The token door, and a door of the Messages shape that checks its tokens and says hi."""

    def __init__(self, folder: Path) -> None:
        self.authority = TestAuthority(folder / "authority")
        self.desk = Desk(FakeClock(), ORIGIN)
        asyncio.run(self.desk.open())
        self.key = folder / "app.jwk"
        self.key.write_text(json.dumps(ED), "utf-8")
        self.asked: list[tuple[str, str | None, str | None]] = []
        """Of each request: who asked or why not, the use case, and a key of a provider."""

    def application(self) -> Starlette:
        """Return both doors."""
        tokens = TokenDoor(self.desk.here.issue_token, f"{ORIGIN}/oauth2/token")
        return Starlette(
            routes=[
                Route("/oauth2/token", tokens.token, methods=["POST"]),
                Route("/anthropic/v1/messages", self._messages, methods=["POST"]),
            ]
        )

    async def _messages(self, request: Request) -> Response:
        said = [request.headers.get(name) for name in ("Seawall-Use-Case", "X-Api-Key")]
        try:
            caller = await self.desk.here.issue_token.identify(bearer(request))
        except Error as error:
            self.asked.append((error.code, said[0], said[1]))
            return respond(error)
        self.asked.append((caller.principal.name, said[0], said[1]))
        if (await request.json()).get("stream"):
            return StreamingResponse(_events(), media_type="text/event-stream")
        return json_response(_message([{"type": "text", "text": "hi"}]))

    def source(self, port: int, **options: Any) -> TokenSource:
        """Return tokens of the client `app`, whose clock is the server's."""
        chosen = {"authority": self.authority.certificate, "wall": self.desk.now, **options}
        return TokenSource(f"{ORIGIN}:{port}", "practice/app", self.key, **chosen)


def _message(content: list[dict[str, str]]) -> dict[str, Any]:
    """Return a message as the vendor's interface has it."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "model",
        "content": content,
        "stop_reason": "end_turn" if content else None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


async def _events() -> AsyncIterator[bytes]:
    """Yield the events of a streamed message."""
    text = {"type": "text_delta", "text": "hi"}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    for event in (
        {"type": "message_start", "message": _message([])},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ):
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Messages, int]]:
    """Serve the doors over TLS; yield them and their port."""
    messages = Messages(tmp_path)
    with listening(messages.application(), messages.authority) as port:
        yield messages, port


def test_the_anthropic_sdk_goes_on_when_its_token_expires(served: tuple[Messages, int]) -> None:
    """The old token is refused; the SDK's call is answered all the same, under its use case."""
    messages, port = served
    source = messages.source(port)
    with anthropic_client(source, use_case="summary", max_retries=0) as client:
        first = client.messages.create(**ASKED).content[0].text
        messages.desk.clock.advance(601)
        second = client.messages.create(**ASKED).content[0].text

    assert ("hi", "hi") == (first, second)
    assert ["app", "token-expired", "app"] == [who for who, _, _ in messages.asked]
    assert {"summary"} == {use_case for _, use_case, _ in messages.asked}


def test_a_stream_comes_through_with_tokens_bound_to_a_key(served: tuple[Messages, int]) -> None:
    """Streaming is the SDK's own, and a bound token is sent with its proof."""
    messages, port = served
    with (
        anthropic_client(messages.source(port, dpop=True), max_retries=0) as client,
        client.messages.stream(**ASKED) as stream,
    ):
        assert "hi" == "".join(stream.text_stream)

    assert ["app"] == [who for who, _, _ in messages.asked]


def test_the_asynchronous_anthropic_sdk_goes_on_too(served: tuple[Messages, int]) -> None:
    """Before and after its token expires, and in a stream."""
    messages, port = served

    async def said() -> list[str]:
        """Return what the model said."""
        async with async_anthropic_client(messages.source(port), max_retries=0) as client:
            found = [(await client.messages.create(**ASKED)).content[0].text]
            messages.desk.clock.advance(601)
            async with client.messages.stream(**ASKED) as stream:
                return [*found, await stream.get_final_text()]

    assert ["hi", "hi"] == asyncio.run(said())
    assert ["app", "token-expired", "app"] == [who for who, _, _ in messages.asked]


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_no_key_of_the_environment_is_sent(
    name: str, served: tuple[Messages, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key for the vendor that lies in the environment stays there."""
    messages, port = served
    monkeypatch.setenv(name, "sk-ant-of-the-environment")
    headers = {"X-Api-Key": "sk-ant-of-the-caller"}
    with anthropic_client(messages.source(port), max_retries=0, default_headers=headers) as client:
        client.messages.create(**ASKED)

    assert [("app", None, None)] == messages.asked
