"""How the sandbox misbehaves on demand: an aid for testing what stands before it.

A request chooses a fault by a switch in its `model` field, as in
`seawall-sandbox-1+reset`. `+echo` is no fault: the answer is the exact last
message of the user, so that a test knows the answer beforehand; it may be
combined with one fault (`seawall-sandbox-1+echo+cut`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from seawall.sandbox.dialect import UnusableRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

ECHO: Final = "echo"

HUGE_BYTES: Final = 32 * 1024 * 1024
"""Size of the body that `+huge` sends: one JSON string, or one line of a stream."""

_BLOCK: Final = b"A" * 65_536
_GARBAGE: Final = b'<html>{"choices":[{"message"\xff\xfe not json'


class Ending(Enum):
    """What happens to the connection after the body's last byte."""

    COMPLETE = auto()
    """The HTTP message ends as it should."""
    RESET = auto()
    """The connection is reset (TCP RST)."""
    STALL = auto()
    """Nothing more is sent, until the client goes away."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How an answer goes wrong; `body` makes the bytes that are sent out of the right ones."""

    description: str
    body: Callable[[bytes], bytes] = lambda right: right
    ending: Ending = Ending.COMPLETE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    huge: bool = False

    def sends_nothing(self, *, stream: bool) -> bool:
        """Whether not even a status line is sent: a plain answer that is reset or stalls."""
        return self.ending is not Ending.COMPLETE and not stream


def _half(right: bytes) -> bytes:
    """Keep half of the bytes, which in a stream ends inside an event."""
    return right[: len(right) // 2 + 3]


def _garbled(right: bytes) -> bytes:
    """Put bytes that are neither JSON nor UTF-8 in place of the answer, or into a stream."""
    if not right.startswith(b"data: "):
        return _GARBAGE
    middle = right.index(b"\n\n", len(right) // 2 - 1) + 2
    return right[:middle] + b"data: " + _GARBAGE + b"\n\n" + right[middle:]


def _error(message: str, code: str) -> Callable[[bytes], bytes]:
    """Put the dialect's error object in place of the answer."""
    body = (
        f'{{"error":{{"message":"{message}","type":"sandbox_fault","param":null,"code":"{code}"}}}}'
    )
    return lambda _: body.encode()


def _error_event(right: bytes) -> bytes:
    """Put an error object in place of the second half of a stream, or of a plain answer."""
    error = _error("sandbox fault on demand", "fault-error")(right)
    if not right.startswith(b"data: "):
        return error
    middle = right.index(b"\n\n", len(right) // 2 - 1) + 2
    return right[:middle] + b"data: " + error + b"\n\n"


FAULTS: Final[dict[str, Fault]] = {
    "reset": Fault(
        "the connection is reset: before the first byte, or in the middle of a stream",
        body=_half,
        ending=Ending.RESET,
    ),
    "stall": Fault(
        "silence until the client leaves: from the start, or from the middle of a stream",
        body=_half,
        ending=Ending.STALL,
    ),
    "cut": Fault(
        "half of the body, as though it were complete; a stream ends without [DONE]", body=_half
    ),
    "garbage": Fault(
        "bytes that are not JSON: the answer, or one event of a stream", body=_garbled
    ),
    "error": Fault(
        "status 200 with an error object: as the answer, or in the middle of a stream",
        body=_error_event,
    ),
    "huge": Fault("32 MiB in one string; in a stream, in one line", huge=True),
    "500": Fault("status 500", body=_error("sandbox fault on demand", "fault-500"), status=500),
    "429": Fault(
        "status 429, retry after 7 seconds",
        body=_error("sandbox fault on demand", "fault-429"),
        status=429,
        headers={"Retry-After": "7"},
    ),
    "redirect": Fault(
        "status 307 back to this same address: a client that follows is seen again by the witness",
        body=lambda _: b"",
        status=307,
        headers={"Location": "/v1/chat/completions?redirected"},
    ),
}
"""The switches, and what each does."""


def fault_of(switches: tuple[str, ...]) -> Fault | None:
    """Return the fault that the switches choose; None without one.

    Raises UnusableRequestError for a switch that does not exist, and for two faults.
    """
    chosen = [switch for switch in switches if switch != ECHO]
    if len(chosen) > 1 or not set(chosen) <= set(FAULTS):
        raise UnusableRequestError(404, "model_not_found", "no such switch, or two faults at once")
    return FAULTS[chosen[0]] if chosen else None


async def huge_body(*, stream: bool) -> AsyncIterator[bytes]:
    """Yield 32 MiB that never hold a line's end before the very end."""
    yield (
        b'data: {"choices":[{"index":0,"delta":{"content":"'
        if stream
        else (
            b'{"id":"chatcmpl-huge","object":"chat.completion","choices":[{"index":0,'
            b'"finish_reason":"stop","message":{"role":"assistant","content":"'
        )
    )
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        yield _BLOCK
    yield b'"}}]}\n\n' if stream else b'"}}]}'
