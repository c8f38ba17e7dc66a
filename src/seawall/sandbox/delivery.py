"""How an answer leaves: whole, as a stream in uneven writes, or broken on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse

from seawall.sandbox.answers import completion, events, uneven_writes
from seawall.sandbox.faults import Ending, Fault, huge_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from seawall.sandbox.dialect import ChatRequest

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

TRANSPORT: Final = "transport"
"""Under which name the server keeps the connection's transport in the ASGI state."""

_OK: Final = 200
_CLOSE_BY_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: closing sends RST in place of FIN (socket(7))."""


def deliver(chat: ChatRequest, fault: Fault | None) -> Response:
    """Return the response to a request, gone wrong as `fault` says."""
    media_type = EVENTS if chat.stream else JSON
    if fault is not None and fault.huge:
        return StreamingResponse(huge_body(stream=chat.stream), media_type=media_type)
    right = b"".join(events(chat)) if chat.stream else completion(chat)
    body = right if fault is None else fault.body(right)
    if fault is not None and fault.ending is not Ending.COMPLETE:
        sent = b"" if fault.sends_nothing(stream=chat.stream) else body
        return _Broken(sent, fault.ending, media_type)
    if fault is not None and fault.status != _OK:
        return Response(body, fault.status, dict(fault.headers), JSON)
    if chat.stream:
        return StreamingResponse(_apart(body, chat.digest), media_type=media_type)
    return Response(body, media_type=media_type)


async def _apart(stream: bytes, digest: bytes) -> AsyncIterator[bytes]:
    """Let the event loop run between two writes, so that they leave one by one."""
    for write in uneven_writes(stream, digest):
        yield write
        await asyncio.sleep(0)


class _Broken(Response):
    """A response that never ends properly: it is reset, or falls silent."""

    def __init__(self, sent: bytes, ending: Ending, media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]  # the body is never complete
        self._sent = sent
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sent:
            start = {"type": "http.response.start", "status": _OK, "headers": self.raw_headers}
            await send(start)
            await send({"type": "http.response.body", "body": self._sent, "more_body": True})
        if self._ending is Ending.STALL:
            # The request's body has been read: all that can still come is the disconnect.
            await receive()
            return
        transport: asyncio.Transport = scope["state"][TRANSPORT]
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_BY_RESET)
        transport.abort()
