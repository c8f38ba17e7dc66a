"""Server-sent events: bytes in, the data of whole events out, whatever the cutting.

WHATWG HTML, section 9.2.6, for the fields that AI APIs use: `data` and
`event`; comments and unknown fields are skipped. Bounded: an event larger than
the limit raises. The result never depends on where the bytes were cut, also
inside a UTF-8 sequence, because lines are split on bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EVENT_BYTES: Final = 1 << 20

_LINE_FEED: Final = 0x0A
_CARRIAGE_RETURN: Final = 0x0D


class EventFramer:
    """Cuts a byte stream into the `data` of its events."""

    __slots__ = ("_buffer", "_data", "_size", "_skip_newline")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._skip_newline = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes.

        Raises `Unavailable` (`upstream-garbage`) when one event exceeds the limit.
        """
        self._buffer += chunk
        while (line := self._next_line()) is not None:
            if line:
                self._take(line)
                continue
            if self._data:
                yield b"\n".join(self._data)
            self._data, self._size = [], 0
        self._check_size(len(self._buffer))

    def _check_size(self, more: int) -> None:
        # Each line counts when it is complete and while it is not, so cutting changes nothing.
        if self._size + more > MAX_EVENT_BYTES:
            raise Unavailable(
                "upstream-garbage",
                "the model's stream holds an event over the size limit",
                "try again, or go on without AI",
            )

    @property
    def is_whole(self) -> bool:
        """Whether the stream so far ends at the end of an event."""
        return not self._buffer and not self._data

    def _next_line(self) -> bytes | None:
        """Take one line off the buffer; None while its end has not come yet."""
        buffer = self._buffer
        if self._skip_newline and buffer:
            if buffer[0] == _LINE_FEED:
                del buffer[:1]
            self._skip_newline = False
        feed = buffer.find(b"\n")
        carriage = buffer.find(b"\r", 0, feed if feed >= 0 else len(buffer))
        if feed < 0 and carriage < 0:
            return None
        end = min(position for position in (feed, carriage) if position >= 0)
        self._skip_newline = buffer[end] == _CARRIAGE_RETURN
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        return line

    def _take(self, line: bytes) -> None:
        self._size += len(line) + 1
        self._check_size(0)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))


def event(data: bytes) -> bytes:
    """Return one event on the wire; `data` has no line breaks."""
    return b"data: " + data + b"\n\n"
