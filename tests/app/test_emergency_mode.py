"""Emergency mode: a day at a time, widening nothing, reviewed by somebody else."""

from __future__ import annotations

import asyncio

import pytest

from emergency_scene import EmergencyScene, Replica
from key_scene import ANN, CLINIC
from seawall.core.access.emergency import MODE_MS
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused, Unavailable
from seawall.core.policy.purpose import Purpose

WHY = "the identity provider is down, and so is the line to it"


@pytest.fixture
async def scene() -> EmergencyScene:
    """Return a clinic in which emergency mode is off."""
    return await EmergencyScene().open()


async def test_the_security_officer_turns_it_on(scene: EmergencyScene) -> None:
    """For the tenant, on every replica, with an entry and an alarm."""
    begun = await scene.one.mode.begin(scene.caller("sam"), "provider-down", WHY)
    await scene.two.documents.refresh()
    on = [scene.two.current.is_mode_on(tenant) for tenant in (CLINIC, "other")]
    assert [True, False] == on
    assert [("emergency-mode", CLINIC, begun.entry)] == scene.notifier.alarms


@pytest.mark.parametrize("name", ["carla", "pia", "dora"])
async def test_nobody_else_does(scene: EmergencyScene, name: str) -> None:
    """The policies say who may."""
    with pytest.raises(Refused, match="access-refused"):
        await scene.one.mode.begin(scene.caller(name), "disaster", WHY)


@pytest.mark.parametrize(("after_ms", "expected"), [(MODE_MS - 1, ["mode-1"]), (MODE_MS, [])])
async def test_it_ends_by_itself_after_a_day(
    scene: EmergencyScene, after_ms: int, expected: list[str]
) -> None:
    """To the millisecond."""
    await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    scene.clock.advance(after_ms / 1000)
    on = scene.one.mode.of(CLINIC)
    assert expected == ([on.id] if on.is_on else [])


async def test_a_renewal_lets_it_last_a_day_from_then(scene: EmergencyScene) -> None:
    """Recorded, alarmed, and one document with what it began as."""
    begun = await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    scene.clock.advance(20 * 3600)
    renewed = await scene.one.mode.renew(scene.caller("sam"), WHY)
    scene.clock.advance(23 * 3600)
    assert (begun.id, True) == (renewed.id, scene.one.current.is_mode_on(CLINIC))
    assert renewed.until_ms == scene.said("emergency.renew")[0]["until"]
    assert 2 == scene.alarms.count("emergency-mode")


async def test_it_is_ended_before_its_time(scene: EmergencyScene) -> None:
    """And can then be turned on again, under an id of its own."""
    sam = scene.caller("sam")
    first = await scene.one.mode.begin(sam, "disaster", WHY)
    await scene.one.mode.end(sam, WHY)
    is_on = scene.one.current.is_mode_on(CLINIC)
    second = await scene.one.mode.begin(sam, "disaster", WHY)
    assert (False, "mode-1", "mode-2") == (is_on, first.id, second.id)


async def test_it_is_on_once(scene: EmergencyScene) -> None:
    """Who begins it again is told to renew it."""
    await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    with pytest.raises(Conflict, match="emergency-mode-on"):
        await scene.two.mode.begin(scene.caller("sam"), "disaster", WHY)


async def test_of_two_who_turn_it_on_at_once_one_does(scene: EmergencyScene) -> None:
    """On whichever replica."""
    codes = []

    async def begin(replica: Replica, name: str) -> None:
        """Turn it on, and keep the code."""
        try:
            await replica.mode.begin(scene.caller(name), "disaster", WHY)
            codes.append("")
        except Error as error:
            codes.append(error.code)

    await asyncio.gather(begin(scene.one, "sam"), begin(scene.two, "sol"))
    assert ["", "emergency-mode-on"] == sorted(codes)
    assert 1 == len(scene.said("emergency.begin"))


async def test_a_conflict_that_is_no_second_mode_is_told(scene: EmergencyScene) -> None:
    """Whatever the store refuses, it is not on."""
    scene.ledger.failing["emergency.begin"] = Conflict("version-exists", "it exists")
    with pytest.raises(Conflict, match="version-exists"):
        await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    assert not scene.one.current.is_mode_on(CLINIC)


