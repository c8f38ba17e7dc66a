"""What reached the model: the last requests, byte for byte, kept in memory only.

The demo and the tests ask the model itself what it saw, so that the gateway's
own word is not needed for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import orjson

from seawall.sandbox.dialect import UnusableRequestError

KEPT: Final = 64
"""Requests that are kept; older ones are forgotten, the numbers run on."""

UNSHOWN_HEADERS: Final = frozenset({"authorization"})


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    number: int
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def shown(self) -> dict[str, Any]:
        """Return it for JSON: `n`, `path`, `headers` and `body` (null where it is not JSON)."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = None
        headers = [list(header) for header in self.headers]
        return {"n": self.number, "path": self.path, "headers": headers, "body": body}


class Witness:
    """Keeps the last 64 requests under running numbers."""

    def __init__(self) -> None:
        self._received: deque[Received] = deque(maxlen=KEPT)
        self._number = 0

    def receive(self, path: str, headers: list[tuple[str, str]], body: bytes) -> int:
        """Keep a request, without its credential, and return its number."""
        self._number += 1
        shown = tuple((k, v) for k, v in headers if k.lower() not in UNSHOWN_HEADERS)
        self._received.append(Received(self._number, path, shown, body))
        return self._number

    def all(self) -> list[Received]:
        """Return what is kept, oldest first."""
        return list(self._received)

    def body(self, number: int) -> bytes:
        """Return the exact body of one request; raises UnusableRequestError if it is not kept."""
        for kept in self._received:
            if kept.number == number:
                return kept.body
        raise UnusableRequestError(404, "not-kept", "no request is kept under this number")

    def forget(self) -> None:
        """Forget every request; the numbers run on."""
        self._received.clear()
