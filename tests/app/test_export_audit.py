"""Which entries an export holds: all that a query finds, once each, in the order of the log."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import MemoryLedger, MemoryStore
from seawall.app import export_audit
from seawall.app.export_audit import ExportAudit, runs
from seawall.app.index_ledger import IndexLedger
from seawall.app.ports import Query
from seawall.core.audit.lines import fhir_lines, json_line
from seawall.core.errors import Missing
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import matches, moment_text
from seawall.core.ledger.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG = "clinic"
PATIENTS = ["a" * 24, "b" * 24]


def filled(entries: Sequence[tuple[int, int]]) -> MemoryLedger:
    """Return a ledger with entries of these moments (in seconds) and patients, indexed."""

    async def fill() -> MemoryLedger:
        """Append and index."""
        ledger = MemoryLedger()
        await ledger.open_log(LOG, f"localhost/log/{LOG}")
        for second, patient in entries:
            await ledger.append(
                LOG,
                {
                    "at": moment_text(second * 1000),
                    "action": "x.y",
                    "actor": {"kind": "client", "name": "app"},
                    "patients": [PATIENTS[patient]],
                },
            )
        await IndexLedger(store=MemoryStore(ledger), ledger=ledger).caught_up(LOG)
        return ledger

    return asyncio.run(fill())


def exported(ledger: MemoryLedger, query: Query, size: int) -> list[tuple[int, bytes]]:
    """Return what an export of a query holds."""

    async def read() -> list[tuple[int, bytes]]:
        """Read all pieces."""
        export = ExportAudit(MemoryStore(ledger))
        found = await export.found(LOG, query, size)
        return [one async for piece in export.entries(LOG, found) for one in piece]

    return asyncio.run(read())


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), max_size=30),
    st.none() | st.integers(0, 1),
    st.none() | st.integers(0, 6_000),
    st.none() | st.integers(0, 6_000),
    st.integers(0, 30),
)
def test_an_export_holds_every_match_once_in_order(
    entries: list[tuple[int, int]],
    patient: int | None,
    since: int | None,
    until: int | None,
    size: int,
) -> None:
    """It is what reading all entries and comparing each would find, whatever their clocks said."""
    ledger, bound = filled(entries), min(size, len(entries))
    facets = () if patient is None else (("patient", PATIENTS[patient]),)

    found = exported(ledger, Query(facets, since, until), bound)

    assert [
        (index, raw)
        for index, raw in enumerate(ledger.logs[LOG].entries[:bound])
        if matches(decode(raw), facets, since, until)
    ] == found


def test_more_than_a_page_and_a_piece_are_found() -> None:
    """Pages that end within entries of one moment lose none of them."""
    count = 2 * export_audit.PAGE + export_audit.PIECE + 1
    ledger = filled([(number // 1_500, number % 2) for number in range(count)])

    found = exported(ledger, Query((("patient", PATIENTS[1]),)), count)

    assert list(range(1, count, 2)) == [index for index, _ in found]


async def test_an_entry_that_was_pruned_meanwhile_is_missing() -> None:
    """An export that would lack an entry ends in an error."""
    ledger = MemoryLedger()
    await ledger.open_log(LOG, "localhost/log/x")
    with pytest.raises(Missing) as caught:
        _ = [piece async for piece in ExportAudit(MemoryStore(ledger)).entries(LOG, [0])]

    assert "entry-pruned" == caught.value.code


@given(st.sets(st.integers(0, 50)))
def test_runs_cover_the_indexes_and_nothing_else(indexes: set[int]) -> None:
    """Stretches without a gap, as few as there can be."""
    found = list(runs(sorted(indexes)))

    assert sorted(indexes) == [index for start, stop in found for index in range(start, stop)]
    assert all(stop < start for (_, stop), (start, _) in itertools.pairwise(found))


def test_a_line_of_json_holds_the_entry_as_it_was_hashed() -> None:
    """Log, index, leaf, and the entry's own bytes."""
    [raw] = filled([(1, 0)]).logs[LOG].entries

    line = json_line("localhost/log/clinic", 7, raw)
    read: dict[str, Any] = json.loads(line)

    assert line.endswith(b',"entry":' + raw + b"}\n")
    assert {
        "log": "localhost/log/clinic",
        "index": 7,
        "leaf": leaf_hash(raw).hex(),
        "entry": decode(raw),
    } == read


def test_fhir_lines_are_one_event_each() -> None:
    """NDJSON: a line for each AuditEvent."""
    [raw] = filled([(1, 0)]).logs[LOG].entries

    [line] = fhir_lines("localhost/log/clinic", 7, raw).splitlines()

    assert "AuditEvent" == json.loads(line)["resourceType"]
