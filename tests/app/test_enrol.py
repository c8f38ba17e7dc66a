"""Enrolment: links that work once, factors that are enough, and nothing half done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from authenticator import UP, Authenticator
from people_scene import CLINIC, HOME, PASSWORD, TERMINAL, PeopleScene, code_of
from seawall.app.enrol import Chosen, Enrolling
from seawall.app.ports import SYSTEM_LOG
from seawall.app.sign_in import SignedIn
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Conflict, Error, Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.user import UserSpec


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which nobody is enrolled yet."""
    made = PeopleScene()
    await made.begin()
    return made


async def chosen(scene: PeopleScene, link: str, **what: Any) -> str:
    """Enrol what is said; return the code of the refusal, or empty."""
    begun = await scene.enrol.begin(HOME, link)
    if what.pop("with_code", False):
        what["code"] = scene.code(begun)
    key = what.pop("key", None)
    if key is not None:
        what["passkey"] = key.create(begun.options)
    return await code_of(scene.enrol.finish(HOME, link, begun.ticket, Chosen(**what)))


async def test_the_first_person_may_add_others(scene: PeopleScene) -> None:
    """The first holds the two roles that letting somebody in takes."""
    ada = scene.documents.register(CLINIC).find(UserSpec, "ada")

    assert ada is not None
    assert {Role.ADMINISTRATOR, Role.SECURITY_OFFICER} == ada.spec.roles


async def test_there_is_one_first_person(scene: PeopleScene) -> None:
    """Where there is a person already, nobody becomes a first one."""
    assert "first-person-late" == await code_of(scene.enrol.first(TERMINAL, "eve", "Eve"))


async def test_a_link_enrols_once(scene: PeopleScene) -> None:
    """Afterwards it is none."""
    await scene.enrolled(scene.first_link)

    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, scene.first_link))


async def test_a_link_ends_after_a_day(scene: PeopleScene) -> None:
    """The 86,400th second is one too many."""
    scene.clock.advance(86_399)
    begun = await scene.enrol.begin(HOME, scene.first_link)
    scene.clock.advance(1)
    asked = scene.enrol.finish(HOME, scene.first_link, begun.ticket, Chosen(password=PASSWORD))

    assert "ceremony-over" == await code_of(asked)
    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, scene.first_link))


async def test_a_new_link_ends_the_old_one(scene: PeopleScene) -> None:
    """Of two links of one person only the newer enrols."""
    await scene.enrol.invite(TERMINAL, "ada")

    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, scene.first_link))


async def test_every_wrong_link_is_refused_in_the_same_words(scene: PeopleScene) -> None:
    """Unknown persons, unknown tenants, other secrets, other forms."""
    secret = scene.first_link.rpartition("/")[2]
    links = [f"{CLINIC}/eve/{secret}", f"x/ada/{secret}", f"{CLINIC}/ben/{secret}"]
    links += [f"{CLINIC}/ada/{'0' * 64}", f"{CLINIC}/ada/", secret, "", "//", "a/b/c/d"]

    told = set()
    for link in links:
        with pytest.raises(Refused) as refused:
            await scene.enrol.begin(HOME, link)
        told.add((refused.value.code, refused.value.message, refused.value.help))
    assert 1 == len(told)


async def test_a_link_is_kept_by_its_digest_alone(scene: PeopleScene) -> None:
    """Neither the ledger nor the sealed values hold its secret."""
    secret = scene.first_link.rpartition("/")[2]
    entries = str(scene.ledger.bodies(SYSTEM_LOG) + scene.ledger.bodies(CLINIC))

    assert secret not in entries
    assert not any(secret.encode() in bytes(one) for one in scene.ledger.kept.values())