@pytest.mark.parametrize("act", ["renew", "end"])
async def test_what_is_off_is_neither_renewed_nor_ended(scene: EmergencyScene, act: str) -> None:
    """There is nothing to do."""
    with pytest.raises(Missing, match="emergency-mode-off"):
        await getattr(scene.one.mode, act)(scene.caller("sam"), WHY)


@pytest.mark.parametrize(
    ("reason", "typed", "code"),
    [
        ("patient-unconscious", WHY, "emergency-reason-unknown"),
        ("nonsense", WHY, "emergency-reason-unknown"),
        ("disaster", "flood", "emergency-reason"),
    ],
)
async def test_it_needs_a_reason_of_a_tenant(
    scene: EmergencyScene, reason: str, typed: str, code: str
) -> None:
    """One patient's emergency is no reason for all."""
    with pytest.raises(Invalid) as refused:
        await scene.one.mode.begin(scene.caller("sam"), reason, typed)
    assert code == refused.value.code


async def test_it_opens_no_record(scene: EmergencyScene) -> None:
    """What anybody may see is what they may see without it; some of what can wait, waits."""
    policies = scene.one.access
    await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    asker = policies.asker(scene.caller("dora"))
    seen = policies.ask(
        asker, Action.VIEW_PATIENT, Resource(On.PATIENT, CLINIC, ANN), purpose=Purpose.TREATMENT
    )
    assert (None, False) == (asker.emergency_patient, seen.allowed)


@pytest.mark.parametrize(("name", "expected"), [("carla", True), ("dora", False)])
async def test_what_it_says_that_waits_does(
    scene: EmergencyScene, name: str, *, expected: bool
) -> None:
    """The list of changes is what the policies do: treatment goes on, research waits."""
    await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    changes = scene.one.mode.of(CLINIC).fields()["changes"]
    patient = Resource(On.PATIENT, CLINIC, ANN)
    asker = scene.one.access.asker(scene.caller(name))
    purposes = (Purpose.TREATMENT, Purpose.RESEARCH)
    found = [
        scene.one.access.ask(asker, Action.VIEW_PATIENT, patient, purpose=one).allowed
        for one in purposes
    ]
    assert ([expected, False], True) == (found, "research waits" in changes)


async def test_who_began_or_renewed_it_does_not_review_it(scene: EmergencyScene) -> None:
    """Somebody else does, and is told what began under it."""
    begun = await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    await scene.one.mode.renew(scene.caller("sol"), WHY)
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    scene.clock.advance(MODE_MS / 1000)
    codes = []
    for name in ("sam", "sol", "pia"):
        try:
            await scene.one.reviews.review(scene.caller(name), begun.id, "appropriate", WHY)
            codes.append("")
        except Error as error:
            codes.append(error.code)
    told = await scene.one.history.told(CLINIC, begun.id)
    assert ["access-refused", "emergency-own-review", ""] == codes
    assert {"access": 1} == told.did


async def test_what_was_typed_at_each_step_is_read_together(scene: EmergencyScene) -> None:
    """By who reviews it."""
    sam = scene.caller("sam")
    begun = await scene.one.mode.begin(sam, "disaster", f"{WHY} 1")
    await scene.one.mode.renew(sam, f"{WHY} 2")
    await scene.one.mode.end(sam, f"{WHY} 3")
    texts = await scene.one.reviews.texts(scene.caller("pia"), begun.id)
    assert {"begin": f"{WHY} 1", "renewed-1": f"{WHY} 2", "end": f"{WHY} 3"} == texts


async def test_a_beginning_in_doubt_is_alarmed(scene: EmergencyScene) -> None:
    """It may be on though nobody said so."""
    scene.keys.ledger.failing["emergency.begin"] = Unavailable("ledger-slow", "no answer")
    with pytest.raises(Unavailable, match="ledger-slow"):
        await scene.one.mode.begin(scene.caller("sam"), "disaster", WHY)
    assert [("emergency-mode", CLINIC, None)] == scene.notifier.alarms
