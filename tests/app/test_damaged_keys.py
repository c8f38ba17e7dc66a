"""Data keys that are damaged open nothing: they keep no other from moving, and go when told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from key_scene import ANN, BEN, CLINIC, OPERATOR, OTHER, KeyScene, body_of
from lying_keys import lying_scene, ways_in
from seawall.app.manage_keys import ManageKeys
from seawall.app.ports import tenant_root
from seawall.core.errors import Error, Invalid, Missing, Tampered, Unavailable
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Sequence

CARL = "c" * 24
DOWN = Unavailable("key-manager-unavailable", "x", "y")


def damage(scene: KeyScene, *patients: str) -> None:
    """Overwrite the data keys of patients of the clinic, as a broken disk does."""
    held = scene.ledger.keys.held
    for key in list(held.values()):
        if (key.tenant, key.subject in patients) == (CLINIC, True):
            held[key.key_id] = replace(key, wrapped=bytes(60))


def system(tenant: str) -> Principal:
    """Return who works while serving."""
    return Principal("system", "seawall", tenant)


async def scene_of(patients: Sequence[str]) -> KeyScene:
    """Return a scene in which also these patients have something sealed."""
    scene = await lying_scene()
    for patient in patients:
        await scene.seal(CLINIC, patient)
    return scene


async def test_all_others_move_and_the_damaged_are_counted() -> None:
    """In batches of two, where three do not open and lie anywhere among the rest."""
    several = [f"{number:024x}" for number in range(7)]
    scene = await scene_of(several)
    damage(scene, several[0], several[3], BEN)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    with pytest.raises(Tampered) as caught:
        await scene.rewrapping.rewrap(OPERATOR, CLINIC)
    (said,) = scene.said("keys.rewrapped")
    assert "data-keys-damaged" == caught.value.code == said["code"]
    assert ("failed", 6, 3) == (said["outcome"], said["keys"], said["damaged"])
    assert {1: 3, 2: 6} == await scene.ledger.keys.counts(CLINIC)
    assert await scene.opens(CLINIC, several[6])


async def test_more_damaged_than_a_batch_hide_no_sound_one() -> None:
    """Whatever their order."""
    several = [f"{number:024x}" for number in range(9)]
    scene = await scene_of(several)
    damage(scene, *several[:8])
    await scene.rotating.tenant(OPERATOR, CLINIC)
    with pytest.raises(Tampered):
        await scene.rewrapping.rewrap(OPERATOR, CLINIC)
    assert {1: 8, 2: 3} == await scene.ledger.keys.counts(CLINIC)


async def test_the_damaged_are_deleted_only_when_told() -> None:
    """Their deletion is in the entry that says how many they were."""
    scene = await scene_of([])
    damage(scene, BEN)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    assert 1 == await scene.rewrapping.rewrap(OPERATOR, CLINIC, drop_damaged=True)
    (said,) = scene.said("keys.rewrapped")
    assert ("rewrapped", 1, 1) == (said["outcome"], said["keys"], said["dropped"])
    assert {2: 1} == await scene.ledger.keys.counts(CLINIC)
    assert await scene.opens(CLINIC, ANN)


async def test_what_does_not_open_for_want_of_its_tenant_key_is_not_deleted() -> None:
    """Where the key manager lacks a version, nothing shows that the data keys are damaged."""
    scene = await scene_of([])
    await scene.rotating.root(OPERATOR, CLINIC)
    await scene.rotating.root(OPERATOR, CLINIC)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    lost = await scene.ledger.keys.tenant_keys(CLINIC)
    scene.manager.roots[tenant_root(CLINIC)].pop(3)
    await scene.manager.rotate(tenant_root(CLINIC))
    scene.restart()
    with pytest.raises(Error) as caught:
        await scene.rewrapping.rewrap(OPERATOR, CLINIC, drop_damaged=True)
    assert ("root-key-missing", {1: 2}) == (
        caught.value.code,
        await scene.ledger.keys.counts(CLINIC),
    )
    assert lost == await scene.ledger.keys.tenant_keys(CLINIC)


async def test_a_shredding_stops_before_anything_is_destroyed_and_says_why() -> None:
    """Not even when it is resumed; a damaged key of whom is shredded is in nobody's way."""
    scene = await scene_of([])
    damage(scene, BEN)
    with pytest.raises(Tampered):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    with pytest.raises(Tampered):
        await scene.shredding.resume(OPERATOR, CLINIC)
    assert ({1}, []) == (
        set(scene.manager.roots[tenant_root(CLINIC)]),
        scene.said("keys.destroyed"),
    )
    await scene.shredding.patients(OPERATOR, CLINIC, [BEN], "error")
    assert 1 == len(await scene.shredding.resume(OPERATOR, CLINIC))


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_a_shredding_may_delete_them_and_its_certificate_counts_them(
    *, is_resumed: bool
) -> None:
    """What was shredded opens nowhere, and what is sound does."""
    scene = await scene_of([CARL])
    ann = scene.sealed[CLINIC, ANN]
    damage(scene, BEN)
    if is_resumed:
        with pytest.raises(Tampered):
            await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
        (done,) = await scene.shredding.resume(OPERATOR, CLINIC, drop_damaged=True)
    else:
        done = await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", drop_damaged=True)
    deleted = body_of(scene, done.certificate)["deleted"]
    assert (1, 1) == (deleted["data_keys"], deleted["damaged"])
    assert ([], True) == (await ways_in(scene, ann), await scene.opens(CLINIC, CARL))


