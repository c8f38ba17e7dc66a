"""Readings of the ledger as entries: what they say, what they never say, and failing closed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeClock, MemoryLedger, MemoryStore
from seawall.app.count_readings import CountReadings
from seawall.app.index_ledger import IndexLedger
from seawall.app.ledger_query import FIELDS, query_fields, read_query
from seawall.app.ports import SYSTEM_LOG, Query
from seawall.app.record_reading import Auditors, Reading, RecordReading
from seawall.core.errors import Invalid, Missing, Refused, Unavailable
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.register import Register
from seawall.core.registers.spec import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG = "clinic"
AUDITOR = Principal("client", "auditor", LOG)
KNOWN, NOBODY = "a" * 24, "b" * 24
DOWN = Unavailable("ledger-unavailable", "the ledger is slow", "")


class Room:
    """A clinic's log of five entries about one patient, and what records its readings."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ledger = MemoryLedger()
        store = MemoryStore(self.ledger)
        self.readings = RecordReading(
            store=store,
            ledger=self.ledger,
            indexing=IndexLedger(store=store, ledger=self.ledger),
            clock=self.clock,
        )

    async def open(self) -> Room:
        """Open the logs and fill the clinic's."""
        for log in (LOG, SYSTEM_LOG):
            await self.ledger.open_log(log, f"localhost/log/{log}")
        for number in range(5):
            at = f"2026-03-01T00:00:0{number}.000Z"
            actor = {"kind": "client", "name": "app"}
            entry = {"at": at, "action": "x.y", "actor": actor, "patients": [KNOWN]}
            await self.ledger.append(LOG, entry)
        return self

    def recorded(self) -> list[dict[str, Any]]:
        """Return the entries of the system's log without what all of them say."""
        common = {"v", "at", "action", "tenant", "actor", "log"}
        return [
            {name: value for name, value in entry.items() if name not in common}
            for entry in self.ledger.bodies(SYSTEM_LOG)
        ]


@pytest.fixture
async def room() -> Room:
    """Return the room, opened."""
    return await Room().open()


async def test_a_list_is_recorded_with_its_query_and_what_it_found(room: Room) -> None:
    """The entry says who asked what of which log, and how much was found."""
    query = Query((("patient", KNOWN),), since_ms=1_772_323_201_000, last=2)

    recorded = await room.readings.record(AUDITOR, Reading("list", LOG, query))

    [entry] = room.ledger.bodies(SYSTEM_LOG)
    assert [3, 4] == [index for index, _ in recorded.entries]
    assert {
        "v": 1,
        "at": "2026-03-02T09:30:00.000Z",
        "action": "ledger.read",
        "tenant": LOG,
        "actor": {"kind": "client", "name": "auditor"},
        "what": "list",
        "log": "localhost/log/clinic",
        "size": 5,
        "found": 2,
        "query": {"patient": KNOWN, "since": "2026-03-01T00:00:01.000Z", "last": 2},
    } == entry


async def test_a_value_that_no_entry_has_is_recorded_as_unknown(room: Room) -> None:
    """Whatever somebody types into a filter, the ledger repeats only what it holds."""
    query = Query((("actor", "client/koepp"), ("patient", NOBODY), ("action", "x.y")))

    await room.readings.record(AUDITOR, Reading("list", LOG, query))

    said = {"actor": "unknown", "patient": "unknown", "action": "x.y", "last": 20}
    assert [{"what": "list", "size": 5, "found": 0, "query": said}] == room.recorded()


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading("verify", LOG), {"found": 5}),
        (Reading("export", LOG), {"found": 5}),
        (Reading("show", LOG, index=4), {"found": 1, "index": 4}),
        (Reading("prove", LOG, index=5), {"found": 0, "index": 5}),
        (Reading("tiles", LOG, minute="2026-03-02T09:30Z"), {"minute": "2026-03-02T09:30Z"}),
        (Reading("follow", LOG, Query()), {"query": {"last": 20}}),
    ],
)
async def test_each_way_of_reading_says_what_it_is_of(
    room: Room, reading: Reading, expected: dict[str, Any]
) -> None:
    """A whole log counts its entries, one entry is there or not, a minute is named."""
    await room.readings.record(AUDITOR, reading)

    assert [{"what": reading.what, "size": 5, **expected}] == room.recorded()


