"""Dates as people write them: all elements more precise than the year, 164.514(b)(2)(i)(C).

A bare year, a bare weekday and a bare time of day stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from seawall.core.phi.expressions import Match
    from seawall.core.phi.shadow import Shadow

MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH: Final = (
    "(?:jan(?:uary)?|feb(?:r?uary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    "sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR: Final = r"(?:1[89]|20)\d{2}"
_DAY: Final = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL_WORDS: Final = (
    "(?:twenty[- ](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|thirty[- ]first|"
    "thirtieth|twentieth|(?:thir|four|fif|six|seven|eigh|nine)teenth|tenth|eleventh|twelfth|"
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
)
_UNITS: Final = (
    r"(?:mg|mcg|ug|g|gm|grams?|kg|lbs?|pounds?|ml|l|liters?|dl|cc|units?|iu|meq|mmol|mm|cm|"
    r"inch(?:es)?|tabs?|tablets?|caps?|capsules?|puffs?|pills?|drops?|doses?|weeks?|wks?|days?|"
    r"months?|years?|yrs?|hours?|hrs?|minutes?|mins?|seconds?|times|percent|bpm|strength|"
    r"patients?|people|points?|calories|steps?|am|pm|a\.m|p\.m|o'clock)\b"
)

UNIT_FOLLOWS: Final = Expression(rf"(?i)\s?-?(?:%|{_UNITS})")
"""What makes the number before it a quantity and no part of an identifier."""

# Narrower than what counts something: "4/12/23 L knee" and "4/12/23 Mg 1.9" are dates.
_DOSE_FOLLOWS: Final = Expression(
    r"[\s-]{0,2}(?:%|(?:(?:mg|mcg|ug|m[Ee]q|m[lL]|mmol|[Uu]nits?|IU|iu)\b|[gU](?:$|[\s.,;)/]))"
    r"(?:/\w+)?(?:[.,;)]|\s{0,2}(?:$|[\r\n(A-Za-z]))|"
    r"(?i:tab(?:let)?s?|cap(?:sule)?s?|puffs?|drops?|taper(?:ing|ed)?)\b)"
)
_SCHEME_FOLLOWS: Final = Expression(r"(?i)[\s-]{0,2}(?:days|dosing|titration)\b")
_SCHEME_BEFORE: Final = Expression(r"(?i)\b(?:dosing|titrated?|titration|days)\s$")

_TIME_PART: Final = r"(?:T\d{2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)"
_NUMERIC: Final = Expression(rf"\b(\d{{1,4}})([-/.])(\d{{1,2}})[-/.](\d{{1,4}}){_TIME_PART}?\b")
_COMPACT: Final = Expression(r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b")
_COMPACT_US: Final = Expression(
    r"(?i)\b(?:dob|birth ?date|date of birth|born)[:\s#-]{1,3}(\d{6}|\d{8})\b"
)
_MONTH_YEAR_NUMBERS: Final = Expression(
    r"\b(?:(?:0?[1-9]|1[0-2])/(?:19|20)\d{2}|(?:0[1-9]|1[0-2])-(?:19|20)\d{2}|"
    r"(?:19|20)\d{2}[-/](?:0[1-9]|1[0-2]))\b"
)
_MONTH_DAY_NUMBERS: Final = Expression(
    r"(?i)\b(?:on|since|until|till|dated?|from|through|thru|visit(?:ed)?|seen|admitted|admit|"
    r"discharged|dob|appt|appointment|surgery|scheduled|due|d/c'?d?|f/u|re-?check|labs?)"
    r"(?: on| of| for)?:? "
    r"((?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01]))\b"
)
# Groups: month, day, end of a range of days, year.
_MONTH_DAY: Final = Expression(
    rf"(?i)\b({_MONTH})(?:\.?,?\s+|\.|-|/)(?:the\s+)?({_DAY})(?:st|nd|rd|th)?\b"
    rf"(?:\s?(?:-|to|through|thru|and|&)\s?({_DAY})(?:st|nd|rd|th)?\b)?"
    rf"(?:(?:\s*,\s*|\s+(?:of\s+|in\s+)?|-|/)({_YEAR}|'\d{{2}})\b|[-/](\d{{2}})\b)?"
)
# Groups: day, month, year in full, year of two digits.
_DAY_MONTH: Final = Expression(
    rf"(?i)\b({_DAY})(?:st|nd|rd|th)?(?:\s+(?:day\s+)?(?:of\s+)?|-|\.\s?|/)({_MONTH})\b\.?"
    rf"(?:(?:\s*,\s*|\s+(?:of\s+)?|-|/|\s')({_YEAR}|'\d{{2}})\b|[-/\s](\d{{2}})\b)?"
)
_MONTH_YEAR: Final = Expression(
    rf"(?i)\b{_MONTH}(?:\.?,?\s+(?:of\s+)?|\.?[-/])(?:{_YEAR}|'\d{{2}})\b"
)
_YEAR_MONTH: Final = Expression(
    rf"(?i)\b{_YEAR}(?:\s+|-|,\s?){_MONTH}(?:\s+|-){_DAY}(?:st|nd|rd|th)?\b"
)
_WORDS: Final = Expression(
    rf"(?i)\b(?:{_MONTH}\s+(?:the\s+)?{_ORDINAL_WORDS}|"
    rf"(?:{_ORDINAL_WORDS}|{_DAY}(?:st|nd|rd|th))\s+(?:day\s+)?of\s+{_MONTH})"
    rf"(?:,?\s+{_YEAR})?\b"
)
_MONTH_ALONE: Final = Expression(
    r"\b(?i:in|since|last|this|next|early|mid|late|until|during|through|before|after|of|for)"
    r"(?:[\s-]+(?i:early|mid|late))?[\s-]+"
    r"(January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Jan|Feb|Apr|Aug|Sept?|Oct|Nov|Dec|january|february|april|june|july|september|october|"
    r"november|december)\b"
)
_HOLIDAY: Final = Expression(
    r"\b(?i:on|since|around|before|after|until|at|by|this|last|next|over)\s+"
    r"((?:Christmas|Thanksgiving|New Year's|Easter|Halloween|Valentine's|Labor|Memorial|"
    r"Independence|Mother's|Father's|Veterans)(?: Day| Eve)?(?:,? (?:19|20)\d{2})?)\b"
)
_MONTH_AHEAD: Final = 12
_DAYS: Final = 31
_CENTURY: Final = 100
_SCORE: Final = 0.95
_CONTEXT_SCORE: Final = 0.8


def find_dates(shadow: Shadow) -> Iterator[Span]:
    """Yield dates of every written form; spans of different forms may overlap."""
    text = shadow.ascii
    yield from _find_numeric(text)
    for match in _MONTH_DAY.finditer(text):
        yield from _month_first(text, match)
    for match in _DAY_MONTH.finditer(text):
        yield from _day_first(text, match)
    for match in _MONTH_YEAR.finditer(text):
        if not UNIT_FOLLOWS.match_at(text, match.span()[1]):
            yield _date(match.span())
    for expression in (_YEAR_MONTH, _WORDS):
        for match in expression.finditer(text):
            yield _date(match.span())
    for expression in (_MONTH_ALONE, _HOLIDAY):
        for match in expression.finditer(text):
            yield _date(match.span(1), _CONTEXT_SCORE)


def _find_numeric(text: bytes) -> Iterator[Span]:
    for match in _NUMERIC.finditer(text):
        if (
            _is_calendar_date(match)
            and is_isolated(text, *match.span())
            and not _is_dose(text, match)
        ):
            yield _date(match.span())
    for expression in (_COMPACT, _MONTH_YEAR_NUMBERS):
        for match in expression.finditer(text):
            start, end = match.span()
            if is_isolated(text, start, end) and not UNIT_FOLLOWS.match_at(text, end):
                yield _date((start, end))
    for expression in (_COMPACT_US, _MONTH_DAY_NUMBERS):
        for match in expression.finditer(text):
            start, end = match.span(1)
            if is_isolated(text, start, end) and not UNIT_FOLLOWS.match_at(text, end):
                yield _date((start, end), _CONTEXT_SCORE)


def is_isolated(text: bytes, start: int, end: int) -> bool:
    """Say whether a number stands alone: it is no part of a longer number, code or path."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before[-1:].isalnum() or (before[-1:] in b"-/._" and before[:1].isdigit()):
        return False
    return not (after[:1].isalnum() or (after[:1] in b"-/._" and after[1:].isdigit()))


