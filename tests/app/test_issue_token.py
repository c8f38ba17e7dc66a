"""Assertions work once and briefly; tokens end on time and with their client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from practice import CLIENT, CLIENT_KEY, OPERATOR, TOKEN_URL, documents, opened
from seawall.adapters.tokens import SignedTokens, sign_assertion
from seawall.app.issue_token import Presented
from seawall.core.errors import Refused, Unavailable

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector
    from seawall.core.policy.principal import Principal


def assertion(practice: Practice, **changed: Any) -> str:
    """Return an assertion of the client `app`."""
    now = practice.clock.now_ms() // 1000
    claims = {
        "iss": "practice/app",
        "sub": "practice/app",
        "aud": TOKEN_URL,
        "iat": now,
        "exp": now + 300,
        "jti": practice.random.bytes(8).hex(),
        **changed,
    }
    return sign_assertion(CLIENT_KEY, claims)


async def code_of(practice: Practice, **changed: Any) -> str:
    """Return the code with which an assertion is refused."""
    with pytest.raises(Refused) as refused:
        await practice.issue_token.issue(assertion(practice, **changed))
    return refused.value.code


async def speaks_for(practice: Practice, token: str) -> Principal:
    """Return who a token speaks for."""
    return (await practice.issue_token.identify(Presented(token))).principal


async def test_token_speaks_for_the_client(detector: Detector) -> None:
    """A token names the client and its tenant, for ten minutes and not longer."""
    practice = await opened(detector)
    issued = await practice.issue_token.issue(assertion(practice))

    practice.clock.advance(599)
    principal = await speaks_for(practice, issued.token)
    practice.clock.advance(1)

    assert (CLIENT, 600) == (principal, issued.expires_in)
    with pytest.raises(Refused) as refused:
        await practice.issue_token.identify(Presented(issued.token))
    assert "token-expired" == refused.value.code


async def test_token_is_recorded_before_it_is_given(detector: Detector) -> None:
    """If the token cannot be recorded, there is none."""
    practice = await opened(detector)
    practice.ledger.failing["token.issue"] = Unavailable("x", "down")

    with pytest.raises(Unavailable):
        await practice.issue_token.issue(assertion(practice))


async def test_assertion_works_once(detector: Detector) -> None:
    """The second use of an assertion is refused, whatever the time."""
    practice = await opened(detector)
    once = assertion(practice)
    await practice.issue_token.issue(once)

    with pytest.raises(Refused) as refused:
        await practice.issue_token.issue(once)

    assert "assertion-reused" == refused.value.code


@pytest.mark.parametrize(
    ("seconds", "is_accepted"), [(-31, False), (-30, False), (-29, True), (330, True), (331, False)]
)
async def test_expiry_has_its_limits(
    seconds: int, *, is_accepted: bool, detector: Detector
) -> None:
    """An assertion may end within five minutes from now, with thirty seconds of skew."""
    practice = await opened(detector)
    end = practice.clock.now_ms() // 1000 + seconds

    if is_accepted:
        assert (await practice.issue_token.issue(assertion(practice, exp=end))).token
    else:
        assert "assertion-refused" == await code_of(practice, exp=end)


async def test_assertion_from_the_future_is_refused(detector: Detector) -> None:
    """An assertion that says it was made over thirty seconds from now is refused."""
    practice = await opened(detector)
    now = practice.clock.now_ms() // 1000

    assert "assertion-refused" == await code_of(practice, iat=now + 31)
    assert (await practice.issue_token.issue(assertion(practice, iat=now + 30))).token


async def test_audience_is_the_token_url_alone(detector: Detector) -> None:
    """A list with the token URL alone passes; beside another audience nothing does.

    An assertion that another server takes too could be handed on by it (RFC 7523, section 3).
    """
    practice = await opened(detector)
    issued = await practice.issue_token.issue(assertion(practice, aud=[TOKEN_URL]))

    assert CLIENT == await speaks_for(practice, issued.token)
    for audience in (["https://x", TOKEN_URL], [TOKEN_URL, TOKEN_URL], [], TOKEN_URL + "/"):
        assert "assertion-refused" == await code_of(practice, aud=audience)


async def test_unknown_client_is_refused_in_the_words_of_a_wrong_key(detector: Detector) -> None:
    """An unknown client, an unknown tenant and a wrong key cannot be told apart."""
    practice = await opened(detector)
    tampered = assertion(practice)[:-8] + "AAAAAAAA"
    told = []
    others = ({"iss": "practice/b"}, {"iss": "b/app"}, {"iss": ""})

    for each in (tampered, *(assertion(practice, **other) for other in others)):
        with pytest.raises(Refused) as refused:
            await practice.issue_token.issue(each)
        told.append(refused.value.args)

    assert 1 == len(set(told))


async def test_token_ends_with_its_client(detector: Detector) -> None:
    """A token of a client that is not registered is revoked."""
    practice = await opened(detector)
    issued = await practice.issue_token.issue(assertion(practice))
    practice.ledger.documents.clear()
    practice.begin()
    await practice.documents.load()

    with pytest.raises(Refused) as refused:
        await practice.issue_token.identify(Presented(issued.token))

    assert "token-revoked" == refused.value.code
    await practice.documents.apply(OPERATOR, documents())
    assert CLIENT == await speaks_for(practice, issued.token)


@pytest.mark.parametrize("changed", [{"aud": "x"}, {"aud": None}, {"exp": "soon"}, {"exp": None}])
async def test_token_of_another_purpose_is_foreign(
    changed: dict[str, Any], detector: Detector
) -> None:
    """A signed token for another audience, or without an end, is foreign."""
    practice = await opened(detector)
    claims = {"aud": "seawall", "sub": "practice/app", "exp": 2**40, **changed}
    token = SignedTokens(bytes(32), practice.clock).issue(claims)

    with pytest.raises(Refused) as refused:
        await practice.issue_token.identify(Presented(token))

    assert "token-foreign" == refused.value.code
