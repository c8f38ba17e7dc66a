"""Rotation: new versions, recorded before and after; what was sealed still opens."""

from __future__ import annotations

import pytest

from key_scene import ANN, BEN, CLINIC, KIND, OPERATOR, OTHER, KeyScene
from seawall.app.ports import tenant_root
from seawall.core.errors import Invalid, Tampered, Unavailable
from seawall.core.policy.principal import Principal

DOWN = Unavailable("key-manager-unavailable", "the key manager does not answer", "wait")


async def test_a_root_rotation_moves_the_tenants_keys() -> None:
    """Both keys of the tenant are under the new version, and everything opens."""
    scene = await KeyScene().open()
    version = await scene.rotating.root(OPERATOR, CLINIC)
    roots = {key.root_version for key in await scene.ledger.keys.tenant_keys(CLINIC)}
    assert (2, {2}, True) == (version, roots, await scene.opens(CLINIC, ANN))


async def test_a_rotation_is_recorded_before_and_after() -> None:
    """Who, what, from which version; then to which, and how it ended."""
    scene = await KeyScene().open()
    await scene.rotating.tenant(OPERATOR, CLINIC)
    (begun,), (ended,) = scene.said("keys.rotate"), scene.said("keys.rotated")
    actor = {"kind": "operator", "name": "olga"}
    assert (actor, "tenant", 1) == (begun["actor"], begun["what"], begun["from"])
    assert ("rotated", 2) == (ended["outcome"], ended["to"])
    assert begun == scene.ledger.bodies(CLINIC)[ended["intent"]]


async def test_a_new_tenant_key_leaves_data_keys_to_be_wrapped_anew() -> None:
    """The rotation itself is quick; how many are left is known."""
    scene = await KeyScene().open()
    await scene.rotating.tenant(OPERATOR, CLINIC)
    assert (2, 0) == (await scene.rewrapping.left(CLINIC), await scene.rewrapping.left(OTHER))
    assert await scene.opens(CLINIC, ANN)


async def test_a_data_key_is_rotated_alone() -> None:
    """The next version seals from now on, the older one still opens, others stay."""
    scene = await KeyScene().open()
    version = await scene.rotating.data(OPERATOR, CLINIC, ANN, KIND)
    before, after = (
        scene.sealed[CLINIC, ANN],
        await scene.ring.seal(b"x", scene.sealed[CLINIC, ANN].context),
    )
    assert (2, 1, 2) == (version, before.key_version, after.key_version)
    assert [ANN] == scene.said("keys.rotate")[0]["patients"]
    assert await scene.opens(CLINIC, ANN)


@pytest.mark.parametrize(("subject", "kind"), [("Ann Smith", KIND), (ANN, "no kind")])
async def test_a_data_key_is_named_by_ledger_id_and_kind(subject: str, kind: str) -> None:
    """Anything else is refused, and recorded nowhere."""
    scene = await KeyScene().open()
    with pytest.raises(Invalid) as caught:
        await scene.rotating.data(OPERATOR, CLINIC, subject, kind)
    assert ("data-key-unnamed", []) == (caught.value.code, scene.said("keys.rotate"))


async def test_what_is_interrupted_is_gone_on_with() -> None:
    """A process that ended after the key manager's rotation leaves no second version."""
    scene = await KeyScene().open()
    scene.ledger.failing["keys.rotated"] = Unavailable("ledger-unavailable", "x", "y")
    with pytest.raises(Unavailable):
        await scene.rotating.root(OPERATOR, CLINIC)
    assert 1 == len(await scene.history.unfinished(CLINIC, "keys.rotate"))
    scene.ledger.failing.clear()
    scene.restart()
    assert 2 == await scene.rotating.root(OPERATOR, CLINIC)
    assert (1, []) == (
        len(scene.said("keys.rotate")),
        await scene.history.unfinished(CLINIC, "keys.rotate"),
    )
    assert [2] == [one["to"] for one in scene.said("keys.rotated")]
    assert {1, 2} == set(scene.manager.roots[tenant_root(CLINIC)])


