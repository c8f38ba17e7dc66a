"""Limits of tries: strangers are bounded, and nobody locks another person out."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from people_scene import AWAY, CLINIC, HOME, TERMINAL, PeopleScene, code_of
from seawall.adapters.rates import LIMITS, Limit, MovingRates
from seawall.app.entries import entry
from seawall.app.factors import SIGN_IN, Person
from seawall.app.ports import SYSTEM_LOG
from seawall.app.try_limits import TryLimits, Where

WRONG = "something else altogether"


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which Ada and Ben are enrolled."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    await made.enrolled((await made.enrol.invite(TERMINAL, "ben")).link)
    return made


def network(number: int) -> Where:
    """Return a network that nobody signed in from."""
    return Where(f"{number:032x}")


async def guess(scene: PeopleScene, name: str, where: Where, count: int) -> list[str]:
    """Try wrong passwords; return how each was answered."""
    return [await code_of(scene.half(name, WRONG, where)) for _ in range(count)]


async def test_the_eleventh_wrong_password_waits(scene: PeopleScene) -> None:
    """Ten from one network for one person, in a quarter of an hour."""
    assert 10 * [""] + ["sign-in-limited"] == await guess(scene, "ada", AWAY, 11)
    scene.clock.advance(900)

    assert [""] == await guess(scene, "ada", AWAY, 1)


async def test_a_limited_try_opens_nothing(scene: PeopleScene) -> None:
    """It costs no verification, and one entry in a quarter of an hour."""
    await guess(scene, "ada", AWAY, 10)
    verified, opened = scene.passwords.verified, len(scene.keys.opened)
    await guess(scene, "ada", AWAY, 50)

    assert (verified, opened) == (scene.passwords.verified, len(scene.keys.opened))
    assert ["person-place"] == [one["limit"] for one in scene.said("sign-in.limited")]


async def test_a_name_that_nobody_has_is_limited_alike(scene: PeopleScene) -> None:
    """By the waiting it cannot be told who exists."""
    assert await guess(scene, "ada", AWAY, 12) == await guess(scene, "nobody", AWAY, 12)


async def test_wrong_passwords_elsewhere_do_not_lock_a_person_out(scene: PeopleScene) -> None:
    """Guesses from a thousand networks stop strangers, and not Ada from where she signed in."""
    await scene.signed_in()
    for number in range(300):
        await code_of(scene.half("ada", WRONG, network(number)))

    assert "sign-in-limited" == await code_of(scene.half("ada", WRONG, network(1_000)))
    assert "ada" == (await scene.signed_in()).user


async def test_guesses_from_many_networks_are_few(scene: PeopleScene) -> None:
    """All strangers to a person have a hundred a day together."""
    tries = [await code_of(scene.half("ada", WRONG, network(number))) for number in range(150)]

    assert {"": 100, "sign-in-limited": 50} == Counter(tries)


async def test_a_guesser_on_the_same_network_does_not_lock_out_a_device(
    scene: PeopleScene,
) -> None:
    """In a clinic all share an address: the person's own browser has a count of its own."""
    done = await scene.signed_in()
    await guess(scene, "ada", HOME, 12)
    own = Where(HOME.network, done.device)

    assert "sign-in-limited" == await code_of(scene.half())
    assert "ada" == (await scene.signed_in(where=own)).user


async def test_a_device_of_somebody_else_counts_for_nothing(scene: PeopleScene) -> None:
    """Nor does a name of the caller's making."""
    done = await scene.signed_in("ben")
    await guess(scene, "ada", AWAY, 10)
    devices = [done.device, "f" * 32 + "." + "0" * 64, "", "x", done.device + "x"]

    codes = [await code_of(scene.half("ada", WRONG, Where(AWAY.network, one))) for one in devices]
    assert {"sign-in-limited"} == set(codes)


