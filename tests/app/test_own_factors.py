"""A person's own factors: seen, added, removed, and always enough to sign in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cbor2
import pytest

import authenticator
from authenticator import UP, Authenticator
from people_scene import CLINIC, HOME, TERMINAL, PeopleScene, code_of
from seawall.app.enrol import Chosen
from seawall.app.factors import credential_item
from seawall.core.identity.offline import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.caller import Caller


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which Ada and Ben are enrolled with everything."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    await made.enrolled((await made.enrol.invite(TERMINAL, "ben")).link)
    return made


async def signed_in(scene: PeopleScene, name: str = "ada") -> Caller:
    """Sign somebody in."""
    done = await scene.signed_in(name)
    return await scene.sessions.identify(done.session, HOME.network)


async def add(scene: PeopleScene, caller: Caller, key: Authenticator) -> str:
    """Add a passkey; return the code of the refusal, or empty."""
    begun = scene.own.begin(caller)
    made = key.create(begun.options)
    return await code_of(scene.own.add(caller, HOME, begun.ticket, made, "spare"))


async def by_passkey(scene: PeopleScene, key: Authenticator) -> str:
    """Sign in with a passkey; return the code of the refusal, or empty."""
    begun = scene.sign_in.begin_passkey()
    return await code_of(scene.sign_in.passkey(HOME, begun.ticket, key.get(begun.options)))


async def digests(scene: PeopleScene, caller: Caller) -> list[str]:
    """Return how the person's passkeys are called."""
    account = await scene.own.shown(caller, HOME)
    return [credential_item(one.id) for one in account.passkeys]


async def test_a_second_passkey_signs_in(scene: PeopleScene) -> None:
    """Both do, from then on."""
    caller, key = await signed_in(scene), Authenticator()

    assert "" == await add(scene, caller, key)
    assert ["", ""] == [await by_passkey(scene, one) for one in (key, scene.keys_of["ada"])]
    assert ["", "spare"] == [one.name for one in (await scene.own.shown(caller, HOME)).passkeys]


async def test_a_removed_passkey_signs_nobody_in(scene: PeopleScene) -> None:
    """And the person's other sessions end, not the one in which it is done."""
    other, caller = await signed_in(scene), await signed_in(scene)
    [digest] = await digests(scene, caller)
    await scene.own.remove(caller, HOME, digest)

    assert "sign-in-refused" == await by_passkey(scene, scene.keys_of["ada"])
    assert [caller.session] == await scene.store.sessions(CLINIC, "ada")
    assert other.session not in await scene.store.sessions(CLINIC, "ada")


async def test_what_is_left_is_enough(scene: PeopleScene) -> None:
    """The last way to sign in is not taken away."""
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    key, begun = Authenticator(), await scene.enrol.begin(HOME, link)
    await scene.enrol.finish(HOME, link, begun.ticket, Chosen(passkey=key.create(begun.options)))
    asked = scene.sign_in.begin_passkey()
    done = await scene.sign_in.passkey(HOME, asked.ticket, key.get(asked.options))
    caller = await scene.sessions.identify(done.session, HOME.network)
    [digest] = await digests(scene, caller)

    assert "factors-missing" == await code_of(scene.own.remove(caller, HOME, digest))
    assert "factors-missing" == await add(scene, caller, Authenticator(flags=UP))
    assert "codes-useless" == await code_of(scene.own.renew_codes(caller, HOME))
    assert "" == await by_passkey(scene, key)


async def test_a_stale_factor_changes_nothing(scene: PeopleScene) -> None:
    """After five minutes one is shown again first."""
    caller = await signed_in(scene)
    [digest] = await digests(scene, caller)
    scene.clock.advance(301)

    codes = [
        await code_of(scene.own.remove(caller, HOME, digest)),
        await code_of(scene.own.renew_codes(caller, HOME)),
        await code_of(scene.own.add(caller, HOME, "x", {}, "")),
    ]
    assert ["step-up-needed"] * 3 == codes


async def test_another_persons_passkey_is_not_removed(scene: PeopleScene) -> None:
    """Ben's is none of Ada's."""
    ada, ben = await signed_in(scene), await signed_in(scene, "ben")
    [digest] = await digests(scene, ben)

    assert "passkey-unknown" == await code_of(scene.own.remove(ada, HOME, digest))
    assert "" == await by_passkey(scene, scene.keys_of["ben"])


async def test_a_credential_belongs_to_one_person(scene: PeopleScene) -> None:
    """What Ben registered, Ada cannot register too (WebAuthn, section 7.1)."""
    ada, ben = await signed_in(scene), await signed_in(scene, "ben")
    key = Authenticator()
    assert "" == await add(scene, ben, key)
    key.credentials.clear()

    assert "factors-changed" == await add(scene, ada, key)
    assert 1 == len(await digests(scene, ada))


async def test_there_are_at_most_ten_passkeys(scene: PeopleScene) -> None:
    """The eleventh is refused."""
    caller = await signed_in(scene)
    keys = [Authenticator() for _ in range(10)]
    codes = [await add(scene, caller, key) for key in keys]

    assert [""] * 9 + ["passkeys-many"] == codes


async def test_new_recovery_codes_end_the_old_ones(scene: PeopleScene) -> None:
    """Ten others."""
    old = await scene.enrolled((await scene.enrol.invite(TERMINAL, "ben")).link)
    caller = await signed_in(scene, "ben")
    new = await scene.own.renew_codes(caller, HOME)
    half = await scene.half("ben")
    refused = await code_of(scene.sign_in.recovery(HOME, half.ticket, old[0]))
    half = await scene.half("ben")

    assert (10, "sign-in-refused") == (len(set(new) - set(old)), refused)
    assert "" == await code_of(scene.sign_in.recovery(HOME, half.ticket, new[0]))


