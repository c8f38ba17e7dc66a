"""Passkeys by WebAuthn: what an authenticator signed, and nothing that differs in one bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authenticator import BE, BS, UP, UV, Authenticator, padded_off, unpadded
from seawall.adapters.passkeys import WebPasskeys
from seawall.core.errors import Invalid, Refused

if TYPE_CHECKING:
    from seawall.core.identity.account import Passkey

NAME, ORIGIN = "clinic.example", "https://clinic.example:8443"
CHALLENGE = bytes(range(32))
PASSKEYS = WebPasskeys(name=NAME, origin=ORIGIN)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def made_by(key: Authenticator) -> Passkey:
    """Register a credential of an authenticator."""
    options = PASSKEYS.creation_options(
        handle=b"h" * 32, user="ada", title="Ada Byron", challenge=CHALLENGE
    )
    return PASSKEYS.made(key.create(options), CHALLENGE).passkey


def signed_by(key: Authenticator, **how: Any) -> dict[str, Any]:
    """Let an authenticator sign in."""
    return key.get(PASSKEYS.request_options(CHALLENGE, must_verify_user=True), **how)


KEY = Authenticator(origin=ORIGIN)
PASSKEY = made_by(KEY)
RESPONSE = signed_by(KEY)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
@pytest.mark.parametrize(("flags", "is_verified"), [(UP, False), (UP | UV, True)])
def test_what_was_signed_is_taken(algorithm: str, flags: int, *, is_verified: bool) -> None:
    """By either algorithm, and it is told whether the user was verified."""
    key = Authenticator(origin=ORIGIN, algorithm=algorithm, flags=flags)
    passkey = made_by(key)

    shown = PASSKEYS.shown(signed_by(key), CHALLENGE, passkey)
    assert (passkey.id, 1, is_verified) == (shown.credential, shown.count, shown.is_user_verified)


def test_a_credential_says_what_is_kept_of_it() -> None:
    """Transports, and whether its provider copies it."""
    passkey = made_by(Authenticator(origin=ORIGIN, flags=UP | UV | BE | BS))

    assert (("internal", "usb"), True, True) == (
        passkey.transports,
        passkey.may_be_synced,
        passkey.is_synced,
    )


def test_what_a_browser_is_asked() -> None:
    """Discoverable credentials, no attestation, and no list of anybody's credentials."""
    options = PASSKEYS.creation_options(
        handle=b"h", user="ada", title="Ada", challenge=CHALLENGE, held=("AAAA",)
    )
    asked = PASSKEYS.request_options(CHALLENGE, must_verify_user=True)

    assert ("required", "none", [-8, -7, -257]) == (
        options["authenticatorSelection"]["residentKey"],
        options["attestation"],
        [one["alg"] for one in options["pubKeyCredParams"]],
    )
    assert (NAME, "required") == (asked["rpId"], asked["userVerification"])
    assert not asked.get("allowCredentials")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["clientDataJSON", "authenticatorData", "signature"]),
    st.integers(0),
    st.integers(0, 7),
)
def test_one_bit_changes_everything(part: str, at: int, bit: int) -> None:
    """Whatever is changed of what was signed, or of the signature, is refused."""
    raw = bytearray(unpadded(RESPONSE["response"][part]))
    raw[at % len(raw)] ^= 1 << bit
    changed = {**RESPONSE["response"], part: padded_off(bytes(raw))}

    with pytest.raises(Refused):
        PASSKEYS.shown({**RESPONSE, "response": changed}, CHALLENGE, PASSKEY)


def test_the_unchanged_response_is_taken() -> None:
    """So that the test before can fail."""
    assert PASSKEY.id == PASSKEYS.shown(RESPONSE, CHALLENGE, PASSKEY).credential


def test_another_credentials_signature_is_refused() -> None:
    """Though it is sound, and of the same authenticator."""
    made_by(KEY)

    with pytest.raises(Refused):
        PASSKEYS.shown(signed_by(KEY), CHALLENGE, PASSKEY)


def test_nobody_present_is_nobody() -> None:
    """An authenticator that nobody touched shows nothing."""
    with pytest.raises(Refused):
        PASSKEYS.shown(signed_by(KEY, which=0, flags=UV), CHALLENGE, PASSKEY)


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        (ORIGIN, True),
        ("https://clinic.example", False),
        ("https://clinic.example:8444", False),
        ("http://clinic.example:8443", False),
        ("https://clinic.example:8443.evil.example", False),
        ("https://evil.clinic.example:8443", False),
        ("null", False),
    ],
)
def test_the_whole_origin_counts(origin: str, *, is_ours: bool) -> None:
    """Scheme, name and port, whole."""
    key = Authenticator(origin=origin, credentials=KEY.credentials, count=50)
    response = signed_by(key, which=0)
    if is_ours:
        assert PASSKEY.id == PASSKEYS.shown(response, CHALLENGE, PASSKEY).credential
        return
    with pytest.raises(Refused):
        PASSKEYS.shown(response, CHALLENGE, PASSKEY)


def test_the_usual_port_is_not_said() -> None:
    """Browsers leave :443 out of an origin, whatever the settings say."""
    passkeys = WebPasskeys(name=NAME, origin="https://clinic.example:443")
    key = Authenticator(origin="https://clinic.example", credentials=KEY.credentials, count=50)

    shown = passkeys.shown(signed_by(key, which=0), CHALLENGE, PASSKEY)
    assert PASSKEY.id == shown.credential


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=10), JSON, max_size=4))
def test_whatever_a_stranger_sends_is_one_of_our_errors(response: dict[str, Any]) -> None:
    """Nothing foreign passes."""
    mixed = {**RESPONSE, **response, "response": {**RESPONSE["response"], **response}}
    for one in (response, mixed):
        for asked in (
            lambda one=one: PASSKEYS.named(one),
            lambda one=one: PASSKEYS.made(one, CHALLENGE),
        ):
            try:
                asked()
            except (Invalid, Refused) as error:
                assert error.code in {"passkey-invalid", "passkey-refused"}  # noqa: PT017
