"""Replacing identifiers by placeholders that a model can reason with.

A placeholder is `[NAME-1]`: the label, and the number of the entity in order of
first appearance. The same value written differently is the same entity with a
letter, `[NAME-1b]`, so that a model sees one person while each surface form is
restored as it was written. A date that names one day tells its distance from
an earlier one, `[DATE-2 = DATE-1 + 12 days]`, so that intervals stay computable;
a date over twenty years away from it begins anew, so that no interval tells
that somebody is over 89 (45 CFR 164.514(b)(2)(i)(C)). Once a conversation holds
a date with the day first, such as `13/04/2023`, one that may be read both ways,
such as `12/04/2023`, tells no distance and none is told from it.

A text may hold something that looks like a placeholder before we touch it. It
becomes `[LITERAL-1]`, or the model could echo the client's own words into
somebody's name.

Text with placeholders is PHI still: an interval between a birth and a visit
tells an age. So it goes only where PHI may go, and no method of 45 CFR
164.514(b) is claimed for it. The map is PHI too: it is sealed at rest, and
shows only counts when printed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Invalid
from seawall.core.phi.identifiers import Label
from seawall.core.phi.written_dates import is_day_first, is_month_first_doubtful, read_date

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.core.phi.spans import Span

LITERAL: Final = "LITERAL"
"""The label of a client's own text that looks like a placeholder."""

_VERSION: Final = 1
_LABELS: Final = "|".join([*Label, LITERAL])
_TOKEN: Final = re.compile(rf"({_LABELS})-([1-9][0-9]{{0,8}})([a-z]{{0,5}})")
_INTERVAL: Final = re.compile(r" = DATE-[1-9][0-9]{0,8} [+-] [0-9]{1,7} days?")

_FULL_WIDTH: Final = 0xFEE0
"""How far the full-width form of an ASCII character stands after it."""
_WIDE_LABELS: Final = "|".join(
    "".join(f"[{char}{chr(ord(char) + _FULL_WIDTH)}]" for char in label)
    for label in [*Label, LITERAL]
)
# Wider than what restoring accepts: a model may tidy up case, spaces, dashes, width and
# escapes of what the client wrote, and must not arrive at a placeholder by that.
_LOOKALIKE: Final = re.compile(
    r"(?:(?<!\\)\\*+\[|\uff3b|&#91;|&#x5b;|&l(?:sqb|brack);|%5b|\\u005b)"
    rf"\s*+(?:{_WIDE_LABELS})\s*+\\*+[-\u2010-\u2015\u2212\ufe63\uff0d_\uff3f]"
    r"\s*+\d++\s*+[a-z\uff41-\uff5a]*+\s*+(?:[=\uff1d][^\[\]\uff3b\uff3d]*+)?"
    r"(?:\\*+\]|\uff3d|&#93;|&#x5d;|&r(?:sqb|brack);|%5d|\\u005d)",
    re.IGNORECASE,
)
_OPENINGS: Final = ("[", "\uff3b", "&", "%5", "\\u")
_APOSTROPHES: Final = re.compile("['\u2018\u2019\u02bc]")
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_NOT_DIGITS: Final = re.compile(r"\D+")

_LONGEST_DAYS: Final = 20 * 365
"""A longer interval is not told: from a birth date it would tell an age, over 89 too."""

_DIALLED: Final = frozenset({Label.PHONE, Label.FAX, Label.SSN})
_PUNCTUATED: Final = frozenset({Label.EMAIL, Label.URL, Label.USERNAME, Label.IP, Label.DATE})
_US_NUMBER: Final = 11


