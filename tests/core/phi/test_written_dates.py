"""Reading written dates: one day, or doubt."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.phi.written_dates import read_date

VECTORS = Path(__file__).parents[2] / "vectors" / "placeholders" / "dates.json"
CASES: list[tuple[str, str | None]] = json.loads(VECTORS.read_text("utf-8"))["cases"]


@pytest.mark.parametrize(("written", "expected"), CASES)
def test_written_date_names_one_day_or_none(written: str, expected: str | None) -> None:
    """A written date is read as the day that the vector file gives, or not at all."""
    day = read_date(written)

    assert expected == (day.isoformat() if day else None)


@given(st.dates(min_value=date(1800, 1, 1)), st.sampled_from(["%Y-%m-%d", "%m/%d/%Y", "%d %b %Y"]))
def test_every_day_is_read_back(day: date, form: str) -> None:
    """Every day of the calendar is read back from each of the common forms."""
    assert day == read_date(day.strftime(form))


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Any text whatever gives a day or nothing, and never an error."""
    assert isinstance(read_date(text), date | None)


def test_long_text_is_no_date() -> None:
    """A text too long to be a date is not searched for one."""
    assert read_date("2023-04-12" + " " * 100) is None
