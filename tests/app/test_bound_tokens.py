"""Tokens that are bound to a key: worth nothing without a fresh proof for each request."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import RSAKey

from seawall.app.issue_token import Presented
from seawall.core.errors import Refused
from token_desk import EC, ED, ORIGIN, OTHER_EC, Desk, ath, code, public


@pytest.mark.parametrize("key", [EC, ED], ids=["P-256", "Ed25519"])
async def test_a_bound_token_counts_with_a_proof(key: dict[str, Any]) -> None:
    """A proof for this request, under the key that the token was fetched with."""
    desk = await Desk().open()
    token = await desk.bound_token(key)

    caller = await desk.caller(token, desk.proof(key, token=token))

    assert "app" == caller.principal.name


async def test_a_stolen_bound_token_is_worth_nothing() -> None:
    """Without a proof, and with one under the thief's own key, it is refused."""
    desk = await Desk().open()
    token = await desk.bound_token()

    assert "proof-missing" == await code(desk.caller(token))
    assert "proof-refused" == await code(desk.caller(token, desk.proof(OTHER_EC, token=token)))


async def test_a_proof_works_once() -> None:
    """The same proof, sent again with the same request, is refused."""
    desk = await Desk().open()
    token = await desk.bound_token()
    proof = desk.proof(token=token)
    await desk.caller(token, proof)

    assert "proof-refused" == await code(desk.caller(token, proof))


async def test_a_proof_is_for_one_replica() -> None:
    """A proof that another replica asked for is worth nothing here, and is told whose nonce is."""
    desk = await Desk().open()
    there = desk.replica()
    await there.documents.load()
    token = await desk.bound_token()
    proof = desk.proof(token=token)

    with pytest.raises(Refused) as refused:
        await there.issue_token.identify(Presented(token, None, proof))

    assert "proof-nonce-needed" == refused.value.code
    assert there.issue_token.nonce() == refused.value.nonce
    again = desk.proof(token=token, nonce=refused.value.nonce)
    assert "done" == await code(there.issue_token.identify(Presented(token, None, again)))


async def test_a_nonce_ends() -> None:
    """The nonce before the present one is taken, an older one is not."""
    desk = await Desk().open()
    nonce = desk.here.issue_token.nonce()
    desk.clock.advance(300)
    token = await desk.bound_token()

    assert "done" == await code(desk.caller(token, desk.proof(token=token, nonce=nonce)))
    desk.clock.advance(300)
    assert "proof-nonce-needed" == await code(
        desk.caller(token, desk.proof(token=token, nonce=nonce))
    )


WRONG: dict[str, dict[str, Any]] = {
    "another method": {"htm": "POST"},
    "another path": {"htu": f"{ORIGIN}/v1/chat/completions"},
    "another host": {"htu": "https://elsewhere.example/v1/models"},
    "no address": {"htu": None},
    "http": {"htu": "http://seawall.example/v1/models"},
    "a user in the address": {"htu": "https://a@seawall.example/v1/models"},
    "another token": {"ath": ath("another")},
    "no token": {"ath": None},
    "no id": {"jti": None},
    "a short id": {"jti": "7"},
    "no time": {"iat": None},
    "a time in words": {"iat": "now"},
    "another type": {"header": {"typ": "JWT"}},
    "another key in the header": {"header": {"jwk": public(OTHER_EC)}},
    "a private key in the header": {"header": {"jwk": {**public(EC), "d": str(EC["d"])}}},
    "no key": {"header": {"jwk": None}},
    "a key of another kind": {"header": {"jwk": {"kty": "oct", "k": "AAAA"}}},
    "an RSA key": {"header": {"jwk": RSAKey.generate_key(2048).as_dict(private=False)}},
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_proof_that_is_not_for_this_request_is_refused(what: str) -> None:
    """Each claim and header of a proof is looked at (RFC 9449, section 4.3)."""
    desk = await Desk().open()
    token = await desk.bound_token()
    proof = desk.proof(**{"token": token, **WRONG[what]})

    assert "proof-refused" == await code(desk.caller(token, proof))


@pytest.mark.parametrize("seconds", [-61, 31])
async def test_a_proof_is_of_now(seconds: int) -> None:
    """One that was made a minute ago, or in half a minute, is refused."""
    desk = await Desk().open()
    token = await desk.bound_token()
    within = seconds + (1 if seconds < 0 else -1)

    for at, expected in ((within, "done"), (seconds, "proof-refused")):
        proof = desk.proof(token=token, iat=desk.now() + at)
        assert expected == await code(desk.caller(token, proof))


@pytest.mark.parametrize(
    "url",
    [
        f"{ORIGIN}:443/v1/models",
        f"{ORIGIN}:8443/v1/models",
        "https://SEAWALL.example/v1/models",
        f"{ORIGIN}/v1/%6dodels",
        f"{ORIGIN}/v1/models?limit=3#top",
    ],
)
async def test_an_address_has_several_spellings(url: str) -> None:
    """Case of the host, port, escapes, query and fragment make no other address."""
    desk = await Desk().open()
    token = await desk.bound_token()

    assert "done" == await code(desk.caller(token, desk.proof(token=token, htu=url)))


async def test_a_token_that_is_not_bound_comes_without_a_proof() -> None:
    """A proof beside it would be taken for a protection that it is not."""
    desk = await Desk().open()
    token = await desk.token()

    assert "proof-unasked" == await code(desk.caller(token, desk.proof(token=token)))


async def test_a_client_may_have_to_bind_its_tokens() -> None:
    """Its document says so: no token without a proof, and none that is not bound counts."""
    desk = await Desk().open()
    before = await desk.token()
    await desk.register(dpop_bound=True)

    assert "token-unbound" == await code(desk.caller(before))
    assert "proof-needed" == await code(desk.token())
    token = await desk.bound_token()
    assert "done" == await code(desk.caller(token, desk.proof(token=token)))


async def test_a_refused_proof_does_not_use_the_assertion() -> None:
    """What is asked again with a better proof is asked with the same assertion."""
    desk = await Desk().open()
    assertion = desk.assertion()
    wrong = desk.proof(path="/oauth2/token", htm="GET")

    assert "proof-refused" == await code(desk.token(assertion, proof=wrong))
    right = desk.proof(path="/oauth2/token")
    assert "done" == await code(desk.token(assertion, proof=right))
