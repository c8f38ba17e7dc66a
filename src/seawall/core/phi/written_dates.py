"""Reading a written date as a day of the calendar, where it names exactly one.

The interval between two dates can be kept when both are masked, but only where
each names one day beyond doubt: a wrong interval changes clinical meaning. So a
year of two digits (was she born in 1925 or 2025?), a date without a year, and
`03.04.2023` (day first in Europe, month first in the United States) are not
read. With slashes or dashes the month comes first, as it does in the United
States, unless it cannot; who knows that dates with the day first stand beside
one asks `is_month_first_doubtful`. A time of day after the date, and its zone, are skipped:
the day is the one that was written.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_LAST_MONTH: Final = 12
_LONGEST: Final = 80

_MONTH: Final = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>\d{4})"
_WEEKDAY: Final = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_TIME: Final = (
    r"(?:(?:t|,?\s+(?:at\s+)?)\d{1,2}:?\d{2}(?::?\d{2}(?:[.,]\d{1,9})?)?"
    r"\s?(?:[ap]\.?m\.?)?\s?(?:z|utc|[+-]\d{2}:?\d{2})?)?"
)


_NUMBERS: Final = re.compile(
    rf"{_WEEKDAY}(?P<first>\d{{1,2}})(?P<separator>[-/.])(?P<second>\d{{1,2}})[-/.]"
    r"(?:\d{4}|\d{2})(?!\d)",
    re.IGNORECASE,
)


def _form(written: str) -> re.Pattern[str]:
    return re.compile(_WEEKDAY + written + _TIME, re.IGNORECASE)


_FORMS: Final = (
    _form(r"(?P<year>\d{4})(?P<separator>[-/.])(?P<month>\d{1,2})(?P=separator)(?P<day>\d{1,2})"),
    _form(r"(?P<first>\d{1,2})(?P<separator>[-/.])(?P<second>\d{1,2})(?P=separator)" + _YEAR),
    _form(rf"{_MONTH}(?:[-/\s]\s*)(?:the\s+)?{_DAY}(?:[-/]|,?\s+(?:of\s+)?|,){_YEAR}"),
    _form(rf"{_DAY}(?:[-/]|\s+(?:day\s+)?(?:of\s+)?|(?=[a-z])){_MONTH}(?:[-/]|,?\s+|,)?{_YEAR}"),
    _form(r"(?P<year>(?:18|19|20|21)\d{2})(?P<month>\d{2})(?P<day>\d{2})"),
)


def read_date(text: str) -> date | None:
    """Return the one day that a written date names, or None where there is doubt.

    Examples: `2023-04-12`, `4/12/2023`, `April 12th, 2023`, `12 Apr 2023`,
    `2023-04-12T08:30:00Z`. Never raises.
    """
    if len(text) > _LONGEST:
        return None
    written = text.strip()
    for form in _FORMS:
        match = form.fullmatch(written)
        if match is not None:
            return _calendar_day(match.groupdict())
    return None


def is_day_first(text: str) -> bool:
    """Say whether a date in numbers has the day before the month: `13/04/2023`.

    Beside one, `12/04/2023` may be the day before it. Never raises.
    """
    match = _NUMBERS.match(text.strip())
    return match is not None and int(match["second"]) <= _LAST_MONTH < int(match["first"])


def is_month_first_doubtful(text: str) -> bool:
    """Say whether a date in numbers names another day where the day comes first. Never raises."""
    match = _NUMBERS.match(text.strip())
    if match is None:
        return False
    first, second = int(match["first"]), int(match["second"])
    return first != second and max(first, second) <= _LAST_MONTH


def _calendar_day(parts: dict[str, str]) -> date | None:
    if "first" in parts:
        first, second = int(parts["first"]), int(parts["second"])
        is_doubtful = parts["separator"] == "." and max(first, second) <= _LAST_MONTH
        if is_doubtful and first != second:
            return None
        month, day = (first, second) if first <= _LAST_MONTH else (second, first)
    elif "name" in parts:
        month, day = _MONTHS.index(parts["name"][:3].lower()) + 1, int(parts["day"])
    else:
        month, day = int(parts["month"]), int(parts["day"])
    try:
        return date(int(parts["year"]), month, day)
    except ValueError:
        return None
