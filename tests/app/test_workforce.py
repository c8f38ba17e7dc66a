"""Joining, other roles, suspension and leaving: one entry each, with what it ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from seawall.core.access.vocabulary import Role
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.user import UserSpec
from workforce_scene import (
    ADA,
    BEN,
    CLEO,
    CLINIC,
    DAN,
    PROVIDER,
    TERMINAL,
    Workplace,
    about,
    allowed,
    answering,
    running,
    user,
)


async def test_joining_is_a_document_and_an_entry() -> None:
    """Who joins has a first version, and the entry says by whom and with which roles."""
    place = await Workplace().open()

    applied = await place.workforce.join(
        allowed(ADA), "eve", {"title": "Eve", "roles": ["auditor"], "until": "2026-12-31"}
    )
    said = place.entries("person.join")[-1]

    assert ("User/eve@1", applied.entry) == (said["document"], len(place.entries()) - 1)
    assert (["auditor"], "active", "2026-12-31") == (said["roles"], said["standing"], said["until"])
    assert ({"kind": "user", "name": ADA}, True) == (said["actor"], said["access"]["allowed"])


async def test_nobody_joins_under_a_name_that_was_somebodys() -> None:
    """A name stays one person's for ever (45 CFR 164.312(a)(2)(i))."""
    place = await Workplace().open()
    await place.workforce.leave(allowed(), DAN)

    with pytest.raises(Conflict) as conflict:
        await place.workforce.join(allowed(), DAN, {"title": "Another Dan"})

    assert "version-changed" == conflict.value.code


async def test_who_left_stays_away() -> None:
    """Nobody comes back under the old name, since their old factors would count again."""
    place = await Workplace().open()
    await place.workforce.leave(allowed(), DAN)

    with pytest.raises(Refused) as refused:
        await place.documents.apply(TERMINAL, [user(DAN, "clinician")])

    assert "person-left" == refused.value.code


async def test_a_change_says_what_was_gained_and_lost() -> None:
    """Other roles are an entry that names both sides of the change."""
    place = await Workplace().open()

    await place.workforce.change(allowed(), CLEO, {"roles": ["developer", "auditor"]})
    said = place.entries("person.change")[-1]

    assert (["auditor"], ["clinician"]) == (said["gained"], said["lost"])


async def test_a_change_of_a_version_that_was_not_seen_is_a_conflict() -> None:
    """Two who change the same person at once do not overwrite each other."""
    place = await Workplace().open()
    await place.workforce.change(allowed(), CLEO, {"title": "Dr. Cleo"}, after=1)

    with pytest.raises(Conflict) as conflict:
        await place.workforce.change(allowed(), CLEO, {"roles": []}, after=1)

    assert "version-changed" == conflict.value.code


async def test_roles_count_at_the_next_question() -> None:
    """A role that is taken away is gone at once, and the session goes on."""
    place = await Workplace().open()
    session = await place.sign_in(CLEO)

    await place.workforce.change(allowed(), CLEO, {"roles": ["developer"]})

    assert frozenset({Role.DEVELOPER}) == (await place.asker(session)).roles


@pytest.mark.parametrize("act", [("leave",), ("change", {"standing": "suspended"})])
async def test_sessions_end_in_the_same_append(act: tuple[Any, ...]) -> None:
    """Leaving and suspension end every session in the append of their own entry."""
    place = await Workplace().open()
    sessions = [await place.sign_in(DAN), await place.sign_in(DAN)]
    await place.sign_in(CLEO)
    before = len(place.entries())

    method, *more = act
    await getattr(place.workforce, method)(allowed(), DAN, *more)
    left = [one.user for one in await place.store.sessions(CLINIC)]

    assert ([CLEO], before + 1) == (left, len(place.entries()))
    assert "all" == place.entries()[-1]["sessions"]
    for session in sessions:
        with pytest.raises(Refused):
            await place.sessions.identify(session, "network")


async def test_a_suspension_ends_and_the_sessions_stay_ended() -> None:
    """Who is active again signs in anew, with the roles of before."""
    place = await Workplace().open()
    session = await place.sign_in(DAN)
    await place.workforce.change(allowed(), DAN, {"standing": "suspended"})

    await place.workforce.change(allowed(), DAN, {"standing": "active"})

    assert {Role.CLINICIAN} == (await place.asker(await place.sign_in(DAN))).roles
    with pytest.raises(Refused):
        await place.sessions.identify(session, "network")


