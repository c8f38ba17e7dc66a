"""What may go of a log: six years as a floor, legal holds, and clocks that cannot be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.facets import moment_text
from seawall.core.ledger.retention import (
    Hold,
    Keeping,
    Pruning,
    Stop,
    Why,
    believed,
    first_kept,
    latest_of,
    years_later,
)
from seawall.core.registers.legal_hold import LegalHoldSpec
from seawall.core.registers.register import Register
from seawall.core.registers.retention import RetentionSpec
from seawall.core.registers.spec import Document, Spec

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PATIENT, OTHER = "a" * 24, "b" * 24
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1))  # noqa: DTZ001
SEVEN_YEARS_AGO = datetime(2019, 3, 2, tzinfo=UTC)


def raw(at: datetime | str = SEVEN_YEARS_AGO, **fields: Any) -> bytes:
    """Return an entry of a time, or of a text in the time's place."""
    said = at if isinstance(at, str) else at.isoformat(timespec="milliseconds")
    return encode({"at": said, "patients": [], **fields})


def bundle(*first: bytes, at: datetime = SEVEN_YEARS_AGO) -> list[bytes]:
    """Return a full bundle that begins with these entries."""
    return [*first, *[raw(at)] * (256 - len(first))]


def stop(*first: bytes, keeping: Keeping | None = None) -> Stop | None:
    """Return what stops a walk at its first bundle."""
    return Pruning(keeping or Keeping(), NOW).pass_bundle(bundle(*first))


@pytest.mark.parametrize(
    ("at", "years", "expected"),
    [
        ("2020-03-02T09:30:00+00:00", 6, "2026-03-02T09:30:00+00:00"),
        ("2020-02-29T00:00:00+00:00", 6, "2026-03-01T00:00:00+00:00"),
        ("2020-02-29T00:00:00+00:00", 8, "2028-02-29T00:00:00+00:00"),
        ("9990-01-01T00:00:00+00:00", 10, "9999-12-31T00:00:00+00:00"),
    ],
)
def test_years_are_calendar_years(at: str, years: int, expected: str) -> None:
    """The same day of the year, and the day after the 28th of February for a 29th."""
    later = years_later(datetime.fromisoformat(at), years)
    assert datetime.fromisoformat(expected) == later


def test_six_years_to_the_millisecond() -> None:
    """An entry may go once its sixth year is over, and not a millisecond before."""
    old, young = years_later(NOW, -6), years_later(NOW, -6) + timedelta(milliseconds=1)
    assert [None, Stop(0, Why.YOUNG, "2026-03-02")] == [stop(raw(old)), stop(raw(young))]


def test_an_incomplete_bundle_stays() -> None:
    """Only full bundles go, however old they are."""
    assert Stop(0, Why.INCOMPLETE) == Pruning(Keeping(), NOW).pass_bundle(bundle()[:255])


@pytest.mark.parametrize("at", ["", "yesterday", "2019-03-02T00:00:00", "1969-12-31T00:00:00Z"])
def test_an_entry_whose_time_cannot_be_read_is_kept_for_ever(at: str) -> None:
    """No time, a time without a zone, and one before 1970 keep all that follows."""
    assert Stop(1, Why.TIMELESS) == stop(raw(), raw(at))


def test_changed_bytes_stop_everything() -> None:
    """An entry that is not in its canonical form is an incident, and nothing goes."""
    with pytest.raises(Tampered):
        stop(b'{"at": "2019-03-02T00:00:00Z"}')


def test_a_clock_that_was_set_back_ages_nothing() -> None:
    """Entries of 2001 that follow an entry of last year are as young as that one."""
    walk = Pruning(Keeping(), NOW)
    bundles = [bundle(), bundle(raw(NOW)), bundle(at=datetime(2001, 1, 1, tzinfo=UTC))]
    assert [None, Stop(256, Why.YOUNG, "2032-03-02")] == [
        walk.pass_bundle(bundles[0]),
        walk.pass_bundle(bundles[1]),
    ]
    set_back = [bundle(at=datetime(2021, 1, 1, tzinfo=UTC)), bundle()]
    assert 0 == first_kept(set_back, Keeping(), NOW)


