"""Callers that say nothing, or say it too slowly, do not hold the server."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request

from seawall.core.errors import Invalid
from seawall.http.errors import status
from seawall.http.protocol import HEAD_SECONDS, TimedProtocol
from seawall.http.requests import read_body
from seawall.http.server import listen, serving
from seawall.tls import server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clinic import Clinic

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMIT = 0.2
SLOWER = LIMIT * 2
HANGING = 10.0


class Impatient(TimedProtocol):
    """The server's protocol with a short limit."""

    head_seconds = LIMIT


async def slow_application(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer every request after longer than a head may take."""
    await asyncio.sleep(SLOWER)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def connected(
    clinic: Clinic,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a TLS connection to an impatient server."""
    made = clinic.installation.certificate()
    context = server_context(made.certificate, made.key, made.password)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(clinic.authority))
    async with serving(slow_application, listener, context, Impatient):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        try:
            yield reader, writer
        finally:
            writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTT", REQUEST[:-2]], ids=["nothing", "line", "head"])
async def test_connection_without_a_whole_head_is_closed(said: bytes, clinic: Clinic) -> None:
    """A connection that says nothing, or half a request's head, is closed without an answer."""
    async with connected(clinic) as (reader, writer):
        writer.write(said)

        assert b"" == await asyncio.wait_for(reader.read(), HANGING)


async def test_second_head_on_a_connection_is_limited_as_well(clinic: Clinic) -> None:
    """After an answered request, half a head is closed as it is on a new connection."""
    async with connected(clinic) as (reader, writer):
        writer.write(REQUEST)
        first = await reader.readuntil(b"\r\n\r\nok")
        writer.write(REQUEST[:-2])

        assert first.startswith(b"HTTP/1.1 200")
        assert b"" == await asyncio.wait_for(reader.read(), HANGING)


async def test_ordinary_client_is_not_disturbed(clinic: Clinic) -> None:
    """Waiting for a slow answer, and idling between requests, closes nothing."""
    async with connected(clinic) as (reader, writer):
        answers = []
        for _ in range(2):
            writer.write(REQUEST)
            answers.append(await reader.readuntil(b"\r\n\r\nok"))
            await asyncio.sleep(SLOWER)

        assert [True] * 2 == [answer.startswith(b"HTTP/1.1 200") for answer in answers]


def test_limit_of_the_server_is_the_stated_one() -> None:
    """The server itself waits ten seconds for a head."""
    assert 10.0 == HEAD_SECONDS == TimedProtocol.head_seconds


def arriving(*messages: dict[str, Any]) -> Request:
    """Return a request whose body arrives in these messages, and then no further."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        """Give the body piece by piece."""
        return waiting.pop(0) if waiting else await asyncio.Future()

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_body_that_does_not_come_is_too_slow() -> None:
    """A body of which a part came and no more is given up with 408, and its content not told."""
    part = {"type": "http.request", "body": b"Koepp", "more_body": True}

    with pytest.raises(Invalid) as caught:
        await read_body(arriving(part), seconds=0.01)

    assert ("body-too-slow", 408) == (caught.value.code, status(caught.value))
    assert "Koepp" not in f"{caught.value.message}{caught.value.help}"


async def test_body_in_pieces_is_read_whole() -> None:
    """A body that comes in pieces within the limit is read to its end."""
    pieces = [
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
    ]

    assert b"one two" == await read_body(arriving(*pieces))
