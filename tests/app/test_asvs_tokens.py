"""Tokens under our own key that are right but for one claim: each claim counts by itself."""

from __future__ import annotations

from typing import Any

import pytest

from seawall.adapters.tokens import SignedTokens
from seawall.app.issue_token import TOKEN_SECONDS
from token_desk import Desk, code


async def taken(changed: dict[str, Any]) -> str:
    """Return how a token of the client is taken, whose claims were changed before signing."""
    desk = await Desk().open()
    claims = desk.tokens.claims(await desk.token())
    made = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    return await code(desk.caller(SignedTokens(bytes(32), desk.clock).issue(made)))


async def test_a_token_as_it_was_issued_is_taken() -> None:
    """The control: what is refused below is refused for the one claim that is wrong."""
    assert "done" == await taken({})


@pytest.mark.parametrize(
    "audience",
    ["seawall-staging", "practice/app", "", None, ["seawall", "another"], ["seawall"], 7],
)
async def test_a_token_for_another_audience_is_foreign(audience: Any) -> None:
    """It is for us alone, and says so."""
    assert "token-foreign" == await taken({"aud": audience})


@pytest.mark.parametrize("name", ["exp", "iat"])
@pytest.mark.parametrize("value", [None, "4000000000", True, 4e9])
async def test_a_token_without_its_times_is_foreign(name: str, value: Any) -> None:
    """A time is a whole number, and both are there."""
    assert "token-foreign" == await taken({name: value})


async def test_a_token_is_over_at_its_last_second() -> None:
    """It counts before, and not at, the end that it names."""
    desk = await Desk().open()
    token = await desk.token()
    desk.clock.advance(TOKEN_SECONDS - 1)
    before = await code(desk.caller(token))
    desk.clock.advance(1)

    assert ["done", "token-expired"] == [before, await code(desk.caller(token))]


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": "clinic/nobody"},
        {"sub": "nobody/app"},
        {"sub": "app"},
        {"key": "x" * 43},
        {"key": None},
    ],
)
async def test_a_token_is_of_a_client_and_a_key_that_count(changed: dict[str, Any]) -> None:
    """Of a client or by a key that is registered nowhere it is worth nothing."""
    assert "token-revoked" == await taken(changed)


@pytest.mark.parametrize(
    ("changed", "ended"),
    [
        ({}, "done"),
        ({"iss": "seawall"}, "subject-refused"),
        ({"iss": None}, "subject-refused"),
        ({"aud": "clinic/app"}, "subject-refused"),
        ({"aud": "practice/other"}, "subject-refused"),
        ({"aud": ["practice/app"]}, "subject-refused"),
        ({"sub": "clinic/ann"}, "subject-refused"),
        ({"exp": 1_000}, "subject-refused"),
        ({"exp": None}, "subject-refused"),
        ({"sub": "practice/nobody"}, "person-gone"),
        ({"sid": "f" * 64}, "person-gone"),
        ({"sid": None}, "person-gone"),
    ],
)
async def test_a_subject_token_is_right_in_every_claim(changed: dict[str, Any], ended: str) -> None:
    """Whom it is of and for, until when, and in which session; else nobody is acted for."""
    desk = await Desk().open()
    subject = await desk.here.acting.subject_token(await desk.person(), "app")
    said = {**desk.tokens.claims(subject), **changed}
    made = {name: value for name, value in said.items() if value is not None}

    assert ended == await code(desk.token(subject_token=desk.tokens.issue(made)))
