"""Sending a log to a syslog receiver, at least once each, going on where it was left.

Syslog has no acknowledgement of its own: a message counts as sent once the receiver read it and
ended the connection in order (RFC 5425 section 4.4). The position moves only then, so what a
broken connection held is sent again; the ids of events tell the receiver what it has already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from seawall.app.read_ledger import pruned
from seawall.core.audit.fhir import audit_events
from seawall.core.audit.syslog import frame, message
from seawall.core.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.ports import Head, Store

PIECE: Final = 250
"""So many entries go in one connection, and are sent again if it breaks."""


class Receiver(Protocol):
    """Who is sent what: a syslog receiver."""

    async def deliver(self, content: bytes) -> None:
        """Send framed messages; return once the receiver ended in order, else `Unavailable`."""
        ...


class Position(Protocol):
    """How far a log was sent, kept durably."""

    def load(self) -> tuple[str, int] | None:
        """Return the log's origin and the first entry that was not sent; None at first."""
        ...

    def save(self, origin: str, upto: int) -> None:
        """Keep a position, replacing the one before."""
        ...


class SendAudit:
    """Sends what a log gained since the position."""

    def __init__(
        self, *, store: Store, receiver: Receiver, position: Position, version: str
    ) -> None:
        self._store = store
        self._receiver = receiver
        self._position = position
        self._version = version
        self._sequence = 0

    async def start(self, log: str) -> int:
        """Return the first entry that is to be sent; `Conflict` if the position is of another log.

        `Missing` if what was not sent yet has been pruned.
        """
        return _start(await self._store.head(log), self._position.load())

    async def send(self, log: str, size: int) -> AsyncIterator[int]:
        """Send the entries below `size`, yielding how far it is after each piece."""
        head = await self._store.head(log)
        at = _start(head, self._position.load())
        while at < size:
            stop = min(at + PIECE, size)
            raw = await self._store.entries(log, at, stop)
            if len(raw) != stop - at:
                raise pruned()
            await self._receiver.deliver(
                b"".join(
                    self._framed(head.origin, index, item) for index, item in enumerate(raw, at)
                )
            )
            self._position.save(head.origin, stop)
            at = stop
            yield at

    def _framed(self, origin: str, index: int, raw: bytes) -> bytes:
        content = b""
        for event in audit_events(origin, index, raw):
            self._sequence += 1
            content += frame(message(event, sequence=self._sequence, version=self._version))
        return content


def _start(head: Head, held: tuple[str, int] | None) -> int:
    if held is None:
        return head.minimum
    origin, upto = held
    if origin != head.origin or upto > head.size:
        raise Conflict(
            "position-of-another-log",
            "the state file is of another log, or of more entries than this log has",
            "name a state file of this log's own; if the log was restored from a backup, a new one "
            "sends it from the start",
        )
    if upto < head.minimum:
        raise pruned()
    return upto
