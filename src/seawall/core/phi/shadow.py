"""The plain text that finders read instead of the text that was sent.

People and attackers write the same name in many ways: full-width digits, a
combining accent, a zero-width space in the middle, a Cyrillic letter that looks
Latin. A `Shadow` is the text with all of that undone, in ASCII, and a map that
takes offsets in it back to code points of the original. A text that is ASCII
already is its own shadow, which is the common and fast case.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]+")

# Letters that look Latin and are not; upper and lower case pairwise.
_LOOKALIKES: Final = dict(
    zip(
        "АВЕЅКМНІЈОРСТУХаеѕкіјорсухԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοιν",
        "ABESKMHIJOPCTYXaeskijopcyxdhqwABEZHIKMNOPTYXaoiv",
        strict=True,
    )
)
_PUNCTUATION: Final = {
    **dict.fromkeys("‘’‚‛′ʼʹ`´＇", "'"),  # noqa: RUF001  quotes of every kind
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("‐‑‒–—―−﹣－", "-"),  # noqa: RUF001  dashes of every kind
    **dict.fromkeys("•·‧∙", "*"),
    **dict.fromkeys("⁄∕", "/"),  # noqa: RUF001  slashes of every kind
    "\u2028": "\n",
    "\u2029": "\n",
    "\u0085": "\n",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "ø": "o",
    "Ø": "O",
    "œ": "oe",
    "Œ": "OE",
    "đ": "d",
    "Đ": "D",
    "ł": "l",
    "Ł": "L",
    "ð": "d",
    "þ": "th",
    "ı": "i",  # noqa: RUF001  the Turkish letter
    "µ": "u",
    "μ": "u",
    # Letters that show nothing, used to hide text.
    "\u115f": "",
    "\u1160": "",
    "\u3164": "",
    "\uffa0": "",
}
_UNSEEN: Final = frozenset({"Cf", "Mn", "Me"})


@lru_cache(maxsize=8192)
def fold_character(char: str) -> str:
    """Return what one character looks like in ASCII: nothing, one or several characters.

    A letter that has no Latin look becomes `Q` or `q`, so that words keep
    their shape; anything else that is not ASCII becomes a space or `?`.
    """
    if char.isascii():
        return char
    for table in (_PUNCTUATION, _LOOKALIKES):
        if char in table:
            return table[char]
    category = unicodedata.category(char)
    if category in _UNSEEN:
        return ""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    folded = "".join(
        _fold_decomposed(part) for part in unicodedata.normalize("NFKD", char) if part != char
    )
    return folded or _shape(char, category)


def _fold_decomposed(part: str) -> str:
    if part.isascii():
        return part
    return "" if unicodedata.category(part) in _UNSEEN else _LOOKALIKES.get(part, "")


def _shape(char: str, category: str) -> str:
    if category.startswith("Z"):
        return " "
    if category == "Lu":
        return "Q"
    return "q" if category == "Ll" and char.isalpha() else "?"


def fold(text: str) -> str:
    """Return the text in ASCII, without the map back; for single values such as a name."""
    return text if text.isascii() else "".join(map(fold_character, text))


@dataclass(frozen=True, slots=True)
class Shadow:
    """A text as finders read it. `starts[i]` is the code point that `ascii[i]` came from."""

    original: str
    text: str
    ascii: bytes
    starts: Sequence[int] | None

    @classmethod
    def of(cls, text: str) -> Shadow:
        """Return the shadow of any text; unpaired surrogates become `?`."""
        if text.isascii():
            return cls(text, text, text.encode("ascii"), None)
        pieces: list[str] = []
        starts: list[int] = []
        at = 0
        for run in _NON_ASCII.finditer(text):
            pieces.append(text[at : run.start()])
            starts.extend(range(at, run.start()))
            for offset, char in enumerate(run.group(), run.start()):
                folded = fold_character(char)
                pieces.append(folded)
                starts.extend([offset] * len(folded))
            at = run.end()
        pieces.append(text[at:])
        starts.extend(range(at, len(text)))
        folded_text = "".join(pieces)
        return cls(text, folded_text, folded_text.encode("ascii"), starts)

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Return the code points of the original that `ascii[start:end]` came from.

        Combining marks on the last letter belong to it.
        """
        if self.starts is None:
            return start, end
        last = self.starts[end - 1] + 1
        while last < len(self.original) and unicodedata.category(self.original[last]) == "Mn":
            last += 1
        return self.starts[start], last

    def to_shadow(self, start: int, end: int) -> tuple[int, int]:
        """Return where code points `start` to `end` of the original stand in the shadow."""
        if self.starts is None:
            return start, end
        return bisect_left(self.starts, start), bisect_left(self.starts, end)
