"""An offline factor as it is sealed: its form, its codes, and that each works once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Tampered
from seawall.core.identity.offline import CODE_BYTES, CODES, OfflineKit, code_of

RANDOM = st.lists(
    st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES), min_size=1, max_size=CODES, unique=True
)


@given(random=RANDOM, which=st.integers(0, CODES - 1), step=st.integers(1, 2**40))
def test_each_code_works_once_with_a_newer_one_of_the_device(
    random: list[bytes], which: int, step: int
) -> None:
    """What is left has neither, whatever stood between the letters."""
    codes = [code_of(one) for one in random]
    chosen = codes[which % len(codes)]
    left = OfflineKit.new("SECRET", codes).used(chosen.upper().replace("-", "  "), step)
    assert left is not None
    again = [left.used(chosen, step + 1), left.used(codes[0], step), left.used(codes[-1], None)]
    assert ([None] * 3, len(codes) - 1) == (again, len(left.codes))


@given(random=RANDOM, used=st.integers(0, 2**40))
def test_what_is_sealed_is_read_again(random: list[bytes], used: int) -> None:
    """In one form only, and without a code."""
    codes = [code_of(one) for one in random]
    kit = OfflineKit.new("SECRET", codes)
    kit = OfflineKit(kit.device.accepted(used), kit.codes)
    assert kit == OfflineKit.from_json(kit.to_json())
    assert not any(code.encode() in kit.to_json() for code in codes)


@given(random=st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES))
def test_a_code_is_six_groups_of_four(random: bytes) -> None:
    """Letters and digits of which none looks like another."""
    assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){5}", code_of(random))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"codes":[],"device":{"secret":"S","used":0},"v":2}',
        b'{"codes":[],"device":{"secret":"S","used":"0"},"v":1}',
        b'{"codes":[1],"device":{"secret":"S","used":0},"v":1}',
        b'{"codes":["a","b","c","d","e","f"],"device":{"secret":"S","used":0},"v":1}',
        b'{"codes":[],"device":{"secret":"S","used":0},"more":1,"v":1}',
    ],
)
def test_another_form_is_tampered_with(raw: bytes) -> None:
    """Nobody signs in by what was not written here."""
    with pytest.raises(Tampered, match="offline-factor-malformed"):
        OfflineKit.from_json(raw)
