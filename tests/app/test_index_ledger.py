"""The index of a log: made in pieces, resumed, and the same as a search without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import MemoryLedger, MemoryStore
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import KeepFacets, Query
from seawall.core.errors import Missing, Tampered, Unavailable
from seawall.core.ledger.encoding import decode, encode
from seawall.core.ledger.facets import matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Fact

LOG = "clinic"


@dataclass
class Counting(MemoryLedger):
    """A ledger that tells how much it was given to remember at once, and may refuse."""

    pieces: list[int] = field(default_factory=list)
    refusing: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Keep facts, unless told to refuse."""
        if self.refusing:
            raise Unavailable("ledger-unavailable", "slow", "")
        self.pieces += [len({row[3] for row in f.rows}) for f in facts if isinstance(f, KeepFacets)]
        await super().remember(facts)


async def filled(entries: Sequence[dict[str, Any]]) -> tuple[Counting, MemoryStore]:
    """Return a log of these entries."""
    ledger = Counting()
    await ledger.open_log(LOG, "localhost/log/clinic")
    for one in entries:
        await ledger.append(LOG, one)
    return ledger, MemoryStore(ledger)


def an_entry(second: int, name: str, patient: str, outcome: str | None) -> dict[str, Any]:
    """Return an entry of a second of the first minute of 2026."""
    ended = {"outcome": outcome} if outcome else {}
    return {
        "at": f"2026-01-01T00:00:{second:02d}.000Z",
        "action": "exchange.outcome",
        "actor": {"kind": "client", "name": name},
        "patients": [patient],
        **ended,
    }


ENTRIES = st.lists(
    st.builds(
        an_entry,
        st.integers(0, 59),
        st.sampled_from("ab"),
        st.sampled_from(["0" * 24, "1" * 24]),
        st.sampled_from(["answered", "failed", None]),
    ),
    max_size=30,
)
FACETS = st.sets(
    st.sampled_from(
        [("actor", "client/a"), ("patient", "0" * 24), ("outcome", "failed"), ("outcome", "lost")]
    )
).map(lambda found: tuple(sorted(found)))
JANUARY = 1_767_225_600_000
MOMENTS = st.none() | st.integers(JANUARY - 2_000, JANUARY + 61_000)


@given(ENTRIES, FACETS, MOMENTS, MOMENTS)
@settings(max_examples=60, deadline=None)
async def test_index_finds_what_a_naive_search_finds(
    entries: list[dict[str, Any]],
    facets: tuple[tuple[str, str], ...],
    since: int | None,
    until: int | None,
) -> None:
    """Whatever is asked, the index finds the entries that a look at each of them finds."""
    ledger, store = await filled(entries)
    await IndexLedger(store=store, ledger=ledger, piece=7).caught_up(LOG)

    found = await store.find(LOG, Query(facets, since, until, last=100))

    expected = [at for at, one in enumerate(entries) if matches(one, facets, since, until)]
    assert expected == [at for at, _ in found]
    assert all(encode(entries[at]) == raw for at, raw in found)


async def test_indexing_goes_in_pieces() -> None:
    """No piece is larger than it may be, and together they reach the head."""
    ledger, store = await filled([an_entry(0, "a", "0" * 24, None)] * 25)

    assert 25 == await IndexLedger(store=store, ledger=ledger, piece=10).caught_up(LOG)
    assert [10, 10, 5] == ledger.pieces


async def test_indexing_goes_on_where_it_stopped() -> None:
    """Another process continues after the last piece that was remembered."""
    ledger, store = await filled([an_entry(0, "a", "0" * 24, None)] * 12)
    await IndexLedger(store=store, ledger=ledger, piece=10).caught_up(LOG)
    await ledger.append(LOG, an_entry(1, "b", "1" * 24, None))

    await IndexLedger(store=store, ledger=ledger, piece=10).all()

    assert [10, 2, 1] == ledger.pieces


async def test_a_round_does_nothing_where_nothing_came() -> None:
    """A log that did not grow is not indexed again."""
    ledger, store = await filled([an_entry(0, "a", "0" * 24, None)])
    indexing = IndexLedger(store=store, ledger=ledger)

    for _ in range(3):
        await indexing.all()

    assert [1] == ledger.pieces


async def test_a_ledger_that_is_down_is_told_and_tried_again() -> None:
    """What could not be remembered is indexed by the next call."""
    ledger, store = await filled([an_entry(0, "a", "0" * 24, None)])
    indexing = IndexLedger(store=store, ledger=ledger)
    ledger.refusing = True
    with pytest.raises(Unavailable):
        await indexing.all()
    ledger.refusing = False

    await indexing.all()

    assert await store.has_facet(LOG, "actor", "client/a")


async def test_a_log_that_is_not_there_is_missing() -> None:
    """There is nothing to index of a log that does not exist."""
    ledger, store = await filled([])

    with pytest.raises(Missing):
        await IndexLedger(store=store, ledger=ledger).caught_up("school")


async def test_a_pruned_log_is_indexed_from_its_minimum() -> None:
    """Entries that are gone are not asked for."""
    ledger, store = await filled([an_entry(0, "a", "0" * 24, None)] * 300)
    ledger.logs[LOG].minimum = 256

    assert 300 == await IndexLedger(store=store, ledger=ledger).caught_up(LOG)
    assert 256 == min(row[3] for row in ledger.logs[LOG].facets)


@pytest.mark.parametrize("changed", [b"{", None])
async def test_lost_or_broken_entries_are_an_alarm(changed: bytes | None) -> None:
    """Entries that are not there or are none any more are never indexed as something else."""
    ledger, store = await filled([an_entry(0, "a", "0" * 24, None)] * 3)
    if changed is None:
        del ledger.logs[LOG].entries[1:]
    else:
        ledger.logs[LOG].entries[1] = changed

    with pytest.raises(Tampered):
        await IndexLedger(store=store, ledger=ledger).caught_up(LOG)


def test_naive_search_reads_what_was_decoded() -> None:
    """Matching works on entries as they are read back."""
    raw = encode(an_entry(5, "a", "0" * 24, "failed"))

    assert matches(decode(raw), [("outcome", "failed"), ("actor", "client/a")])
    assert not matches(decode(raw), [], since_ms=JANUARY + 5_001)