async def test_without_an_entry_there_is_no_result(room: Room) -> None:
    """A system log that cannot be written refuses the reading."""
    room.ledger.failing["ledger.read"] = DOWN

    with pytest.raises(Unavailable):
        await room.readings.record(AUDITOR, Reading("list", LOG, Query()))


async def test_a_reading_of_no_log_is_missing(room: Room) -> None:
    """A log that is not there is told, and nothing is recorded of it."""
    with pytest.raises(Missing):
        await room.readings.record(AUDITOR, Reading("list", "school", Query()))
    assert [] == room.recorded()


async def test_a_result_is_of_the_size_that_was_recorded(room: Room) -> None:
    """Reading the system's log does not show the entry that records this very reading."""
    await room.readings.record(AUDITOR, Reading("verify", LOG))

    recorded = await room.readings.record(AUDITOR, Reading("list", SYSTEM_LOG, Query()))

    assert ([0], 1) == ([index for index, _ in recorded.entries], recorded.size)


async def test_pages_lose_no_entry_that_came_out_of_the_order_of_time(room: Room) -> None:
    """The first entry of a page leads to the page before it, however clocks went."""
    actor = {"kind": "client", "name": "late"}
    for second in (9, 7, 7, 8, 6, 7):
        at = f"2026-03-01T00:00:{second:02d}.000Z"
        await room.ledger.append(LOG, {"at": at, "action": "x.y", "actor": actor})
    query, pages = Query((("actor", "client/late"),), last=2), list[list[int]]()
    while not pages or pages[-1]:
        found = (await room.readings.record(AUDITOR, Reading("list", LOG, query))).entries
        pages.append([index for index, _ in found])
        query = replace(query, before=found[0][0] if found else None)

    assert [[8, 5], [7, 10], [9, 6], []] == pages


# --- who may -------------------------------------------------------------------


def granted(**fields: bool) -> Register:
    """Return a register in which the auditor's document says so."""
    spec = ClientSpec.model_validate({"title": "t", "public_key": {"x": "A" * 43}, **fields})
    return Register([Document("Client", "auditor", 1, spec)])


@pytest.mark.parametrize(
    ("register", "log", "may"),
    [
        (granted(may_audit=True), LOG, True),
        (granted(may_audit=True), SYSTEM_LOG, False),
        (granted(may_audit=True), "school", False),
        (granted(may_audit_system=True), SYSTEM_LOG, True),
        (granted(may_audit_system=True), LOG, False),
        (granted(may_apply=True), LOG, False),
        (Register(), LOG, False),
    ],
)
def test_a_client_reads_what_its_document_says(register: Register, log: str, may: bool) -> None:  # noqa: FBT001  pytest's
    """Own log and system's log are rights of their own; nothing said means no."""
    if may:
        Auditors().require(register, AUDITOR, log, [LOG])
        return
    with pytest.raises(Refused) as refused:
        Auditors().require(register, AUDITOR, log, [LOG])
    assert "audit-not-granted" == refused.value.code


@pytest.mark.parametrize(
    ("named", "document", "may"),
    [
        (f"{LOG}/auditor", {"may_audit_system": True}, True),
        (f"{LOG}/auditor", {}, False),
        ("school/auditor", {"may_audit_system": True}, False),
        ("", {"may_audit_system": True}, False),
    ],
)
def test_with_several_tenants_the_installation_names_who_reads_the_systems_log(
    named: str,
    document: dict[str, bool],
    may: bool,  # noqa: FBT001  pytest's
) -> None:
    """A tenant's own document does not open a log that tells of the others."""
    auditors = Auditors(frozenset(named.split()))
    if may:
        auditors.require(granted(**document), AUDITOR, SYSTEM_LOG, [LOG, "school"])
        return
    with pytest.raises(Refused):
        auditors.require(granted(**document), AUDITOR, SYSTEM_LOG, [LOG, "school"])


def test_rights_that_are_off_do_not_change_an_older_documents_digest() -> None:
    """A client document of the first release keeps the digest that its entry says."""
    plain, off = (granted(**fields).find(ClientSpec, "auditor") for fields in _OFF)

    assert plain is not None
    assert off is not None
    assert plain.digest() == off.digest()
    assert {"title", "public_key", "use_cases", "may_apply"} == set(plain.spec.model_dump())


_OFF: list[Mapping[str, bool]] = [{}, {"may_audit": False, "may_audit_system": False}]


# --- minutes -------------------------------------------------------------------


