"""What counts as FIPS mode, and what is refused where it is required."""

from __future__ import annotations

import pytest

from seawall.core.errors import Refused
from seawall.core.fips import Behaviour, CryptoModule, Mode, mode_of, require_fips


@pytest.mark.parametrize(
    ("says", "encrypts", "md5", "mode"),
    [
        (True, True, False, "fips"),
        (True, True, True, "not-fips"),
        (True, False, False, "broken"),
        (True, False, True, "broken"),
        (False, True, True, "not-fips"),
        (False, True, False, "not-fips"),
        (False, False, False, "not-fips"),
    ],
)
def test_a_modules_word_counts_only_if_it_behaves_so(
    *, says: bool, encrypts: bool, md5: bool, mode: Mode
) -> None:
    """It must say FIPS mode, encrypt, and refuse what no FIPS mode allows."""
    assert mode == mode_of(Behaviour(says, encrypts, md5))


def module(name: str, mode: Mode, *, is_used: bool = True) -> CryptoModule:
    """Make up a module."""
    return CryptoModule(name, "1", "sealing", mode, is_used)


@pytest.mark.parametrize("mode", ["not-fips", "broken", "unknown", "not-approved"])
def test_any_other_mode_is_refused_by_name(mode: Mode) -> None:
    """What cannot be asked, and what no module offers, count as not in FIPS mode."""
    with pytest.raises(Refused) as caught:
        require_fips([module("one", "fips"), module("two", mode)])

    assert ("fips-required", True, False) == (
        caught.value.code,
        "two" in caught.value.message,
        "one" in caught.value.message,
    )


def test_what_is_not_used_needs_no_mode() -> None:
    """A library that is installed, and protects nothing here, is no reason to refuse."""
    require_fips([module("one", "fips"), module("two", "unknown", is_used=False)])


def test_no_module_at_all_is_refused() -> None:
    """Empty means no."""
    with pytest.raises(Refused):
        require_fips([module("one", "fips", is_used=False)])
