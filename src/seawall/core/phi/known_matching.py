"""All identifiers of the patient at hand in a text, compiled once per patient."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from seawall.core.phi.dates import UNIT_FOLLOWS, birth_date_pattern
from seawall.core.phi.expressions import Expression, escape
from seawall.core.phi.identifiers import Label
from seawall.core.phi.known_names import KnownNames
from seawall.core.phi.shadow import Shadow, fold
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seawall.core.phi.clinical import ClinicalLexicon
    from seawall.core.phi.known import KnownIdentifiers, PostalAddress

_CERTAIN: Final = 1.0
_GROUP: Final = 6
"""A group of a number that is this long, with a digit in it, tells whose number it is."""
_PAIR: Final = 5
_SSN_DIGITS: Final = 9
_PHONE_DIGITS: Final = 10

_BESIDE_LETTER: Final = r"(?:\b|[A-Za-z])"
_BOUNDS: Final = {
    Label.ID: (_BESIDE_LETTER, _BESIDE_LETTER),
    Label.SSN: (_BESIDE_LETTER, _BESIDE_LETTER),
    Label.PHONE: ("", _BESIDE_LETTER),
    Label.FAX: ("", _BESIDE_LETTER),
    Label.DATE: (_BESIDE_LETTER, r"(?:\b|T)"),
}
"""What may stand before and after the forms of a label; a time follows a date after T."""

_STREET_KINDS: Final = (
    ("street", "st", "str"),
    ("avenue", "ave", "av"),
    ("boulevard", "blvd"),
    ("road", "rd"),
    ("drive", "dr", "drv"),
    ("lane", "ln"),
    ("court", "ct"),
    ("place", "pl"),
    ("square", "sq"),
    ("terrace", "ter", "terr"),
    ("circle", "cir"),
    ("parkway", "pkwy"),
    ("highway", "hwy"),
    ("trail", "trl"),
    ("north", "n"),
    ("south", "s"),
    ("east", "e"),
    ("west", "w"),
    ("row",),
    ("way",),
    ("loop",),
    ("alley", "aly"),
    ("crossing", "xing"),
    ("mount", "mt"),
    ("saint", "st"),
    ("fort", "ft"),
)
_UNIT_KINDS: Final = (
    "apartment",
    "apt",
    "suite",
    "ste",
    "unit",
    "room",
    "rm",
    "floor",
    "fl",
    "#",
    "no",
)
_PLACE_CUE: Final = Expression(
    r"(?i)\b(?:in|from|at|near|of|to|city|town|lives?|address|hometown)\b[\s:,]{1,3}$"
)


class KnownMatcher:
    """Finds the identifiers of one patient; build it once, use it on every leaf of a request."""

    def __init__(
        self,
        known: KnownIdentifiers,
        is_ordinary: Callable[[str], bool],
        clinical: ClinicalLexicon,
    ) -> None:
        self._names: Final = KnownNames((*known.names, *known.relatives), is_ordinary, clinical)
        self._is_ordinary: Final = is_ordinary
        forms = list(_number_forms(known))
        if known.birth_date is not None:
            forms.append((Label.DATE, birth_date_pattern(known.birth_date)))
        for address in known.addresses:
            forms.extend((Label.LOCATION, form) for form in _address_forms(address))
        self._expressions: Final = [
            (label, _bounded(label, [form for each, form in forms if each is label]))
            for label in dict.fromkeys(label for label, _ in forms)
        ]
        self._ssn_endings: Final = _ssn_endings(known)
        cities = dict.fromkeys(
            r"[\s-]+".join(map(escape, re.split(r"[\s-]+", fold(address.city).strip())))
            for address in known.addresses
            if fold(address.city).strip()
        )
        self._cities: Final = Expression(rf"(?i)\b(?:{'|'.join(cities)})\b") if cities else None

    def find(self, shadow: Shadow) -> Iterator[Span]:
        """Yield spans in offsets of the shadow; they may overlap."""
        yield from self._find(_separated(shadow))
        if shadow.widths:
            # What looks like an escape may be none: a path may end in `\natalie`.
            verbatim = Shadow.of(shadow.original, reads_escapes=False)
            for span in self._find(_separated(verbatim)):
                start, end = shadow.to_shadow(*verbatim.to_original(span.start, span.end))
                if start < end:
                    yield replace(span, start=start, end=end)

    def _find(self, shadow: Shadow) -> Iterator[Span]:
        yield from self._names.find(shadow)
        streets: set[int] = set()
        for label, expression in self._expressions:
            end = 0
            # Not `finditer`: a letter after one number may stand before the next.
            while match := expression.search(shadow.ascii, end):
                start, end = match.span(1)
                is_quantity = label is Label.LOCATION and UNIT_FOLLOWS.match_at(shadow.ascii, end)
                if not is_quantity:
                    yield Span(start, end, label, "known", _CERTAIN)
                    streets.update([end] if label is Label.LOCATION else [])
        if self._ssn_endings is not None:
            for match in self._ssn_endings.finditer(shadow.ascii):
                yield Span(*match.span(1), Label.SSN, "known", _CERTAIN)
        if self._cities is not None:
            for match in self._cities.finditer(shadow.ascii):
                if self._is_city(shadow, *match.span(), streets):
                    yield Span(*match.span(), Label.LOCATION, "known", _CERTAIN)

    def _is_city(self, shadow: Shadow, start: int, end: int, streets: set[int]) -> bool:
        """Whether a city's name means the city: "Reading" does after a street or a cue alone."""
        written = shadow.text[start:end]
        if self._is_ordinary(written.lower()):
            before = shadow.ascii[max(0, start - 16) : start]
            follows = start - len(before) + len(before.rstrip(b" ,\n")) in streets
            return written[0].isupper() and (follows or _PLACE_CUE.search(before) is not None)
        return True


