"""Signing in: by which ways, each try recorded, every refusal the same."""

from __future__ import annotations

import asyncio

import pytest

from authenticator import BE, BS, UP, UV, Authenticator
from people_scene import AWAY, CLINIC, HOME, PASSWORD, TERMINAL, PeopleScene, code_of
from seawall.app.enrol import Chosen
from seawall.app.ports import SYSTEM_LOG
from seawall.core.errors import Refused, Unavailable


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which Ada and Ben are enrolled with everything."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    await made.enrolled((await made.enrol.invite(TERMINAL, "ben")).link)
    return made


async def by_passkey(scene: PeopleScene, key: Authenticator, **how: int) -> str:
    """Try a passkey alone; return the code of the refusal, or empty."""
    begun = scene.sign_in.begin_passkey()
    response = key.get(begun.options, **how)
    return await code_of(scene.sign_in.passkey(HOME, begun.ticket, response))


async def test_a_passkey_that_verified_its_user_signs_in(scene: PeopleScene) -> None:
    """No name is typed: the credential says whose it is."""
    begun = scene.sign_in.begin_passkey()

    done = await scene.sign_in.passkey(HOME, begun.ticket, scene.keys_of["ada"].get(begun.options))

    caller = await scene.sessions.identify(done.session, HOME.network)
    assert caller.session is not None
    assert ("ada", ("hwk", "mfa", "user")) == (caller.principal.name, caller.session.methods)


async def test_a_passkey_that_did_not_verify_its_user_is_not_enough(scene: PeopleScene) -> None:
    """Something that one has alone makes no session."""
    assert "sign-in-refused" == await by_passkey(scene, scene.keys_of["ada"], flags=UP)
    assert "user-not-verified" == scene.outcomes()[-1]
    assert [] == await scene.store.sessions(CLINIC)


async def test_a_key_that_got_its_pin_later_does_not_sign_in_alone(scene: PeopleScene) -> None:
    """Whoever finds a key without a PIN can give it one: it stays a second factor."""
    key = Authenticator(flags=UP)
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    begun = await scene.enrol.begin(HOME, link)
    chosen = Chosen(password=PASSWORD, passkey=key.create(begun.options))
    await scene.enrol.finish(HOME, link, begun.ticket, chosen)

    assert "sign-in-refused" == await by_passkey(scene, key, flags=UP | UV)
    assert "user-not-verified" == scene.outcomes()[-1]
    half = await scene.half("ben")
    response = key.get(half.options, flags=UP | UV)
    done = await scene.sign_in.password_passkey(HOME, half.ticket, response)
    caller = await scene.sessions.identify(done.session, HOME.network)
    assert caller.session is not None
    assert ("hwk", "mfa", "pwd") == caller.session.methods


async def test_a_key_store_that_is_down_lets_nobody_in_and_is_told(scene: PeopleScene) -> None:
    """Refused for what it is, and the operator hears of it once a minute, with the entry."""
    scene.keys.down = Unavailable("key-manager-unavailable", "the keys do not answer", "wait")
    assert "key-manager-unavailable" == await by_passkey(scene, scene.keys_of["ada"])
    assert "key-manager-unavailable" == await code_of(scene.half())
    assert [] == await scene.store.sessions(CLINIC)
    assert ["accounts-unopened"] == [code for code, _, _ in scene.notifier.alarms]
    assert "sign-in.attempt" == scene.ledger.bodies(SYSTEM_LOG)[-1]["action"]
    scene.keys.down = None
    assert "" == await by_passkey(scene, scene.keys_of["ada"])


async def test_a_password_and_a_code_sign_in(scene: PeopleScene) -> None:
    """The session says by what."""
    done = await scene.signed_in()

    session = (await scene.store.sessions(CLINIC, "ada"))[0]
    assert ("ada", ("mfa", "otp", "pwd")) == (done.user, session.methods)
    assert "accepted" == scene.outcomes()[-1]


async def test_a_password_and_a_passkey_sign_in(scene: PeopleScene) -> None:
    """After a password a passkey need not verify its user."""
    half = await scene.half()
    response = scene.keys_of["ada"].get(half.options, flags=UP)

    await scene.sign_in.password_passkey(HOME, half.ticket, response)

    session = (await scene.store.sessions(CLINIC, "ada"))[0]
    assert ("hwk", "mfa", "pwd") == session.methods


