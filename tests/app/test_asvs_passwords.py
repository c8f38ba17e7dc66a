"""Passwords as people mean them: long, in any letters, exact, and good until they are changed."""

from __future__ import annotations

import pytest

from people_scene import CLINIC, HOME, PASSWORD, PeopleScene, code_of

LONGEST = ("a quiet river runs below the hill " * 4)[:128]


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic whose first person has a link."""
    made = PeopleScene()
    await made.begin()
    return made


async def ended(scene: PeopleScene, password: str) -> str:
    """Return how a password was taken: `half` if it was right, whatever the answer said."""
    scene.clock.advance(60)
    await scene.half("ada", password)
    return scene.outcomes()[-1]


@pytest.mark.parametrize(
    "password",
    [
        LONGEST,
        "sixty-four letters and more: " + "a quiet river " * 4,
        "onlysmalllettersinthisone",
        "ONLYCAPITALSINTHISONE",
        "четыре лошади под мостом",
        " begins and ends with a space ",
        "\U0001f40e\U0001f309 four horses",
    ],
)
async def test_a_password_of_any_kind_is_taken(scene: PeopleScene, password: str) -> None:
    """No rule asks for kinds of characters; 128 characters are not too many."""
    await scene.enrolled(scene.first_link, password=password)

    assert "half" == await ended(scene, password)


@pytest.mark.parametrize(
    "other",
    [
        PASSWORD.upper(),
        PASSWORD.title(),
        PASSWORD[:-1],
        PASSWORD + " ",
        " " + PASSWORD,
        PASSWORD + "x" * 200,
        PASSWORD + "\0",
    ],
)
async def test_a_password_is_compared_as_it_was_typed(scene: PeopleScene, other: str) -> None:
    """Nothing is cut off, trimmed or written in other letters to make it fit."""
    await scene.enrolled(scene.first_link)

    assert "wrong" == await ended(scene, other)


async def test_nothing_behind_the_longest_is_cut_off(scene: PeopleScene) -> None:
    """A password of 128 characters is not shown by 129 that begin so."""
    await scene.enrolled(scene.first_link, password=LONGEST)

    assert ["wrong", "half"] == [await ended(scene, LONGEST + "x"), await ended(scene, LONGEST)]


async def test_a_password_does_not_end_by_itself(scene: PeopleScene) -> None:
    """Five years later it is as good as it was."""
    await scene.enrolled(scene.first_link)
    scene.clock.advance(5 * 365 * 86_400)

    assert "ada" == (await scene.signed_in()).user


@pytest.mark.parametrize("name", ["root", "admin", "administrator", "sa", "guest", "operator"])
async def test_nobody_is_there_by_default(scene: PeopleScene, name: str) -> None:
    """A name that nobody was given shows nobody, by whatever password."""
    for password in ("", name, "admin", "password", "changeme"):
        scene.clock.advance(1_000)
        half = await scene.half(name, password)
        assert "sign-in-refused" == await code_of(scene.sign_in.code(HOME, half.ticket, "000000"))
    assert {"person-unknown"} == set(scene.outcomes())


async def test_who_was_made_has_nothing_to_sign_in_with(scene: PeopleScene) -> None:
    """The first person opens by the link alone, and the link's secret is no password."""
    secret = scene.first_link.rpartition("/")[2]
    for password in ("", secret, scene.first_link, "ada"):
        assert "wrong" == await ended(scene, password)


async def test_a_new_password_ends_every_session(scene: PeopleScene) -> None:
    """Also where it was enrolled by a recovery code: whoever had the old one is out."""
    codes = await scene.enrolled(scene.first_link)
    done = await scene.signed_in()
    scene.clock.advance(60)
    half = await scene.half()
    link = await scene.sign_in.recovery(HOME, half.ticket, codes[0])
    await scene.enrolled(link, password="a lake behind three hills")

    assert "session-ended" == await code_of(scene.sessions.identify(done.session, HOME.network))
    assert [] == await scene.store.sessions(CLINIC, "ada")


async def test_the_words_of_the_place_are_no_passwords(scene: PeopleScene) -> None:
    """The product's, the trade's and one's own name, with digits around them, are refused."""
    words = ("epic", "hospital", "clinic", "medicine", "patients", "healthcare", "doctor")
    refused = [
        await code_of(scene.enrolled(scene.first_link, password=f"{word}-20261124-!"))
        for word in words
    ]

    assert ["password-common"] * len(words) == refused
    own = scene.enrolled(scene.first_link, password="byron and nobody else")
    assert "password-named" == await code_of(own)
