"""Whoever says by which account somebody signs in resets that somebody: nothing old counts."""

from __future__ import annotations

import asyncio

import pytest

from people_scene import CLINIC, HOME, TERMINAL, PeopleScene, code_of
from seawall.core.errors import Conflict, Refused
from seawall.core.policy.principal import Principal
from workforce_scene import ADA, BEN, DAN, PROVIDER, Workplace, allowed, user

ACCOUNT = {"issuer": "https://id.example", "subject": "ben"}
OTHER = {"issuer": "https://id.example", "subject": "attacker"}
PERSON = {"title": "Ben Okri", "roles": ["clinician"]}


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic where Ben has enrolled."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled((await made.enrol.invite(TERMINAL, "ben")).link)
    made.clock.advance(60)
    return made


async def test_factors_from_before_an_account_do_not_come_back(scene: PeopleScene) -> None:
    """Who moved to a provider is not signed in by the old password when the account is gone."""
    await scene.change("ben", **PERSON, account=ACCOUNT)
    await scene.change("ben", **PERSON)
    half = await scene.half("ben")

    asked = scene.sign_in.code(HOME, half.ticket, scene.code("ben"))
    assert "sign-in-refused" == await code_of(asked)


async def test_a_link_from_before_an_account_does_not_work(scene: PeopleScene) -> None:
    """A pending enrolment is void too."""
    link = (await scene.enrol.invite(TERMINAL, "ben")).link
    await scene.change("ben", **PERSON, account=ACCOUNT)
    await scene.change("ben", **PERSON)

    assert "enrolment-link-refused" == await code_of(scene.enrol.begin(HOME, link))


async def test_an_account_ends_sessions_and_is_told(scene: PeopleScene) -> None:
    """Each change is an entry that says so, ends the sessions, and alarms."""
    done = await scene.signed_in("ben")
    for account in (ACCOUNT, OTHER, None):
        await scene.change("ben", **PERSON, account=account)

    said = [one for one in scene.ledger.bodies(CLINIC) if one["action"] == "person.change"]
    assert [("given", "all"), ("changed", "all"), ("taken", "all")] == [
        (one["account"], one["sessions"]) for one in said
    ]
    assert "session-ended" == await code_of(scene.sessions.identify(done.session, HOME.network))
    assert ["factors-reset"] * 3 == [code for code, _, _ in scene.notifier.alarms][-3:]


async def test_another_change_resets_nothing(scene: PeopleScene) -> None:
    """A new title leaves factors and sessions."""
    await scene.change("ben", title="Benedict Okri", roles=["clinician"])

    assert (await scene.signed_in("ben")).session
    assert "account" not in scene.ledger.bodies(CLINIC)[-1]


async def test_a_client_gives_nobody_an_account_who_has_factors(scene: PeopleScene) -> None:
    """It would take the person over; a security officer may."""
    change = {"kind": "User", "name": "ben", "spec": {**PERSON, "account": ACCOUNT}}

    with pytest.raises(Refused) as refused:
        await scene.documents.apply(Principal("client", "okta", CLINIC), [change])

    assert "scim-mutability" == refused.value.code
    assert (await scene.signed_in("ben")).session


@pytest.mark.parametrize("account", [OTHER, None])
async def test_a_client_changes_no_account(account: dict[str, str] | None) -> None:
    """Neither another one nor none."""
    place = await Workplace().open()
    await place.workforce.change(allowed(), BEN, {"account": ACCOUNT})

    with pytest.raises(Refused) as refused:
        await place.workforce.change(allowed(PROVIDER), BEN, {"account": account})

    assert ("scim-mutability", "ben") == (
        refused.value.code,
        getattr(place.spec(BEN).account, "subject", None),
    )


async def test_an_account_is_one_persons() -> None:
    """Of two who had it the provider's word would let neither in."""
    place = await Workplace().open()
    await place.workforce.change(allowed(), BEN, {"account": ACCOUNT})

    with pytest.raises(Conflict) as conflict:
        await place.documents.apply(TERMINAL, [user(DAN, "clinician", account=ACCOUNT)])
    await place.workforce.leave(allowed(), BEN)
    await place.documents.apply(TERMINAL, [user(DAN, "clinician", account=ACCOUNT)])

    assert ("account-taken", "ben") == (
        conflict.value.code,
        getattr(place.spec(DAN).account, "subject", None),
    )


async def test_nobody_gives_themselves_an_account() -> None:
    """It is a factor of one's own, and the security officer is no exception."""
    place = await Workplace().open()

    with pytest.raises(Refused) as refused:
        await place.workforce.change(allowed(ADA), ADA, {"account": ACCOUNT})

    assert "own-roles" == refused.value.code


async def test_a_user_name_is_one_persons() -> None:
    """Looked at in the turn of the change, so that two at once do not both get it."""
    place = await Workplace().open()

    ends = await asyncio.gather(
        *(place.workforce.change(allowed(), name, {"user_name": "Dup@x"}) for name in (BEN, DAN)),
        return_exceptions=True,
    )

    assert ["scim-taken"] == [one.code for one in ends if isinstance(one, Conflict)]
