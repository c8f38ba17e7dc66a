"""Finding a patient's name, a date, a phone ... in a prompt, placeholders included.

A gateway in front of the model may have put placeholders such as `[NAME-1]` or
`[DATE-2 = DATE-1 + 12 days]` where identifiers were. A good model keeps them as
they stand, so they are read here as the values that they stand for.

Every expression is linear in its input: repetitions are bounded and no two
neighbouring ones match the same characters; the text read is bounded as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAXIMUM_TEXT: Final = 64_000
"""Characters that are read of one conversation; the rest is not looked at."""

LONGEST_LEAD: Final = 24
"""Characters before a value that may say whose or what it is."""

PLACEHOLDER: Final = re.compile(
    r"\[([A-Z]{2,20}(?:_[A-Z]{1,20}){0,2})-[0-9]{1,6}(?: = [^\[\]\n]{1,60})?\]"
)
"""A placeholder; group 1 is the class of identifier that it stands for."""

_MONTH: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_WEEKDAY: Final = r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day,? )?"
_DATE: Final = re.compile(
    rf"\b{_WEEKDAY}(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\b|[0-9]{{1,2}}/[0-9]{{1,2}}/[0-9]{{2,4}}\b"
    rf"|{_MONTH} [0-9]{{1,2}}(?:, ?[0-9]{{4}})?\b|[0-9]{{1,2}} {_MONTH}(?: [0-9]{{4}})?)"
)
_TIME: Final = re.compile(
    r"\b[0-9]{1,2}:[0-9]{2}(?: ?[AaPp]\.?[Mm]\b\.?)?|\b[0-9]{1,2} ?[AaPp]\.?[Mm]\b\.?|\bnoon\b"
)
_PHONE: Final = re.compile(
    r"(?<![0-9])(?:\+?1[ .-])?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}(?![0-9])"
)
_EMAIL: Final = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")
_RECORD: Final = re.compile(r"\b(?:MRN|[Mm]edical [Rr]ecord(?: [Nn]umber)?)[:# ]{1,3}([\w-]{4,40})")
_WORD: Final = r"[A-Z][\w'-]{1,30}"
_TITLED: Final = re.compile(rf"\b(?:Mr|Mrs|Ms|Miss|Mx)\.? {_WORD}(?: {_WORD}){{0,2}}")
_LABELLED: Final = re.compile(
    r"\b(?:[Pp]atient(?: [Nn]ame)?|[Nn]ame|PATIENT)(?: is)?:? {1,4}"
    rf"({_WORD}(?:,? {_WORD}){{1,2}})"
)
_FULL_NAME: Final = re.compile(
    rf"\b(?:[Ff]or|[Ww]ith|[Rr]emind|[Bb]ook|[Tt]ell) ({_WORD}(?: {_WORD}){{1,2}})"
)
_CLINICIAN: Final = re.compile(rf"\bDr\.? (?:{_WORD}(?: {_WORD}){{0,2}}|\[NAME-[0-9]{{1,6}}\])")
_DOCTOR: Final = re.compile(r"\bDr\.? $")
_BIRTH: Final = re.compile(
    r"\b(?:DOB|D\.O\.B\.|[Bb]orn|BIRTH|[Bb]irth(?: ?date)?):? {0,4}(?:on )?$"
)
_WHOM: Final = re.compile(
    r"\b(?:[Pp]atient|PATIENT|Pt|[Nn]ame|Re|for|[Rr]emind|[Bb]ook):? {1,6}(?:M(?:r|rs|s)\.? )?$"
)
_ALWAYS: Final = re.compile("")
_NEVER: Final = re.compile(r"(?!)")
_MINUTES: Final = re.compile(r"\b([0-9]{1,3})[ -]?min(?:ute)?s?\b")
_REASON: Final = re.compile(
    r"\b(?:[Rr]eason(?: for visit)?: |(?:for|about|because of|regarding) )"
    r"(?:an? |the |her |his |my )?"
    r"([a-z][^,.;:\n\[\]]{2,80})"
)
_REASON_ENDS: Final = re.compile(r" (?:on|at|with|by|from|before|after|in|for|please)\b")


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read in `text`, value by value; the empty string where nothing is found."""

    text: str

    def patient(self) -> str:
        """Return who the patient is: the first name placeholder, or the first name seen."""
        named = self._placeholder("NAME", after=_WHOM) or self._placeholder(
            "NAME", not_after=_DOCTOR
        )
        return named or self._first(_LABELLED, _FULL_NAME, _TITLED)

    def clinician(self) -> str:
        """Return the first doctor named, with the title."""
        return self._first(_CLINICIAN)

    def date(self) -> str:
        """Return the first date that is not said to be one of birth."""
        return self._placeholder("DATE", not_after=_BIRTH) or self._first(_DATE, not_after=_BIRTH)

    def time(self) -> str:
        """Return the first time of day."""
        return self._placeholder("TIME") or self._first(_TIME)

    def phone(self) -> str:
        """Return the first telephone number (North American numbering plan)."""
        return self._placeholder("PHONE") or self._first(_PHONE)

    def email(self) -> str:
        """Return the first e-mail address."""
        return self._placeholder("EMAIL") or self._first(_EMAIL)

    def record_number(self) -> str:
        """Return the first medical record number."""
        return self._placeholder("ID") or self._placeholder("MRN") or self._first(_RECORD)

    def minutes(self) -> str:
        """Return the first length of time, in minutes."""
        return self._first(_MINUTES)

    def place(self) -> str:
        """Return the first place that a placeholder stands for."""
        return self._placeholder("ORGANIZATION") or self._placeholder("LOCATION")

    def reason(self) -> str:
        """Return why a visit is asked for."""
        found = (_REASON_ENDS.split(m.group(1), maxsplit=1)[0] for m in self._all(_REASON))
        return next((reason.strip() for reason in found), "")

    def _placeholder(
        self,
        kind: str,
        *,
        after: re.Pattern[str] = _ALWAYS,
        not_after: re.Pattern[str] = _NEVER,
    ) -> str:
        """Return the first placeholder of a kind whose lead is `after` and is not `not_after`."""
        for match in self._all(PLACEHOLDER):
            led = self._follows(after, match) and not self._follows(not_after, match)
            if match.group(1) == kind and led:
                return match.group()
        return ""

    def _first(self, *expressions: re.Pattern[str], not_after: re.Pattern[str] = _NEVER) -> str:
        """Return the first match of the first expression that matches: its group, if it has one."""
        for expression in expressions:
            for match in self._all(expression):
                if not self._follows(not_after, match):
                    return match.group(expression.groups)
        return ""

    def _all(self, expression: re.Pattern[str]) -> Iterator[re.Match[str]]:
        return expression.finditer(self.text, 0, MAXIMUM_TEXT)

    def _follows(self, before: re.Pattern[str], match: re.Match[str]) -> bool:
        """Whether the text just before the match ends with `before`."""
        start = match.start()
        return before.search(self.text[max(0, start - LONGEST_LEAD) : start]) is not None
