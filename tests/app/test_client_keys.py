"""Keys of clients: two kinds, several at a time, each with its one algorithm; and their end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc.jwk import ECKey

from seawall.core.errors import Invalid
from seawall.core.registers.client import ClientSpec, PublicKey, TimedKey
from seawall.core.registers.spec import canonical_spec, read_spec
from token_desk import EC, ED, OTHER_EC, OTHER_ED, Desk, code, public, signed


def base64url(raw: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], sign: Any) -> str:
    """Write a JSON Web Token by hand (RFC 7519)."""
    body = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{body}.{base64url(sign(body.encode()))}"


async def test_a_client_with_a_p256_key_gets_tokens() -> None:
    """ES256 is as good as Ed25519; a key of the same kind that is not registered is not."""
    desk = await Desk().open()
    await desk.register(public_key=public(EC))

    token = await desk.token(desk.assertion(EC))

    assert "app" == (await desk.caller(token)).principal.name
    assert "assertion-refused" == await code(desk.token(desk.assertion(OTHER_EC)))


async def test_both_keys_count_while_they_overlap() -> None:
    """The next key and the last one earn tokens until the last one's time is over."""
    desk = await Desk().open()
    until = (desk.clock.now() + timedelta(hours=1)).isoformat()
    await desk.register(public_key=public(EC), also_keys=[{"key": public(ED), "until": until}])
    old = await desk.token(desk.assertion(ED))
    desk.clock.advance(3_599)
    late = await desk.token(desk.assertion(ED))

    desk.clock.advance(1)

    assert "token-expired" == await code(desk.caller(old))
    assert "token-revoked" == await code(desk.caller(late))
    assert "assertion-refused" == await code(desk.token(desk.assertion(ED)))
    assert "done" == await code(desk.token(desk.assertion(EC)))


async def test_a_key_begins_at_its_time() -> None:
    """A key that counts from tomorrow earns nothing today."""
    desk = await Desk().open()
    since, until = (desk.clock.now() + timedelta(days=day) for day in (1, 9))
    timed = {"key": public(EC), "since": since.isoformat(), "until": until.isoformat()}
    await desk.register(also_keys=[timed])

    today = await code(desk.token(desk.assertion(EC)))
    desk.clock.advance(86_400)

    assert ("assertion-refused", "done") == (today, await code(desk.token(desk.assertion(EC))))


async def test_a_withdrawn_key_ends_its_tokens_and_no_others() -> None:
    """A token names the key that earned it, by its thumbprint, and ends with that key."""
    desk = await Desk().open()
    until = (desk.clock.now() + timedelta(days=1)).isoformat()
    await desk.register(also_keys=[{"key": public(EC), "until": until}])
    first, second = await desk.token(), await desk.token(desk.assertion(EC))

    await desk.register()

    assert ("done", "token-revoked") == (
        await code(desk.caller(first)),
        await code(desk.caller(second)),
    )


async def test_all_tokens_of_a_client_are_revoked_by_a_moment() -> None:
    """What was issued before the moment counts no more; what is issued after it does."""
    desk = await Desk().open()
    before = await desk.token()
    desk.clock.advance(5)
    await desk.register(tokens_not_before=desk.clock.now().isoformat())

    after = await desk.token()

    assert "token-revoked" == await code(desk.caller(before))
    assert "done" == await code(desk.caller(after))


RSA = rsa.generate_private_key(65537, 2048)
P384 = ECKey.generate_key("P-384")


def under_rsa(text: bytes) -> bytes:
    """Sign as RS256 does."""
    return RSA.sign(text, padding.PKCS1v15(), hashes.SHA256())


def public_pem() -> bytes:
    """Return the registered P-256 key as everybody can write it."""
    return ECKey.import_key({**public(EC)}).public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def claims_of(desk: Desk) -> dict[str, Any]:
    """Return claims that would be accepted."""
    part = desk.assertion(EC).split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


FORGERIES: dict[str, Any] = {
    "no signature": lambda claims: by_hand({"alg": "none"}, claims, lambda _: b""),
    "a MAC under the public key": lambda claims: by_hand(
        {"alg": "HS256"},
        claims,
        lambda text: hmac.digest(public_pem(), text, hashlib.sha256),
    ),
    "a MAC called ES256": lambda claims: by_hand(
        {"alg": "ES256"},
        claims,
        lambda text: hmac.digest(public_pem(), text, hashlib.sha256),
    ),
    "RS256 under a key of the header": lambda claims: by_hand(
        {"alg": "RS256", "jku": "https://x.example/keys", "x5u": "https://x.example/c"},
        claims,
        under_rsa,
    ),
    "a zero signature": lambda claims: by_hand({"alg": "ES256"}, claims, lambda _: bytes(64)),
    "the other kind's key": lambda claims: signed(ED, claims),
    "a key in the header": lambda claims: signed(OTHER_EC, claims, jwk=public(OTHER_EC)),
    "a name of a key": lambda claims: signed(OTHER_EC, claims, kid="practice/app"),
    "a critical extension": lambda claims: by_hand(
        {"alg": "ES256", "crit": ["b64"], "b64": False}, claims, lambda _: bytes(64)
    ),
    "a proof's type": lambda claims: signed(EC, claims, typ="dpop+jwt"),
    "a token's type": lambda claims: signed(EC, claims, typ="at+jwt"),
}


