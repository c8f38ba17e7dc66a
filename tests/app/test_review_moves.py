"""Reviews under way when somebody leaves, loses roles or comes: who is asked then."""

from __future__ import annotations

from typing import Any

import pytest

from workforce_scene import (
    ADA,
    BEN,
    CLEO,
    CLINIC,
    DAN,
    Workplace,
    allowed,
    answering,
    running,
)

ALL = {"scope": "all", "due": "2026-03-10"}
CLINICIANS = {"scope": "role", "role": "clinician", "due": "2026-03-10"}
DAY = 86_400


async def begun(asked: dict[str, Any] | None = None) -> Workplace:
    """Return a workplace with the review q1 under way."""
    place = await Workplace().open()
    await place.reviews.begin(running(), "q1", asked or ALL)
    return place


def grants(place: Workplace) -> dict[str, str]:
    """Return how each grant of q1 was answered."""
    said = place.reviews.status(CLINIC, "q1")["grants"]
    return {f"{one['name']} {one['grant']}": one["answer"] for one in said}


def item_of(place: Workplace, name: str, grant: str) -> str:
    """Return the name of the item of a grant."""
    said = place.reviews.status(CLINIC, "q1")["grants"]
    return next(str(one["item"]) for one in said if (one["name"], one["grant"]) == (name, grant))


async def test_questions_about_who_left_have_ended() -> None:
    """Leaving ends what is asked about the person, in the append of the leaving."""
    place = await begun()
    before = len(place.entries())

    await place.workforce.leave(allowed(), CLEO)

    assert ("ended", "ended", "open", before + 1) == (
        grants(place)["cleo role/clinician"],
        grants(place)["cleo role/developer"],
        grants(place)["dan role/clinician"],
        len(place.entries()),
    )


@pytest.mark.parametrize("act", [("leave",), ("change", {"standing": "suspended"})])
async def test_a_reviewer_who_leaves_is_replaced(act: tuple[Any, ...]) -> None:
    """What they were asked, somebody else is asked; never the holder."""
    place = await begun()

    method, *more = act
    await getattr(place.workforce, method)(allowed(), BEN, *more)
    said = place.reviews.status(CLINIC, "q1")["grants"]

    assert {"portal": {ADA}, CLEO: {ADA}, DAN: {ADA}, ADA: {BEN}} == {
        name: {one["reviewer"] for one in said if one["name"] == name}
        for name in ("portal", CLEO, DAN, ADA)
    }


async def test_a_reviewer_whose_role_is_revoked_is_replaced() -> None:
    """One answer takes the deputy's role, and what the deputy was asked, others are asked.

    But not whoever gave that answer: the questions wait for the next privacy officer.
    """
    place = await begun()

    name = item_of(place, BEN, "role/privacy-officer")
    await place.reviews.answer(answering(ADA), name, "revoked", "another is it now")
    waiting = len(place.reviews.asked(CLINIC, BEN))
    await place.workforce.join(allowed(), "eve", {"title": "Eve", "roles": ["privacy-officer"]})

    assert (7, 0, 7) == (
        waiting,
        len(place.reviews.asked(CLINIC, BEN)),
        len(place.reviews.asked(CLINIC, "eve")),
    )
    assert {"eve": 7} == place.entries("person.join")[-1]["asked"]


async def test_nobody_takes_over_questions_by_suspending_who_is_asked() -> None:
    """They wait, also over the next round, and are the reviewer's again afterwards."""
    place = await begun()
    await place.workforce.change(allowed(ADA), BEN, {"standing": "suspended"})
    await place.reviews.close_overdue()
    taken = len(place.reviews.asked(CLINIC, ADA))
    await place.workforce.change(allowed(ADA), BEN, {"standing": "active"})

    assert (1, 7) == (taken, len(place.reviews.asked(CLINIC, BEN)))


async def test_questions_that_nobody_can_answer_are_asked_of_who_comes() -> None:
    """What only the holder could answer waits for the next person who has a role of a deputy."""
    place = await begun()
    await place.workforce.change(allowed(), BEN, {"standing": "suspended"})
    before = {one.spec.name for one in place.reviews.asked(CLINIC, BEN)}

    await place.workforce.join(allowed(), "eve", {"title": "Eve", "roles": ["privacy-officer"]})

    assert ({ADA}, {ADA}) == (
        before,
        {one.spec.name for one in place.reviews.asked(CLINIC, "eve")},
    )


async def test_a_reviewers_last_day_moves_what_they_are_asked() -> None:
    """Where `until` passes nobody changes a document: the next round asks somebody else."""
    place = await Workplace().open()
    last = {"roles": ["privacy-officer"], "until": "2026-03-03"}
    await place.workforce.change(allowed(), BEN, last)
    await place.reviews.begin(running(ADA), "q1", {**ALL, "due": "2026-03-20"})
    place.clock.advance(2 * DAY)

    closed = await place.reviews.close_overdue()
    said = place.entries("review.move")

    assert (0, [("system", "q1", 5)], {ADA}) == (
        closed,
        [(one["actor"]["kind"], one["review"], one["grants"]) for one in said],
        {one.spec.name for one in place.reviews.asked(CLINIC, BEN)},
    )
