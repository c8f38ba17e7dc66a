"""The plain text that finders read instead of the text that was sent.

People and attackers write the same name in many ways: full-width digits, a
combining accent, a zero-width space in the middle, a Cyrillic letter that looks
Latin; and software escapes it when it quotes JSON, HTML or a web address within
a text. A `Shadow` is the text with all of that undone, in ASCII, and a map that
takes offsets in it back to code points of the original, an escape as a whole. A
text that is ASCII without escapes is its own shadow, the common and fast case.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NON_ASCII: Final = r"[^\x00-\x7f]+"
_HEX: Final = "[0-9A-Fa-f]"
# A string that was quoted twice has two backslashes, or `&amp;#39;`, or `%2527`. What stands
# before the backslashes keeps a long run of them from being read once per backslash.
_ESCAPE: Final = (
    rf"(?P<bytes>(?:(?<!\\)\\++x{_HEX}{{2}})++|(?:%(?:25)*{_HEX}{{2}})++)"
    rf"|(?<!\\)\\++(?:u(?P<high>[Dd][89ABab]{_HEX}{{2}})\\++u(?P<low>[Dd][C-Fc-f]{_HEX}{{2}})"
    rf"|u(?P<unit>{_HEX}{{4}})|U(?P<point>00(?:0{_HEX}|10){_HEX}{{4}})"
    r"|(?P<letter>[bfnrt])|(?P<mark>[!-/:-@\[\]-`{-~]))"
    rf"|&(?:amp;)*(?P<entity>#[0-9]{{1,7}}|#[Xx]{_HEX}{{1,6}}|[A-Za-z]{{2,8}}[0-9]{{0,2}});"
)
_FOLDED: Final = re.compile(_NON_ASCII)
_ESCAPED: Final = re.compile(_ESCAPE)
_FOLDED_OR_ESCAPED: Final = re.compile(rf"{_ESCAPE}|{_NON_ASCII}")
_ENCODED: Final = re.compile(rf"(?:\\+x|%(?:25)*)({_HEX}{{2}})")
_LETTERS: Final = {"b": " ", "f": " ", "n": "\n", "r": "\r", "t": "\t"}

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


def _has_escapes(text: str) -> bool:
    is_suspect = "\\" in text or "%" in text or "&" in text
    return is_suspect and _ESCAPED.search(text) is not None


def _read(match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each character that a match stands for, where it is written, and how long."""
    start, end = match.span()
    kind = match.lastgroup
    if kind is None:
        yield from ((char, start + at, 1) for at, char in enumerate(match.group()))
    elif kind == "bytes":
        yield from _decode(match)
    else:
        yield _character(match, kind), start, end - start


def _character(match: re.Match[str], kind: str) -> str:
    written = match[kind]
    if kind == "letter":
        return _LETTERS[written]
    if kind == "mark":
        return written
    if kind == "entity":
        char = unescape(f"&{written};")
        return char if char != f"&{written};" else match.group()
    if kind == "low":
        pair = int(match["high"], 16) - 0xD800, int(written, 16) - 0xDC00
        return chr(0x10000 + (pair[0] << 10) + pair[1])
    return chr(int(written, 16))


def _decode(match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the characters of escaped bytes: UTF-8, or Latin-1 where they are no UTF-8."""
    codes = list(_ENCODED.finditer(match.group()))
    raw = bytes(int(code[1], 16) for code in codes)
    try:
        text, encoding = raw.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = raw.decode("latin-1"), "latin-1"
    at = 0
    for char in text:
        first, at = at, at + len(char.encode(encoding))
        start, end = codes[first].start(), codes[at - 1].end()
        yield char, match.start() + start, end - start


@dataclass(frozen=True, slots=True)
class Shadow:
    """A text as finders read it. `starts[i]` is the code point that `ascii[i]` came from.

    `widths` gives how many code points an escape takes that begins there; all else takes one.
    """

    original: str
    text: str
    ascii: bytes
    starts: Sequence[int] | None
    widths: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, *, reads_escapes: bool = True) -> Shadow:
        """Return the shadow of any text; unpaired surrogates become `?`."""
        has_escapes = reads_escapes and _has_escapes(text)
        if text.isascii() and not has_escapes:
            return cls(text, text, text.encode("ascii"), None)
        pieces: list[str] = []
        starts: list[int] = []
        widths: dict[int, int] = {}
        at = 0
        for run in (_FOLDED_OR_ESCAPED if has_escapes else _FOLDED).finditer(text):
            pieces.append(text[at : run.start()])
            starts.extend(range(at, run.start()))
            for char, offset, width in _read(run):
                folded = fold(char)
                pieces.append(folded)
                starts.extend([offset] * len(folded))
                if width > 1:
                    widths[offset] = width
            at = run.end()
        pieces.append(text[at:])
        starts.extend(range(at, len(text)))
        folded_text = "".join(pieces)
        return cls(text, folded_text, folded_text.encode("ascii"), starts, widths)

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Return the code points of the original that `ascii[start:end]` came from.

        Combining marks on the last letter belong to it.
        """
        if self.starts is None:
            return start, end
        last = self._end_of(self.starts[end - 1])
        while last < len(self.original) and unicodedata.category(self.original[last]) == "Mn":
            last += 1
        return self.starts[start], last

    def to_shadow(self, start: int, end: int) -> tuple[int, int]:
        """Return where code points `start` to `end` of the original stand in the shadow.

        An escape of which they are a part belongs to them.
        """
        if self.starts is None:
            return start, end
        first = bisect_left(self.starts, start)
        while first > 0 and self._end_of(self.starts[first - 1]) > start:
            first -= 1
        return first, bisect_left(self.starts, end)

    def _end_of(self, start: int) -> int:
        return start + self.widths.get(start, 1)