async def test_a_password_alone_makes_no_session(scene: PeopleScene) -> None:
    """What a right password gives is a question for a second factor."""
    await scene.half()

    assert [] == await scene.store.sessions(CLINIC)
    assert "half" == scene.outcomes()[-1]


async def test_a_password_may_be_typed_in_another_composition(scene: PeopleScene) -> None:
    """Letters count as the person means them, however a keyboard composed them."""
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    await scene.enrolled(link, password="zwölf Brücken über dem Fluss")
    scene.clock.advance(60)
    half = await scene.half("ben", "zwo\u0308lf Bru\u0308cken u\u0308ber dem Fluss")

    assert "ben" == (await scene.sign_in.code(HOME, half.ticket, scene.code("ben"))).user


async def test_right_and_wrong_passwords_are_answered_alike(scene: PeopleScene) -> None:
    """The answer has the same length, and a wrong password is refused with the factor."""
    right, wrong = await scene.half(), await scene.half(password="something else altogether")
    scene.clock.advance(60)

    assert len(right.ticket) == len(wrong.ticket)
    asked = scene.sign_in.code(HOME, wrong.ticket, scene.code("ada"))
    assert "sign-in-refused" == await code_of(asked)
    assert [] == await scene.store.sessions(CLINIC)


async def test_another_persons_passkey_is_no_second_factor(scene: PeopleScene) -> None:
    """After Ada's password, Ben's passkey is refused."""
    half = await scene.half()
    response = scene.keys_of["ben"].get(half.options)

    asked = scene.sign_in.password_passkey(HOME, half.ticket, response)
    assert "sign-in-refused" == await code_of(asked)


async def test_a_code_works_once(scene: PeopleScene) -> None:
    """Whoever watched it being typed comes too late."""
    await scene.signed_in()
    code = scene.code("ada")
    half = await scene.half()

    assert "sign-in-refused" == await code_of(scene.sign_in.code(HOME, half.ticket, code))
    assert "code-used" == scene.outcomes()[-1]


async def test_of_two_at_once_with_one_code_one_signs_in(scene: PeopleScene) -> None:
    """The account is compared with what was read."""
    scene.clock.advance(60)
    code = scene.code("ada")
    halves = [await scene.half(), await scene.half()]
    tries = [code_of(scene.sign_in.code(HOME, half.ticket, code)) for half in halves]

    assert ["", "sign-in-refused"] == sorted(await asyncio.gather(*tries))


async def test_a_sign_in_that_was_ended_cannot_be_ended_again(scene: PeopleScene) -> None:
    """A ticket is used once, whether the factor was right or wrong."""
    half = await scene.half()
    await code_of(scene.sign_in.code(HOME, half.ticket, "000000"))
    scene.clock.advance(60)

    asked = scene.sign_in.code(HOME, half.ticket, scene.code("ada"))
    assert "sign-in-refused" == await code_of(asked)
    assert "overtaken" == scene.outcomes()[-1]


async def test_a_replayed_assertion_is_refused(scene: PeopleScene) -> None:
    """The same answer of an authenticator with the same ticket signs nobody in again."""
    key = scene.keys_of["ada"]
    key.counts, key.count = False, 0
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    begun = await scene.enrol.begin(HOME, link)
    await scene.enrol.finish(HOME, link, begun.ticket, Chosen(passkey=key.create(begun.options)))
    asked = scene.sign_in.begin_passkey()
    response = key.get(asked.options)
    await scene.sign_in.passkey(HOME, asked.ticket, response)

    again = scene.sign_in.passkey(HOME, asked.ticket, response)
    assert ("sign-in-refused", 1) == (
        await code_of(again),
        len(await scene.store.sessions(CLINIC)),
    )


async def test_an_assertion_for_another_challenge_is_refused(scene: PeopleScene) -> None:
    """What was signed for one ceremony does not end another."""
    first, second = scene.sign_in.begin_passkey(), scene.sign_in.begin_passkey()
    response = scene.keys_of["ada"].get(first.options)

    asked = scene.sign_in.passkey(HOME, second.ticket, response)
    assert "sign-in-refused" == await code_of(asked)


async def test_a_ceremony_ends_after_five_minutes(scene: PeopleScene) -> None:
    """A ticket that is too old is none."""
    half = await scene.half()
    scene.clock.advance(301)

    asked = scene.sign_in.code(HOME, half.ticket, scene.code("ada"))
    assert "ceremony-over" == await code_of(asked)


