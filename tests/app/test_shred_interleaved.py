"""Shredding with other work in between, before, after and at once: nothing of it is left open.

What is tried is every wrapped key that ever lay in a table, as older copies of it hold them.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from key_scene import ANN, BEN, CLINIC, KIND, OPERATOR, KeyScene
from lying_keys import lying_scene, ways_in
from seawall.app.key_claims import CLAIM, CLAIM_MS
from seawall.app.ports import SYSTEM_LOG, tenant_root
from seawall.core.errors import Conflict, Error, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CARL = "c" * 24
STEPS = (
    "record the renewal",
    "make a new tenant key",
    "wrap the survivors anew",
    "drop the old tenant keys",
    "rotate the root key",
    "carry the tenant's keys over",
    "destroy the old root versions",
    "rewrite the copies of keys",
)


class CrashError(Exception):
    """The process ended here."""


def ending_after(step: str) -> Callable[[str, int, int], None]:
    """Return a progress that ends the process after a step."""

    def progress(what: str, _: int, __: int) -> None:
        """End after this one."""
        if what == step:
            raise CrashError

    return progress


async def ended(scene: KeyScene, patient: str, step: str) -> None:
    """Order a shredding that ends after a step, and begin as another process."""
    with pytest.raises(CrashError):
        await scene.shredding.patients(OPERATOR, CLINIC, [patient], "error", ending_after(step))
    scene.restart()


async def survives(scene: KeyScene, *patients: str) -> bool:
    """Whether what was sealed for these opens, by a process that begins anew."""
    scene.restart()
    return all([await scene.opens(CLINIC, patient) for patient in patients])


async def test_before_a_shredding_there_is_a_way_in_and_afterwards_none() -> None:
    """What is tried here does open, as long as there is no shredding."""
    scene = await lying_scene()
    ann = scene.sealed[CLINIC, ANN]
    assert [(1, 1)] == await ways_in(scene, ann)
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert ([], True) == (await ways_in(scene, ann), await survives(scene, BEN))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["root", "tenant", "both"])
async def test_a_rotation_between_a_crash_and_the_resume_leaves_no_way_in(
    step: str, what: str
) -> None:
    """Whichever step was the last, and whichever key was replaced meanwhile."""
    scene = await lying_scene()
    ann = scene.sealed[CLINIC, ANN]
    await ended(scene, ANN, step)
    if what in {"root", "both"}:
        await scene.rotating.root(OPERATOR, CLINIC)
    if what in {"tenant", "both"}:
        await scene.rotating.tenant(OPERATOR, CLINIC)
    scene.restart()
    assert 1 == len(await scene.shredding.resume(OPERATOR, CLINIC))
    assert ([], True) == (await ways_in(scene, ann), await survives(scene, BEN))


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
async def test_two_shreddings_that_both_ended_midway_are_both_finished(
    first: str, second: str
) -> None:
    """The later one may have begun anywhere within the earlier one."""
    scene = await lying_scene()
    await scene.seal(CLINIC, CARL)
    ann, ben = scene.sealed[CLINIC, ANN], scene.sealed[CLINIC, BEN]
    await ended(scene, ANN, first)
    await ended(scene, BEN, second)
    assert 2 == len(await scene.shredding.resume(OPERATOR, CLINIC))
    assert ([], []) == (await ways_in(scene, ann), await ways_in(scene, ben))
    assert await survives(scene, CARL)


def slowly(scene: KeyScene, chance: random.Random) -> None:
    """Let others go on wherever a process would wait for a server."""

    def slowed(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(*given: Any, **named: Any) -> Any:
            """Ask after a while."""
            for _ in range(chance.randint(0, 4)):
                await asyncio.sleep(0)
            answer = await ask(*given, **named)
            for _ in range(chance.randint(0, 4)):
                await asyncio.sleep(0)
            return answer

        return asked

    names = {
        scene.manager: ("wrap", "unwrap", "versions", "rotate", "destroy", "make"),
        scene.ledger: ("append",),
        scene.ledger.keys: (
            *("tenant_keys", "replace", "keep_tenant_key", "replace_tenant_key"),
            *("wrapped_below", "counts", "keep", "current", "by_id"),
        ),
    }
    for slow, methods in names.items():
        for name in methods:
            setattr(slow, name, slowed(getattr(slow, name)))


async def outcome(work: Awaitable[Any]) -> str:
    """Return how work ended: `ok`, or its code."""
    try:
        await work
    except Error as error:
        return error.code
    return "ok"


async def sealing(scene: KeyScene) -> None:
    """Seal for other patients, as another process that knows the older keys."""
    for number in range(25):
        await scene.seal(CLINIC, f"{number:024x}")


async def other_work(scene: KeyScene, what: str, later: int) -> str:
    """Do something else, after so many turns of others; return how it ended."""
    for _ in range(later):
        await asyncio.sleep(0)
    if what == "shred":
        return await outcome(scene.shredding.patients(OPERATOR, CLINIC, [BEN], "error"))
    if what == "root":
        return await outcome(scene.rotating.root(OPERATOR, CLINIC))
    if what == "tenant":
        return await outcome(scene.rotating.tenant(OPERATOR, CLINIC))
    if what == "resume":
        return await outcome(scene.shredding.resume(OPERATOR, CLINIC))
    return await outcome(sealing(scene))


@pytest.mark.parametrize("other", ["shred", "root", "tenant", "resume", "seal"])
async def test_work_at_the_same_time_leaves_no_way_in(other: str) -> None:
    """Sixty interleavings: what has a certificate opens nowhere, all else does, and it has one."""
    ends: set[tuple[str, ...]] = set()
    for seed in range(60):
        chance, scene = random.Random(seed), await lying_scene()  # noqa: S311  no secret
        await scene.seal(CLINIC, CARL)
        sealed = dict(scene.sealed)
        slowly(scene, chance)
        first = outcome(scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error"))
        second = other_work(scene, other, chance.randint(0, 400))
        ends.add(tuple(await asyncio.gather(first, second)))
        gone = [patient for one in scene.said("keys.destroyed") for patient in one["patients"]]
        assert len(gone) == len(set(gone))
        for patient in gone:
            assert [] == await ways_in(scene, sealed[CLINIC, patient])
        left = (one for tenant, one in scene.sealed if tenant == CLINIC and one not in gone)
        assert await survives(scene, *left)
    assert {"ok"} <= {code for pair in ends for code in pair} <= {"ok", "key-work-under-way"}
    assert ("ok", "ok") in ends


async def test_a_resume_while_the_order_runs_makes_no_second_certificate() -> None:
    """It is refused, and says who is at it and until when."""
    scene = await lying_scene()
    slowly(scene, random.Random(1))  # noqa: S311  no secret
    running = asyncio.create_task(scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error"))
    while not scene.said("keys.renew"):  # noqa: ASYNC110  what is awaited tells nobody
        await asyncio.sleep(0)
    with pytest.raises(Conflict) as caught:
        await scene.shredding.resume(OPERATOR, CLINIC)
    done = await running
    assert ("key-work-under-way", [done.ordered]) == (
        caught.value.code,
        [one["shred"] for one in scene.said("keys.destroyed")],
    )
    assert "olga" in caught.value.help
    assert [] == await scene.shredding.resume(OPERATOR, CLINIC)


@pytest.mark.parametrize("step", STEPS[:-1])
async def test_who_slept_too_long_does_not_go_on(step: str) -> None:
    """Another process finished it meanwhile: one certificate, and no second destruction."""
    scene = await lying_scene()
    asleep, awake = asyncio.Event(), asyncio.Event()
    keep = scene.shredding._claims.record

    async def record(tenant: str) -> Any:
        """Keep the claim, but for the one that sleeps."""
        if asleep.is_set() and not awake.is_set():
            await awake.wait()
        return await keep(tenant)

    scene.claims.record = record  # type: ignore[method-assign]  # a process that sleeps

    def progress(what: str, _: int, __: int) -> None:
        """Fall asleep after this step."""
        if what == step:
            asleep.set()

    slow = asyncio.create_task(scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", progress))
    await asleep.wait()
    scene.clock.advance(CLAIM_MS / 1000 + 1)
    scene.restart()
    (done,) = await scene.shredding.resume(OPERATOR, CLINIC)
    calls = scene.manager.calls["destroy"]
    awake.set()
    with pytest.raises(Conflict) as caught:
        await slow
    assert ("key-work-lost", [done.ordered], calls) == (
        caught.value.code,
        [one["shred"] for one in scene.said("keys.destroyed")],
        scene.manager.calls["destroy"],
    )
    assert await survives(scene, BEN)


@pytest.mark.parametrize("step", STEPS[:-2])
async def test_whoever_lost_the_claim_destroys_nothing(step: str) -> None:
    """It is asked for before each step."""
    scene = await lying_scene()

    def take(what: str, _: int, __: int) -> None:
        """Put another record in its place, as another process does."""
        if what == step:
            scene.ledger.kept[SYSTEM_LOG, CLAIM, CLINIC] = scene.sealed[CLINIC, BEN]

    with pytest.raises(Conflict) as caught:
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error", take)
    assert ("key-work-lost", 0) == (caught.value.code, scene.manager.calls["destroy"])


async def test_a_slow_process_makes_keys_until_it_notices_and_nothing_is_lost() -> None:
    """Half a minute long it goes on with the tenant key that was replaced: it is waited for."""
    scene = await lying_scene()
    slow = scene.ring
    await slow.seal(b"PHI", scene.sealed[CLINIC, BEN].context)
    scene.restart()
    append, made = scene.ledger.append, []

    async def with_a_slow_one(log: str, said: Any, writes: Any = ()) -> Any:
        """Make a key in the slow process just before the old tenant keys are dropped."""
        if said["action"] == "keys.drop":
            made.append((await slow.new_data_key(CLINIC, BEN, KIND)).tenant_key_version)
        return await append(log, said, writes)

    scene.ledger.append = with_a_slow_one  # type: ignore[method-assign, assignment]  # another process
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert (1, 2) == (made[0], made[-1])
    assert {2: 1 + len(made)} == await scene.ledger.keys.counts(CLINIC)


async def test_survivors_are_not_lost_where_a_key_stays_under_an_older_root() -> None:
    """Nothing is destroyed while the database still has a key of the tenant under it."""
    scene = await lying_scene()

    async def nothing(_: int, __: Any) -> None:
        """Replace nothing, as a database that lost the write."""

    scene.ledger.keys.replace_tenant_key = nothing  # type: ignore[method-assign, assignment]  # its fault
    with pytest.raises(Conflict) as caught:
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert ("keys-in-use", 0) == (caught.value.code, scene.manager.calls["destroy"])
    assert await survives(scene, BEN)


async def test_survivors_are_not_lost_where_their_keys_do_not_open_under_the_new_root() -> None:
    """The key manager opens what is kept there before anything older ends."""
    scene = await lying_scene()
    keep = scene.ledger.keys.replace_tenant_key
    down = Unavailable("key-manager-unavailable", "x", "y")

    async def then_down(before: int, key: Any) -> None:
        """Go down once the keys are moved."""
        await keep(before, key)
        if key.use == "index":
            scene.manager.unwrap = failing  # type: ignore[method-assign, assignment]  # its fault

    async def failing(*_: Any) -> bytes:
        """Not answer."""
        raise down

    scene.ledger.keys.replace_tenant_key = then_down  # type: ignore[method-assign]  # as above
    with pytest.raises(Unavailable):
        await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert (0, []) == (scene.manager.calls["destroy"], scene.said("keys.destroy"))


@pytest.mark.parametrize("step", ["new_tenant_key", "rewrap", "prove_tenant_keys"])
async def test_a_rotation_that_heeds_no_claim_leaves_no_way_in(step: str) -> None:
    """Such as of a process that lost its claim: the root version that stays is made last."""
    scene = await lying_scene()
    ann, others = scene.sealed[CLINIC, ANN], [1]
    keep = getattr(scene.ring, step)

    async def after_a_rotation(*given: Any) -> Any:
        """Rotate the root key, and wrap the tenant's newest keys under it."""
        if others:
            others.pop()
            await scene.manager.rotate(tenant_root(CLINIC))
            await scene.ring.rewrap_tenant_keys(CLINIC)
        return await keep(*given)

    setattr(scene.ring, step, after_a_rotation)
    await scene.shredding.patients(OPERATOR, CLINIC, [ANN], "error")
    assert ([], [], True) == (others, await ways_in(scene, ann), await survives(scene, BEN))
