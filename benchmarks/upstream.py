"""The model's place in a benchmark: a fixed answer over TLS, as cheap as can be.

Speaks just enough HTTP/1.1 for keep-alive clients that send Content-Length.
A request that asks for a stream gets 40 chunks, a millisecond apart, so that
each arrives alone as a model's would.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final, cast

import uvloop

from benchmarks.listening import announce, arguments, tls

CHUNKS: Final = 40
GAP_SECONDS: Final = 0.001
ANSWER: Final = (
    "Summary for [NAME-1]: seen on [DATE-2] for knee pain after a fall, worse on stairs, no "
    "locking and no fever. Range of motion is reduced, with mild effusion and a stable joint; "
    "the radiograph shows no fracture. Assessment: mild osteoarthritis of the right knee. Plan: "
    "acetaminophen 500 mg every six hours as needed, stop ibuprofen because of the stomach, "
    "exercises twice a day, and a review in four weeks. [NAME-1] was told to call if the knee "
    "swells, turns red, or if fever or calf pain begins. Allergy to penicillin is unchanged; "
    "blood pressure was 134/82 and weight is stable. No referral is needed now."
)
"""What the model says: clinical text with placeholders that are there to be restored."""


def completion() -> bytes:
    """Return the whole answer of the dialect."""
    message = {"role": "assistant", "content": ANSWER}
    return _dump(
        {
            **_head("chat.completion"),
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 512, "completion_tokens": 160, "total_tokens": 672},
        }
    )


def events() -> list[bytes]:
    """Return the stream's events: 40 chunks of text, and the end."""
    length = -(-len(ANSWER) // CHUNKS)
    texts = [ANSWER[at : at + length] for at in range(0, len(ANSWER), length)]
    texts += [""] * (CHUNKS - len(texts))
    found = [_event({"content": text}, None) for text in texts]
    return [*found, _event({}, "stop") + b"data: [DONE]\n\n"]


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {**_head("chat.completion.chunk"), "choices": [choice]}
    return b"data: " + _dump(chunk) + b"\n\n"


def _head(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1767225600, "model": "fixed-1"}


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


_PLAIN: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Model(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self) -> None:
        self._received = b""
        self._plain = _PLAIN % (len(completion()), completion())
        self._parts = [*map(_chunk, events()), b"0\r\n\r\n"]
        self._streams: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
        if len(rest) < length:
            return
        self._received = rest[length:]
        if b'"stream":true' in rest[:length]:
            task = asyncio.get_running_loop().create_task(self._stream())
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        else:
            self._transport.write(self._plain)

    async def _stream(self) -> None:
        self._transport.write(_STREAM)
        for part in self._parts:
            self._transport.write(part)
            await asyncio.sleep(GAP_SECONDS)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Model, "127.0.0.1", 0, ssl=tls(arguments()))
    announce(server.sockets[0])
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
