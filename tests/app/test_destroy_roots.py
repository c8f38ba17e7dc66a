"""What the key manager destroyed is believed only as far as the service's own view shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fake_keys import MemoryKeyManager
from key_scene import ANN, BEN, CLINIC, OPERATOR, KeyScene, Strict
from lying_keys import lying_scene, ways_in
from seawall.app.ports import Destruction, RootVersion, tenant_root
from seawall.core.errors import Error, Missing, Refused, Unavailable

NAME = tenant_root(CLINIC)


class Failing(Strict):
    """An operator whose destruction, or whatever else is named, raises an error."""

    def __init__(self, manager: MemoryKeyManager, error: Error) -> None:
        super().__init__(manager)
        self.error = error

    async def destroy(self, _: str, __: int | None = None) -> Destruction:
        """Fail."""
        raise self.error


class Idle(Strict):
    """An operator that says that it destroyed, and did not."""

    async def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Say so."""
        versions = tuple(one.version for one in await self.versions(name))
        gone = tuple(one for one in versions if below is None or one < below)
        return Destruction(name, gone, datetime(2026, 1, 1, tzinfo=UTC), "not at all")


async def elsewhere(*, versions: int = 1) -> MemoryKeyManager:
    """Return another key manager that has a root key of the same name, made at another time."""
    other = MemoryKeyManager("openbao")
    other.made = datetime(2026, 1, 2, tzinfo=UTC)
    for _ in range(versions):
        await (other.rotate(NAME) if other.roots[NAME] else other.make(NAME))
    return other


def shreds(scene: KeyScene, what: str) -> Any:
    """Return the shredding of a patient or of the tenant, to be awaited."""
    if what == "patients":
        return scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    return scene.shredding.tenant(OPERATOR, CLINIC, "error")


NO_TOKEN = Missing("key-token-missing", "there is no token", "set it")
GONE = Missing("root-key-missing", "there is no such key", "it was destroyed")
OTHER_PATH = Missing("something-else", "x", "y")


@pytest.mark.parametrize("what", ["patients", "tenant"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NO_TOKEN, "key-token-missing"),
        (GONE, "destruction-unconfirmed"),
        (OTHER_PATH, "something-else"),
        (Unavailable("key-manager-unavailable", "x", "y"), "key-manager-unavailable"),
    ],
)
async def test_whatever_an_operator_says_the_key_is_looked_for(
    what: str, error: Error, code: str
) -> None:
    """A key that is there was not destroyed before, and no certificate says so."""
    scene = await lying_scene()
    ann = scene.sealed[CLINIC, ANN]
    scene.operator = Failing(scene.manager, error)
    scene.restart()
    with pytest.raises(Error) as caught:
        await shreds(scene, what)
    assert (code, []) == (caught.value.code, scene.said("keys.destroyed"))
    assert 1 in scene.manager.roots[NAME]
    scene.operator = scene.manager
    scene.restart()
    assert 1 == len(await scene.shredding.resume(OPERATOR, CLINIC))
    assert ([], False) == (await ways_in(scene, ann), 1 in scene.manager.roots[NAME])


@pytest.mark.parametrize("what", ["patients", "tenant"])
async def test_an_operator_that_only_says_so_makes_no_certificate(what: str) -> None:
    """The service still sees the versions."""
    scene = await KeyScene().open()
    scene.operator = Idle(scene.manager)
    scene.restart()
    with pytest.raises(Refused) as caught:
        await shreds(scene, what)
    assert ("destruction-unconfirmed", []) == (caught.value.code, scene.said("keys.destroyed"))


@pytest.mark.parametrize("what", ["patients", "tenant"])
@pytest.mark.parametrize("versions", [0, 1, 2])
async def test_an_operator_of_another_key_manager_orders_nothing(what: str, versions: int) -> None:
    """Refused before anything is deleted, and nothing is made or destroyed there or here."""
    scene = await KeyScene().open()
    other = await elsewhere(versions=versions)
    scene.operator = other
    scene.restart()
    with pytest.raises(Refused) as caught:
        await shreds(scene, what)
    assert ("key-manager-differs", []) == (caught.value.code, scene.said("keys.shred"))
    assert [{1}, versions] == [set(scene.manager.roots[NAME]), len(other.roots[NAME])]
    assert await scene.opens(CLINIC, ANN)


