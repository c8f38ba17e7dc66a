"""Single tokens that were given back count nowhere within seconds (RFC 7009).

A mark in the table of spent assertions, which every replica reads again after two
seconds, in one small question, before it decides on a token; if the database does not
answer, nothing is decided. A client, a key or all tokens of a client are withdrawn by
its document, which counts at the next request.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

from seawall.app.ports import SpendAssertion

if TYPE_CHECKING:
    from seawall.app.ports import Clock, Store

FRESH_SECONDS: Final = 2.0
"""So long a replica goes by what it read."""
MARKS_FROM: Final = "zz"
"""What a mark begins with: in every order of text it is after the digests of assertions."""


class Revocations:
    """The marks that are known here, read again when they are old."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._marks: frozenset[str] = frozenset()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def holds(self, token_id: str) -> bool:
        """Whether a token was given back, as far as anybody knew two seconds ago."""
        if self._is_old():
            async with self._reading:
                if self._is_old():
                    await self._read()
        return mark(token_id) in self._marks

    def forget(self) -> None:
        """Read again at the next question, as after a mark was made here."""
        self._read_at = None

    def _is_old(self) -> bool:
        return self._read_at is None or self._clock.monotonic() - self._read_at >= FRESH_SECONDS

    async def _read(self) -> None:
        begun = self._clock.monotonic()
        self._marks = await self._store.spent_from(MARKS_FROM, self._clock.now_ms())
        self._read_at = begun


def mark(token_id: str) -> str:
    """Return what marks a token as given back."""
    return MARKS_FROM + hashlib.sha256(f"token\n{token_id}".encode()).hexdigest()


def revoking(token_id: str, expires: int) -> SpendAssertion:
    """Return the write that gives a token back; `expires` is its own end, in seconds."""
    return SpendAssertion(mark(token_id), expires * 1000)