async def test_the_strangers_flood_does_not_keep_a_passkey_out(scene: PeopleScene) -> None:
    """A credential cannot be guessed, so whoever has one does not wait behind guessers."""
    for number in range(1_300):
        await code_of(scene.half(f"nobody-{number}", WRONG, network(number)))
    begun = scene.sign_in.begin_passkey()
    response = scene.keys_of["ada"].get(begun.options)

    assert "sign-in-limited" == await code_of(scene.half("x", WRONG, network(5_000)))
    assert "ada" == (await scene.sign_in.passkey(AWAY, begun.ticket, response)).user


async def test_a_right_sign_in_forgives(scene: PeopleScene) -> None:
    """Whoever mistyped nine times and then did not begins anew."""
    await scene.signed_in()
    for _ in range(2):
        assert 9 * [""] == await guess(scene, "ada", HOME, 9)
        await scene.signed_in()

    assert "half" == scene.outcomes()[-2]


async def test_ten_thousand_at_once_do_bounded_work(scene: PeopleScene) -> None:
    """Of 10,000 parallel tries few are verified, few at once, and few entries are made."""
    before = len(scene.ledger.bodies(SYSTEM_LOG))
    tries = [
        code_of(scene.half(f"nobody-{number % 3_000}", WRONG, network(number % 500)))
        for number in range(10_000)
    ]

    ends = Counter(await asyncio.gather(*tries))
    assert {"", "sign-in-limited", "sign-in-busy"} >= set(ends)
    assert scene.passwords.highest <= 4
    assert scene.passwords.verified + ends["sign-in-busy"] <= LIMITS["strangers"].amount
    entries = len(scene.ledger.bodies(SYSTEM_LOG)) - before
    assert entries <= 2 * LIMITS["strangers"].amount + 2


async def test_one_persons_tries_at_once_are_counted_before_they_are_made(
    scene: PeopleScene,
) -> None:
    """Ten thousand at once for one person from one network are ten."""
    before = scene.passwords.verified
    await asyncio.gather(*(code_of(scene.half("ada", WRONG, AWAY)) for _ in range(10_000)))

    assert scene.passwords.verified - before <= 10


async def test_a_stolen_sessions_guesses_are_its_own(scene: PeopleScene) -> None:
    """Wrong codes in one session do not keep the person's other session from showing one."""
    stolen, own = await scene.signed_in(), await scene.signed_in()
    thief = await scene.sessions.identify(stolen.session, HOME.network)
    ada = await scene.sessions.identify(own.session, HOME.network)
    wrong = [await code_of(scene.again.code(thief, HOME, "000000")) for _ in range(12)]
    scene.clock.advance(30)

    assert ["factor-refused"] * 10 + ["sign-in-limited"] * 2 == wrong
    assert "" == await code_of(scene.again.code(ada, HOME, scene.code("ada")))


async def test_the_memory_of_counts_is_bounded(scene: PeopleScene) -> None:
    """However many names are made up."""
    rates = MovingRates(scene.clock, {"few": Limit(1, 60)}, most_keys=100)
    taken = [rates.take("few", str(number)) for number in range(1_000)]

    assert all(taken)
    assert len(rates) <= 100


async def test_what_was_counted_often_is_not_forgotten_for_others(scene: PeopleScene) -> None:
    """A flood of made-up names gives nobody new tries at a name that was guessed at."""
    rates = MovingRates(scene.clock, {"few": Limit(5, 60)}, most_keys=100)
    guesses = [rates.take("few", "ada") for _ in range(6)]
    for number in range(10_000):
        rates.take("few", str(number))

    assert [True] * 5 + [False] == guesses
    assert not rates.take("few", "ada")


