"""Publishing, again: restored backups are found out, and nobody slow delays a round."""

from __future__ import annotations

import copy

import pytest

from fakes import PUBLIC_KEY, MemoryStore
from publishing_scenes import LOG, ORIGIN, FakeStamps, Scene, begun, olds
from seawall.app.ports import SYSTEM_LOG, Posted
from seawall.app.publish_checkpoints import latest_witnessed
from seawall.core.ledger.checkpoint import format_vkey


@pytest.fixture
async def scene() -> Scene:
    """Return a log of 3 entries that nobody has seen yet; the system's log has none."""
    return await begun()


async def test_a_log_that_does_not_grow_is_shown_once_a_day(scene: Scene) -> None:
    """A day after it last cosigned a witness is asked again, and not before."""
    await scene.publish.all()
    for seconds in (86_399, 1, 60):
        scene.clock.advance(seconds)
        await scene.publish.all()

    assert [[0, 3]] * 3 == [olds(one) for one in scene.witnesses]


async def test_a_restored_backup_that_is_witnessed_is_told_in_the_first_round(
    scene: Scene,
) -> None:
    """A backup holds a witnessed checkpoint of its own, and is found out before it grows."""
    await scene.publish.all()
    backup = copy.deepcopy(scene.ledger)
    await scene.grow(50)
    await scene.publish.all()
    scene.ledger, scene.store = backup, MemoryStore(backup)
    scene.restart()

    await scene.publish.all()

    assert ["log-forked"] * 3 == scene.codes()
    assert {(3, 53)} == {(entry["size"], entry["cosigned"]) for entry in backup.bodies(SYSTEM_LOG)}


async def test_a_backup_restored_under_a_running_process_is_told(scene: Scene) -> None:
    """A log that holds less than this process saw cosigned is shown again at once."""
    await scene.publish.all()
    backup = copy.deepcopy(scene.ledger.logs[LOG])
    await scene.grow(50)
    await scene.publish.all()
    scene.ledger.logs[LOG] = backup

    await scene.publish.all()

    assert ["log-forked"] * 3 == scene.codes()


async def test_a_witness_that_hangs_is_waited_for_once_a_round(scene: Scene) -> None:
    """All logs of a round wait once for who hangs; it counts as missing, the others suffice."""
    for number in range(20):
        await scene.ledger.open_log(f"c{number}", ORIGIN + str(number))
        await scene.grow(1, f"c{number}")
        for one in scene.witnesses:
            one.book.trust(format_vkey(ORIGIN + str(number), PUBLIC_KEY))
    scene.witnesses[0].is_hanging = True
    scene.restart(patience=0.2)

    await scene.publish.all()

    assert 1 <= len(scene.witnesses[0].bodies) <= 4
    made = [await latest_witnessed(scene.store, f"c{number}") for number in range(20)]
    assert None not in made
    assert [] == scene.codes()


async def test_a_witness_that_is_always_slow_is_left_out_of_the_rest(scene: Scene) -> None:
    """Five slow answers are enough for one round; in the next it is asked again."""
    for number in range(20):
        await scene.ledger.open_log(f"c{number}", ORIGIN + str(number))
        await scene.grow(1, f"c{number}")

    def slowly(answer: Posted) -> Posted:
        """Let time pass before the answer."""
        scene.clock.advance(3)
        return answer

    scene.witnesses[0].changing = slowly
    scene.restart(required=1, count=1)
    await scene.publish.all()
    first = len(scene.witnesses[0].bodies)
    await scene.publish.all()

    assert 5 <= first <= 8
    assert first < len(scene.witnesses[0].bodies)


async def test_an_authority_that_hangs_is_waited_for_once_a_round(scene: Scene) -> None:
    """A time-stamp authority that does not answer delays a round once, and each log lacks one."""
    for number in range(8):
        await scene.ledger.open_log(f"c{number}", ORIGIN + str(number))
        await scene.grow(1, f"c{number}")
    scene.stamps = FakeStamps()
    scene.stamps.is_hanging = True
    scene.restart(required=0, count=0, patience=0.1)

    await scene.publish.all()

    assert 1 <= len(scene.stamps.stamped) <= 4
    assert ["time-stamp-missing"] * 9 == scene.codes()
