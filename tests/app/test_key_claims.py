"""One order about a tenant's keys at a time: held, renewed, ended, or taken over."""

from __future__ import annotations

import pytest

from key_scene import CLINIC, OPERATOR, OTHER, KeyScene
from seawall.app.key_claims import CLAIM_MS
from seawall.app.ports import SYSTEM_LOG
from seawall.core.errors import Conflict, Unavailable
from seawall.core.policy.principal import Principal

OSCAR = Principal("operator", "oscar", CLINIC)


async def test_a_claim_is_recorded_when_it_begins_and_when_it_ends() -> None:
    """In the system's log: whose, of which tenant, for what, until when."""
    scene = await KeyScene().open()
    now_ms = scene.clock.now_ms()
    async with scene.claims.working(OPERATOR, CLINIC, "shred"):
        pass
    begun, ended = scene.said("keys.claim", SYSTEM_LOG)
    assert ("olga", CLINIC, "shred", "begun", now_ms + CLAIM_MS) == (
        begun["actor"]["name"],
        *(begun[name] for name in ("for", "what", "state", "until")),
    )
    assert ("ended", now_ms) == (ended["state"], ended["until"])


async def test_nobody_else_has_it_meanwhile_and_anybody_afterwards() -> None:
    """The refusal says who since when, and when it ends by itself; other tenants are free."""
    scene = await KeyScene().open()
    async with scene.claims.working(OPERATOR, CLINIC, "shred"):
        with pytest.raises(Conflict) as caught:
            async with scene.claims.working(OSCAR, CLINIC, "rotate"):
                pass
        async with scene.claims.working(OSCAR, OTHER, "rotate"):
            pass
    assert "key-work-under-way" == caught.value.code
    for word in ("olga", "2026-03-02T09:30:00.000Z", "2026-03-02T09:35:00.000Z"):
        assert word in caught.value.help
    async with scene.claims.working(OSCAR, CLINIC, "rotate"):
        pass


async def test_work_that_fails_lets_go_of_it() -> None:
    """Whatever it failed with."""
    scene = await KeyScene().open()
    with pytest.raises(ZeroDivisionError):
        async with scene.claims.working(OPERATOR, CLINIC, "shred"):
            raise ZeroDivisionError
    assert "ended" == scene.said("keys.claim", SYSTEM_LOG)[-1]["state"]


@pytest.mark.parametrize(("seconds", "code"), [(299, "key-work-under-way"), (300, "")])
async def test_a_process_that_died_is_taken_over_when_its_claim_ended(
    seconds: int, code: str
) -> None:
    """Not a moment before; its end need not have been recorded."""
    scene = await KeyScene().open()
    async with scene.claims.working(OPERATOR, CLINIC, "shred"):
        scene.clock.advance(seconds)
        scene.restart()
        found = ""
        try:
            async with scene.claims.working(OSCAR, CLINIC, "shred"):
                pass
        except Conflict as conflict:
            found = conflict.code
    assert code == found


async def test_whoever_was_taken_over_is_told_at_the_next_step() -> None:
    """And does not end the claim of who took it."""
    scene = await KeyScene().open()
    taking = scene.claims.working(OSCAR, CLINIC, "shred")
    async with scene.claims.working(OPERATOR, CLINIC, "shred") as held:
        scene.clock.advance(CLAIM_MS / 1000)
        taken = await taking.__aenter__()
        with pytest.raises(Conflict) as caught:
            await held.keep()
    assert "key-work-lost" == caught.value.code
    await taken.keep()
    await taking.__aexit__(None, None, None)


async def test_whoever_is_at_work_renews_it() -> None:
    """With each step, once a third of its time is over; and nobody else gets it."""
    scene = await KeyScene().open()
    async with scene.claims.working(OPERATOR, CLINIC, "shred") as claim:
        for _ in range(6):
            scene.clock.advance(CLAIM_MS / 1000 / 2)
            await claim.keep()
            await claim.keep()
        with pytest.raises(Conflict):
            async with scene.claims.working(OSCAR, CLINIC, "shred"):
                pass
    states = [one["state"] for one in scene.said("keys.claim", SYSTEM_LOG)]
    assert ["begun", *["renewed"] * 6, "ended"] == states


async def test_a_claim_that_ran_out_unseen_goes_on() -> None:
    """Nobody took it: that is compared, and not only the time."""
    scene = await KeyScene().open()
    async with scene.claims.working(OPERATOR, CLINIC, "shred") as claim:
        scene.clock.advance(CLAIM_MS)
        await claim.keep()
        with pytest.raises(Conflict):
            async with scene.claims.working(OSCAR, CLINIC, "shred"):
                pass


async def test_an_end_that_cannot_be_recorded_spoils_nothing() -> None:
    """What was done is done, and the claim ends by itself."""
    scene = await KeyScene().open()
    async with scene.claims.working(OPERATOR, CLINIC, "shred"):
        scene.ledger.failing["keys.claim"] = Unavailable("ledger-unavailable", "x", "y")
    scene.ledger.failing.clear()
    scene.clock.advance(CLAIM_MS / 1000)
    async with scene.claims.working(OSCAR, CLINIC, "shred"):
        pass


async def test_nothing_is_begun_unless_the_claim_is_recorded() -> None:
    """A ledger that is down gives none."""
    scene = await KeyScene().open()
    scene.ledger.failing["keys.claim"] = Unavailable("ledger-unavailable", "x", "y")
    with pytest.raises(Unavailable):
        await scene.rotating.root(OPERATOR, CLINIC)
    assert [] == scene.said("keys.rotate")