async def test_the_first_fetch_of_a_minute_is_recorded_and_the_rest_counted(room: Room) -> None:
    """One entry at once, and one with the total when the minute is over."""
    counting = CountReadings(room.readings.record, room.clock)
    for _ in range(3):
        await counting.fetch(AUDITOR, Reading("tiles", LOG))
    await counting.close_minutes()
    room.clock.advance(60)
    await counting.close_minutes()

    first = {"what": "tiles", "size": 5, "minute": "2026-03-02T09:30Z"}
    assert [first, {**first, "fetches": 3}] == room.recorded()


async def test_a_single_fetch_needs_no_total(room: Room) -> None:
    """The first entry says all that there is to say of one fetch."""
    counting = CountReadings(room.readings.record, room.clock)
    await counting.fetch(AUDITOR, Reading("tiles", LOG))
    await counting.close()

    assert 1 == len(room.recorded())


async def test_stopping_writes_what_is_counted(room: Room) -> None:
    """Totals of a minute that is not over are written when the server stops."""
    counting = CountReadings(room.readings.record, room.clock)
    for _ in range(2):
        await counting.fetch(AUDITOR, Reading("tiles", LOG))
    await counting.close()

    assert 2 == room.recorded()[-1]["fetches"]


async def test_the_next_minute_begins_anew(room: Room) -> None:
    """A fetch in a later minute writes the earlier total, then its own entry."""
    counting = CountReadings(room.readings.record, room.clock)
    for _ in range(2):
        await counting.fetch(AUDITOR, Reading("tiles", LOG))
    room.clock.advance(60)
    await counting.fetch(AUDITOR, Reading("tiles", LOG))

    minutes = [(entry["minute"][-3:], entry.get("fetches")) for entry in room.recorded()]
    assert [("30Z", None), ("30Z", 2), ("31Z", None)] == minutes


async def test_each_principal_and_log_has_minutes_of_its_own(room: Room) -> None:
    """Nobody's fetch hides behind another's."""
    counting = CountReadings(room.readings.record, room.clock)
    await counting.fetch(AUDITOR, Reading("tiles", LOG))
    await counting.fetch(Principal("client", "other", LOG), Reading("tiles", LOG))
    await counting.fetch(AUDITOR, Reading("tiles", SYSTEM_LOG))

    assert 3 == len(room.recorded())


async def test_a_fetch_that_cannot_be_recorded_is_refused(room: Room) -> None:
    """The first fetch fails closed, and so does the one after it; then all is well again."""
    counting = CountReadings(room.readings.record, room.clock)
    room.ledger.failing["ledger.read"] = DOWN
    for _ in range(2):
        with pytest.raises(Unavailable):
            await counting.fetch(AUDITOR, Reading("tiles", LOG))
    room.ledger.failing.clear()

    await counting.fetch(AUDITOR, Reading("tiles", LOG))

    assert [{"what": "tiles", "size": 5, "minute": "2026-03-02T09:30Z"}] == room.recorded()


async def test_a_total_that_cannot_be_written_is_kept(room: Room) -> None:
    """What was counted is written by a later round."""
    counting = CountReadings(room.readings.record, room.clock)
    for _ in range(2):
        await counting.fetch(AUDITOR, Reading("tiles", LOG))
    room.clock.advance(60)
    room.ledger.failing["ledger.read"] = DOWN
    with pytest.raises(Unavailable):
        await counting.close_minutes()
    room.ledger.failing.clear()

    await counting.close_minutes()

    assert 2 == room.recorded()[-1]["fetches"]


async def test_what_exceeds_the_memory_is_an_entry_each(room: Room) -> None:
    """Counting has a bound, and beyond it nothing goes unrecorded."""
    counting = CountReadings(room.readings.record, room.clock, most=1)
    await counting.fetch(AUDITOR, Reading("tiles", LOG))
    for _ in range(2):
        await counting.fetch(AUDITOR, Reading("tiles", SYSTEM_LOG))

    assert 3 == len(room.recorded())


async def test_nothing_is_lost_between_fetches_and_the_end_of_a_minute(room: Room) -> None:
    """Fetches and closings that wait for each other are recorded or counted, each once."""
    gate, recorded = asyncio.Event(), list[Reading]()

    async def record(_: Principal, reading: Reading) -> None:
        """Record once the gate is open."""
        await gate.wait()
        recorded.append(reading)

    counting = CountReadings(record, room.clock)
    async with asyncio.TaskGroup() as group:
        for work in (counting.fetch, counting.fetch, None, None, counting.fetch):
            reading = Reading("tiles", LOG)
            group.create_task(work(AUDITOR, reading) if work else counting.close())
            await asyncio.sleep(0)
        gate.set()
    await counting.close()

    assert [None, 2, None] == [one.fetches for one in recorded]


