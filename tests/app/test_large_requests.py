"""Searching requests: large ones aside and a few at a time, the same text once."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

from practice import CLIENT, TENANT, opened, says
from seawall.app.answer import LARGE_BYTES
from seawall.app.caller import Caller
from seawall.app.trip import Call
from seawall.core.errors import Unavailable
from seawall.http.errors import status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.core.phi.clinical import ClinicalTerm
    from seawall.core.phi.known import KnownIdentifiers
    from seawall.core.phi.spans import Span

LARGE = "Nothing here. " * (LARGE_BYTES // 10)
MOST_WAITING = 16


class WatchedDetector:
    """The Detector port: finds nothing, remembers what it was asked and where it ran."""

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.threads: set[str] = set()
        self.may_go = threading.Event()
        """Cleared, a search waits for it."""
        self.may_go.set()

    def find(self, text: str, known: Sequence[KnownIdentifiers] = ()) -> list[Span]:  # noqa: ARG002  the port's
        """Remember the text and the thread."""
        self.searched.append(text)
        self.threads.add(threading.current_thread().name.split("_")[0])
        self.may_go.wait(30)
        return []

    def clinical_terms(self, text: str) -> list[ClinicalTerm]:  # noqa: ARG002  the port's
        """Find none."""
        return []


def repeated(said: str, times: int) -> Call:
    """Return a call whose turns all say the same."""
    messages = [{"role": "user", "content": said}] * times
    body = json.dumps({"model": "model", "messages": messages}).encode()
    return Call(Caller(CLIENT), "summary", None, None, body)


async def searching_threads(said: str) -> set[str]:
    """Ask, and return the names of the threads that searched the request."""
    detector: Any = WatchedDetector()
    practice = await opened(detector, says("[DONE]"))
    detector.threads.clear()
    await practice.ask(said)
    practice.ask_model.close()
    return set(detector.threads)


async def test_large_request_is_searched_on_the_search_thread() -> None:
    """A body over 16 KiB is searched away from the event loop, a small one on it."""
    assert "search" in await searching_threads(LARGE)
    assert "search" not in await searching_threads("hello")


async def test_seventeenth_large_request_is_told_that_the_gateway_is_busy() -> None:
    """While sixteen large requests wait for a search, the next is refused with 503, unsent."""
    detector: Any = WatchedDetector()
    practice = await opened(detector, says("hello"))
    detector.may_go.clear()
    asking = [asyncio.create_task(practice.ask(LARGE)) for _ in range(MOST_WAITING + 1)]
    try:
        ended, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        sent = len(practice.model.sent)
    finally:
        detector.may_go.set()
    others = await asyncio.gather(*(set(asking) - ended))
    (busy,) = [task.exception() for task in ended]
    practice.ask_model.close()

    assert isinstance(busy, Unavailable)
    assert ("gateway-busy", 503, 0) == (busy.code, status(busy), sent)
    assert MOST_WAITING == len(others) == len(practice.model.sent)
    assert [] == await practice.store.open_exchanges(TENANT)


async def test_same_text_is_searched_once() -> None:
    """Two turns that say the same are searched once, and both are sent."""
    detector: Any = WatchedDetector()
    practice = await opened(detector, says("hello"))

    await practice.ask_model.ask(repeated("the same words", 2))
    messages = json.loads(practice.model.sent[0].body)["messages"]

    assert 1 == sum("the same words" in text for text in detector.searched)
    assert ["the same words"] * 2 == [message["content"] for message in messages]
