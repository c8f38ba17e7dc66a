"""After a crash: what was left open is closed as unknown, with an alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from practice import TENANT, opened, says
from seawall.core.errors import Unavailable

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


async def test_open_exchange_is_closed_as_unknown(detector: Detector) -> None:
    """An intent without an outcome gets the outcome `unknown`, once, and an alarm."""
    practice = await opened(detector, says("ok"))
    practice.ledger.failing["exchange.outcome"] = Unavailable("x", "down")
    with pytest.raises(Unavailable):
        await practice.ask()
    practice.ledger.failing.clear()
    practice.begin()

    closed = [await practice.close_exchanges.close_open() for _ in range(2)]
    (intent,), (outcome,) = (
        practice.entries("exchange.intent"),
        practice.entries("exchange.outcome"),
    )

    assert [1, 0] == closed
    assert (intent["item"], "unknown") == (outcome["item"], outcome["outcome"])
    assert ("outcome-unknown", TENANT, len(practice.entries()) - 1) in practice.notifier.alarms


async def test_closed_exchanges_stay_as_they_are(detector: Detector) -> None:
    """An exchange with an outcome is left alone."""
    practice = await opened(detector, says("ok"))
    await practice.ask()

    assert 0 == await practice.close_exchanges.close_open()
    assert [] == practice.notifier.alarms