async def test_a_rotation_that_fails_says_so() -> None:
    """The outcome is recorded with its code, and the error is raised."""
    scene = await KeyScene().open()

    async def refuse(_: str) -> int:
        """Be down."""
        raise DOWN

    scene.manager.rotate = refuse  # type: ignore[method-assign, assignment]  # the fake's own fault
    with pytest.raises(Unavailable):
        await scene.rotating.root(OPERATOR, CLINIC)
    (ended,) = scene.said("keys.rotated")
    assert ("failed", "key-manager-unavailable") == (ended["outcome"], ended["code"])


async def test_nothing_is_rotated_unless_it_is_recorded_first() -> None:
    """A ledger that is down keeps the keys as they are."""
    scene = await KeyScene().open()
    scene.ledger.failing["keys.rotate"] = Unavailable("ledger-unavailable", "x", "y")
    with pytest.raises(Unavailable):
        await scene.rotating.root(OPERATOR, CLINIC)
    assert {1} == set(scene.manager.roots[tenant_root(CLINIC)])


async def test_wrapping_anew_moves_everything_and_tells_how_far() -> None:
    """In batches; recorded when it begins and when it ended; the keys still open."""
    scene, told = await KeyScene().open(), []
    for number in range(3):
        await scene.seal(CLINIC, str(number) * 24)
    await scene.rotating.tenant(OPERATOR, CLINIC)

    def progress(what: str, at: int, of: int) -> None:
        """Remember it."""
        told.append((what, at, of))

    moved = await scene.rewrapping.rewrap(OPERATOR, CLINIC, progress)
    assert [("rewrap", 2, 5), ("rewrap", 4, 5), ("rewrap", 5, 5)] == told
    assert (5, {2: 5}) == (moved, await scene.ledger.keys.counts(CLINIC))
    (begun,), (ended,) = scene.said("keys.rewrap"), scene.said("keys.rewrapped")
    assert (5, 5, "rewrapped") == (begun["keys"], ended["keys"], ended["outcome"])
    assert await scene.opens(CLINIC, BEN)


async def test_wrapping_anew_records_nothing_where_nothing_is_left() -> None:
    """So a round that finds nothing leaves no trace."""
    scene = await KeyScene().open()
    assert (0, []) == (await scene.rewrapping.rewrap(OPERATOR, CLINIC), scene.said("keys.rewrap"))


async def test_wrapping_anew_goes_on_where_it_was_ended() -> None:
    """What is left is what is still under the older version."""
    scene = await KeyScene().open()
    await scene.rotating.tenant(OPERATOR, CLINIC)
    (first, *_) = await scene.ledger.keys.wrapped_below(CLINIC, 2, limit=1)
    await scene.ring.rewrap(CLINIC, [first])
    scene.restart()
    assert 1 == await scene.rewrapping.rewrap(OPERATOR, CLINIC)
    assert {2: 2} == await scene.ledger.keys.counts(CLINIC)


async def test_keys_that_never_move_end_the_attempt() -> None:
    """Each is tried once, and told as damaged."""
    scene = await KeyScene().open()
    await scene.rotating.tenant(OPERATOR, CLINIC)

    async def nothing(_: str, __: object) -> int:
        """Move nothing."""
        return 0

    scene.ring.rewrap = nothing  # type: ignore[method-assign, assignment]  # a keeper's own fault
    with pytest.raises(Tampered) as caught:
        await scene.rewrapping.rewrap(OPERATOR, CLINIC)
    (ended,) = scene.said("keys.rewrapped")
    assert ("data-keys-damaged", "failed", 0) == (
        caught.value.code,
        ended["outcome"],
        ended["keys"],
    )


async def test_a_round_wraps_anew_for_every_tenant() -> None:
    """While serving, each tenant's keys come under its newest."""
    scene = await KeyScene().open()
    for tenant in (CLINIC, OTHER):
        await scene.rotating.tenant(Principal("operator", "olga", tenant), tenant)
    await scene.rewrapping.all(lambda tenant: Principal("system", "seawall", tenant))
    assert [0, 0] == [await scene.rewrapping.left(tenant) for tenant in (CLINIC, OTHER)]