@pytest.mark.parametrize(
    ("what", "refused"),
    [
        ({"password": PASSWORD}, "factors-missing"),
        ({"with_code": True}, "factors-missing"),
        ({}, "factors-missing"),
        ({"key": Authenticator(flags=UP)}, "factors-missing"),
        ({"key": Authenticator(flags=UP), "with_code": True}, "factors-missing"),
        ({"key": Authenticator()}, ""),
        ({"key": Authenticator(algorithm="EdDSA")}, ""),
        ({"password": PASSWORD, "with_code": True}, ""),
        ({"password": PASSWORD, "key": Authenticator(flags=UP)}, ""),
        ({"password": PASSWORD, "code": "000000"}, "code-wrong"),
        ({"password": "short", "with_code": True}, "password-length"),
        ({"password": "passwordpassword1", "with_code": True}, "password-common"),
        ({"password": "ada-loves-her-engine", "with_code": True}, ""),
        ({"password": "lord byron was her father", "with_code": True}, "password-named"),
        ({"key": Authenticator(origin="https://evil.example")}, "passkey-refused"),
        ({"key": Authenticator(extra={"crossOrigin": True})}, "passkey-refused"),
    ],
)
async def test_what_is_enrolled_is_enough_to_sign_in(
    scene: PeopleScene, what: dict[str, Any], refused: str
) -> None:
    """Two factors, or one that verifies its user; a refusal leaves the link as it was."""
    assert refused == await chosen(scene, scene.first_link, **what)
    outcome = scene.outcomes("enrol.outcome")[-1]
    assert (refused or "enrolled") == outcome
    left = await code_of(scene.enrol.begin(HOME, scene.first_link))
    assert ("" if refused else "enrolment-link-refused") == left


async def test_a_passkey_of_another_relying_party_is_not_enrolled(scene: PeopleScene) -> None:
    """The authenticator says for which name it made the credential."""
    begun = await scene.enrol.begin(HOME, scene.first_link)
    made = Authenticator().create(begun.options, rp_id="evil.example")

    asked = scene.enrol.finish(HOME, scene.first_link, begun.ticket, Chosen(passkey=made))
    assert "passkey-refused" == await code_of(asked)


async def test_the_ticket_of_another_link_enrols_nobody(scene: PeopleScene) -> None:
    """A ceremony belongs to the link that it was begun with."""
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    begun = await scene.enrol.begin(HOME, link)
    what = Chosen(password=PASSWORD, code=scene.code(begun))

    asked = scene.enrol.finish(HOME, scene.first_link, begun.ticket, what)
    assert "enrolment-link-refused" == await code_of(asked)


async def test_of_two_who_enrol_by_one_link_one_does(scene: PeopleScene) -> None:
    """Whoever is second has changed nothing."""
    begun = await scene.enrol.begin(HOME, scene.first_link)

    async def ended(begun: Enrolling) -> str:
        """Return how one of the two ended."""
        what = Chosen(password=PASSWORD, code=scene.code(begun))
        return await code_of(scene.enrol.finish(HOME, scene.first_link, begun.ticket, what))

    ends = await asyncio.gather(ended(begun), ended(begun))
    assert ["", "enrolment-link-refused"] == sorted(ends)


async def test_the_code_that_was_shown_at_enrolment_is_used(scene: PeopleScene) -> None:
    """Whoever watched does not sign in with it."""
    await scene.enrolled(scene.first_link)
    half = await scene.half()

    asked = scene.sign_in.code(HOME, half.ticket, scene.code("ada"))
    assert "sign-in-refused" == await code_of(asked)


async def test_a_reset_ends_factors_and_sessions(scene: PeopleScene) -> None:
    """A new link is how a lost device is answered: it alarms, and nothing old works."""
    await scene.enrolled(scene.first_link)
    done = await scene.signed_in()
    officer = Principal("user", "olga", CLINIC)
    invited = await scene.enrol.invite(officer, "ada")
    scene.clock.advance(60)
    half = await scene.half()

    asked = scene.sign_in.code(HOME, half.ticket, scene.code("ada"))
    assert "sign-in-refused" == await code_of(asked)
    assert "session-ended" == await code_of(scene.sessions.identify(done.session, HOME.network))
    assert [("factors-reset", CLINIC, invited.entry)] == scene.notifier.alarms


