"""What turns out wrong only while a request is searched: refused, recorded, not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import ScriptedAnswer
from practice import opened
from seawall.core.errors import Error, Invalid

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


@pytest.mark.parametrize(
    ("said", "fields", "code"),
    [
        ('{"a":1,"a":2}', {}, "json-duplicate-key"),
        ("hi", {"seed": 123456789012}, "identifier-in-parameter"),
    ],
)
async def test_invalid_while_minimising_is_recorded(
    said: str, fields: dict[str, int], code: str, detector: Detector
) -> None:
    """What cannot be minimised is an entry with its code, and nothing is sent."""
    practice = await opened(detector)

    with pytest.raises(Invalid) as caught:
        await practice.ask(said, **fields)
    (entry,) = practice.entries("exchange.refuse")

    assert (code, code) == (caught.value.code, entry["code"])
    assert len(practice.entries()) - 1 == caught.value.entry
    assert [] == practice.model.sent


async def codes(detector: Detector, answer: ScriptedAnswer, times: int) -> list[str]:
    """Ask a model that always answers the same, and return the code of each error."""
    practice, found = await opened(detector, answer), []
    for _ in range(times):
        with pytest.raises(Error) as caught:
            await practice.ask()
        found.append(caught.value.code)
    return found


async def test_answer_that_cannot_be_read_opens_no_breaker(detector: Detector) -> None:
    """Garbage may be the fault of one request: however often it comes, the endpoint is asked."""
    garbage = ScriptedAnswer((b"no JSON",))

    assert ["upstream-garbage"] * 8 == await codes(detector, garbage, 8)


async def test_failing_endpoint_opens_the_breaker(detector: Detector) -> None:
    """An endpoint that fails five times in a row is given a rest."""
    failing = ScriptedAnswer((), 500)

    assert [*["upstream-failed"] * 5, "circuit-open"] == await codes(detector, failing, 6)