@pytest.mark.parametrize("what", ["patients", "tenant"])
async def test_an_operator_of_another_key_manager_resumes_nothing(what: str) -> None:
    """Where the credentials changed between the order and the resume."""
    scene = await KeyScene().open()
    scene.operator = Failing(scene.manager, Unavailable("key-manager-unavailable", "x", "y"))
    scene.restart()
    with pytest.raises(Unavailable):
        await shreds(scene, what)
    other = await elsewhere()
    scene.operator = other
    scene.restart()
    with pytest.raises(Refused) as caught:
        await scene.shredding.resume(OPERATOR, CLINIC)
    assert ("key-manager-differs", {1}, []) == (
        caught.value.code,
        set(other.roots[NAME]),
        scene.said("keys.destroyed"),
    )


async def test_a_key_under_a_root_version_that_nobody_has_orders_nothing() -> None:
    """The service's credentials lead elsewhere than they did when that key was wrapped."""
    scene = await KeyScene().open()
    await scene.rotating.root(OPERATOR, CLINIC)
    del scene.manager.roots[NAME][2]
    with pytest.raises(Refused) as caught:
        await shreds(scene, "tenant")
    assert ("key-manager-differs", []) == (caught.value.code, scene.said("keys.shred"))


async def test_a_root_key_is_not_rotated_elsewhere() -> None:
    """A rotation asks the same, and makes no version in another key manager."""
    scene = await KeyScene().open()
    other = await elsewhere()
    scene.operator = other
    scene.restart()
    with pytest.raises(Refused) as caught:
        await scene.rotating.root(OPERATOR, CLINIC)
    assert ("key-manager-differs", {1}) == (caught.value.code, set(other.roots[NAME]))


@pytest.mark.parametrize("what", ["patients", "tenant"])
async def test_what_waits_for_its_end_counts_as_destroyed(what: str) -> None:
    """AWS KMS lists such versions until they are gone; they unwrap nothing."""
    scene = await KeyScene("aws").open()
    keep, ended = scene.manager.versions, dict(scene.manager.roots[NAME])

    async def versions(name: str) -> list[RootVersion]:
        """Tell also those that wait."""
        held = await keep(name) if scene.manager.roots[name] else []
        waiting = ended.keys() - scene.manager.roots[name].keys() if name == NAME else ()
        made = scene.manager.made
        return [*(RootVersion(one, "pending-destruction", made) for one in waiting), *held]

    scene.manager.versions = versions  # type: ignore[method-assign]  # as KMS tells of them
    await shreds(scene, what)
    (done,) = scene.said("keys.destroyed")
    assert [1] == done["certificate"]["keys"]["versions"]


async def test_a_destruction_that_is_known_late_is_waited_for() -> None:
    """Another node of the key manager may tell of it a moment later."""
    scene = await KeyScene().open()
    destroy, versions = scene.manager.destroy, scene.manager.versions
    late: list[list[RootVersion]] = []

    async def destroyed(name: str, below: int | None = None) -> Destruction:
        """Destroy; the next two answers are of before."""
        late.extend([await versions(name)] * 2)
        return await destroy(name, below)

    async def told(name: str) -> list[RootVersion]:
        """Tell what was, then what is."""
        return late.pop() if late else await versions(name)

    scene.manager.destroy, scene.manager.versions = destroyed, told  # type: ignore[method-assign]
    await shreds(scene, "patients")
    assert (1, True) == (len(scene.said("keys.destroyed")), await scene.opens(CLINIC, BEN))


async def test_the_survivors_stay_where_the_operator_loses_its_token_midway() -> None:
    """Nothing is lost, no certificate is made, and the same shredding is finished afterwards."""
    scene = await lying_scene()
    ann = scene.sealed[CLINIC, ANN]

    def revoke(what: str, _: int, __: int) -> None:
        """Take the token away within the work."""
        if what == "wrap the survivors anew":
            scene.manager.rotate = without  # type: ignore[method-assign, assignment]  # its fault
            scene.manager.destroy = without  # type: ignore[method-assign, assignment]  # as above

    async def without(*_: Any) -> Any:
        """Have no token."""
        raise NO_TOKEN

    rotate, destroy = scene.manager.rotate, scene.manager.destroy
    with pytest.raises(Missing):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", revoke)
    assert ([], True) == (scene.said("keys.destroyed"), await scene.opens(CLINIC, BEN))
    scene.manager.rotate, scene.manager.destroy = rotate, destroy  # type: ignore[method-assign]
    assert 1 == len(await scene.shredding.resume(OPERATOR, CLINIC))
    assert ([], True) == (await ways_in(scene, ann), await scene.opens(CLINIC, BEN))