async def test_a_ticket_of_another_kind_or_changed_is_refused(scene: PeopleScene) -> None:
    """A passkey's ticket is no password's, and nobody can make one."""
    ticket = scene.sign_in.begin_passkey().ticket

    codes = [
        await code_of(scene.sign_in.code(HOME, made, "000000"))
        for made in (ticket, "", "A" * 200, "é" * 50, ticket[:-4] + "AAAA", "A" * 10_000)
    ]
    assert {"ceremony-over"} == set(codes)


async def test_a_page_of_another_origin_gets_nobody_in(scene: PeopleScene) -> None:
    """What was signed for another page, even of our name at another port, is refused."""
    key = scene.keys_of["ada"]
    codes = []
    for origin in ("https://evil.example", "https://localhost:9443", "http://localhost:8443"):
        key.origin = origin
        codes.append(await by_passkey(scene, key))

    assert {"sign-in-refused"} == set(codes)


async def test_a_frame_of_another_site_gets_nobody_in(scene: PeopleScene) -> None:
    """An answer that the browser calls cross-origin is refused."""
    key = scene.keys_of["ada"]
    key.extra = {"crossOrigin": True}

    assert "sign-in-refused" == await by_passkey(scene, key)


async def test_a_signature_for_another_relying_party_is_refused(scene: PeopleScene) -> None:
    """The authenticator's own word for the name counts."""
    key = scene.keys_of["ada"]
    key.credentials[0].rp_id = "evil.example"

    assert "sign-in-refused" == await by_passkey(scene, key)


async def test_a_count_that_goes_back_is_refused_and_alarmed(scene: PeopleScene) -> None:
    """It says that there is a copy of the credential."""
    key = scene.keys_of["ada"]
    assert "" == await by_passkey(scene, key)
    key.count = 0

    assert "sign-in-refused" == await by_passkey(scene, key)
    assert ["passkey-cloned"] == [code for code, _, _ in scene.notifier.alarms]


async def test_a_synced_passkey_that_does_not_count_signs_in_often(scene: PeopleScene) -> None:
    """A count of nought says nothing (WebAuthn, section 6.1.1)."""
    key = Authenticator(algorithm="EdDSA", flags=UP | UV | BE | BS, counts=False)
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    begun = await scene.enrol.begin(HOME, link)
    await scene.enrol.finish(HOME, link, begun.ticket, Chosen(passkey=key.create(begun.options)))

    assert ["", ""] == [await by_passkey(scene, key) for _ in range(2)]


async def test_a_credential_that_nobody_has_is_refused(scene: PeopleScene) -> None:
    """Its entries name nobody."""
    key = Authenticator()
    begun = await scene.enrol.begin(HOME, (await scene.enrol.invite(TERMINAL, "ben")).link)
    key.create(begun.options)

    assert "sign-in-refused" == await by_passkey(scene, key)
    assert "unknown" == scene.said("sign-in.outcome")[-1]["person"]


async def test_a_name_that_nobody_has_costs_the_same(scene: PeopleScene) -> None:
    """As many verifications, openings and entries, and the same words."""
    costs = []
    for name in ("ada", "nobody", "no name at all", "elsewhere/ada"):
        before = (scene.passwords.verified, len(scene.ledger.bodies(SYSTEM_LOG)))
        opened, length = len(scene.keys.opened), 0
        half = await scene.half(name, "something else altogether")
        refused = await code_of(scene.sign_in.code(HOME, half.ticket, "000000"))
        after = (scene.passwords.verified, len(scene.ledger.bodies(SYSTEM_LOG)))
        length = len(scene.keys.opened) - opened
        costs.append((after[0] - before[0], after[1] - before[1], length, refused))

    assert {(1, 4, 2, "sign-in-refused")} == set(costs)


async def test_what_was_typed_and_is_nobodys_name_is_in_no_entry(scene: PeopleScene) -> None:
    """Somebody may type a password where the name belongs."""
    await scene.half("my-secret-typed-in-the-wrong-field", "x")

    assert "my-secret" not in str(scene.ledger.bodies(SYSTEM_LOG))