async def test_what_is_over_is_forgotten_first(scene: PeopleScene) -> None:
    """Also what was counted often."""
    rates = MovingRates(scene.clock, {"few": Limit(5, 60)}, most_keys=100)
    for number in range(500):
        rates.take("few", str(number // 5))
    scene.clock.advance(60)
    rates.take("few", "new")

    assert 1 == len(rates)


async def test_a_window_moves(scene: PeopleScene) -> None:
    """Each count leaves it alone, when its own time is over."""
    rates = MovingRates(scene.clock, {"few": Limit(2, 60)})
    first = rates.take("few", "a")
    scene.clock.advance(30)
    found = [first, rates.take("few", "a"), rates.take("few", "a")]
    scene.clock.advance(30)

    assert [True, True, False, True, False] == [
        *found,
        rates.take("few", "a"),
        rates.take("few", "a"),
    ]


async def test_a_limit_that_is_not_there_is_a_mistake(scene: PeopleScene) -> None:
    """Every limit that is asked for is one of the table."""
    limits = TryLimits(
        rates=MovingRates(scene.clock, {}),
        accounts=scene.accounts,
        devices=scene.devices,
        ledger=scene.ledger,
        clock=scene.clock,
    )

    with pytest.raises(KeyError):
        await limits.admit_link(HOME)


async def test_a_name_is_counted_alike_however_it_is_written(scene: PeopleScene) -> None:
    """With and without the tenant it is one, also where nobody is called so."""
    found = {}
    for name in ("ben", "ghost"):
        found[name] = await guess(scene, name, AWAY, 6)
        found[name] += await guess(scene, f" {CLINIC}/{name}", AWAY, 6)

    assert 10 * [""] + 2 * ["sign-in-limited"] == found["ben"] == found["ghost"]


async def test_guesses_from_a_network_of_somebodys_are_few_a_day(scene: PeopleScene) -> None:
    """In a clinic the guesser has the person's own address."""
    await scene.signed_in("ben")
    found: list[str] = []
    for _ in range(20):
        found += await guess(scene, "ben", HOME, 10)
        scene.clock.advance(900)

    assert 100 == found.count("")


async def test_other_networks_do_not_use_up_the_day_of_ones_own(scene: PeopleScene) -> None:
    """And the other way round."""
    await scene.signed_in("ben")
    for number in range(120):
        await guess(scene, "ben", network(number), 1)
    assert [""] == await guess(scene, "ben", HOME, 1)
    scene.clock.advance(86_400)
    for _ in range(12):
        await guess(scene, "ben", HOME, 10)
        scene.clock.advance(900)

    assert [""] == await guess(scene, "ben", network(500), 1)


async def test_who_signed_in_from_a_network_is_not_told_by_its_limit(scene: PeopleScene) -> None:
    """A network that is full is full for all, but for a device of one's own."""
    done = await scene.signed_in("ben")
    for number in range(300):
        await guess(scene, f"nobody-{number}", HOME, 1)
    found = {name: await guess(scene, name, HOME, 1) for name in ("ada", "ben", "ghost")}

    assert {"ada", "ben", "ghost"} == {name for name, [code] in found.items() if code}
    own = Where(HOME.network, done.device)
    assert "ben" == (await scene.signed_in("ben", where=own)).user


async def test_guessers_at_passwords_stop_no_link(scene: PeopleScene) -> None:
    """Twelve hundred a minute, from wherever."""
    for number in range(1_300):
        await code_of(scene.half(f"nobody-{number}", WRONG, network(number)))

    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    assert "ben" == (await scene.enrol.begin(AWAY, link)).person.name


async def test_guessers_at_links_stop_nobody_at_a_place_of_theirs(scene: PeopleScene) -> None:
    """Who made an offline factor on a network gets in there by it."""
    ben = Person(CLINIC, "ben")
    marks = await scene.limits.marking(ben, AWAY.network)
    body = entry("tests.mark", SIGN_IN, scene.clock)
    await scene.ledger.append(SYSTEM_LOG, body, marks)
    for number in range(1_300):
        await code_of(scene.limits.admit_link(network(number)))

    tries = [
        await code_of(scene.limits.admit_link(where, person))
        for where, person in ((AWAY, ben), (network(9), ben), (AWAY, None))
    ]
    assert ["", "sign-in-limited", "sign-in-limited"] == tries
    assert [] == await scene.limits.marking(ben, AWAY.network)
