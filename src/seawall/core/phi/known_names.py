"""The names of the patient at hand in a text: in all forms, with small misspellings.

A name that is also an ordinary or clinical word (Will, May, Long, Hart's
"heart") is taken only where something says that it is a name: a title, another
part of the patient's name beside it, a cue such as "patient", or a capital in
the middle of a sentence. Diseases, signs and devices named after somebody stay.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from seawall.core.phi.dates import MONTHS
from seawall.core.phi.expressions import Expression, escape
from seawall.core.phi.identifiers import Label
from seawall.core.phi.shadow import fold
from seawall.core.phi.spans import Span, is_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from seawall.core.phi.clinical import ClinicalLexicon
    from seawall.core.phi.known import PersonName
    from seawall.core.phi.shadow import Shadow

_FUZZY_FROM: Final = 5
"""Shorter names are matched exactly: one edit away from a short name stands half the language."""

_JOINED_FROM: Final = 6
"""Shorter names written as one word may be any word."""

_CERTAIN: Final = 1.0
_MISSPELT: Final = 0.8

_TITLE_BEFORE: Final = Expression(
    r"(?i)\b(?:mr|mrs|ms|miss|mx|dr|prof|professor|doctor|sr|sra)\b\.?\s{1,3}$"
)
_CUE_BEFORE: Final = Expression(
    r"(?i)\b(?:patient|pt|client|name|named|called|dear|hi|hello|hey|re|attn|wife|husband|son|"
    r"daughter|mother|father|mom|dad|brother|sister|spouse|partner|last name|first name|surname|"
    r"spoke (?:to|with)|i am|i'm|my name is|signed|sincerely|regards|family|given)\b"
    r"(?:'s name)?(?: is)?[\s:,=\"']{1,4}$"
)
_GAP: Final = Expression(r"^(?:[\s,]{1,6}(?:[A-Za-z]\.?[\s,]{1,3})?|-|, ?)$")
_INITIALS_BEFORE: Final = Expression(r"(?:^|[^A-Za-z0-9'.-])((?:[A-Z](?:\.\s?|\s)){1,3})$")
_INITIAL_AFTER: Final = Expression(r"(?:,\s?([A-Z])\b\.?|\s([A-Z])\.)")
_MONTH_BEFORE: Final = Expression(
    r"(?i)\b(?:in|since|last|of|by|this|next|early|mid|late|until|during|through|before|after|"
    r"\d{1,2}(?:st|nd|rd|th)?)[\s-]$"
)
_SUBJECT_AFTER: Final = Expression(
    r"(?:'s\b| (?:was|is|has|had|did|does|reports?|reported|denies|denied|presents?|presented|"
    r"states?|stated|says|said|complains|takes|took|underwent|lives|called|came|feels|felt|needs|"
    r"wants|asked|asks|tolerated|remains|continues|and (?:his|her|their))\b)"
)
_LOOKBACK: Final = 32
_LEAF: Final = 128


@dataclass(frozen=True, slots=True)
class _Hit:
    start: int
    end: int
    word: str
    is_exact: bool


class KnownNames:
    """The names of one patient, compiled once; `find` may run on many texts."""

    def __init__(
        self,
        names: Iterable[PersonName],
        is_ordinary: Callable[[str], bool],
        clinical: ClinicalLexicon,
    ) -> None:
        names = list(names)
        self._is_ordinary: Final = is_ordinary
        self._clinical: Final = clinical
        parts = [
            part for name in names for whole in (*name.given, name.family) for part in _parts(whole)
        ]
        joined = [
            word for name in names for word in _joined(name) if not is_ordinary(_letters(word))
        ]
        latin = dict.fromkeys(_letters(part) for part in parts if _is_latin(part))
        self._words: Final = frozenset(
            word for word in (*latin, *map(_letters, joined)) if len(word) > 1
        )
        self._literals: Final = [
            _literal(part) for part in dict.fromkeys(parts) if not _is_latin(part)
        ]
        self._initials: Final = frozenset(
            fold(whole)[:1].upper() for name in names for whole in name.given if whole
        )
        self._near_words: Final = frozenset(
            word for word in self._words if any(map(is_ordinary, _edits(word)))
        )
        self._expression: Final = _compile(
            [part for part in parts if _letters(part) in self._words],
            joined,
        )

    def find(self, shadow: Shadow) -> Iterator[Span]:
        """Yield spans in offsets of the shadow."""
        for literal in self._literals:
            yield from _find_literal(shadow, literal)
        if self._expression is None:
            return
        hits = [
            _Hit(*match.span(), word, word in self._words)
            for match in self._expression.finditer(shadow.ascii)
            if (word := _letters((match.group() or b"").decode()))
        ]
        if not hits:
            return
        phrases = self._clinical.find_phrases(shadow)
        taken: _Hit | None = None
        for index, hit in enumerate(hits):
            if not self._is_name(shadow, hits, index, phrases):
                continue
            start, end = self._with_initials(shadow, hit)
            if taken is not None and _GAP.search(shadow.ascii[taken.end : hit.start]):
                start = taken.start
            yield Span(start, end, Label.NAME, "known", _CERTAIN if hit.is_exact else _MISSPELT)
            taken = hit

    def _is_name(
        self, shadow: Shadow, hits: list[_Hit], index: int, phrases: list[tuple[int, int]]
    ) -> bool:
        hit = hits[index]
        before = shadow.ascii[max(0, hit.start - _LOOKBACK) : hit.start]
        if _TITLE_BEFORE.search(before):
            return True
        if self._is_clinical_name(shadow, hit, phrases):
            return False
        written = shadow.text[hit.start : hit.end]
        is_capital = written[0].isupper()
        is_plain = self._is_ordinary(hit.word)
        if self._has_neighbour(shadow, hits, index):
            return True
        # A leaf that holds nothing else; the bound keeps the work per hit constant.
        if hit.is_exact and len(shadow.text) < _LEAF and shadow.text.strip() == written:
            return True
        is_cued = _CUE_BEFORE.search(before) is not None
        if is_plain:
            return hit.is_exact and is_capital and self._is_plain_name(shadow, hit, is_cued=is_cued)
        return is_capital or (hit.is_exact and (is_cued or hit.word not in self._near_words))

    def _is_plain_name(self, shadow: Shadow, hit: _Hit, *, is_cued: bool) -> bool:
        """Say whether an ordinary word with a capital ("Will", "May") is a name here."""
        if _is_month(shadow, hit):
            return False
        if is_cued or self._with_initials(shadow, hit) != (hit.start, hit.end):
            return True
        return not shadow.text[hit.start : hit.end].isupper() and (
            _is_mid_sentence(shadow.text, hit.start)
            or _SUBJECT_AFTER.match_at(shadow.ascii, hit.end) is not None
        )

    def _is_clinical_name(self, shadow: Shadow, hit: _Hit, phrases: list[tuple[int, int]]) -> bool:
        """Say whether the word belongs to a clinical term, as in Parkinson's disease."""
        if self._clinical.is_eponym(hit.word, shadow.ascii, hit.end):
            return True
        return is_inside(phrases, hit.start, hit.end)

    def _has_neighbour(self, shadow: Shadow, hits: list[_Hit], index: int) -> bool:
        """Say whether another part of the name stands beside this one, and one of them is certain.

        Two ordinary words in lower case ("will long") are a sentence, not a name.
        """
        hit = hits[index]
        for other_index in (index - 1, index + 1):
            if not 0 <= other_index < len(hits):
                continue
            other = hits[other_index]
            first, second = sorted((hit, other), key=lambda each: each.start)
            if not _GAP.search(shadow.ascii[first.end : second.start]):
                continue
            capitals = [shadow.text[each.start].isupper() for each in (hit, other)]
            plain = [self._is_ordinary(each.word) for each in (hit, other)]
            if not (hit.is_exact or other.is_exact):
                continue
            if all(capitals) or not any(plain) or (capitals[0] and not plain[1]):
                return True
        return False

    def _with_initials(self, shadow: Shadow, hit: _Hit) -> tuple[int, int]:
        start, end = hit.start, hit.end
        before = _INITIALS_BEFORE.search(shadow.ascii[max(0, start - 12) : start])
        if before is not None:
            letters = (before.group(1) or b"").decode()
            if set(filter(str.isalpha, letters)) <= self._initials:
                start -= len(letters)
        after = _INITIAL_AFTER.match_at(shadow.ascii, end)
        if (
            after is not None
            and (after.group(1) or after.group(2) or b"").decode() in self._initials
        ):
            end = after.span()[1]
        return start, end


