"""Emergencies afterwards: what was done, reviewed by somebody else, and late ones alarmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emergency_scene import TYPED, EmergencyScene
from key_scene import ANN, BEN, CLINIC
from seawall.app.caller import Caller
from seawall.app.emergency_reviews import EmergencyHistory
from seawall.app.entries import entry
from seawall.app.index_ledger import IndexLedger
from seawall.core.errors import Conflict, Invalid, Refused
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.app.emergency_access import Begun

HOUR = 3_600
LOOKED = "she was on call, and the notes agree"


@pytest.fixture
async def scene() -> EmergencyScene:
    """Return a clinic in which no emergency is under way."""
    return await EmergencyScene().open()


async def break_glass(scene: EmergencyScene, name: str = "carla", patient: str = "MRN-1") -> Begun:
    """Begin an emergency access."""
    return await scene.one.glass.begin(scene.caller(name), scene.asked(patient=patient))


async def review(
    scene: EmergencyScene, begun: Begun, by: str = "pia", finding: str = "appropriate"
) -> bool:
    """Review an emergency; return whether it may be an incident."""
    found = await scene.one.reviews.review(scene.caller(by), begun.id, finding, LOOKED)
    return found.may_be_incident


async def states(scene: EmergencyScene) -> list[str]:
    """Return where each emergency stands, the newest first."""
    return [one.state.value for one in await scene.one.history.listed(CLINIC)]


async def test_what_was_done_is_counted_by_action(scene: EmergencyScene) -> None:
    """Of the one patient, by the one person, between the beginning and the end."""
    await scene.act("carla", ANN)
    scene.clock.advance(1)
    begun = await break_glass(scene)
    for patient, action in ((ANN, "phi.open"), (ANN, "phi.open"), (BEN, "phi.open")):
        await scene.act("carla", patient, action)
    await scene.act("carla", ANN, "exchange.intent")
    await scene.act("cyrus", ANN)
    scene.clock.advance(1)
    await scene.one.glass.end(scene.caller("carla"), begun.id)
    await scene.act("carla", ANN)
    told = await scene.one.history.told(CLINIC, begun.id)
    assert ({"exchange.intent": 1, "phi.open": 2}, True) == (told.did, told.is_all)


@pytest.mark.parametrize(("acts", "expected"), [(5, (5, True)), (45, (40, False))])
async def test_many_acts_are_counted_page_by_page(
    scene: EmergencyScene, acts: int, expected: tuple[int, bool]
) -> None:
    """Within bounds, and it is told if there were more."""
    begun = await break_glass(scene)
    for _ in range(acts):
        await scene.act("carla", ANN)
    history = EmergencyHistory(
        current=scene.one.current,
        store=scene.keys.store,
        clock=scene.clock,
        indexing=IndexLedger(store=scene.keys.store, ledger=scene.ledger),
        page=2,
    )
    scene.clock.advance(HOUR)
    told = await history.told(CLINIC, begun.id)
    counted = told.did.get("phi.open", 0)
    assert expected[1] is told.is_all
    assert abs(expected[0] - counted) <= (0 if told.is_all else 1)


async def test_the_list_can_leave_out_what_was_reviewed(scene: EmergencyScene) -> None:
    """And can be one person's own."""
    first, second = await break_glass(scene), await break_glass(scene, "cyrus")
    scene.clock.advance(HOUR)
    await review(scene, first)
    opened = await scene.one.history.listed(CLINIC, open_only=True)
    own = await scene.one.history.listed(CLINIC, person="carla")
    assert ([second.id], [first.id]) == ([one.id for one in opened], [one.id for one in own])


async def test_a_service_has_none_of_its_own(scene: EmergencyScene) -> None:
    """Even if it is called as a person is."""
    await break_glass(scene)
    service = Caller(Principal("client", "carla", CLINIC))
    found = [
        await scene.one.reviews.listed(caller, is_own=True)
        for caller in (service, scene.caller("carla"))
    ]
    assert [0, 1] == [len(one) for one in found]


async def test_states_follow_time_and_reviews(scene: EmergencyScene) -> None:
    """Begun, expired after an hour, overdue three days later, and reviewed at last."""
    begun = await break_glass(scene)
    seen = await states(scene)
    for hours in (1, 72):
        scene.clock.advance(hours * HOUR)
        seen += await states(scene)
    await review(scene, begun)
    assert ["begun", "expired", "review-overdue", "reviewed"] == [*seen, *(await states(scene))]


async def test_one_that_is_under_way_is_not_reviewed(scene: EmergencyScene) -> None:
    """It is ended first."""
    begun = await break_glass(scene)
    with pytest.raises(Conflict, match="emergency-state"):
        await review(scene, begun)


async def test_a_review_is_not_repeated(scene: EmergencyScene) -> None:
    """What was found stays."""
    begun = await break_glass(scene)
    scene.clock.advance(HOUR)
    await review(scene, begun)
    with pytest.raises(Conflict, match="emergency-state"):
        await review(scene, begun, finding="inappropriate")