def _separated(shadow: Shadow) -> Shadow:
    """Return the shadow with spaces for underscores, which expressions take for letters."""
    if b"_" not in shadow.ascii:
        return shadow
    text = shadow.text.replace("_", " ")
    return replace(shadow, text=text, ascii=text.encode("ascii"))


def _bounded(label: Label, forms: list[str]) -> Expression:
    """Return an expression whose group 1 is one of the forms.

    A letter beside a number does not make it another number, a digit does.
    """
    before, after = _BOUNDS.get(label, ("", ""))
    return Expression(f"{before}({'|'.join(forms)}){after}")


def _number_forms(known: KnownIdentifiers) -> Iterator[tuple[Label, str]]:
    for value in (*known.record_numbers, *known.other_ids):
        for form in _id_forms(value):
            yield Label.ID, form
    for value in known.ssns:
        for form in _ssn_forms(_digits(value)):
            yield Label.SSN, form
    for label, values in ((Label.PHONE, known.phones), (Label.FAX, known.faxes)):
        for value in values:
            for form in _phone_forms(_digits(value)):
                yield label, form
    for value in known.emails:
        yield Label.EMAIL, rf"(?i:\b{escape(fold(value).strip().replace('_', ' '))}\b)"


def _digits(value: str) -> str:
    return "".join(char for char in fold(value) if char.isdigit())


def _spaced(characters: str) -> str:
    """Return an expression for characters with or without one separator between any two."""
    return r"[ \t./-]?".join(map(escape, characters))


