"""One family of errors: what each carries, and what it says."""

from __future__ import annotations

import pickle

import pytest

from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused, Tampered, Unavailable

FAMILY = (Invalid, Refused, Missing, Conflict, Unavailable, Tampered)


@pytest.mark.parametrize("kind", FAMILY)
def test_error_carries_code_message_and_help(kind: type[Error]) -> None:
    """Every error of the family keeps its code, its message and what to do next."""
    error = kind("disk-full", "the disk is full", "make room")

    assert ("disk-full", "the disk is full", "make room") == (error.code, error.message, error.help)


def test_text_of_error_is_message_and_code() -> None:
    """Printed, an error shows its message and, in brackets, its code."""
    assert str(Refused("no-agreement", "no agreement", "sign one")) == "no agreement [no-agreement]"


def test_help_may_be_left_out() -> None:
    """An error without help has an empty one."""
    assert Missing("gone", "it is gone").help == ""


def test_entry_is_unknown_until_recorded() -> None:
    """An error names a ledger entry only after one recorded it."""
    assert Refused("no-agreement", "no agreement").entry is None


def test_bugs_are_not_of_the_family() -> None:
    """What handles the family never swallows a programmer's mistake."""
    assert not issubclass(Error, RuntimeError)


def test_error_passes_between_processes() -> None:
    """An error keeps its three parts when it is pickled."""
    error = pickle.loads(pickle.dumps(Tampered("a", "b", "c")))  # noqa: S301  our own bytes

    assert (Tampered, "a", "b", "c") == (type(error), error.code, error.message, error.help)
