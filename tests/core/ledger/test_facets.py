"""By what an entry can be found."""

from __future__ import annotations

from typing import Any

import pytest

from seawall.core.ledger.facets import ANY, facets_of, matches, moment_of, moment_text

INTENT: dict[str, Any] = {
    "at": "2026-11-24T03:07:01.491Z",
    "action": "exchange.intent",
    "actor": {"kind": "client", "name": "app"},
    "decision": {"documents": ["Client/app@1", "UseCase/notes@2", "Endpoint/model@3"]},
    "patients": ["a", "b", "a"],
    "outcome": "answered",
    "code": "ignored",
}


def test_an_entry_has_each_facet_once() -> None:
    """Actor, patients, use case, endpoint, action and outcome, and the pair of every entry."""
    assert [
        ANY,
        ("actor", "client/app"),
        ("patient", "a"),
        ("patient", "b"),
        ("use-case", "notes"),
        ("endpoint", "model"),
        ("action", "exchange.intent"),
        ("outcome", "answered"),
    ] == facets_of(INTENT)


def test_a_refusal_is_found_by_its_code() -> None:
    """Where nothing ended, the code of the refusal is the outcome."""
    refusal = {"action": "exchange.refuse", "code": "no-agreement"}

    assert ("outcome", "no-agreement") in facets_of(refusal)


@pytest.mark.parametrize("at", ["", "yesterday", "2026-13-01", None, "2026-11-24T03:07:01"])
def test_a_time_that_cannot_be_read_is_the_first(at: str | None) -> None:
    """An entry without a time of our form is found at the very beginning."""
    assert 0 == moment_of({"at": at})


def test_a_moment_is_written_as_entries_write_it() -> None:
    """Reading a moment and writing it gives the same text."""
    assert INTENT["at"] == moment_text(moment_of(INTENT))


def test_an_entry_matches_within_a_half_open_time() -> None:
    """From `since` on, and before `until`."""
    at = moment_of(INTENT)

    assert matches(INTENT, [("patient", "b")], at, at + 1)
    assert not matches(INTENT, [("patient", "b")], None, at)
    assert not matches(INTENT, [("patient", "b")], at + 1)
    assert not matches(INTENT, [("patient", "c")])


def test_what_is_done_under_an_emergency_is_found_by_it() -> None:
    """Whenever it was recorded."""
    assert ("emergency", "access-1") in facets_of({**INTENT, "emergency": "access-1"})
