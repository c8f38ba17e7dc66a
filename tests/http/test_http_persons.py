"""Persons and reviews over the API: by the policies that ship, as pages of ours ask."""

from __future__ import annotations

from typing import Any

import pytest

from api_scene import code_of
from desk_scene import desk
from seawall.app.ports import SYSTEM_LOG
from seawall.core.access.vocabulary import Action
from workforce_scene import ADA, BEN, CLEO, CLINIC, DAN

EVE = {"title": "Eve", "roles": ["auditor"]}
Q1 = {"scope": "role", "role": "clinician", "due": "2026-03-10"}


async def test_a_person_is_seen_joins_changes_and_leaves() -> None:
    """The whole life of somebody's access, each step with its version and its entry."""
    there = await desk()

    joined = await there.ask(ADA, "POST", "/persons/eve/join", EVE)
    seen = await there.ask(ADA, "GET", "/persons/eve")
    changed = await there.ask(
        ADA, "POST", "/persons/eve/change", {"until": "2026-03-31"}, if_match=seen.headers["etag"]
    )
    left = await there.ask(ADA, "POST", "/persons/eve/leave", {"left_at": "2026-03-02T08:30:00Z"})

    assert [201, 200, 200, 200] == [one.status_code for one in (joined, seen, changed, left)]
    assert ["auditor"] == seen.json()["roles"]
    assert ['"1"', '"2"', '"3"'] == [one.headers["etag"] for one in (joined, changed, left)]
    assert 3_600_000 == there.place.entries("person.leave")[-1]["delay_ms"]


@pytest.mark.parametrize(("forbidden", "status"), [(Action.RESET_FACTORS, 403), (None, 200)])
async def test_another_account_needs_the_right_to_reset_factors(
    forbidden: Action | None, status: int
) -> None:
    """It is asked besides; the same account, or another title, needs it not."""
    there = await desk(lambda asked: asked.action is forbidden)
    account = {"issuer": "https://id.example", "subject": "dan"}
    before = f'"{there.place.workforce.person(CLINIC, DAN).version}"'

    titled = await there.ask(
        ADA, "POST", f"/persons/{DAN}/change", {"account": None, "title": "D"}, if_match=before
    )
    given = await there.ask(
        ADA,
        "POST",
        f"/persons/{DAN}/change",
        {"account": account},
        if_match=titled.headers["etag"],
    )

    assert [200, status] == [titled.status_code, given.status_code]


@pytest.mark.parametrize("who", [BEN, CLEO])
async def test_others_let_nobody_join(who: str) -> None:
    """Only a security officer lets somebody join; the refusal is an entry."""
    there = await desk()

    response = await there.ask(who, "POST", "/persons/eve/join", EVE)

    assert (403, "access-refused") == (response.status_code, code_of(response))
    assert "access.refused" == there.place.entries()[-1]["action"]


async def test_nobody_takes_away_their_own_role_over_the_api() -> None:
    """The policies forbid it before anything else looks at it."""
    there = await desk()

    response = await there.ask(ADA, "POST", f"/persons/{ADA}/leave", {})

    assert (403, "active") == (response.status_code, there.place.spec(ADA).standing)


@pytest.mark.parametrize(("etag", "status"), [(None, 428), ('"7"', 412), ('"1"', 200)])
async def test_a_change_says_of_which_version(etag: str | None, status: int) -> None:
    """A change without a version, or of another, changes nothing."""
    there = await desk()
    headers = {} if etag is None else {"if_match": etag}

    response = await there.ask(ADA, "POST", f"/persons/{DAN}/change", {"roles": []}, **headers)

    assert (status, int(status == 200)) == (
        response.status_code,
        int(not there.place.spec(DAN).roles),
    )


async def test_persons_are_listed_in_pages() -> None:
    """Everybody is listed once, by name."""
    there = await desk()

    first = (await there.ask(BEN, "GET", "/persons?limit=3")).json()
    second = (await there.ask(BEN, "GET", first["next"])).json()

    assert ([ADA, BEN, CLEO], [DAN], None) == (
        [one["name"] for one in first["items"]],
        [one["name"] for one in second["items"]],
        second["next"],
    )