@pytest.mark.parametrize("what", FORGERIES)
async def test_the_header_chooses_nothing(what: str) -> None:
    """Whatever a header says of algorithms and keys, the registered key decides (RFC 8725)."""
    desk = await Desk().open()
    await desk.register(public_key=public(EC))

    assert "assertion-refused" == await code(desk.token(FORGERIES[what](claims_of(desk))))


async def test_a_key_s_name_in_the_header_is_ignored() -> None:
    """Libraries send kid and typ; the registered key's signature is what counts."""
    desk = await Desk().open()

    for header in ({"kid": "x"}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}):
        assert "done" == await code(desk.token(desk.assertion(header=header)))


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "EC", "crv": "P-256", "x": public(EC)["x"]},
        {"kty": "EC", "crv": "P-256", "x": public(EC)["x"], "y": public(OTHER_EC)["y"]},
        {"kty": "EC", "crv": "Ed25519", "x": public(EC)["x"], "y": public(EC)["y"]},
        {"kty": "EC", "crv": "P-384", **{n: str(P384.as_dict()[n]) for n in ("x", "y")}},
        {"kty": "OKP", "crv": "Ed25519", "x": public(ED)["x"], "y": public(EC)["y"]},
        {"kty": "oct", "k": "AAAA"},
        {**public(EC), "d": str(EC["d"])},
    ],
    ids=["no y", "off the curve", "a curve of others", "P-384", "y of others", "secret", "private"],
)
def test_a_key_that_is_none_cannot_be_registered(key: dict[str, str]) -> None:
    """What is no point of P-256 and no Ed25519 key, or is private, is no document."""
    with pytest.raises(Invalid):
        read_spec(ClientSpec, "Client", "app", {"title": "x", "public_key": key})


def test_a_document_without_the_new_fields_keeps_its_digest() -> None:
    """What a document of the first release says is what it said then, byte for byte."""
    spec = read_spec(ClientSpec, "Client", "a", {"title": "x", "public_key": public(ED)})
    key = f'{{"crv":"Ed25519","kty":"OKP","x":"{public(ED)["x"]}"}}'

    expected = f'{{"may_apply":false,"public_key":{key},"title":"x","use_cases":[]}}'

    assert expected.encode() == canonical_spec(spec)


def test_a_document_with_the_new_fields_is_read_as_it_was_written() -> None:
    """Moments and keys come back from their canonical form as they were."""
    fields = {
        "title": "x",
        "public_key": public(EC),
        "also_keys": [{"key": public(OTHER_ED), "until": "2026-12-01T09:00:00+01:00"}],
        "tokens_not_before": "2026-11-01T00:00:00Z",
        "may_provision": True,
        "dpop_bound": True,
    }
    spec = read_spec(ClientSpec, "Client", "a", fields)

    again = read_spec(ClientSpec, "Client", "a", json.loads(canonical_spec(spec)))

    assert spec == again
    assert b'"until":"2026-12-01T08:00:00+00:00"' in canonical_spec(spec)
    assert frozenset({"may_provision"}) == spec.powers


def test_a_client_has_at_most_three_keys_beside_its_first() -> None:
    """A fourth is refused, so that checking an assertion stays cheap."""
    timed = {"key": public(EC), "until": "2026-12-01T09:00:00Z"}
    fields = {"title": "x", "public_key": public(ED), "also_keys": [timed] * 4}

    with pytest.raises(Invalid):
        read_spec(ClientSpec, "Client", "a", fields)


def test_thumbprint_is_rfc_7638_s() -> None:
    """The Ed25519 key of RFC 8037, appendix A.3, has the thumbprint that is written there."""
    key = PublicKey(x="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")

    assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == key.thumbprint


def test_a_timed_key_ends_at_its_moment() -> None:
    """The moment itself is outside."""
    key = TimedKey(key=PublicKey(x=public(ED)["x"]), until=datetime(2026, 12, 1, tzinfo=UTC))

    assert key.is_in_force(key.until - timedelta(milliseconds=1))
    assert not key.is_in_force(key.until)
