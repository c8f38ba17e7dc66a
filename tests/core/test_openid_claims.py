"""What of a provider's claims counts: who, two factors, and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Refused
from seawall.core.identity.provider import Demanded, SaidThere, said_there

NOW_MS = 1_800_000_000_000
AT = NOW_MS // 1000 - 60
CLAIMS = {"sub": "ann", "amr": ["pwd", "mfa"], "auth_time": AT}


def code(claims: dict[str, Any], demanded: Demanded, max_age_ms: int = 28_800_000) -> str:
    """Return the refusal's code, or `said`."""
    try:
        said_there(claims, demanded, NOW_MS, max_age_ms=max_age_ms)
    except Refused as error:
        return error.code
    return "said"


def test_two_factors_that_are_told_are_said() -> None:
    """With the methods, and `mfa` among them, and the moment."""
    expected = SaidThere("ann", ("mfa", "pwd"), AT * 1000)
    assert expected == said_there(CLAIMS, Demanded(), NOW_MS)


@pytest.mark.parametrize(
    ("changes", "demanded", "expected"),
    [
        ({"amr": ["pwd"]}, Demanded(), "provider-factors"),
        ({"amr": "mfa"}, Demanded(), "provider-factors"),
        ({"amr": None}, Demanded(), "provider-factors"),
        ({"amr": []}, Demanded(amr=frozenset()), "provider-factors"),
        ({"acr": "gold"}, Demanded(acr=frozenset({"gold"})), "said"),
        ({"acr": "brass"}, Demanded(acr=frozenset({"gold"})), "provider-factors"),
        ({"acr": ["gold"]}, Demanded(acr=frozenset({"gold"})), "provider-factors"),
        ({}, Demanded(acr=frozenset({"gold"})), "provider-factors"),
        ({"amr": ["hwk", "user"]}, Demanded(amr=frozenset({"hwk", "user"})), "said"),
        ({"sub": ""}, Demanded(), "provider-refused"),
        ({"sub": 7}, Demanded(), "provider-refused"),
        ({"auth_time": None}, Demanded(), "provider-stale"),
        ({"auth_time": True}, Demanded(), "provider-stale"),
        ({"auth_time": str(AT)}, Demanded(), "provider-stale"),
        ({"auth_time": NOW_MS // 1000 + 31}, Demanded(), "provider-stale"),
        ({"auth_time": NOW_MS // 1000 + 30}, Demanded(), "said"),
    ],
)
def test_what_is_not_told_as_demanded_is_refused(
    changes: dict[str, Any], demanded: Demanded, expected: str
) -> None:
    """A class where one is demanded, else every method; and always when."""
    assert expected == code({**CLAIMS, **changes}, demanded)


@pytest.mark.parametrize(("age_ms", "expected"), [(60_000, "said"), (59_999, "provider-stale")])
def test_factors_that_must_be_fresh_must_be(age_ms: int, expected: str) -> None:
    """A session at the provider is no fresh factor here."""
    assert expected == code(CLAIMS, Demanded(), age_ms)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("sub", "amr", "acr", "auth_time"), json_values)
    )
)
def test_any_claims_are_said_or_refused(claims: dict[str, Any]) -> None:
    """Whatever a provider sends raises nothing but refusals, and no method that is not a word."""
    try:
        said = said_there(claims, Demanded(), NOW_MS)
    except Refused:
        return
    assert all(one.isascii() and one.isalnum() for one in said.methods)
    assert said.at_ms <= NOW_MS
