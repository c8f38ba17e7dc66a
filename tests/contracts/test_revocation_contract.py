"""Over every database: a token that was given back is known to all within two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples import an_entry
from fakes import FakeClock
from seawall.app.ports import SPENT_LONGER_MS, ForgetExpired, SpendAssertion
from seawall.app.revocations import FRESH_SECONDS, Revocations, revoking
from seawall.core.errors import Conflict

if TYPE_CHECKING:
    from contracts.conftest import Books


async def test_another_replica_knows_within_seconds(books: Books) -> None:
    """What one process gave back, a second one refuses once it has read again."""
    clock = FakeClock()
    there = Revocations(books.store, clock)
    assert not await there.holds("token")
    expires = clock.now_ms() // 1000 + 600

    await books.ledger.append("clinic", an_entry(), [revoking("token", expires)])
    clock.advance(FRESH_SECONDS)

    assert await there.holds("token")
    assert not await there.holds("another")


async def test_a_mark_ends_with_its_token(books: Books) -> None:
    """After its own end the token is refused for that, and the mark is read no more."""
    clock = FakeClock()
    here = Revocations(books.store, clock)
    expires = clock.now_ms() // 1000 + 600
    await books.ledger.append("clinic", an_entry(), [revoking("token", expires)])
    assert await here.holds("token")

    clock.advance(600)

    assert not await here.holds("token")


async def test_spent_assertions_are_forgotten_long_after_their_time(books: Books) -> None:
    """An hour later, so that no replica whose clock is behind takes one again."""
    await books.ledger.append("clinic", an_entry(), [SpendAssertion("a", 1_000)])

    await books.ledger.remember([ForgetExpired(0, 1_000 + SPENT_LONGER_MS)])
    with pytest.raises(Conflict):
        await books.ledger.append("clinic", an_entry(), [SpendAssertion("a", 1_000)])
    await books.ledger.remember([ForgetExpired(0, 1_001 + SPENT_LONGER_MS)])
    await books.ledger.append("clinic", an_entry(), [SpendAssertion("a", 1_000)])