def _id_forms(value: str) -> Iterator[str]:
    groups = [group for group in re.split(r"[^A-Za-z0-9]+", fold(value)) if group]
    whole = "".join(groups)
    if len(whole) < 3 or not any(map(str.isdigit, whole)):  # noqa: PLR2004  too short to tell anyone
        return
    edge = r"\b" if len(whole) < _GROUP else ""
    yield rf"(?i:{edge}{_spaced(whole)}{edge})"
    digits = whole.lstrip("0")
    trailing = re.sub(r"^[A-Za-z]+0*", "", digits)
    for shorter in (digits, trailing):
        if shorter != whole and len(shorter) >= _GROUP:
            yield rf"(?i:{_spaced(shorter)})"
    for group in groups:
        if len(groups) > 1 and len(group) >= _GROUP and any(map(str.isdigit, group)):
            yield rf"(?i:{escape(group)})"
    for first, second in pairwise(groups):
        pair = first + second
        if len(groups) > 2 and len(pair) >= _PAIR and any(map(str.isdigit, pair)):  # noqa: PLR2004
            yield rf"(?i:\b{escape(first)}[-./ ]{escape(second)}\b)"


def _ssn_forms(digits: str) -> Iterator[str]:
    if len(digits) != _SSN_DIGITS:
        return
    gap = r"[\s./-]{0,3}"
    yield gap.join(digits)


def _ssn_endings(known: KnownIdentifiers) -> Expression | None:
    """Return an expression whose group is the last four digits, after words that say so."""
    endings = [digits[-4:] for value in known.ssns if len(digits := _digits(value)) == _SSN_DIGITS]
    if not endings:
        return None
    return Expression(
        r"(?i)(?:(?:ssn|social(?: security)?|last (?:four|4)|ending(?: in)?|ends (?:in|with))"
        rf"[^\d\n]{{0,30}}|[x*#]{{2}}[-\s]?)({'|'.join(endings)})\b"
    )


def _phone_forms(digits: str) -> Iterator[str]:
    if len(digits) < 7:  # noqa: PLR2004  a local number
        return
    gap = r"[\s().\x2f-]{0,4}"
    national = digits[-_PHONE_DIGITS:]
    area, exchange, line = national[:-7], national[-7:-4], national[-4:]
    full = gap.join(filter(None, (area, exchange, line)))
    yield rf"(?:\+?1{gap})?\(?{full}" if len(national) == _PHONE_DIGITS else rf"\b{full}"
    yield rf"\b{exchange}[-.\s]{line}"


def _address_forms(address: PostalAddress) -> Iterator[str]:
    for line in address.lines:
        yield from _line_forms(fold(line))
    code = fold(address.postal_code).strip()
    if len(code) >= 5:  # noqa: PLR2004  a ZIP code
        short = code[:5] if code[:5].isdigit() else code
        yield rf"(?i:\b{escape(short)}(?:-\d{{4}})?\b)"


def _line_forms(line: str) -> Iterator[str]:
    """Yield a street line with its variants of "Street" and "Apt", the unit being optional."""
    words = [word for word in re.split(r"[\s,.]+", line.replace("#", " # ")) if word]
    cut = next((i for i, word in enumerate(words) if word.lower() in _UNIT_KINDS and i > 1), None)
    street, unit = (words[:cut], words[cut:]) if cut is not None else (words, [])
    if len(street) < 2:  # noqa: PLR2004  a number or a word alone tells nothing
        return
    glue = r"[\s,.]{1,4}"
    form = glue.join(map(_street_word, street))
    number = unit[-1] if len(unit) > 1 else ""
    kinds = "|".join(map(escape, _UNIT_KINDS))
    tail = rf"(?:{glue}(?:(?:{kinds})\.?\s{{0,2}}#?\s?)?{escape(number)}\b)?" if number else ""
    yield rf"(?i:\b{form}\b{tail})"
    if street[0][0].isdigit() and len(street) > 2:  # noqa: PLR2004  number, name, kind
        yield rf"(?i:\b{escape(street[0])}{glue}{escape(street[1])}\b)"
        yield rf"\b{glue.join(map(_street_word, street[1:]))}\b"


def _street_word(word: str) -> str:
    for kinds in _STREET_KINDS:
        if word.lower() in kinds:
            both = (form for kind in kinds for form in (kind, kind.title(), kind.upper()))
            return f"(?:{'|'.join(both)})"
    return escape(word)