async def test_an_append_that_fails_ends_nothing() -> None:
    """Where the entry cannot be kept, the person and their session stay as they were."""
    place = await Workplace().open()
    session = await place.sign_in(DAN)
    place.ledger.failing["person.leave"] = Invalid("full", "the disk is full")

    with pytest.raises(Invalid):
        await place.workforce.leave(allowed(), DAN)
    await place.documents.refresh()

    assert (await place.asker(session)).roles == {Role.CLINICIAN}
    assert "active" == place.spec(DAN).standing


async def test_the_termination_clock_is_in_the_entry() -> None:
    """The entry says how long access outlived the leaving (45 CFR 164.308(a)(3)(ii)(C))."""
    place = await Workplace().open()
    left_at = place.clock.now() - timedelta(hours=3, milliseconds=7)

    await place.workforce.leave(allowed(), DAN, left_at)
    said = place.entries("person.leave")[-1]

    assert (3 * 3_600_000 + 7, "2026-03-02T06:29:59.993Z") == (said["delay_ms"], said["left"])


async def test_nobody_leaves_twice() -> None:
    """What is changed of somebody who left is a change, and starts no clock again."""
    place = await Workplace().open()
    await place.workforce.leave(allowed(), DAN)

    await place.workforce.change(allowed(), DAN, {"title": "Dan, who left"})

    assert (1, 1) == (len(place.entries("person.leave")), len(place.entries("person.change")))


async def test_nobody_has_left_tomorrow() -> None:
    """A leaving that is to come is an end of the roles, and not a leaving."""
    place = await Workplace().open()

    with pytest.raises(Refused) as refused:
        await place.workforce.leave(allowed(), DAN, datetime(2026, 3, 3, tzinfo=UTC))

    assert "left-in-future" == refused.value.code


async def test_a_last_day_that_passed_ends_the_roles_and_asks_for_the_leaving() -> None:
    """After `until` nobody may do anything, and the document is to be closed."""
    place = await Workplace().open()
    await place.workforce.change(allowed(), DAN, {"until": date(2026, 3, 2)})
    session = await place.sign_in(DAN)
    on_the_day = (await place.asker(session)).roles, len(place.workforce.due(CLINIC))

    place.clock.at = datetime(2026, 3, 3, tzinfo=UTC)
    roles = place.spec(DAN).roles_on(place.clock.today())
    due = place.workforce.due(CLINIC)

    assert (frozenset({Role.CLINICIAN}), 0) == on_the_day
    assert (frozenset(), [(DAN, True)]) == (
        roles,
        [(one.about, one.is_overdue(place.clock.now_ms())) for one in due],
    )


# --- never the last one, by every path --------------------------------------------------


async def _leave(place: Workplace) -> None:
    await place.workforce.leave(allowed(), ADA)


async def _suspend(place: Workplace) -> None:
    await place.workforce.change(allowed(), ADA, {"standing": "suspended"})


async def _other_roles(place: Workplace) -> None:
    await place.workforce.change(allowed(), ADA, {"roles": ["security-officer"]})


async def _an_end(place: Workplace) -> None:
    await place.workforce.change(allowed(), ADA, {"until": date(2027, 1, 1)})


async def _a_file(place: Workplace) -> None:
    await place.documents.apply(TERMINAL, [user(ADA, "administrator")])


async def _scim_deletes(place: Workplace) -> None:
    await place.provision.delete(allowed(PROVIDER), ADA, None)


async def _scim_suspends(place: Workplace) -> None:
    operation = {"op": "replace", "value": {"active": False}}
    await place.provision.patch(allowed(PROVIDER), ADA, {"Operations": [operation]}, None)


async def _scim_empties_the_group(place: Workplace) -> None:
    here = place.documents.register(CLINIC).all(UserSpec)
    others = [one.name for one in here if Role.ADMINISTRATOR in one.spec.roles and one.name != ADA]
    body = {"displayName": "administrator", "members": [{"value": name} for name in others]}
    await place.provision.replace_group([about(ADA)], "administrator", body)