async def test_only_active_persons_of_our_own_get_links(scene: PeopleScene) -> None:
    """Nobody who left, nobody who signs in elsewhere, nobody unknown."""
    await scene.change("ben", title="Ben Okri", standing="left")
    there = {"issuer": "https://id.example", "subject": "1"}
    await scene.change("cyd", title="Cyd", account=there)

    codes = [await code_of(scene.enrol.invite(TERMINAL, name)) for name in ("ben", "cyd", "eve")]
    assert ["person-not-enrolled-here", "person-not-enrolled-here", "person-unknown"] == codes


async def recovered(scene: PeopleScene, code: str) -> str:
    """Use a recovery code after a password; return the link that it gives."""
    half = await scene.half()
    return await scene.sign_in.recovery(HOME, half.ticket, code)


async def test_a_recovery_code_gives_no_session(scene: PeopleScene) -> None:
    """It gives a link to enrol a factor, and the password stays."""
    codes = await scene.enrolled(scene.first_link)
    link = await recovered(scene, codes[3].upper().replace("-", " "))
    begun = await scene.enrol.begin(HOME, link)

    assert (10, []) == (len(set(codes)), await scene.store.sessions(CLINIC))
    assert begun.keeps_password
    assert ["recovery-code-used"] == [code for code, _, _ in scene.notifier.alarms]


async def test_a_recovery_code_works_once(scene: PeopleScene) -> None:
    """Each of the ten opens one way back, and no more."""
    codes = await scene.enrolled(scene.first_link)
    await recovered(scene, codes[0])

    assert "sign-in-refused" == await code_of(recovered(scene, codes[0]))
    assert "" == await code_of(recovered(scene, codes[1]))


async def test_a_recovery_code_after_a_wrong_password_is_refused(scene: PeopleScene) -> None:
    """And it is not used up by it."""
    codes = await scene.enrolled(scene.first_link)
    half = await scene.half(password="something else altogether")

    asked = scene.sign_in.recovery(HOME, half.ticket, codes[0])
    assert "sign-in-refused" == await code_of(asked)
    assert "" == await code_of(recovered(scene, codes[0]))


async def test_what_is_enrolled_by_a_recovery_code_replaces_the_lost_factors(
    scene: PeopleScene,
) -> None:
    """The new code signs in with the old password; the lost device and the old codes do not."""
    codes = await scene.enrolled(scene.first_link)
    lost = scene.keys_of["ada"]
    link = await recovered(scene, codes[0])
    await scene.enrolled(link, password="", passkey=None)

    assert isinstance(await scene.signed_in(), SignedIn)
    begun = scene.sign_in.begin_passkey()
    asked = scene.sign_in.passkey(HOME, begun.ticket, lost.get(begun.options))
    assert "sign-in-refused" == await code_of(asked)
    assert "sign-in-refused" == await code_of(recovered(scene, codes[1]))


async def test_a_recovery_link_ends_after_a_quarter_of_an_hour(scene: PeopleScene) -> None:
    """Somebody who lost a factor is there now."""
    codes = await scene.enrolled(scene.first_link)
    link = await recovered(scene, codes[0])
    scene.clock.advance(900)

    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, link))


async def test_an_account_in_anothers_place_is_seen(scene: PeopleScene) -> None:
    """Whoever swaps rows of the database signs in as nobody."""
    await scene.enrolled(scene.first_link)
    kept = scene.ledger.kept
    mine = kept[SYSTEM_LOG, "person.account", f"{CLINIC}/ada"]
    kept[SYSTEM_LOG, "person.account", f"{CLINIC}/ben"] = mine

    assert "account-moved" == await code_of(scene.half("ben"))


async def test_a_link_that_is_replaced_while_another_is_made_is_one(scene: PeopleScene) -> None:
    """Of two officers who reset one person at once, one is told to look again."""
    made = await asyncio.gather(
        *(scene.enrol.invite(TERMINAL, "ada") for _ in range(2)), return_exceptions=True
    )

    lost = [one for one in made if isinstance(one, Error)]
    won = [one.link for one in made if not isinstance(one, BaseException)]
    assert all(isinstance(one, Conflict) for one in lost)
    assert 1 == [await code_of(scene.enrol.begin(HOME, link)) for link in won].count("")
