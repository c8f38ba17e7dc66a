"""What every Tokens keeps to: Ed25519 and nothing else, ours and nobody else's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.core.errors import Invalid, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.ports import Tokens

SERVER_KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
CLIENT_KEY = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
CLAIMS = {"iss": "front-desk", "sub": "front-desk", "n": 1}


def base64url(raw: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(header: dict[str, Any], claims: Any, sign: Callable[[bytes], bytes]) -> str:
    """Write a JSON Web Token by hand (RFC 7519)."""
    body = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{body}.{base64url(sign(body.encode()))}"


def signed(claims: Any = CLAIMS, algorithm: str = "Ed25519", key: Any = SERVER_KEY) -> str:
    """Write a token with an Ed25519 signature (RFC 8037, section 3.1)."""
    return token({"alg": algorithm}, claims, key.sign)


def public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """Return a public key as a JSON Web Key (RFC 8037, section 2)."""
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_key().public_bytes_raw())}


def under_hmac(secret: bytes, algorithm: str = "HS256") -> str:
    """Write a token whose MAC is made with what everybody knows: the public key."""
    return token({"alg": algorithm}, CLAIMS, lambda text: hmac.digest(secret, text, hashlib.sha256))


PEM = SERVER_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
RAW = SERVER_KEY.public_key().public_bytes_raw()
HEAD, BODY, SIGNATURE = signed().split(".")
UNACCEPTABLE = {
    "a foreign key": signed(key=CLIENT_KEY),
    "no signature": token({"alg": "none"}, CLAIMS, lambda _: b""),
    "no signature, spelt otherwise": token({"alg": "None"}, CLAIMS, lambda _: b""),
    "a MAC under the public key": under_hmac(RAW),
    "a MAC under the public key in PEM": under_hmac(PEM),
    "a MAC that claims to be a signature": under_hmac(RAW, "EdDSA"),
    "no algorithm": token({}, CLAIMS, SERVER_KEY.sign),
    "another algorithm's name": token({"alg": "RS256"}, CLAIMS, SERVER_KEY.sign),
    "a key of its own": token(
        {"alg": "EdDSA", "jwk": public_jwk(CLIENT_KEY)}, CLAIMS, CLIENT_KEY.sign
    ),
    "a critical extension": token({"alg": "EdDSA", "crit": ["x"], "x": 1}, CLAIMS, SERVER_KEY.sign),
    "other claims": f"{HEAD}.{base64url(b'{}')}.{SIGNATURE}",
    "another header": f"{base64url(json.dumps({'alg': 'EdDSA'}).encode())}.{BODY}.{SIGNATURE}",
    "a shorter signature": f"{HEAD}.{BODY}.{SIGNATURE[:-2]}",
    "an empty signature": f"{HEAD}.{BODY}.",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{HEAD}.{BODY}.{SIGNATURE}.{SIGNATURE}",
    "claims that are no object": signed(claims=[1]),
    "more than eight kilobytes": signed(claims={"x": "y" * 9_000}),
    "nothing": "",
    "dots": "..",
    "words": "not a token",
    "letters beyond ASCII": f"{HEAD}.{BODY}.ü",
    "half of a surrogate pair": f"{HEAD}.{BODY}.\ud800",
    "deep nesting": f"{HEAD}.{base64url(b'[' * 5_000)}.{SIGNATURE}",
}


def test_an_issued_token_carries_its_claims(tokens: Tokens) -> None:
    """What was issued is read back, twice."""
    issued = tokens.issue(CLAIMS)
    assert tokens.claims(issued) == CLAIMS
    assert tokens.claims(issued) == CLAIMS


def test_claims_that_a_caller_changes_stay_its_own(tokens: Tokens) -> None:
    """What one caller does to the claims is not seen by the next."""
    issued = tokens.issue(CLAIMS)
    tokens.claims(issued)["sub"] = "someone-else"
    assert tokens.claims(issued) == CLAIMS


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA"])
def test_both_names_of_ed25519_are_accepted(tokens: Tokens, algorithm: str) -> None:
    """RFC 9864's name and RFC 8037's name of the algorithm pass, without a warning."""
    assert tokens.claims(signed(algorithm=algorithm)) == CLAIMS
    assertion = signed(algorithm=algorithm, key=CLIENT_KEY)
    assert tokens.assertion(assertion, public_jwk(CLIENT_KEY)) == CLAIMS


@pytest.mark.parametrize("what", UNACCEPTABLE)
def test_a_token_with_a_flaw_is_refused(tokens: Tokens, what: str) -> None:
    """Whatever is wrong with a token, the answer is the same."""
    with pytest.raises(Refused) as caught:
        tokens.claims(UNACCEPTABLE[what])
    assert caught.value.code == "token-foreign"


@pytest.mark.parametrize("what", UNACCEPTABLE)
def test_an_assertion_with_a_flaw_is_refused(tokens: Tokens, what: str) -> None:
    """The same flaws are refused in what a client signs."""
    with pytest.raises(Refused) as caught:
        tokens.assertion(UNACCEPTABLE[what], public_jwk(SERVER_KEY))
    assert caught.value.code == "assertion-refused"


def test_any_changed_character_breaks_a_token(tokens: Tokens) -> None:
    """Whichever character of an issued token changes, it holds no more."""
    issued = tokens.issue(CLAIMS)
    for at, character in enumerate(issued):
        changed = issued[:at] + ("B" if character == "A" else "A") + issued[at + 1 :]
        with pytest.raises(Refused):
            tokens.claims(changed)


def test_an_assertion_holds_under_its_own_key_only(tokens: Tokens) -> None:
    """A client's assertion does not hold under the key of another, nor as our token."""
    assertion = signed(key=CLIENT_KEY)
    assert tokens.assertion(assertion, public_jwk(CLIENT_KEY)) == CLAIMS
    with pytest.raises(Refused):
        tokens.assertion(assertion, public_jwk(SERVER_KEY))