async def _a_reviewer_revokes(place: Workplace) -> None:
    await place.reviews.begin(running(), "q1", {"scope": "persons", "persons": [ADA], "due": DUE})
    await place.reviews.answer(answering(BEN), "q1.0001", "revoked", "not needed")


DUE = "2026-03-10"
PATHS = {
    "leaving": _leave,
    "suspension": _suspend,
    "other roles": _other_roles,
    "an end of the roles": _an_end,
    "a file that is applied": _a_file,
    "SCIM deletes": _scim_deletes,
    "SCIM says not active": _scim_suspends,
    "SCIM empties the group": _scim_empties_the_group,
    "a reviewer revokes": _a_reviewer_revokes,
}


@pytest.mark.parametrize("path", PATHS)
async def test_the_last_administrator_stays(path: str) -> None:
    """No path takes away the last administrator, or the last security officer."""
    place = await Workplace().open()

    with pytest.raises(Error) as refused:
        await PATHS[path](place)

    assert "last-administrator" == refused.value.code
    assert {"administrator", "security-officer"} == place.spec(ADA).roles_on(place.clock.today())


@pytest.mark.parametrize("path", PATHS)
async def test_the_last_but_one_may_go(path: str) -> None:
    """What is refused of the last one is done where somebody else holds the roles."""
    place = await Workplace().open()
    await place.documents.apply(TERMINAL, [user("eve", "administrator", "security-officer")])

    await PATHS[path](place)

    assert 2 == place.workforce.person(CLINIC, ADA).version


async def test_an_administrator_for_a_time_is_one_too() -> None:
    """Where all who administer do so for a time, the last of them stays until then."""
    place = Workplace()
    await place.ledger.open_log(CLINIC, "localhost/log/clinic")
    await place.documents.apply(TERMINAL, [user("eve", "administrator", until="2026-12-31")])

    with pytest.raises(Refused) as refused:
        await place.workforce.leave(allowed(), "eve")

    assert "last-administrator" == refused.value.code


async def test_two_who_remove_each_other_do_not_both_succeed() -> None:
    """Of two replicas that saw the same two administrators, one keeps its change."""
    place, other = await Workplace().open(), Workplace()
    await place.documents.apply(TERMINAL, [user("eve", "administrator", "security-officer")])
    other.ledger, other.store = place.ledger, place.store
    second = type(place.documents)(store=place.store, ledger=place.ledger, clock=place.clock)
    await second.load()

    await place.documents.apply(TERMINAL, [user(ADA)])
    with pytest.raises(Refused) as refused:
        await second.apply(TERMINAL, [user("eve")])

    assert "last-administrator" == refused.value.code


@pytest.mark.parametrize("change", [{"roles": ["clinician"]}, {"standing": "left"}])
async def test_nobody_changes_their_own_roles(change: dict[str, Any]) -> None:
    """A person's own roles and standing are another's to change."""
    place = await Workplace().open()
    await place.documents.apply(TERMINAL, [user("eve", "administrator", "security-officer")])

    with pytest.raises(Refused) as refused:
        await place.workforce.change(allowed("eve"), "eve", change)

    assert "own-roles" == refused.value.code


async def test_nobody_makes_a_document_of_their_own() -> None:
    """A person whose document is gone from view cannot make it themselves."""
    place = await Workplace().open()

    with pytest.raises(Refused) as refused:
        await place.documents.apply(Principal("user", "ghost", CLINIC), [user("ghost", "auditor")])

    assert "own-roles" == refused.value.code


async def test_whom_nobody_knows_is_missing() -> None:
    """A name that nobody has is told in the same words whatever it is."""
    place = await Workplace().open()

    for name in ("nobody", "No Name", ""):
        with pytest.raises(Missing) as missing:
            await place.workforce.change(allowed(), name, {"standing": "suspended"})
        assert "person-unknown" == missing.value.code


async def test_ending_sessions_is_an_entry_of_the_systems_log() -> None:
    """Sessions of a person end without anything else of theirs."""
    place = await Workplace().open()
    await place.sign_in(DAN)

    await place.workforce.end_sessions(allowed(ADA), DAN)

    assert [] == await place.workforce.sessions(CLINIC, DAN)
    assert "active" == place.spec(DAN).standing