@pytest.mark.parametrize(("archived", "expected"), [(years_later(NOW, -6), None), (NOW, 2032)])
def test_an_entry_is_no_older_than_its_archiving(archived: datetime, expected: int | None) -> None:
    """Whatever an entry says of itself, its years begin when an archive first took it."""
    walk = Pruning(Keeping(), NOW)
    found = walk.pass_bundle(bundle(), archived_ms=int(archived.timestamp() * 1000))
    assert (Stop(0, Why.YOUNG, f"{expected}-03-02") if expected else None) == found


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (raw(patients=[PATIENT]), True),
        (raw(patients=[OTHER, PATIENT]), True),
        (raw(patients=[OTHER]), False),
        (raw(patients=[OTHER], unattributed=True), True),
        (raw(patients=[], unattributed=False), False),
        (raw(patients=[], action="exchange.refuse"), True),
        (raw(patients=[], action="phi.open"), True),
        (raw(patients=[], action="token.issue"), False),
        (raw(patients=[OTHER], action="phi.open"), False),
        (encode({"at": moment_text(1), "action": "exchange.outcome"}), True),
        (encode({"at": moment_text(1), "action": "document.apply"}), False),
        (encode({"at": moment_text(1), "action": "exchange.x", "patients": PATIENT}), True),
    ],
)
def test_a_patients_hold_keeps_what_may_concern_the_patient(entry: bytes, expected: bool) -> None:  # noqa: FBT001
    """The patient's entries, those that matched nobody, and ends that name no patient."""
    keeping = Keeping(holds=(Hold("LegalHold/case@1", "clinic", PATIENT),))
    found = stop(entry, keeping=keeping)
    assert expected is (found == Stop(0, Why.HELD, "LegalHold/case@1"))


def test_a_tenants_hold_keeps_its_whole_log() -> None:
    """Without a patient everything of the tenant is held."""
    keeping = Keeping(holds=(Hold("LegalHold/case@1", "clinic"),))
    assert Stop(0, Why.HELD, "LegalHold/case@1") == stop(raw(), keeping=keeping)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tenant": "clinic"}, True),
        ({"tenant": "x"}, False),
        ({"tenant": "system", "action": "ledger.alarm"}, True),
        ({}, True),
    ],
)
def test_any_hold_keeps_its_tenants_part_of_the_systems_log(
    fields: dict[str, str],
    expected: bool,  # noqa: FBT001
) -> None:
    """Tokens and readings of the tenant, alarms of the system, and what names no tenant."""
    hold = Hold("LegalHold/case@1", "clinic", PATIENT)
    keeping = Keeping(holds=(hold,), is_system=True)
    assert expected is (keeping.hold_on([{"patients": [], **fields}]) == hold)


def register(*specs: Spec) -> Register:
    """Return a register of these documents."""
    kinds = {RetentionSpec: "Retention", LegalHoldSpec: "LegalHold"}
    return Register(
        Document(kinds[type(spec)], f"d-{at}", 1, spec) for at, spec in enumerate(specs)
    )


def test_the_longest_retention_counts_and_released_holds_do_not() -> None:
    """Of several documents the longest; without any, six years; a hold only while in force."""
    placed = LegalHoldSpec(matter="Docket 1", placed=NOW.date())
    released = LegalHoldSpec(matter="Docket 2", placed=NOW.date(), released=NOW.date())
    documents = register(RetentionSpec(years=8), RetentionSpec(years=7), placed, released)
    keeping = Keeping.of({"clinic": documents}, NOW.date(), is_system=False)
    assert Keeping(8, (Hold("LegalHold/d-2@1", "clinic"),)) == keeping
    assert Keeping(6) == Keeping.of({}, NOW.date(), is_system=False)


