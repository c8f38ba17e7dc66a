"""Tokens that are limited to use cases, to a patient, or to what a client does for a person."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from seawall.app.issue_token import Presented
from seawall.app.ports import SYSTEM_LOG, EndSession
from token_desk import ED, Desk, code, signed

STATIC = ["sk-proj-4f9a8b7c6d5e", "sk-ant-api03-xyz", "api_4f9a8b7c", "hf_4f9a8b7c6d", "key-1"]


def payload(token: str) -> dict[str, Any]:
    """Return what everybody can read in a token."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def forged(token: str, **changed: Any) -> str:
    """Return a token whose claims were changed without its key."""
    head, _, signature = token.split(".")
    said = json.dumps({**payload(token), **changed}).encode()
    return f"{head}.{base64.urlsafe_b64encode(said).rstrip(b'=').decode()}.{signature}"


async def test_a_token_is_limited_to_the_use_cases_that_were_asked_for() -> None:
    """A scope names use cases; without one the token is for all of the client's."""
    desk = await Desk().open()

    limited = await desk.caller(await desk.token(scope="use-case:summary"))
    whole = await desk.caller(await desk.token())

    assert (frozenset({"summary"}), True) == (limited.use_cases, limited.is_limited)
    assert (None, False) == (whole.use_cases, whole.is_limited)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("use-case:billing", "scope-refused"),
        ("use-case:summary use-case:billing", "scope-refused"),
        ("use-case:summary  use-case:letters", "scope-unknown"),
        ("", "scope-unknown"),
        ("openid", "scope-unknown"),
        ("may_apply", "scope-unknown"),
        ("use-case:Summary", "scope-unknown"),
        (" ".join(["use-case:summary"] * 65), "scope-unknown"),
    ],
)
async def test_a_scope_cannot_ask_for_more_than_the_client_has(scope: str, expected: str) -> None:
    """Another's use case is refused; what is no use case is not understood."""
    desk = await Desk().open()

    assert expected == await code(desk.token(scope=scope))


async def test_a_limited_token_does_not_carry_the_clients_powers() -> None:
    """What a client's powers decide takes a token that is limited to nothing."""
    desk = await Desk().open()
    limited = await desk.token(scope="use-case:summary")
    bound = await desk.token(patient="MRN-7")

    for token in (limited, bound):
        assert "token-limited" == await code(desk.here.issue_token.identify_whole(Presented(token)))


async def test_a_token_for_a_patient_is_for_no_other() -> None:
    """It is for the reference that it was asked with, and not for requests that name nobody."""
    desk = await Desk().open()

    caller = await desk.caller(await desk.token(patient="MRN-7"))

    assert caller.is_for_patient("MRN-7")
    assert not caller.is_for_patient("MRN-8")
    assert not caller.is_for_patient(None)
    assert (await desk.caller(await desk.token())).is_for_patient(None)


async def test_a_token_shows_nobody_which_patient_it_is_for() -> None:
    """Two tokens for one patient have nothing in common, and neither holds the reference."""
    desk = await Desk().open()

    first, second = [payload(await desk.token(patient="MRN-7")) for _ in range(2)]

    assert first["patient"] != second["patient"]
    assert "MRN-7" not in json.dumps(first)
    assert b"MRN-7" not in b"".join(desk.ledger.logs[SYSTEM_LOG].entries)