async def test_sessions_are_seen_without_their_names_and_ended() -> None:
    """A list of sessions lets nobody use one; ending them leaves the person as they are."""
    there = await desk()
    await there.place.sign_in(DAN)

    listed = (await there.ask(ADA, "GET", f"/persons/{DAN}/sessions")).json()
    ended = await there.ask(ADA, "DELETE", f"/persons/{DAN}/sessions")

    assert [{"began", "factor", "methods", "seen"}] == [set(one) for one in listed]
    assert (204, []) == (ended.status_code, await there.place.store.sessions(CLINIC, DAN))
    assert there.place.entries("session.end", SYSTEM_LOG)[-1]["access"]["policies"]


async def test_a_review_is_begun_answered_and_read() -> None:
    """The officer begins, the one who is asked answers, and the report says so."""
    there = await desk()

    begun = await there.ask(ADA, "POST", "/reviews/q1", Q1)
    asked = (await there.ask(BEN, "GET", "/reviewed-grants")).json()
    answer = {"answer": "revoked", "reason": "Mrs. Quackenbush moved away"}
    answered = await there.ask(BEN, "POST", "/reviewed-grants/q1.0001/answer", answer)
    whole = (await there.ask(BEN, "GET", "/reviews/q1")).json()
    report = await there.ask(BEN, "GET", "/reviews/q1/report")
    olga = {"title": "Olga", "roles": ["security-officer"]}
    await there.ask(ADA, "POST", "/persons/olga/join", olga)
    why = await there.ask("olga", "POST", "/reviewed-grants/q1.0001/reason", {})
    barred = await there.ask(ADA, "POST", "/reviewed-grants/q1.0001/reason", {})

    assert (403, "reason-not-yours") == (barred.status_code, code_of(barred))
    assert (201, 200) == (begun.status_code, answered.status_code)
    assert ["q1.0001", "q1.0002"] == [one["item"] for one in asked]
    assert ["revoked", "open"] == [one["answer"] for one in whole["grants"]]
    assert "taken away by the reviewer on 2026-03-02" in report.text
    assert {"reason": "Mrs. Quackenbush moved away"} == why.json()
    assert {"developer"} == there.place.spec(CLEO).roles


@pytest.mark.parametrize(
    ("who", "path", "body"),
    [
        (BEN, "/reviews/q2", Q1),
        (BEN, "/reviews/q1/close", {}),
        (CLEO, "/reviewed-grants/q1.0001/answer", {"answer": "confirmed", "reason": "mine"}),
        (ADA, "/reviewed-grants/q1.0001/answer", {"answer": "confirmed", "reason": "not mine"}),
        (BEN, "/reviewed-grants/q1.0001/reason", {}),
    ],
)
async def test_nobody_does_in_a_review_what_is_anothers(who: str, path: str, body: Any) -> None:
    """Who is not asked does not answer, and who does not run reviews begins and closes none."""
    there = await desk()
    await there.ask(ADA, "POST", "/reviews/q1", Q1)

    response = await there.ask(who, "POST", path, body)

    assert (403, "access-refused") == (response.status_code, code_of(response))


async def test_a_review_is_listed_and_closed_when_it_is_over() -> None:
    """After its last day it is closed, and a list says so."""
    there = await desk()
    await there.ask(ADA, "POST", "/reviews/q1", Q1)
    early = await there.ask(ADA, "POST", "/reviews/q1/close", {})
    there.place.clock.advance(9 * 86_400)

    closed = await there.ask(ADA, "POST", "/reviews/q1/close", {})
    listed = (await there.ask(BEN, "GET", "/reviews")).json()["items"]

    assert ("review-open", 200) == (code_of(early), closed.status_code)
    assert [("q1", "closed", 2)] == [(one["review"], one["state"], one["grants"]) for one in listed]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/persons/eve/join", {"title": "Eve", "roles": ["service"]}),
        ("/persons/eve/join", {"title": "Eve", "roles": [], "extra": 1}),
        ("/persons/eve/leave", {"left_at": "yesterday"}),
        (f"/persons/{DAN}/leave", {"left_at": "0001-01-01T00:00:00+23:00"}),
        (f"/persons/{DAN}/leave", {"left_at": "1969-12-31T23:59:59Z"}),
        ("/reviews/q1", {"scope": "all"}),
        ("/reviews/q1", {**Q1, "scope": "everything"}),
    ],
)
async def test_a_body_that_is_none_is_invalid(path: str, body: Any) -> None:
    """What does not have the fields of its path changes nothing."""
    there = await desk()
    before = len(there.place.entries("person.join"))

    response = await there.ask(ADA, "POST", path, body)

    assert (400, before) == (response.status_code, len(there.place.entries("person.join")))