def _is_month(shadow: Shadow, hit: _Hit) -> bool:
    if hit.word not in MONTHS:
        return False
    before = shadow.ascii[max(0, hit.start - _LOOKBACK) : hit.start]
    after = shadow.text[hit.end : hit.end + 3].lstrip(" ,.")
    return after[:1].isdigit() or _MONTH_BEFORE.search(before) is not None


def _is_mid_sentence(text: str, start: int) -> bool:
    """Say whether lower-case words go before in the same sentence, so a capital is a name."""
    previous = text[max(0, start - _LOOKBACK) : start].rstrip(" \t")
    if not previous or previous[-1] in ".!?:;\n\r-*\"'([{|>":
        return False
    word = previous.rstrip(",").rsplit(None, 1)[-1]
    return word[:1].islower() or word[:1].isdigit()


def _find_literal(shadow: Shadow, literal: re.Pattern[str]) -> Iterator[Span]:
    for match in literal.finditer(shadow.original):
        start, end = shadow.to_shadow(*match.span())
        if start < end:
            yield Span(start, end, Label.NAME, "known", _CERTAIN)


def _literal(part: str) -> re.Pattern[str]:
    """Return an expression for a name of another script, each character escaped or not."""
    return re.compile("".join(map(_literal_character, part)))


def _literal_character(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    octets = char.encode("utf-8", "surrogatepass").hex()
    escapes = (
        "".join(rf"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)),
        "".join(f"%{octets[at : at + 2]}" for at in range(0, len(octets), 2)),
        rf"&#(?:{ord(char)}|x0*{ord(char):x});",
    )
    return f"(?:{re.escape(char)}|(?i:{'|'.join(escapes)}))"


def _parts(whole: str) -> list[str]:
    """Return a name, and its own parts if it has several of them."""
    parts = [part for part in whole.replace("-", " ").split() if len(part) > 2]  # noqa: PLR2004  no particles
    return [whole, *parts] if len(parts) > 1 else [whole] if whole.strip() else []


def _letters(part: str) -> str:
    return "".join(char for char in fold(part).lower() if char in string.ascii_lowercase)


def _is_latin(part: str) -> bool:
    return all(
        fold(char).isascii() and "?" not in fold(char) and not _is_shape(char) for char in part
    )


def _is_shape(char: str) -> bool:
    return not char.isascii() and fold(char) in ("q", "Q")


def _edits(word: str) -> Iterator[str]:
    """Yield the words one edit away: deletion, transposition, substitution, insertion."""
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in string.ascii_lowercase:
            yield head + letter + tail[1:]
            yield head + letter + tail


def _joined(name: PersonName) -> Iterator[str]:
    """Yield given and family name written as one word, as in the name of a file or account."""
    for whole in name.given:
        for given, family in product(_parts(whole), _parts(name.family)):
            for word in (given + family, family + given):
                if len(_letters(word)) >= _JOINED_FROM and _is_latin(word):
                    yield word


def _compile(parts: list[str], joined: list[str]) -> Expression | None:
    if not parts:
        return None
    forms = dict.fromkeys(map(_separated, joined))
    for part in sorted(parts, key=len, reverse=True):
        forms.update(dict.fromkeys(_forms(part)))
    return Expression(rf"(?i)\b(?:{'|'.join(forms)})\b")


def _separated(part: str) -> str:
    """Return an expression for a name with or without what separates its parts."""
    return "".join(
        escape(char) if char.isalnum() else r"[\s'.-]{0,3}" for char in fold(part).strip()
    )


def _forms(part: str) -> Iterator[str]:
    """Yield expressions for a name as written, and for each single misspelling of a long one."""
    yield _separated(part)
    folded = fold(part).strip()
    word = _letters(part)
    if len(word) < _FUZZY_FROM or word != folded.lower().replace("'", ""):
        return
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        yield f"{head}[a-z]{tail}"
        if tail:
            yield f"{head}[a-z]?{tail[1:]}"
        if len(tail) > 1:
            yield f"{head}{tail[1]}{tail[0]}{tail[2:]}"
