"""Shredding where the operator's profile leads to another account of AWS KMS than the service's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import kms_simulators
from key_scene import ANN, CLINIC, OPERATOR
from lying_keys import lying_scene, ways_in
from seawall.adapters.clock import SystemClock
from seawall.adapters.keys.guarded import GuardedKeyManager, GuardedKeyOperator
from seawall.app.ports import tenant_root
from seawall.core.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from key_scene import KeyScene

SECONDS = 20.0


@pytest.fixture(scope="module")
def accounts() -> Iterator[tuple[Any, Any]]:
    """Yield two simulators: two accounts that know nothing of each other."""
    with (
        kms_simulators.opened("moto", prefix="here") as here,
        kms_simulators.opened("ministack", prefix="here") as there,
    ):
        yield here, there


async def scene_on(account: Any) -> KeyScene:
    """Return a scene whose key manager is an account."""
    clock = SystemClock()
    manager = GuardedKeyManager(account.keys, clock, limit_seconds=SECONDS)
    operator = GuardedKeyOperator(account.operator, clock)
    return await lying_scene(manager, operator)


@pytest.mark.parametrize("has_one", [False, True])
async def test_another_account_orders_nothing_and_loses_nothing(
    accounts: tuple[Any, Any], *, has_one: bool
) -> None:
    """Whether or not there is a key of the same name; no key is made or destroyed there."""
    here, there = accounts
    scene = await scene_on(here)
    elsewhere = GuardedKeyOperator(there.operator, SystemClock())
    if has_one:
        await elsewhere.make(tenant_root(CLINIC))
    scene.operator = elsewhere
    scene.restart()
    with pytest.raises(Refused) as caught:
        await scene.shredding.tenant(OPERATOR, CLINIC, "relationship-ended")
    assert ("key-manager-differs", []) == (caught.value.code, scene.said("keys.shred"))
    assert ["enabled"] == [one.state for one in await scene.manager.versions(tenant_root(CLINIC))]
    assert await scene.opens(CLINIC, ANN)


async def test_the_same_account_shreds_and_says_until_when(accounts: tuple[Any, Any]) -> None:
    """The versions wait for their end, which the service's account says, and unwrap nothing."""
    scene = await scene_on(accounts[0])
    ann = scene.sealed[CLINIC, ANN]
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    (said,) = scene.said("keys.destroyed")
    versions = await scene.manager.versions(tenant_root(CLINIC))
    waiting = [one.version for one in versions if one.state == "pending-destruction"]
    assert waiting == said["certificate"]["keys"]["versions"]
    assert [] == await ways_in(scene, ann)
