"""ID tokens that somebody made up, and providers that pose as another: none lets anybody in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from identity_forger import (
    CLIENT,
    KEY,
    NONCE,
    OTHER,
    SECRET,
    Forger,
    by_hand,
    running_forger,
    signed,
)
from seawall.adapters.clock import SystemClock
from seawall.adapters.openid import DiscoveredProvider, Registration
from seawall.app.ports import AskedThere
from seawall.core.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASKED = AskedThere("state-1", NONCE, "v" * 43)
FORGED: dict[str, Callable[[Forger], str]] = {
    "no signature": lambda one: by_hand({"alg": "none"}, one.claims(), None),
    "no signature, spelt otherwise": lambda one: by_hand({"alg": "NonE"}, one.claims(), None),
    "a MAC under the public key": lambda one: by_hand(
        {"alg": "HS256", "kid": "one"}, one.claims(), KEY.as_pem(private=False)
    ),
    "a MAC under the client's secret": lambda one: by_hand(
        {"alg": "HS256", "kid": "one"}, one.claims(), SECRET.encode()
    ),
    "another's signature": lambda one: signed(one.claims(), OTHER),
    "a key of its own": lambda one: signed(
        one.claims(), OTHER, jwk=OTHER.as_dict(private=False), kid="two"
    ),
    "an address of a key": lambda one: signed(
        one.claims(), OTHER, jku=f"{one.issuer}/keys", kid="two"
    ),
    "claims that were changed": lambda one: ".".join(
        [
            signed(one.claims()).split(".")[0],
            by_hand({}, one.claims(sub="bea"), None).split(".")[1],
            signed(one.claims()).split(".")[2],
        ]
    ),
}
UNFIT: dict[str, dict[str, Any]] = {
    "of another issuer": {"iss": "https://id.example"},
    "for another client": {"aud": "another"},
    "for another client, by us": {"aud": "another", "azp": CLIENT},
    "for others too, without saying for whom": {"aud": [CLIENT, "another"]},
    "for others too, by another": {"aud": [CLIENT, "another"], "azp": "another"},
    "for nobody": {"aud": None},
    "that is over": {"exp": 1_000},
    "without an end": {"exp": None},
    "that counts tomorrow": {"nbf": 4_000_000_000},
    "made tomorrow": {"iat": 4_000_000_000},
    "without the nonce": {"nonce": None},
    "with another nonce": {"nonce": "nonce-2"},
    "without a moment of showing factors": {"auth_time": None},
}


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    """Run one server for all tests of the module."""
    with running_forger(tmp_path_factory.mktemp("forger")) as running:
        yield running


def party(forger: Forger) -> DiscoveredProvider:
    """Return us, as the server might know us."""
    back = "https://localhost:8443/sign-in/openid/idp/callback"
    registered = Registration(forger.issuer, CLIENT, back, secret=lambda: SECRET)
    return DiscoveredProvider(registered, SystemClock(), str(forger.authority))


async def code_of_claims(forger: Forger, token: str, issuer: str | None = None) -> str:
    """Return how a token is taken: the error's code, or empty."""
    forger.token = token
    try:
        await party(forger).claims("code", ASKED, issuer)
    except Error as error:
        return error.code
    return ""


async def test_a_token_of_the_provider_is_taken(forger: Forger) -> None:
    """The control: what is refused below is refused for what is wrong with it."""
    assert "" == await code_of_claims(forger, signed(forger.claims()))


@pytest.mark.parametrize("what", FORGED)
async def test_a_forged_id_token_is_refused(forger: Forger, what: str) -> None:
    """Unsigned, signed by another, by another algorithm, or by a key that it brings along."""
    assert "provider-refused" == await code_of_claims(forger, FORGED[what](forger))


@pytest.mark.parametrize("what", UNFIT)
async def test_an_id_token_that_does_not_fit_is_refused(forger: Forger, what: str) -> None:
    """However well it is signed: whose, for whom, when, and for which sign-in."""
    token = signed(forger.claims(**UNFIT[what]))

    assert "provider-refused" == await code_of_claims(forger, token)


@pytest.mark.parametrize("suffix", ["/", "/other", ".evil.example", "?x=1"])
async def test_metadata_of_another_issuer_is_refused(forger: Forger, suffix: str) -> None:
    """The issuer of the metadata must be ours letter by letter (OpenID Discovery, 4.3)."""
    forger.more = {"issuer": f"{forger.issuer}{suffix}"}
    try:
        assert "provider-down" == await code_of_claims(forger, signed(forger.claims()))
    finally:
        forger.more = {}


@pytest.mark.parametrize("issuer", [None, "https://id.example", ""])
async def test_an_answer_that_must_name_its_issuer_names_it(
    forger: Forger, issuer: str | None
) -> None:
    """A provider that says that it names itself is not believed without (RFC 9207)."""
    forger.more = {"authorization_response_iss_parameter_supported": True}
    try:
        assert "provider-refused" == await code_of_claims(forger, signed(forger.claims()), issuer)
    finally:
        forger.more = {}