def _is_calendar_date(match: Match) -> bool:
    first, separator, second, third = (match.group(group) or b"" for group in range(1, 5))
    if len(first) == 4:  # noqa: PLR2004  a year
        year, month, day, width = int(first), int(second), int(third), 4
    elif len(third) in (2, 4) and len(first) <= 2:  # noqa: PLR2004
        year, month, day, width = int(third), int(first), int(second), len(third)
        if month > _MONTH_AHEAD:
            month, day = day, month
    else:
        return False
    if separator == b"." and width != 4 and (len(first), len(second)) != (2, 2):  # noqa: PLR2004
        return False  # 2.5.10 is a version
    plausible_year = year < _CENTURY if width != 4 else 1800 <= year < 2200  # noqa: PLR2004
    return plausible_year and 1 <= month <= _MONTH_AHEAD and 1 <= day <= _DAYS


def _is_dose(text: bytes, match: Match) -> bool:
    """Say whether three numbers are doses or days of a scheme; with a year in full never."""
    start, end = match.span()
    if end - start > len("10-12-14"):
        return False
    if _DOSE_FOLLOWS.match_at(text, end):
        return True
    if match.group(2) != b"-":
        return False
    is_before = _SCHEME_BEFORE.search(text[max(0, start - 12) : start]) is not None
    return is_before or _SCHEME_FOLLOWS.match_at(text, end) is not None