async def test_nobody_reviews_their_own(scene: EmergencyScene) -> None:
    """Not even a privacy officer, whom the policies let review any other's."""
    own, other = await break_glass(scene, "paul"), await break_glass(scene, "carla")
    scene.clock.advance(HOUR)
    with pytest.raises(Refused, match="access-refused"):
        await review(scene, own, "paul")
    await review(scene, other, "paul")
    [refused], [reviewed] = scene.said("access.refused"), scene.said("emergency.review")
    assert ["duties.nobody-reviews-oneself"] == refused["access"]["policies"]
    assert other.id == reviewed["emergency"]


async def test_what_is_inappropriate_alarms_and_may_be_an_incident(scene: EmergencyScene) -> None:
    """What is not, does not."""
    told = []
    for name, finding in (("carla", "inappropriate"), ("cyrus", "unclear")):
        begun = await break_glass(scene, name)
        scene.clock.advance(HOUR)
        told.append(await review(scene, begun, finding=finding))
    assert ([True, False], 1) == (told, scene.alarms.count("emergency-misuse"))


async def test_the_entry_of_a_review_tells_whose_and_what(scene: EmergencyScene) -> None:
    """And whether it came late; what was typed by its digest."""
    begun = await break_glass(scene)
    scene.clock.advance(74 * HOUR)
    await review(scene, begun)
    [said] = scene.said("emergency.review")
    sealed = scene.ledger.kept[CLINIC, "emergency.typed", f"{begun.id}/review"]
    expected = (begun.id, "carla", [ANN], "appropriate", True, sealed.digest())
    names = ("emergency", "person", "patients", "outcome", "late", "told")
    assert expected == tuple(said[name] for name in names)


@pytest.mark.parametrize(
    ("finding", "typed", "code"),
    [
        ("fine", LOOKED, "emergency-finding"),
        ("appropriate", " ", "reason-needed"),
        ("appropriate", "ok", "emergency-reason"),
    ],
)
async def test_a_review_says_what_was_found_and_why(
    scene: EmergencyScene, finding: str, typed: str, code: str
) -> None:
    """One of three findings, and a sentence."""
    begun = await break_glass(scene)
    scene.clock.advance(HOUR)
    with pytest.raises((Invalid, Refused), match=code):
        await scene.one.reviews.review(scene.caller("pia"), begun.id, finding, typed)


async def test_who_reviews_reads_what_was_typed(scene: EmergencyScene) -> None:
    """Opened by an entry that names the emergency and the patient."""
    begun = await break_glass(scene)
    texts = await scene.one.reviews.texts(scene.caller("pia"), begun.id)
    [said] = scene.said("phi.open")
    assert {"begin": TYPED} == texts
    assert ([ANN], f"Emergency/{begun.id}@1") == (said["patients"], said["about"])


async def test_who_may_not_review_reads_nothing(scene: EmergencyScene) -> None:
    """A colleague is refused before anything is opened."""
    begun = await break_glass(scene)
    with pytest.raises(Refused, match="access-refused"):
        await scene.one.reviews.texts(scene.caller("cyrus"), begun.id)
    assert [] == scene.said("phi.open")


async def test_a_review_is_an_obligation_until_it_is_made(scene: EmergencyScene) -> None:
    """The privacy officer's, by three days after the end, under the paragraph that asks for it."""
    begun = await break_glass(scene)
    none_yet = scene.one.history.due(CLINIC)
    scene.clock.advance(HOUR)
    [due] = scene.one.history.due(CLINIC)
    told = due.fields(scene.clock.now_ms())
    assert ([], "privacy-officer", "2026-03-05T10:30:00Z", False) == (
        none_yet,
        told["whose"],
        told["by"],
        told["overdue"],
    )
    await review(scene, begun)
    assert [] == scene.one.history.due(CLINIC)


async def test_a_late_review_alarms_once_a_day(scene: EmergencyScene) -> None:
    """In every round that finds one, for each tenant; until it is made."""
    begun = await break_glass(scene)
    counts = []
    for hours in (1, 71, 1, 0, 24):
        scene.clock.advance(hours * HOUR)
        await scene.one.reviews.check()
        counts.append(scene.alarms.count("emergency-review-overdue"))
    await review(scene, begun)
    scene.clock.advance(48 * HOUR)
    await scene.one.reviews.check()
    assert [0, 0, 1, 1, 2] == counts
    assert 2 == scene.alarms.count("emergency-review-overdue")


async def test_what_was_begun_before_the_end_is_counted_after_it(scene: EmergencyScene) -> None:
    """By the id that the entry says, whenever it was recorded."""
    begun = await break_glass(scene)
    carla = scene.caller("carla")
    under = scene.one.current.said(carla, [ANN])
    await scene.one.glass.end(carla, begun.id)
    for seconds in (0, 5):
        scene.clock.advance(seconds)
        body = entry("patient.view", carla.principal, scene.clock, patients=[ANN], **under)
        await scene.ledger.append(CLINIC, body)
    told = await scene.one.history.told(CLINIC, begun.id)
    assert ({"patient.view": 2}, True) == (told.did, told.is_all)
