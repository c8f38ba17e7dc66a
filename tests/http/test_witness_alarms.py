"""What is evidence at a witness, and what anybody can send without a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cosigners import SeededLog, ed25519
from fake_witnesses import MemoryBook
from fakes import FakeClock, RecordingNotifier
from seawall.app.cosign import Cosign, CosignerKey
from seawall.core.ledger.witness import write_submission
from seawall.http.witness import witness_application

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Message

LOG = SeededLog("ledger.example/log/42")
FORK = SeededLog(LOG.origin, fork=3)


class Watched:
    """A witness's application that cosigned five entries of a log, and its alarms."""

    def __init__(self) -> None:
        book, cosigner, self.notifier = MemoryBook(), ed25519("w.example"), RecordingNotifier()
        book.trust(LOG.vkey)
        cosign = Cosign(
            keys=[CosignerKey(cosigner.key, cosigner.sign)], book=book, clock=FakeClock()
        )
        self._application = witness_application(cosign, self.notifier)

    async def submit(self, old: int, proof: Sequence[bytes], checkpoint: str) -> int:
        """Submit a checkpoint and return the status."""
        body, statuses = write_submission(old, proof, checkpoint).encode(), []

        async def receive() -> Message:
            """Hand over the whole body."""
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            """Take down the status."""
            statuses.extend([message["status"]] if "status" in message else [])

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/add-checkpoint",
            "raw_path": b"/add-checkpoint",
            "root_path": "",
            "query_string": b"",
            "headers": [],
        }
        await self._application(scope, receive, send)
        return int(statuses[0])


@pytest.fixture
async def watched() -> Watched:
    """Return a witness that cosigned five entries."""
    made = Watched()
    assert 200 == await made.submit(0, [], LOG.checkpoint(5))
    return made


@pytest.mark.parametrize("size", [5, 9])
async def test_a_proof_that_fails_is_refused_and_no_evidence(watched: Watched, size: int) -> None:
    """Whoever has the log's public checkpoint can send junk beside it: no alarm."""
    status = await watched.submit(5, [bytes(32)], LOG.checkpoint(size))

    assert (422, []) == (status, watched.notifier.alarms)


async def test_two_signed_roots_of_one_size_are_evidence(watched: Watched) -> None:
    """The log's key signed another history of the same size: refused, and told."""
    status = await watched.submit(5, [], FORK.checkpoint(5))

    assert (422, [("witnessed-log-forked", "", None)]) == (status, watched.notifier.alarms)


async def test_another_root_without_the_log_key_is_no_evidence(watched: Watched) -> None:
    """A root that somebody else signed is refused, and no alarm."""
    stranger = SeededLog(LOG.origin, "another key", fork=3)
    status = await watched.submit(5, [], stranger.checkpoint(5))

    assert (403, []) == (status, watched.notifier.alarms)
