"""Names of sessions and codes: how they are made; and that one person may have several sessions."""

from __future__ import annotations

import ast

from house.sources import modules
from people_scene import CLINIC, HOME, PeopleScene
from seawall.adapters.clock import SystemRandom
from seawall.app.enrol import new_codes
from seawall.app.sessions import Sessions
from seawall.core.identity.session import SessionLimits


async def _scene() -> PeopleScene:
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    return made


async def test_a_sessions_name_is_256_bits_of_the_systems_randomness() -> None:
    """It is made of 32 random bytes, anew each time, and of nothing else."""
    scene = await _scene()
    asked: list[int] = []

    class Counted(SystemRandom):
        """Remembers how many bytes were asked for."""

        def bytes(self, count: int) -> bytes:
            """Return random bytes."""
            asked.append(count)
            return super().bytes(count)

    sessions = Sessions(
        store=scene.store,
        ledger=scene.ledger,
        documents=scene.documents,
        clock=scene.clock,
        random=Counted(),
        limits=SessionLimits(),
    )
    names = {sessions.new(CLINIC, "ada", ["mfa"], "net")[0] for _ in range(20)}

    assert ([32] * 20, 20) == (asked, len(names))
    assert {64} == {len(name) for name in names}


def test_no_randomness_but_the_systems() -> None:
    """No module of the product imports `random`, whose numbers can be told in advance."""
    imported = [
        module.name
        for module in modules("src")
        for node in module.nodes
        if (isinstance(node, ast.Import) and any(one.name == "random" for one in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "random")
    ]

    assert [] == imported


async def test_one_person_may_have_several_sessions() -> None:
    """As many as they signed in for, each on its own; a new one on another device ends none."""
    scene = await _scene()
    names = [(await scene.signed_in()).session for _ in range(4)]
    callers = [await scene.sessions.identify(name, HOME.network) for name in names]

    assert ["ada"] * 4 == [one.principal.name for one in callers]


def test_recovery_codes_are_long_enough() -> None:
    """Ten that differ, of 24 letters of five random bits each (ASVS 5.0, 6.5.2)."""
    codes = [code.replace("-", "") for code in new_codes(SystemRandom())]

    assert (10, {24}) == (len(set(codes)), {len(code) for code in codes})
    assert set("".join(codes)) <= set("abcdefghijklmnopqrstuvwxyz234567")