async def test_a_ceremony_of_another_session_adds_nothing(scene: PeopleScene) -> None:
    """A ticket belongs to the session that asked."""
    ada, ben = await signed_in(scene), await signed_in(scene, "ben")
    begun = scene.own.begin(ben)
    made = Authenticator().create(begun.options)

    asked = scene.own.add(ada, HOME, begun.ticket, made, "")
    assert "ceremony-over" == await code_of(asked)


async def test_two_changes_at_once_are_one(scene: PeopleScene) -> None:
    """The other is told to look again, and what it would have changed is as it was."""
    caller = await signed_in(scene)
    tries = [add(scene, caller, Authenticator()) for _ in range(2)]

    assert ["", "factors-changed"] == sorted(await asyncio.gather(*tries))
    assert 2 == len(await digests(scene, caller))


async def test_a_change_is_an_entry_and_an_alarm(scene: PeopleScene) -> None:
    """It says what, and which kinds are left."""
    caller = await signed_in(scene)
    await add(scene, caller, Authenticator())

    said = scene.said("enrol.outcome")[-1]
    assert ("enrolled", "passkey-added", "ada") == (said["outcome"], said["what"], said["person"])
    assert "factors-changed" == scene.notifier.alarms[-1][0]


async def test_who_signs_in_elsewhere_has_no_factors_here(scene: PeopleScene) -> None:
    """Though the session was begun before the account moved."""
    caller = await signed_in(scene, "ben")
    there = {"issuer": "https://id.example", "subject": "1"}
    await scene.change("ben", title="Ben Okri", account=there)

    assert "factors-elsewhere" == await code_of(scene.own.renew_codes(caller, HOME))


async def refusals(scene: PeopleScene, caller: Caller) -> set[str]:
    """Return the codes of the refusals of every change."""
    [digest, *_] = await digests(scene, caller)
    return {
        await code_of(scene.own.remove(caller, HOME, digest)),
        await code_of(scene.own.renew_codes(caller, HOME)),
        await code_of(scene.own.add(caller, HOME, "x", {}, "")),
    }


async def test_an_offline_session_changes_no_factors(scene: PeopleScene) -> None:
    """Of a paper and a device that were stolen no lasting factor follows."""
    caller = await signed_in(scene)
    assert caller.session is not None
    offline = replace(caller, session=replace(caller.session, methods=METHODS))

    assert {"factors-offline"} == await refusals(scene, offline)


async def test_one_factor_again_is_not_both(scene: PeopleScene) -> None:
    """A session that was left open, with the device's next code, changes nothing."""
    caller = await signed_in(scene)
    scene.clock.advance(301)
    name = await scene.again.code(caller, HOME, scene.code("ada"))
    caller = await scene.sessions.identify(name, HOME.network)

    assert {"sign-in-again"} == await refusals(scene, caller)


async def test_a_passkey_that_verified_its_user_is_both(scene: PeopleScene) -> None:
    """Until a factor is shown that does not."""
    caller = await signed_in(scene)
    scene.clock.advance(301)
    begun = scene.again.begin(caller)
    shown = scene.keys_of["ada"].get(begun.options)
    name = await scene.again.passkey(caller, HOME, begun.ticket, shown)
    caller = await scene.sessions.identify(name, HOME.network)

    assert "" == await add(scene, caller, Authenticator())
    name = await scene.again.code(caller, HOME, scene.code("ada"))
    caller = await scene.sessions.identify(name, HOME.network)
    assert {"sign-in-again"} == await refusals(scene, caller)


CHANGES: list[Callable[[PeopleScene, Caller], Any]] = [
    lambda scene, caller: add(scene, caller, Authenticator()),
    lambda scene, caller: scene.own.renew_codes(caller, HOME),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_ends_the_other_sessions(
    scene: PeopleScene, change: Callable[[PeopleScene, Caller], Any]
) -> None:
    """Whoever is in by what was there before is out (ASVS 5.0, 7.4.3)."""
    await signed_in(scene)
    caller = await signed_in(scene)
    await change(scene, caller)

    assert [caller.session] == await scene.store.sessions(CLINIC, "ada")


async def test_a_change_revives_no_session(scene: PeopleScene) -> None:
    """One that an officer ended meanwhile stays ended."""
    caller = await signed_in(scene)
    [digest] = await digests(scene, caller)
    await scene.sessions.end_all(TERMINAL, "ada")
    await scene.own.remove(caller, HOME, digest)

    assert [] == await scene.store.sessions(CLINIC, "ada")


async def test_a_change_closes_the_link_of_a_recovery_code(scene: PeopleScene) -> None:
    """Whoever has the link enrols nothing once its owner is back."""
    codes = await scene.enrolled((await scene.enrol.invite(TERMINAL, "ben")).link)
    scene.clock.advance(60)
    caller, half = await signed_in(scene, "ben"), await scene.half("ben")
    link = await scene.sign_in.recovery(HOME, half.ticket, codes[0])
    await scene.own.renew_codes(caller, HOME)

    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, link))


class Fat(authenticator.Credential):
    """A credential whose public key is longer than anybody's."""

    def cose(self) -> bytes:
        """Return an RSA key of 3,100 bytes."""
        return cbor2.dumps({1: 3, 3: -257, -1: b"\xff" * 3_100, -2: b"\x01\x00\x01"})


async def test_a_key_that_could_not_be_read_again_is_not_kept(
    scene: PeopleScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or nobody could open the account."""
    caller = await signed_in(scene)
    monkeypatch.setattr(authenticator, "Credential", Fat)

    assert "passkey-refused" == await add(scene, caller, Authenticator())