async def test_minutes_may_be_closed_twice_at_once(room: Room) -> None:
    """A total that two rounds want to write is written once."""
    counting = CountReadings(room.readings.record, room.clock)
    for _ in range(2):
        await counting.fetch(AUDITOR, Reading("tiles", LOG))
    room.clock.advance(60)

    await asyncio.gather(counting.close_minutes(), counting.close())

    assert [None, 2] == [entry.get("fetches") for entry in room.recorded()]


# --- what is asked --------------------------------------------------------------

NOW = 1_772_443_800_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", 1_772_323_200_000),
        ("2026-03-01T00:00", 1_772_323_200_000),
        ("2026-03-01 00:00:00.5Z", 1_772_323_200_500),
        ("2026-03-01T01:00+01:00", 1_772_323_200_000),
        ("90s", NOW - 90_000),
        ("2h", NOW - 7_200_000),
        ("3d", NOW - 3 * 86_400_000),
        ("1w", NOW - 7 * 86_400_000),
        ("999999w", 0),
    ],
)
def test_times_are_read(text: str, expected: int) -> None:
    """Dates, date-times in any zone, and how long ago."""
    assert expected == read_query({"since": text}, NOW).since_ms


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2026-13-01", "2026-03-01T25:00", "20260301", "2026-W09-1", "-2h"),
        *(
            "2h ago",
            "1y",
            "1969-12-31",
            "9999-12-31",
            "\u0662h",
            "2026-03-01T00:00+99:00",
            "1234567h",
        ),
    ],
)
def test_what_is_no_time_is_told(text: str) -> None:
    """The field is named, the text is not repeated."""
    with pytest.raises(Invalid) as invalid:
        read_query({"until": text}, NOW)
    assert ("time-invalid", "until is not a time") == (invalid.value.code, invalid.value.message)


@pytest.mark.parametrize(
    "field", ["actor", "patient", "use-case", "endpoint", "action", "outcome", "emergency"]
)
@pytest.mark.parametrize("value", ["Abdul Koepp", "", "MR-448812", "client/" + "a" * 99, "a\nb"])
def test_a_filter_that_is_no_value_of_its_facet_is_not_repeated(field: str, value: str) -> None:
    """Somebody types a name or a record number: it is refused, and in no word of the error."""
    with pytest.raises(Invalid) as invalid:
        read_query({field: value}, NOW)
    said = f"{invalid.value.message} {invalid.value.help}"
    assert ("filter-invalid", False) == (invalid.value.code, bool(value) and value in said)


@pytest.mark.parametrize(
    ("field", "value"),
    [("last", "0"), ("last", "1001"), ("last", "ten"), ("before", "-1"), ("before", "01")],
)
def test_numbers_have_bounds(field: str, value: str) -> None:
    """How many and before which entry are plain numbers within bounds."""
    with pytest.raises(Invalid) as invalid:
        read_query({field: value}, NOW)
    assert "number-invalid" == invalid.value.code


def test_a_field_that_does_not_exist_is_refused() -> None:
    """A misspelt filter is an error and never a wider result."""
    with pytest.raises(Invalid) as invalid:
        read_query({"pacient": "a" * 24}, NOW)
    assert "filter-unknown" == invalid.value.code


def test_a_query_survives_being_sent() -> None:
    """What a terminal sends a server is the query that it read."""
    given = {
        "actor": "client/app",
        "patient": "a" * 24,
        "use-case": "visit-summary",
        "endpoint": "sandbox",
        "action": "exchange.intent",
        "outcome": "no-agreement",
        "emergency": "access-6148f3f843bc4e25-1",
        "since": "2026-03-01T00:00:00.001Z",
        "until": "2h",
        "before": "7",
        "last": "3",
    }
    query = read_query(given, NOW)

    sent = json.loads(json.dumps(Reading("list", SYSTEM_LOG, query).fields()))

    assert set(FIELDS) == set(given)
    assert query == read_query(sent["query"], NOW + 99)
    assert {"what": "list", "log": "system"} == {k: v for k, v in sent.items() if k != "query"}
    assert query_fields(query)["last"] == 3
    assert {"what": "show", "log": "tenant", "index": 1} == Reading("show", LOG, index=1).fields()