@pytest.mark.parametrize(
    ("spec", "because"),
    [
        ({"standing": "suspended"}, "not-active"),
        ({"standing": "left"}, "not-active"),
        ({"account": {"issuer": "https://id.example", "subject": "1"}}, "provider-account"),
    ],
)
async def test_who_may_not_sign_in_here_is_refused_in_the_same_words(
    scene: PeopleScene, spec: dict[str, object], because: str
) -> None:
    """Whoever left, is suspended, or signs in elsewhere: with right factors too."""
    await scene.change("ben", title="Ben Okri", roles=["clinician"], **spec)
    scene.clock.advance(60)
    half = await scene.half("ben")
    refused = await code_of(scene.sign_in.code(HOME, half.ticket, scene.code("ben")))

    assert ("sign-in-refused", because) == (refused, scene.outcomes()[-1])
    assert "sign-in-refused" == await by_passkey(scene, scene.keys_of["ben"])
    assert [] == await scene.store.sessions(CLINIC)


async def test_a_session_begins_with_a_new_name_and_ends_the_one_before(
    scene: PeopleScene,
) -> None:
    """A name that the caller chose is never taken, and an older session of the browser ends."""
    first = await scene.signed_in()
    scene.clock.advance(60)
    half = await scene.half()
    done = await scene.sign_in.code(HOME, half.ticket, scene.code("ada"), old=first.session)

    assert done.session != first.session
    assert 1 == len(await scene.store.sessions(CLINIC, "ada"))
    with pytest.raises(Refused, match="session-ended"):
        await scene.sessions.identify(first.session, HOME.network)


async def test_a_name_of_the_callers_choice_is_no_session_after_sign_in(
    scene: PeopleScene,
) -> None:
    """Session fixation: whoever planted a name has nothing."""
    half = await scene.half()
    scene.clock.advance(60)
    await scene.sign_in.code(HOME, half.ticket, scene.code("ada"), old="f" * 64)

    with pytest.raises(Refused, match="session-ended"):
        await scene.sessions.identify("f" * 64, HOME.network)


async def test_an_outdated_hash_is_made_anew(scene: PeopleScene) -> None:
    """Once its password was right, and compared with what was read."""
    kept = await scene.passwords.hash(PASSWORD)
    before = await scene.store.sealed(SYSTEM_LOG, "person.account", f"{CLINIC}/ada")
    scene.passwords.outdated.add(kept)
    await scene.half()

    after = await scene.store.sealed(SYSTEM_LOG, "person.account", f"{CLINIC}/ada")
    assert before != after


async def test_a_reset_while_somebody_signs_in_wins(scene: PeopleScene) -> None:
    """A session is not made by an account that is another meanwhile."""
    begun = scene.sign_in.begin_passkey()
    response = scene.keys_of["ada"].get(begun.options)
    showing = scene.sign_in._showing
    real = showing.check

    class Resetting:
        """Checks as the real one does, once the account was opened and then reset."""

        def __getattr__(self, name: str) -> object:
            return getattr(showing, name)

        def check(self, *given: object) -> object:
            """Check."""
            found = real(*given)  # type: ignore[arg-type]
            held = scene.ledger.kept[SYSTEM_LOG, "person.account", f"{CLINIC}/ben"]
            scene.ledger.kept[SYSTEM_LOG, "person.account", f"{CLINIC}/ada"] = held
            return found

    scene.sign_in._showing = Resetting()  # type: ignore[assignment]

    assert "sign-in-refused" == await code_of(scene.sign_in.passkey(HOME, begun.ticket, response))
    assert [] == await scene.store.sessions(CLINIC)


async def test_a_session_counts_on_the_network_of_its_sign_in(scene: PeopleScene) -> None:
    """A cookie that was carried elsewhere opens nothing."""
    done = await scene.signed_in(where=AWAY)

    with pytest.raises(Refused, match="session-ended"):
        await scene.sessions.identify(done.session, HOME.network)


async def test_every_try_is_recorded_before_anything_is_opened(scene: PeopleScene) -> None:
    """Each opening entry is followed by how it ended, which names it."""
    await scene.signed_in()
    attempts = [
        at
        for at, body in enumerate(scene.ledger.bodies(SYSTEM_LOG))
        if body["action"] == "sign-in.attempt"
    ]

    assert attempts == [body["attempt"] for body in scene.said("sign-in.outcome")]


async def test_a_try_that_nobody_had_time_for_is_recorded_as_such(scene: PeopleScene) -> None:
    """It was opened, so its entry says how it ended."""
    scene.passwords.most = 0

    assert "sign-in-busy" == await code_of(scene.half(where=AWAY))
    assert "busy" == scene.outcomes()[-1]
