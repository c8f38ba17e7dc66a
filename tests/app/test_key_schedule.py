"""What is due about keys: told thirty days before, an alarm once a day when it is late."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import RecordingNotifier
from key_scene import ANN, CLINIC, OPERATOR, OTHER, KeyScene
from seawall.app.key_schedule import KeySchedule
from seawall.app.key_status import KeyStatus
from seawall.app.ports import RootVersion, tenant_root
from seawall.core.errors import Refused

DAY = 86_400


def schedule(scene: KeyScene, notifier: RecordingNotifier | None = None) -> KeySchedule:
    """Return a schedule of a year over a scene."""
    return KeySchedule(
        store=scene.store,
        keys=scene.ledger.keys,
        manager=scene.manager,
        history=scene.history,
        notifier=notifier or RecordingNotifier(),
        clock=scene.clock,
    )


async def scene_of_today() -> KeyScene:
    """Return a scene whose root keys are as old as its tenants'."""
    scene = await KeyScene().open()
    scene.manager.made = scene.clock.now()
    return scene


@pytest.mark.parametrize(
    ("days", "expected"),
    [(1, []), (334, []), (336, [False, False]), (364, [False, False]), (366, [True, True])],
)
async def test_keys_are_due_after_a_year(days: int, expected: list[bool]) -> None:
    """Told a month before; overdue a day after."""
    scene = await scene_of_today()
    scene.clock.advance(days * DAY)
    assert expected == [one.is_overdue for one in await schedule(scene).due(CLINIC)]


async def test_a_rotation_settles_it() -> None:
    """Each for its own kind of key."""
    scene = await scene_of_today()
    scene.clock.advance(366 * DAY)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    assert ["rotate root"] == [one.what for one in await schedule(scene).due(CLINIC)]
    scene.manager.made = scene.clock.now()
    assert [] == await schedule(scene).due(CLINIC)


async def test_a_key_manager_without_dates_is_dated_by_the_first_key_under_it() -> None:
    """AWS and others need not say when a version was made."""
    scene = await scene_of_today()
    scene.manager.made = None  # type: ignore[assignment]  # as AWS tells of a version
    scene.clock.advance(366 * DAY)
    assert ["rotate root", "rotate tenant"] == [
        one.what for one in await schedule(scene).due(CLINIC)
    ]


async def test_what_is_overdue_alarms_once_a_day() -> None:
    """For each tenant; and again the next day."""
    scene, notifier = await scene_of_today(), RecordingNotifier()
    checking = schedule(scene, notifier)
    await checking.check()
    scene.clock.advance(366 * DAY)
    await checking.check()
    await checking.check()
    assert [("keys-overdue", CLINIC, None), ("keys-overdue", OTHER, None)] == notifier.alarms
    scene.clock.advance(DAY)
    await checking.check()
    assert 4 == len(notifier.alarms)


async def test_a_tenant_whose_root_key_is_gone_ends_no_other_s() -> None:
    """It is itself overdue, at once, and shown with the rest of its keys."""
    scene, notifier = await scene_of_today(), RecordingNotifier()
    scene.manager.roots[tenant_root(CLINIC)].clear()
    await schedule(scene, notifier).check()
    assert [("keys-overdue", CLINIC, None)] == notifier.alarms
    (due,) = (await status(scene))["due"]
    assert ("restore root", True, "law") == (due["what"], due["overdue"], due["strength"])
    scene.clock.advance(366 * DAY)
    checking = schedule(scene, notifier)
    await checking.check()
    assert [("keys-overdue", CLINIC, None), ("keys-overdue", OTHER, None)] == notifier.alarms[1:]


async def test_a_key_manager_that_answers_for_one_tenant_alone_tells_of_that_one() -> None:
    """The other's error is raised at the end, for the round's own alarm."""
    scene, notifier = await scene_of_today(), RecordingNotifier()
    versions = scene.manager.versions

    async def forbidden(name: str) -> list[RootVersion]:
        """Refuse the first tenant."""
        if name == tenant_root(CLINIC):
            raise Refused("key-manager-refused", "x", "y")
        return await versions(name)

    scene.manager.versions = forbidden  # type: ignore[method-assign]  # its policy
    scene.clock.advance(366 * DAY)
    with pytest.raises(Refused):
        await schedule(scene, notifier).check()
    assert [("keys-overdue", OTHER, None)] == notifier.alarms


def crash(*_: Any) -> None:
    """End the process after the first step."""
    raise RuntimeError("the process ended here")


async def test_an_interrupted_shredding_is_an_obligation_under_law() -> None:
    """After an hour it is overdue; finishing it settles it."""
    scene = await scene_of_today()
    with pytest.raises(RuntimeError):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", crash)
    (before,) = await schedule(scene).due(CLINIC)
    scene.clock.advance(3_601)
    (after,) = await schedule(scene).due(CLINIC)
    assert [("finish shredding", False, "law"), ("finish shredding", True, "law")] == [
        (one.what, one.is_overdue, one.strength) for one in (before, after)
    ]
    await scene.shredding.resume(OPERATOR, CLINIC)
    assert [] == await schedule(scene).due(CLINIC)


async def status(scene: KeyScene) -> dict[str, Any]:
    """Return what is said of the clinic's keys."""
    telling = KeyStatus(
        keys=scene.ledger.keys,
        manager=scene.manager,
        history=scene.history,
        schedule=schedule(scene),
    )
    return await telling.of(CLINIC)


async def test_the_status_counts_what_is_left() -> None:
    """Versions, how many data keys each wraps, and what of them is under an older one."""
    scene = await scene_of_today()
    await scene.rotating.tenant(OPERATOR, CLINIC)
    said = await status(scene)
    assert (2, [("data", 1, 2), ("data", 2, 0), ("index", 1, 0)]) == (
        said["left"],
        [(key["use"], key["version"], key["data_keys"]) for key in said["keys"]],
    )


async def test_the_status_shows_shreddings_and_whether_they_are_done() -> None:
    """What was interrupted is plainly open."""
    scene = await scene_of_today()
    with pytest.raises(RuntimeError):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", crash)
    assert [False] == [one["done"] for one in (await status(scene))["shreddings"]]
    await scene.shredding.resume(OPERATOR, CLINIC)
    assert [True] == [one["done"] for one in (await status(scene))["shreddings"]]


async def test_a_shredded_tenant_has_no_keys_and_nothing_due() -> None:
    """However old it is."""
    scene = await scene_of_today()
    await scene.shredding.tenant(OPERATOR, CLINIC, "other")
    scene.clock.advance(999 * DAY)
    said = await status(scene)
    assert (True, [], [], []) == (said["shredded"], said["root"], said["keys"], said["due"])