def test_a_key_that_is_none_refuses(tokens: Tokens) -> None:
    """A registered key that is no point of the curve lets nobody in."""
    with pytest.raises(Refused):
        tokens.assertion(signed(), {"kty": "OKP", "crv": "Ed25519", "x": "_" * 43})


def test_the_issuer_is_read_before_anything_is_verified(tokens: Tokens) -> None:
    """Who an assertion says it is from is known although its signature does not hold."""
    assert tokens.issuer(f"{HEAD}.{BODY}.AAAA") == "front-desk"


UNREADABLE = [
    *("", "..", "a", "ü.ü.ü", "\ud800.\ud800."),
    *(signed({}), signed([1]), signed("iss"), signed(None), signed({"iss": "x" * 9_000})),
    *(f"a.{base64url(raw)}.b" for raw in (b"\xff", b"[" * 5_000, b"{", b"1")),
]


@pytest.mark.parametrize("unreadable", UNREADABLE)
def test_an_assertion_without_an_issuer_is_unreadable(tokens: Tokens, unreadable: str) -> None:
    """What names no issuer is Invalid, whatever it is."""
    with pytest.raises(Invalid) as caught:
        tokens.issuer(unreadable)
    assert caught.value.code == "assertion-unreadable"


def test_a_blind_text_is_the_same_under_one_key_and_shows_nothing(tokens: Tokens) -> None:
    """The same text is blinded alike, another one otherwise, and no plain digest is it."""
    assert tokens.blind("MRN-7") == tokens.blind("MRN-7")
    assert tokens.blind("MRN-7") != tokens.blind("MRN-8")
    assert base64url(hashlib.sha256(b"MRN-7").digest()) != tokens.blind("MRN-7")


@pytest.mark.parametrize("kind", ["dpop+jwt", "at+jwt", "secevent+jwt", 7])
def test_a_token_of_another_type_is_none(tokens: Tokens, kind: object) -> None:
    """A signature that is meant for something else is refused (RFC 8725, section 3.11)."""
    other = token({"alg": "Ed25519", "typ": kind}, CLAIMS, SERVER_KEY.sign)
    with pytest.raises(Refused):
        tokens.claims(other)