def test_the_systems_log_is_kept_by_all_tenants_documents() -> None:
    """The longest retention of any tenant, and the holds of all."""
    registers = {"b": register(RetentionSpec(years=9)), "a": register(RetentionSpec(years=7))}
    assert 9 == Keeping.of(registers, NOW.date(), is_system=True).years


def test_the_digest_tells_keepings_apart() -> None:
    """Years, holds and whose they are each change it."""
    hold = Hold("LegalHold/case@1", "clinic")
    keepings = [Keeping(), Keeping(7), Keeping(holds=(hold,)), Keeping(holds=(hold, hold))]
    keepings.append(Keeping(holds=(Hold("LegalHold/case@1", "other"),)))
    assert 5 == len({keeping.digest() for keeping in keepings})


@pytest.mark.parametrize(
    ("latest", "expected"),
    [
        (NOW, "2032-03-02"),
        (NOW + timedelta(hours=20), "2032-03-03"),
        (None, "2032-03-02"),
        (datetime(2001, 1, 1, tzinfo=UTC), "2032-03-02"),
        (datetime(2099, 1, 1, tzinfo=UTC), "2032-03-03"),
    ],
)
def test_an_archive_locks_from_its_own_time(latest: datetime | None, expected: str) -> None:
    """Neither a clock set back shortens the lock, nor one set forward locks for a lifetime."""
    assert expected == Keeping().archive_until(latest, NOW).date().isoformat()


def test_clocks_are_believed_within_a_day() -> None:
    """The earliest counts, and none if two are further apart, forward or back."""
    near, far = NOW - timedelta(hours=5), NOW + timedelta(days=3650)
    assert [near, NOW, None, None] == [
        believed(NOW, [near]),
        believed(NOW, []),
        believed(far, [NOW]),
        believed(NOW, [near, far]),
    ]


def test_the_latest_time_of_a_bundle() -> None:
    """The newest that can be read; None where none can."""
    entries = [raw(NOW), raw(SEVEN_YEARS_AGO), raw("x")]
    assert [NOW, None] == [latest_of(entries), latest_of([raw("x")])]


@given(st.lists(st.lists(MOMENTS, min_size=1, max_size=3), max_size=4), st.integers(6, 12))
def test_nothing_goes_that_retention_asks_for(moments: list[list[datetime]], years: int) -> None:
    """Every entry below the minimum is older than its years, and the minimum is the largest."""
    made = [bundle(*(raw(at.replace(tzinfo=UTC)) for at in group)) for group in moments]
    kept = first_kept(made, Keeping(years), NOW)
    old = [
        all(years_later(at.replace(tzinfo=UTC), years) <= NOW for at in group)
        and years_later(SEVEN_YEARS_AGO, years) <= NOW
        for group in moments
    ]
    expected = next((at for at, is_old in enumerate(old) if not is_old), len(old))
    assert 256 * expected == kept


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 3))
def test_more_holds_and_more_years_never_let_more_go(owners: list[int], held: int) -> None:
    """The minimum only falls when a hold is placed or retention is raised."""
    patients = [f"{owner:024x}" for owner in owners]
    made = [bundle(raw(patients=[patient])) for patient in patients]
    free = first_kept(made, Keeping(), NOW)
    hold = Hold("LegalHold/case@1", "clinic", f"{held:024x}")
    holding = first_kept(made, Keeping(holds=(hold,)), NOW)
    expected = 256 * (owners.index(held) if held in owners else len(owners))
    assert (256 * len(owners), expected) == (free, holding)
    assert 0 == first_kept(made, Keeping(8), NOW)


@given(MOMENTS, st.integers(6, 100))
def test_years_later_is_never_early(at: datetime, years: int) -> None:
    """At least so many times 365 days lie between, and the day of the year is at most one more."""
    later = years_later(at, years)
    assert later - at >= timedelta(days=365 * years)
    assert at.timetuple()[3:6] == later.timetuple()[3:6]
    assert (later.month, later.day) in {(at.month, at.day), (3, 1)}
