"""A relying party against a real OpenID provider, over TLS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from fakes import FakeClock
from openid_provider import running_provider
from seawall.adapters.clock import SystemClock
from seawall.adapters.openid import DiscoveredProvider, Registration
from seawall.app.ports import AskedThere
from seawall.core.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openid_provider import Provider
    from seawall.app.ports import Clock

ASKED = AskedThere("state-1", "nonce-1", "v" * 43)
BACK = "https://localhost:8443/sign-in/openid/idp/callback"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Run one provider for all tests of the module."""
    with running_provider(tmp_path_factory.mktemp("provider")) as running:
        running.know("ann", amr=["pwd", "otp", "mfa"], auth_time=int(SystemClock().now_ms() / 1000))
        yield running


def party(provider: Provider, clock: Clock | None = None, **changes: str) -> DiscoveredProvider:
    """Return us, as the provider knows us."""
    registered = Registration(provider.issuer, "seawall", BACK, secret=lambda: "a-secret")
    changed = replace(registered, **changes)  # type: ignore[arg-type]  # texts alone
    return DiscoveredProvider(changed, clock or SystemClock(), str(provider.authority))


async def test_the_browser_is_sent_with_what_the_flow_needs(provider: Provider) -> None:
    """State, nonce, the verifier's digest and not itself, and a greatest age."""
    address = await party(provider).address(replace(ASKED, is_fresh=True))
    query = parse_qs(urlsplit(address).query)
    assert address.startswith(provider.issuer)
    assert (["state-1"], ["nonce-1"]) == (query["state"], query["nonce"])
    assert (["S256"], ["0"], ["login"]) == (
        *(query["code_challenge_method"], query["max_age"]),
        query["prompt"],
    )
    assert ASKED.verifier not in address


async def test_a_code_is_exchanged_for_verified_claims(provider: Provider) -> None:
    """Who signed in there, for us, with the nonce that we sent."""
    us = party(provider)
    sent = provider.sign_in(await us.address(ASKED), "ann")
    claims = await us.claims(sent["code"], ASKED, None)
    assert "state-1" == sent["state"]
    assert ("ann", "nonce-1", ["pwd", "otp", "mfa"]) == (
        *(claims["sub"], claims["nonce"]),
        claims["amr"],
    )


async def test_a_code_counts_once(provider: Provider) -> None:
    """The provider refuses it the second time, and so do we."""
    us = party(provider)
    code = provider.sign_in(await us.address(ASKED), "ann")["code"]
    await us.claims(code, ASKED, None)
    with pytest.raises(Refused) as caught:
        await us.claims(code, ASKED, None)
    assert "provider-refused" == caught.value.code


@pytest.mark.parametrize(
    ("asked", "issuer"),
    [
        pytest.param(replace(ASKED, nonce="another"), None, id="another nonce"),
        pytest.param(ASKED, "https://evil.example", id="an answer of another issuer"),
    ],
)
async def test_what_does_not_fit_is_refused(
    provider: Provider, asked: AskedThere, issuer: str | None
) -> None:
    """An ID token with another nonce, and an answer that names another issuer."""
    us = party(provider)
    code = provider.sign_in(await us.address(ASKED), "ann")["code"]
    with pytest.raises(Refused) as caught:
        await us.claims(code, asked, issuer)
    assert "provider-refused" == caught.value.code


async def test_a_token_for_another_client_is_refused(provider: Provider) -> None:
    """The audience must be ours: the code is exchanged by whom it is for, and shown to another."""
    us, other = party(provider), party(provider, client_id="another")
    code = provider.sign_in(await other.address(ASKED), "ann")["code"]
    with pytest.raises(Refused):
        await us.claims(code, ASKED, None)


async def test_an_expired_token_is_refused(provider: Provider) -> None:
    """By our clock, whatever the provider's says."""
    clock = FakeClock()
    clock.at = SystemClock().now()
    us = party(provider, clock)
    code = provider.sign_in(await us.address(ASKED), "ann")["code"]
    clock.advance(3_700)
    with pytest.raises(Refused):
        await us.claims(code, ASKED, None)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"issuer": "https://localhost:9"}, id="nobody listens"),
        pytest.param({"issuer": "https://localhost:{port}/other"}, id="no metadata there"),
    ],
)
async def test_a_provider_that_does_not_answer_is_down(
    provider: Provider, changes: dict[str, str]
) -> None:
    """Nothing listens, or what answers has no metadata of this issuer."""
    port = urlsplit(provider.issuer).port
    changed = {name: text.replace("{port}", str(port)) for name, text in changes.items()}
    with pytest.raises(Unavailable) as caught:
        await party(provider, None, **changed).address(ASKED)
    assert "provider-down" == caught.value.code


async def test_a_certificate_of_another_authority_is_not_trusted(provider: Provider) -> None:
    """Without the provider's authority there is no connection, and so no answer."""
    registered = Registration(provider.issuer, "seawall", BACK)
    with pytest.raises(Unavailable):
        await DiscoveredProvider(registered, SystemClock()).address(ASKED)


async def test_a_provider_is_asked_itself(provider: Provider) -> None:
    """What was discovered earlier is no answer to the question whether it answers."""
    us = party(provider)
    await us.address(ASKED)
    await us.check()
    with pytest.raises(Unavailable):
        await party(provider, None, issuer="https://localhost:9").check()