def _month_first(text: bytes, match: Match) -> Iterator[Span]:
    start, end = match.span()
    word = (match.group(1) or b"").decode()
    has_year = match.span(4)[0] >= 0 or match.span(5)[0] >= 0
    if UNIT_FOLLOWS.match_at(text, end):
        # "April 12, 2000 mg": the last number counts something.
        groups = [match.span(group) for group in (2, 3, 4, 5)]
        ends = [span for span in groups if span[0] >= 0]
        if len(ends) == 1:
            return
        end, has_year = _end_of_day(text, ends[-2][1]), False
    if word == "may" and not has_year and not text[match.span(2)[1] : end].strip():
        return  # "may 2" as a verb
    if text[end : end + 1] in (b"/", b".", b":") and text[end + 1 : end + 2].isdigit():
        return
    yield _date((start, end))


def _end_of_day(text: bytes, end: int) -> int:
    return end + 2 if text[end : end + 2].lower() in (b"st", b"nd", b"rd", b"th") else end


def _day_first(text: bytes, match: Match) -> Iterator[Span]:
    start, end = match.span()
    month_start, month_end = match.span(2)
    word = (match.group(2) or b"").decode()
    short_start = match.span(4)[0]
    if short_start >= 0 and (
        UNIT_FOLLOWS.match_at(text, end) or text[end : end + 1] in (b":", b"/", b".", b"%", b"-")
    ):
        end = month_end
    if match.span(3)[0] >= 0 and UNIT_FOLLOWS.match_at(text, end):
        end = month_end
    between = text[match.span(1)[1] : month_start].strip()
    if word in ("may", "mar", "dec", "march") and not between and end == month_end:
        return  # "2 may help": no month without a capital, a year or an ordinal
    if start > 0 and text[start - 1 : start] in b"./-:":
        return
    yield _date((start, end))


def _date(span: tuple[int, int], score: float = _SCORE) -> Span:
    return Span(*span, Label.DATE, "rule", score)


def birth_date_pattern(date: dt.date) -> str:
    """Return an expression for one known date in every written form, day first included.

    It says nothing of what stands before and after.
    """
    year, short = f"{date.year:04d}", f"{date.year % _CENTURY:02d}"
    name = MONTHS[date.month - 1]
    month_word = rf"{name[:3]}(?:{name[3:]})?t?\.?" if len(name) > len("may") else name
    month, day = _padded(date.month), _padded(date.day)
    any_year = rf"(?:{year}|'?{short})"
    gap, glue = r"\s{0,3}[-/.,\s]\s{0,3}", r"[\s,./-]{1,4}(?:of\s+)?"
    suffix = r"(?:st|nd|rd|th)?"
    forms = (
        rf"{year}{gap}{month}{gap}{day}",
        rf"(?:{month}{gap}{day}|{day}{gap}{month}){gap}{any_year}",
        f"{year}{date.month:02d}{date.day:02d}",
        f"{date.month:02d}{date.day:02d}{year}",
        f"{date.day:02d}{date.month:02d}{year}",
        rf"{month_word}{glue}(?:the\s+)?{day}{suffix}{glue}{any_year}",
        rf"{day}{suffix}{glue}{month_word}{glue}{any_year}",
        rf"{year}{glue}{month_word}{glue}{day}{suffix}",
    )
    return rf"(?i:{'|'.join(forms)})"


def _padded(number: int) -> str:
    return f"0?{number}" if number < 10 else str(number)  # noqa: PLR2004  one digit
