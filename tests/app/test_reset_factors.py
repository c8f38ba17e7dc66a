"""What a new enrolment link ends: everything by which somebody got in, or nearly did."""

from __future__ import annotations

import unicodedata

import pytest

from people_scene import AWAY, CLINIC, HOME, TERMINAL, PeopleScene, code_of
from seawall.app.enrol import new_codes
from seawall.app.entries import entry
from seawall.app.factors import OFFLINE_FACTOR, SIGN_IN, Person
from seawall.app.ports import SYSTEM_LOG, KeepSealed
from seawall.app.try_limits import Where
from seawall.core.identity.offline import OfflineKit
from seawall.core.policy.grant import Grant, terms
from seawall.core.seal.envelope import Context

PASSWORD = "quite another sentence here"


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which Ada and Ben are enrolled."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    await made.enrolled((await made.enrol.invite(TERMINAL, "ben")).link)
    return made


async def reset(scene: PeopleScene) -> None:
    """Give Ben a new link, by which Ben enrols anew."""
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    await scene.enrolled(link, password=PASSWORD)


async def test_an_offline_factor_ends_with_the_others(scene: PeopleScene) -> None:
    """In its place lies one without codes."""
    context = Context(SYSTEM_LOG, OFFLINE_FACTOR, SYSTEM_LOG, f"{CLINIC}/ben")
    kit = OfflineKit.new(scene.codes.new_secret(), ["aaaa-bbbb"])
    sealed = await scene.keys.seal(kit.to_json(), context)
    body = entry("offline.enrol", Person(CLINIC, "ben").principal, scene.clock)
    await scene.ledger.append(SYSTEM_LOG, body, [KeepSealed(sealed)])
    await reset(scene)

    held = await scene.store.sealed(SYSTEM_LOG, OFFLINE_FACTOR, f"{CLINIC}/ben")
    assert held is not None
    said = terms(kinds=(OFFLINE_FACTOR,), subjects=(SYSTEM_LOG,), until_ms=scene.clock.now_ms() + 9)
    receipt = await scene.ledger.append(
        SYSTEM_LOG, entry("tests.open", SIGN_IN, scene.clock, grant=said)
    )
    left = OfflineKit.from_json(await scene.keys.open(held, Grant(receipt)))
    assert ((), False) == (left.codes, left.device == kit.device)


async def test_the_places_of_whoever_got_in_are_known_no_more(scene: PeopleScene) -> None:
    """A thief's browser is a stranger's again."""
    done = await scene.signed_in("ben", where=AWAY)
    person, place = Person(CLINIC, "ben"), scene.devices.place(done.device)
    before = await scene.accounts.knows_place(person, place)
    await reset(scene)
    after = await scene.accounts.knows_place(person, place)
    await scene.signed_in("ada", where=Where(HOME.network, done.device))

    assert (True, False) == (before, after)
    assert await scene.accounts.knows_place(Person(CLINIC, "ada"), place)


async def test_a_place_is_known_again_after_a_sign_in(scene: PeopleScene) -> None:
    """With the factors that the person has now."""
    await reset(scene)
    scene.clock.advance(60)
    half = await scene.half("ben", PASSWORD)
    done = await scene.sign_in.code(HOME, half.ticket, scene.code("ben"))

    place = scene.devices.place(done.device)
    assert await scene.accounts.knows_place(Person(CLINIC, "ben"), place)


async def test_half_a_sign_in_ends_with_its_password(scene: PeopleScene) -> None:
    """What the old password began, no factor of the new account ends."""
    scene.clock.advance(60)
    half = await scene.half("ben")
    await reset(scene)
    scene.clock.advance(60)

    asked = scene.sign_in.code(HOME, half.ticket, scene.code("ben"))
    assert "sign-in-refused" == await code_of(asked)


async def test_half_a_sign_in_goes_on_when_the_hash_was_made_anew(scene: PeopleScene) -> None:
    """The password is the same."""
    account = (await scene.accounts.open("tests.open", Person(CLINIC, "ben"), SIGN_IN)).account
    scene.passwords.outdated.add(account.password)

    assert "ben" == (await scene.signed_in("ben")).user


async def test_a_sign_in_closes_the_link_of_a_recovery_code(scene: PeopleScene) -> None:
    """Its owner found the device again, or never asked for the link."""
    codes = await scene.enrolled((await scene.enrol.invite(TERMINAL, "ben")).link)
    scene.clock.advance(60)
    half = await scene.half("ben")
    link = await scene.sign_in.recovery(HOME, half.ticket, codes[0])
    await scene.signed_in("ben")

    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, link))


async def test_a_long_password_of_letters_and_marks_signs_in(scene: PeopleScene) -> None:
    """It is cut off after it was composed, as it was when it was enrolled."""
    password = "ab" + unicodedata.normalize("NFD", "\u00e9" * 100)
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    await scene.enrolled(link, password=password)
    scene.clock.advance(60)
    await scene.sign_in.password(HOME, "ben", password)

    assert "half" == scene.outcomes()[-1]


def test_recovery_codes_have_120_bits() -> None:
    """So that a digest is enough to keep them (ASVS 5.0, 6.5.2)."""
    codes = new_codes(PeopleScene().random)
    assert {24} == {len(code.replace("-", "")) for code in codes}
