"""Used proofs are remembered for as long as they would count, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Refused, Unavailable
from seawall.core.identity.dpop import KEPT_SECONDS, SpentProofs, normal_url


def test_a_proof_is_remembered_until_its_time_is_over() -> None:
    """Used again a moment before it is refused; afterwards its own time refuses it."""
    spent = SpentProofs()
    spent.spend("key", "one", 100.0)

    with pytest.raises(Refused):
        spent.spend("key", "one", 100.0 + KEPT_SECONDS - 0.01)

    spent.spend("key", "one", 100.0 + KEPT_SECONDS)


def test_the_same_id_under_another_key_is_another_proof() -> None:
    """Clients that number their proofs alike do not stop each other."""
    spent = SpentProofs()
    spent.spend("key", "one", 0.0)

    spent.spend("other", "one", 0.0)


def test_none_is_forgotten_early_to_make_room() -> None:
    """With no room left the next proof waits, and the first is still known."""
    spent = SpentProofs(limit=2)
    for identity in ("one", "two"):
        spent.spend("key", identity, 0.0)

    with pytest.raises(Unavailable):
        spent.spend("key", "three", 1.0)
    with pytest.raises(Refused):
        spent.spend("key", "one", 1.0)
    spent.spend("key", "three", KEPT_SECONDS)


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    """Nothing that a client writes as an address breaks the reading of it."""
    found = normal_url(text)

    assert found is None or found == normal_url(found)


@pytest.mark.parametrize(
    "url", ["", "https://", "https:///x", "https://[::1", "https://a:b/x", "//a/x", "javascript:x"]
)
def test_what_is_no_https_address_is_none(url: str) -> None:
    """Without scheme, host or a sound port there is no address."""
    assert normal_url(url) is None
