"""A factor that is shown again: by the session's own person, for a session of the same age."""

from __future__ import annotations

import asyncio

import pytest

from authenticator import UP
from people_scene import CLINIC, HOME, TERMINAL, PeopleScene, code_of
from seawall.app.caller import Caller
from seawall.core.policy.principal import Principal


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which Ada and Ben are enrolled."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    await made.enrolled((await made.enrol.invite(TERMINAL, "ben")).link)
    return made


async def session_of(scene: PeopleScene, name: str = "ada") -> tuple[str, Caller]:
    """Sign somebody in; return the session's name and the caller, an hour's tenth later."""
    done = await scene.signed_in(name)
    scene.clock.advance(360)
    return done.session, await scene.sessions.identify(done.session, HOME.network)


async def test_a_code_makes_the_session_fresh(scene: PeopleScene) -> None:
    """It has a new name, the old age, and the old name is none any more."""
    old, caller = await session_of(scene)
    name = await scene.again.code(caller, HOME, scene.code("ada"))

    again = await scene.sessions.identify(name, HOME.network)
    assert caller.session is not None
    assert again.session is not None
    assert (caller.session.began_ms, scene.clock.now_ms()) == (
        again.session.began_ms,
        again.session.factor_ms,
    )
    assert "session-ended" == await code_of(scene.sessions.identify(old, HOME.network))


async def test_a_passkey_makes_the_session_fresh(scene: PeopleScene) -> None:
    """It says what was shown."""
    _, caller = await session_of(scene)
    begun = scene.again.begin(caller)
    response = scene.keys_of["ada"].get(begun.options, flags=UP)
    name = await scene.again.passkey(caller, HOME, begun.ticket, response)

    session = (await scene.sessions.identify(name, HOME.network)).session
    assert session is not None
    assert ("hwk", "mfa", "otp", "pwd") == session.methods


async def test_another_persons_factors_are_refused(scene: PeopleScene) -> None:
    """Ben's passkey and Ben's code do not make Ada's session fresh."""
    _, caller = await session_of(scene)
    begun = scene.again.begin(caller)
    response = scene.keys_of["ben"].get(begun.options)

    codes = [
        await code_of(scene.again.passkey(caller, HOME, begun.ticket, response)),
        await code_of(scene.again.code(caller, HOME, scene.code("ben"))),
    ]
    assert ["factor-refused", "factor-refused"] == codes
    assert ["wrong", "wrong"] == scene.outcomes("step-up.outcome")


async def test_the_ceremony_of_another_session_is_refused(scene: PeopleScene) -> None:
    """A ticket belongs to the session that asked."""
    _, ben = await session_of(scene, "ben")
    _, ada = await session_of(scene)
    begun = scene.again.begin(ben)
    response = scene.keys_of["ada"].get(begun.options)

    asked = scene.again.passkey(ada, HOME, begun.ticket, response)
    assert "factor-refused" == await code_of(asked)


async def test_an_assertion_is_used_once(scene: PeopleScene) -> None:
    """Twice at once is once."""
    _, caller = await session_of(scene)
    begun = scene.again.begin(caller)
    response = scene.keys_of["ada"].get(begun.options)
    tries = (code_of(scene.again.passkey(caller, HOME, begun.ticket, response)) for _ in range(2))

    assert ["", "factor-refused"] == sorted(await asyncio.gather(*tries))
    assert 1 == len(await scene.store.sessions(CLINIC, "ada"))


async def test_a_copied_passkey_is_refused_and_alarmed(scene: PeopleScene) -> None:
    """Its count went back."""
    _, caller = await session_of(scene)
    begun = scene.again.begin(caller)
    await scene.again.passkey(caller, HOME, begun.ticket, scene.keys_of["ada"].get(begun.options))
    scene.keys_of["ada"].count = 0
    _, caller = await session_of(scene)
    begun = scene.again.begin(caller)
    response = scene.keys_of["ada"].get(begun.options)

    asked = scene.again.passkey(caller, HOME, begun.ticket, response)
    assert "factor-refused" == await code_of(asked)
    assert "passkey-cloned" == scene.notifier.alarms[-1][0]


async def test_a_client_has_nothing_to_show(scene: PeopleScene) -> None:
    """Sessions are persons'."""
    client = Caller(Principal("client", "app", CLINIC))

    assert "session-needed" == await code_of(scene.again.code(client, HOME, "000000"))


async def test_a_person_who_was_reset_meanwhile_is_refused(scene: PeopleScene) -> None:
    """A session that a reset ended does not come back by a step-up under way."""
    _, caller = await session_of(scene)
    code = scene.code("ada")
    await scene.enrol.invite(TERMINAL, "ada")

    assert "factor-refused" == await code_of(scene.again.code(caller, HOME, code))
    assert [] == await scene.store.sessions(CLINIC, "ada")