async def test_a_round_goes_on_with_the_next_tenant() -> None:
    """And raises what failed at the end, for the round's alarm."""
    scene = await scene_of([])
    damage(scene, BEN)
    for tenant in (CLINIC, OTHER):
        await scene.rotating.tenant(Principal("operator", "olga", tenant), tenant)
    with pytest.raises(Tampered):
        await scene.rewrapping.all(system)
    assert [1, 0] == [await scene.rewrapping.left(tenant) for tenant in (CLINIC, OTHER)]


async def test_a_round_records_what_fails_once() -> None:
    """A hundred rounds leave one attempt in the log; a change is recorded again."""
    scene = await scene_of([])
    damage(scene, BEN)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    for _ in range(100):
        with pytest.raises(Tampered):
            await scene.rewrapping.all(system)
    assert (1, 1) == (len(scene.said("keys.rewrap")), len(scene.said("keys.rewrapped")))
    damage(scene, ANN)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    with pytest.raises(Tampered):
        await scene.rewrapping.all(system)
    assert [1, 2] == [one["damaged"] for one in scene.said("keys.rewrapped")]


async def test_a_key_manager_that_is_down_is_recorded_once_and_tried_again() -> None:
    """As soon as it answers, the round does its work."""
    scene = await scene_of([])
    await scene.rotating.tenant(OPERATOR, CLINIC)
    scene.manager.down = DOWN
    for _ in range(100):
        with pytest.raises(Unavailable):
            await scene.rewrapping.all(system)
    assert ["key-manager-unavailable"] == [one["code"] for one in scene.said("keys.rewrapped")]
    scene.manager.down = None
    await scene.rewrapping.all(system)
    assert ("rewrapped", 0) == (
        scene.said("keys.rewrapped")[-1]["outcome"],
        await scene.rewrapping.left(CLINIC),
    )


async def test_a_failure_of_another_kind_is_recorded_again() -> None:
    """First nobody answers, then the root key is gone."""
    scene = await scene_of([])
    await scene.rotating.tenant(OPERATOR, CLINIC)
    scene.manager.down = DOWN
    with pytest.raises(Unavailable):
        await scene.rewrapping.all(system)
    scene.manager.down = None
    scene.manager.roots[tenant_root(CLINIC)].clear()
    for _ in range(3):
        with pytest.raises(Missing):
            await scene.rewrapping.all(system)
    assert ["key-manager-unavailable", "root-key-missing"] == [
        one["code"] for one in scene.said("keys.rewrapped")
    ]


def managing(scene: KeyScene) -> ManageKeys:
    """Return what carries out orders of operators who were shown."""
    unasked: Any = None
    return ManageKeys(
        store=scene.store,
        ring=scene.ring,
        status=unasked,
        rotating=scene.rotating,
        rewrapping=scene.rewrapping,
        shredding=scene.shredding,
        step_up=unasked,
    )


@pytest.mark.parametrize("do", ["rewrap", "resume"])
async def test_an_order_says_whether_they_are_deleted(do: str) -> None:
    """Without the word they stay."""
    scene = await scene_of([])
    damage(scene, BEN)
    await scene.rotating.tenant(OPERATOR, CLINIC)
    with pytest.raises(Tampered):
        await managing(scene).do(OPERATOR, {"do": "shred", "ids": [ANN], "reason": "error"})
    with pytest.raises(Tampered):
        await managing(scene).do(OPERATOR, {"do": do})
    await managing(scene).do(OPERATOR, {"do": do, "drop_damaged": True})
    assert 1 == scene.said("keys.rewrapped")[-1]["dropped"]


async def test_the_order_itself_may_say_so() -> None:
    """Then a shredding is done at once."""
    scene = await scene_of([CARL])
    damage(scene, BEN)
    order = {"do": "shred", "ids": [ANN], "reason": "error", "drop_damaged": True}
    assert 1 == len((await managing(scene).do(OPERATOR, order))["shredded"])


@pytest.mark.parametrize(
    "order",
    [
        {"do": "rewrap", "drop_damaged": "yes"},
        {"do": "shred", "tenant": CLINIC, "reason": "error", "drop_damaged": True},
        {"do": "rotate", "what": "tenant", "drop_damaged": True},
    ],
)
async def test_an_order_that_cannot_delete_them_is_refused(order: dict[str, Any]) -> None:
    """Of a whole tenant nothing is wrapped anew, and a rotation deletes nothing."""
    scene = await scene_of([])
    with pytest.raises(Invalid) as caught:
        await managing(scene).do(OPERATOR, order)
    assert ("order-invalid", []) == (caught.value.code, scene.said("keys.shred"))