class Placeholders:
    """The replacement map of one conversation.

    The same surface form always gets the same placeholder, over all turns.
    Not safe for two threads at once. `repr` and `str` show only counts.
    """

    __slots__ = (
        "_anchor",
        "_entities",
        "_has_day_first",
        "_numbers",
        "_restorable",
        "_rows",
        "_surfaces",
        "_texts",
    )

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        """Label, space, surface -> placeholder: one string, since an enumeration hashes slowly."""
        self._surfaces: dict[str, str] = {}
        """Token id -> surface."""
        self._restorable: dict[str, str] = {}
        """Every text that stands for a surface, with brackets -> surface."""
        self._entities: dict[tuple[str, str], tuple[int, int]] = {}
        """(label, entity) -> its number, and how many surface forms it has."""
        self._numbers: Counter[str] = Counter()
        """Label -> the highest number in use."""
        self._anchor: tuple[int, date] | None = None
        """The first date that names one day: its number, and the day."""
        self._has_day_first = False
        """Whether a date with the day first was handed out; the rows tell, so it is not sealed."""
        self._rows: list[tuple[str, str, str, str]] = []
        """What is sealed, in order: token id, interval, surface, entity."""

    def __repr__(self) -> str:
        counts = " ".join(f"{label}={count}" for label, count in self.counts().items())
        return f"<Placeholders {counts or 'empty'}>"

    def replace(self, text: str, spans: Sequence[Span]) -> str:
        """Return the text with every span replaced, and every look-alike outside of them.

        Spans are ordered and do not overlap, as `spans.resolve` returns them;
        anything else is `RuntimeError`, because it would let PHI through.
        """
        if not spans:
            return self._without_lookalikes(text)
        for span in spans:
            if span.label is Label.DATE:
                self._heed_order(text[span.start : span.end])
        pieces: list[str] = []
        position = 0
        for span in spans:
            if span.start < position or span.end > len(text):
                raise RuntimeError("spans must be in order, apart, and inside the text")
            pieces.append(self._without_lookalikes(text[position : span.start]))
            pieces.append(self.placeholder_for(span.label, text[span.start : span.end]))
            position = span.end
        pieces.append(self._without_lookalikes(text[position:]))
        return "".join(pieces)

    def placeholder_for(self, label: Label, surface: str, entity: str | None = None) -> str:
        """Return the placeholder of a surface form, with its brackets.

        `entity` names what the surface form stands for, where the caller knows
        better than its spelling; it is kept in the sealed map only. A date that
        names one day ignores it, because its interval says the same.
        """
        known = self._texts.get(f"{label} {surface}")
        if known is not None:
            return known
        if label is Label.DATE:
            self._heed_order(surface)
            is_doubtful = self._has_day_first and is_month_first_doubtful(surface)
            day = None if is_doubtful else read_date(surface)
            if day is not None:
                return self._hand_out_day(surface, day)
        spelled = f"spelled {_spelling(label, surface)}"
        given = spelled if entity is None else f"named {entity}"
        return self._hand_out(label.value, surface, given)

    def handed_out(self) -> Mapping[str, str]:
        """Return token id (`NAME-1`, without brackets and interval) -> surface form; PHI."""
        return MappingProxyType(self._surfaces)

    def restorable(self) -> Mapping[str, str]:
        """Return each text that may be restored, brackets and all -> surface form; PHI.

        A date with an interval appears twice, because models shorten it.
        """
        return MappingProxyType(self._restorable)

    def counts(self) -> Mapping[str, int]:
        """Return label -> how many distinct entities were replaced; no PHI."""
        return dict(Counter(label for label, _ in self._entities))

    def to_json(self) -> bytes:
        """Return the whole map for sealing; what `from_json` takes."""
        anchor = None if self._anchor is None else [self._anchor[0], self._anchor[1].isoformat()]
        content = {"version": _VERSION, "anchor": anchor, "rows": self._rows}
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Placeholders:
        """Return the map that `to_json` wrote, which goes on numbering where it was.

        Raises `Invalid` for anything that `to_json` cannot have written.
        """
        placeholders = cls()
        try:
            placeholders._load(json.loads(raw.decode()))
        except (ValueError, TypeError, KeyError, RecursionError):
            intact = False
        else:
            intact = placeholders.to_json() == raw
        # Raised out here, so that no parser's error, which quotes the map, hangs on ours.
        if not intact:
            raise Invalid(
                "replacement-map-broken",
                "the replacement map of the conversation cannot be read",
                "begin a new conversation; restore the database from a backup if this recurs",
            )
        return placeholders

    def _load(self, content: Any) -> None:
        if content["version"] != _VERSION:
            raise ValueError
        self._anchor = _read_anchor(content["anchor"])
        for token, interval, surface, entity in content["rows"]:
            match = _TOKEN.fullmatch(token)
            if match is None or (interval and not _INTERVAL.fullmatch(interval)):
                raise ValueError
            label, number, letters = match.group(1), int(match.group(2)), match.group(3)
            expected, forms = self._entities.get((label, entity), (self._numbers[label] + 1, 0))
            is_known = f"{label} {surface}" in self._texts or token in self._surfaces
            if is_known or number != expected or letters != _letters(forms):
                raise ValueError
            if interval and (label != Label.DATE or interval.split()[1] not in self._surfaces):
                raise ValueError
            self._keep(label, number, interval, str(surface), str(entity))
            self._has_day_first |= label == Label.DATE and is_day_first(str(surface))
        if self._anchor is not None and f"DATE-{self._anchor[0]}" not in self._surfaces:
            raise ValueError

    def _without_lookalikes(self, text: str) -> str:
        if not any(opening in text for opening in _OPENINGS):
            return text
        return _LOOKALIKE.sub(lambda match: self._literal(match.group()), text)

    def _literal(self, surface: str) -> str:
        known = self._texts.get(f"{LITERAL} {surface}")
        return known or self._hand_out(LITERAL, surface, f"spelled {surface}")

    def _heed_order(self, surface: str) -> None:
        """Count on no doubtful date any more, once a date has the day first."""
        if self._has_day_first or not is_day_first(surface):
            return
        self._has_day_first = True
        if self._anchor and is_month_first_doubtful(self._surfaces[f"DATE-{self._anchor[0]}"]):
            self._anchor = None

    def _hand_out_day(self, surface: str, day: date) -> str:
        label = Label.DATE.value
        number = self._numbers[label] + 1
        interval = ""
        days = (day - self._anchor[1]).days if self._anchor else _LONGEST_DAYS + 1
        if self._anchor is None or abs(days) > _LONGEST_DAYS:
            self._anchor = (number, day)
        else:
            sign, unit = "-" if days < 0 else "+", "day" if abs(days) == 1 else "days"
            interval = f" = DATE-{self._anchor[0]} {sign} {abs(days)} {unit}"
        return self._keep(label, number, interval, surface, f"written {surface}")

    def _hand_out(self, label: str, surface: str, entity: str) -> str:
        number, _ = self._entities.get((label, entity), (self._numbers[label] + 1, 0))
        return self._keep(label, number, "", surface, entity)

    def _keep(self, label: str, number: int, interval: str, surface: str, entity: str) -> str:
        forms = self._entities.get((label, entity), (number, 0))[1]
        token = f"{label}-{number}{_letters(forms)}"
        text = f"[{token}{interval}]"
        self._entities[label, entity] = (number, forms + 1)
        self._numbers[label] = max(self._numbers[label], number)
        self._texts[f"{label} {surface}"] = text
        self._surfaces[token] = surface
        self._restorable[f"[{token}]"] = self._restorable[text] = surface
        self._rows.append((token, interval, surface, entity))
        return text


def _read_anchor(anchor: Any) -> tuple[int, date] | None:
    if anchor is None:
        return None
    number, day = anchor
    return int(number), date.fromisoformat(day)


def _letters(forms: int) -> str:
    """Return the letters of the form after `forms` others: none, b, c, ... z, aa, ab, ..."""
    if forms == 0:
        return ""
    letters, rest = "", forms + 1
    while rest:
        rest, letter = divmod(rest - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


def _spelling(label: Label, surface: str) -> str:
    """Return what surface forms of one value have in common: case, spacing, punctuation aside."""
    folded = unicodedata.normalize("NFKC", surface).casefold()
    if label in _DIALLED:
        digits = _NOT_DIGITS.sub("", folded)
        if len(digits) == _US_NUMBER and digits[0] == "1":
            digits = digits[1:]
        return digits or folded
    if label in _PUNCTUATED:
        return " ".join(folded.split())
    return _NOT_WORDS.sub(" ", _APOSTROPHES.sub("", folded)).strip() or folded