async def test_the_entry_says_what_a_token_is_limited_to() -> None:
    """The entry of a limited token names the use cases, and that it is for one patient."""
    desk = await Desk().open()
    await desk.token(scope="use-case:letters use-case:summary", patient="MRN-7")

    entry = desk.ledger.bodies(SYSTEM_LOG)[-1]

    assert (["letters", "summary"], True) == (entry["use_cases"], entry["one_patient"])


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": "use-case:billing"},
        {"scope": None},
        {"patient": None},
        {"sub": "clinic/app"},
        {"exp": 2**40},
        {"act": {"sub": "practice/app"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_limits_cannot_be_forged(changed: dict[str, Any]) -> None:
    """A token whose claims were changed is nobody's."""
    desk = await Desk().open()
    token = await desk.token(scope="use-case:summary", patient="MRN-7")

    assert "token-foreign" == await code(desk.caller(forged(token, **changed)))


async def test_an_assertion_of_one_tenant_is_none_of_another() -> None:
    """A client of the same name and key in another tenant gets that tenant's tokens alone."""
    desk = await Desk().open()
    theirs: dict[str, Any] = {"iss": "clinic/app", "sub": "clinic/app"}

    caller = await desk.caller(await desk.token(desk.assertion(**theirs)))

    assert "clinic" == caller.principal.tenant
    assert "assertion-refused" == await code(desk.token(desk.assertion(iss="clinic/app")))
    assert "assertion-refused" == await code(desk.token(desk.assertion(sub="clinic/app")))


async def test_the_client_id_is_the_assertions() -> None:
    """A form that says another client than its assertion is refused (RFC 7521, 4.2)."""
    desk = await Desk().open()

    assert "done" == await code(desk.token(client_id="practice/app"))
    assert "assertion-refused" == await code(desk.token(client_id="practice/other"))


async def test_an_assertion_that_lives_too_long_is_refused() -> None:
    """Made yesterday to end now is more than five minutes, whatever its end."""
    desk = await Desk().open()
    old = desk.assertion(iat=desk.now() - 86_400)

    assert "assertion-refused" == await code(desk.token(old))


@pytest.mark.parametrize("key", STATIC)
async def test_a_static_key_is_refused_in_words_that_help(key: str) -> None:
    """Keys of other services are told apart from broken tokens."""
    desk = await Desk().open()

    assert "static-key-refused" == await code(desk.caller(key))


async def test_a_client_acts_for_a_person_who_said_so() -> None:
    """The exchange keeps both: the client is the principal, the person the one acted for."""
    desk = await Desk().open()
    subject = await desk.here.acting.subject_token(await desk.person(), "app")

    token = await desk.token(subject_token=subject)
    caller = await desk.caller(token)

    assert ("client", "app") == (caller.principal.kind, caller.principal.name)
    assert "ann" == caller.acting_user
    assert ("practice/ann", {"sub": "practice/app"}) == (
        payload(token)["sub"],
        payload(token)["act"],
    )
    actions = [(e["action"], e.get("person")) for e in desk.ledger.bodies(SYSTEM_LOG)[-2:]]
    assert [("token.person", None), ("token.issue", "ann")] == actions


async def test_a_subject_token_works_once_and_briefly() -> None:
    """The second exchange is refused, and so is the first after five minutes."""
    desk = await Desk().open()
    person = await desk.person()
    subject, late = [await desk.here.acting.subject_token(person, "app") for _ in range(2)]
    await desk.token(subject_token=subject)

    again = await code(desk.token(subject_token=subject))
    desk.clock.advance(300)

    assert "assertion-reused" == again
    assert "subject-refused" == await code(desk.token(subject_token=late))


async def test_a_subject_token_is_for_the_client_that_it_names() -> None:
    """Another client, also of the same name in another tenant, gets nothing for it."""
    desk = await Desk().open()
    await desk.register("other")
    subject = await desk.here.acting.subject_token(await desk.person(), "other")
    theirs = desk.assertion(iss="clinic/app", sub="clinic/app")

    assert "subject-refused" == await code(desk.token(subject_token=subject))
    assert "subject-refused" == await code(desk.token(theirs, subject_token=subject))


async def test_a_subject_token_is_no_access_token() -> None:
    """Nor is an access token or an assertion a subject token."""
    desk = await Desk().open()
    subject = await desk.here.acting.subject_token(await desk.person(), "app")

    assert "token-foreign" == await code(desk.caller(subject))
    for wrong in (await desk.token(), desk.assertion(), signed(ED, payload(subject))):
        assert "subject-refused" == await code(desk.token(subject_token=wrong))


async def test_acting_ends_with_the_session() -> None:
    """Once the person signs out, the client's token for them counts no more."""
    desk = await Desk().open()
    person = await desk.person()
    subject = await desk.here.acting.subject_token(person, "app")
    token = await desk.token(subject_token=subject)
    assert person.session is not None

    entry = {"action": "session.end", "v": 1}
    await desk.ledger.append(SYSTEM_LOG, entry, [EndSession(person.session.digest)])

    assert "person-gone" == await code(desk.caller(token))


@pytest.mark.parametrize(
    "changed", [{"standing": "left"}, {"roles": []}, {"until": "2026-03-01"}], ids=str
)
async def test_acting_ends_with_the_persons_standing(changed: dict[str, Any]) -> None:
    """Who left, has no role or whose time is over is acted for no more, at once."""
    desk = await Desk().open()
    subject = await desk.here.acting.subject_token(await desk.person(), "app")
    token = await desk.token(subject_token=subject)

    await desk.apply("User", "ann", **{"title": "Ann", "roles": ["clinician"], **changed})

    assert "person-gone" == await code(desk.caller(token))


async def test_only_a_person_gets_a_subject_token() -> None:
    """A client gets none, nor a person for a client that is not registered."""
    desk = await Desk().open()
    acting, person = desk.here.acting, await desk.person()

    assert "person-needed" == await code(
        acting.subject_token(await desk.caller(await desk.token()), "app")
    )
    assert "person-needed" == await code(acting.subject_token(replace(person, session=None), "app"))
    assert "client-unknown" == await code(acting.subject_token(person, "nobody"))


async def test_a_person_of_one_factor_gets_no_subject_token() -> None:
    """Who showed a password alone is acted for by nobody, and nothing is recorded as given."""
    desk = await Desk().open()
    person = await desk.person()
    assert person.session is not None
    weak = replace(person, session=replace(person.session, methods=("pwd",)))

    assert "second-factor-needed" == await code(desk.here.acting.subject_token(weak, "app"))
    assert "token.person" not in {one["action"] for one in desk.ledger.bodies(SYSTEM_LOG)}


async def test_the_acting_session_goes_with_the_caller() -> None:
    """What the policies ask of the person is read from the session that is kept today."""
    desk = await Desk().open()
    person = await desk.person()
    subject = await desk.here.acting.subject_token(person, "app")

    caller = await desk.caller(await desk.token(subject_token=subject))

    assert caller.person is not None
    assert (person.principal, person.session) == (caller.person.principal, caller.acting_session)
    assert (await desk.caller(await desk.token())).person is None


async def test_a_token_that_was_given_back_counts_nowhere_within_seconds() -> None:
    """Here at once, at another replica after two seconds at most."""
    desk = await Desk().open()
    there = desk.replica()
    await there.documents.load()
    token = await desk.token()
    before = await code(there.issue_token.identify(Presented(token)))

    await desk.here.issue_token.revoke(desk.assertion(), None, token)
    here = await code(desk.caller(token))
    desk.clock.advance(2)

    assert ("done", "token-revoked") == (before, here)
    assert "token-revoked" == await code(there.issue_token.identify(Presented(token)))


async def test_a_withdrawn_client_counts_nowhere_at_the_next_request() -> None:
    """Another replica reads documents before each request, so its tokens end at once."""
    desk = await Desk().open()
    there = desk.replica()
    await there.documents.load()
    token = await desk.token()
    desk.clock.advance(1)

    await desk.register(tokens_not_before=desk.clock.now().isoformat())
    await there.documents.refresh()

    assert "token-revoked" == await code(there.issue_token.identify(Presented(token)))


async def test_a_client_gives_back_its_own_tokens_alone() -> None:
    """Another's token, a broken one and one given back already change nothing, and say nothing."""
    desk = await Desk().open()
    await desk.register("other")
    mine, revoke = await desk.token(), desk.here.issue_token.revoke
    other: dict[str, Any] = {"iss": "practice/other", "sub": "practice/other"}

    for token in (mine, "broken", desk.assertion()):
        assert "done" == await code(revoke(desk.assertion(**other), None, token))
    assert "done" == await code(desk.caller(mine))
    for _ in range(2):
        assert "done" == await code(revoke(desk.assertion(), None, mine))
    assert "token-revoked" == await code(desk.caller(mine))


async def test_an_assertion_that_gave_back_a_token_is_used() -> None:
    """Giving back takes a fresh assertion, and is an entry."""
    desk = await Desk().open()
    once, token = desk.assertion(), await desk.token()
    await desk.here.issue_token.revoke(once, None, token)

    entry = desk.ledger.bodies(SYSTEM_LOG)[-1]

    assert ("token.revoke", payload(token)["jti"]) == (entry["action"], entry["token"])
    assert "assertion-reused" == await code(desk.token(once))
