"""A token ends with the key that earned it; assertions that are not in order earn none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from practice import CLIENT, CLIENT_KEY, OPERATOR, TOKEN_URL, documents, opened
from seawall.adapters.tokens import make_client_key, sign_assertion
from seawall.app.issue_token import Presented
from seawall.core.errors import Refused

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector


async def issue(practice: Practice, **changed: Any) -> str:
    """Exchange an assertion of the client `app`, with changed claims, for a token."""
    now = practice.clock.now_ms() // 1000
    claims = {"iss": "practice/app", "sub": "practice/app", "aud": TOKEN_URL, "exp": now + 300}
    signed = sign_assertion(CLIENT_KEY, {**claims, "iat": now, "jti": "once", **changed})
    return (await practice.issue_token.issue(signed)).token


async def test_token_is_revoked_with_its_key(detector: Detector) -> None:
    """Once the client's document has another public key, a token of the old one is revoked."""
    practice = await opened(detector)
    token = await issue(practice)
    before = (await practice.issue_token.identify(Presented(token))).principal
    public = {name: part for name, part in make_client_key(bytes(32)).items() if name != "d"}
    client = next(document for document in documents() if document["kind"] == "Client")

    changed = {**client, "spec": {**client["spec"], "public_key": public}}
    await practice.documents.apply(OPERATOR, [changed])
    with pytest.raises(Refused) as caught:
        await practice.issue_token.identify(Presented(token))

    assert (CLIENT, "token-revoked") == (before, caught.value.code)


@pytest.mark.parametrize(
    "changed",
    [{"nbf": 120}, {"nbf": "now"}, {"jti": "\u00e9"}],
    ids=ascii,
)
async def test_assertion_that_is_not_in_order_is_refused(
    changed: dict[str, Any], detector: Detector
) -> None:
    """An assertion that does not count yet, or whose jti is not ASCII, is refused.

    A whole `nbf` is seconds from now.
    """
    practice = await opened(detector)
    now = practice.clock.now_ms() // 1000
    claims = {n: now + v if isinstance(v, int) else v for n, v in changed.items()}

    with pytest.raises(Refused) as caught:
        await issue(practice, **claims)

    assert "assertion-refused" == caught.value.code


async def test_assertion_that_counts_since_now_is_accepted(detector: Detector) -> None:
    """An assertion whose nbf is now earns a token."""
    practice = await opened(detector)

    token = await issue(practice, nbf=practice.clock.now_ms() // 1000)

    assert CLIENT == (await practice.issue_token.identify(Presented(token))).principal


async def test_token_that_is_not_bound_ends_when_its_client_must_be(detector: Detector) -> None:
    """Once the client's document asks for a certificate, tokens without one count no more."""
    practice = await opened(detector)
    token = await issue(practice)
    client = next(document for document in documents() if document["kind"] == "Client")

    changed = {**client, "spec": {**client["spec"], "certificate_bound": True}}
    await practice.documents.apply(OPERATOR, [changed])

    for shown in (None, "a" * 42 + "A"):
        with pytest.raises(Refused) as caught:
            await practice.issue_token.identify(Presented(token, shown))
        assert "token-unbound" == caught.value.code
