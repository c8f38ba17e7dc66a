"""Putting the replaced values back into what a model wrote: whole, streamed, or JSON.

Restoring is one pass: a restored value is never looked at again, so a value
that itself looks like a placeholder stays as it is. Only texts that this
conversation's map handed out are placeholders; a date's interval may be left
out, and any other interval is not ours. Placeholders are plain ASCII without
quotes or backslashes, so they read the same at every level of JSON in JSON;
what is written in their place is escaped for the level that it goes into.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.core.phi.replacement import Placeholders

Escape = Callable[[str], str]
"""Writes a value for the place that it goes into; escapes compose, outermost last."""

_BRACKETED: Final = re.compile(r"\[[A-Z]+-[^\[\]]{1,64}\]")
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_DOCUMENT: Final = re.compile(r'[ \t\r\n]*[\[{"]')


def plain(value: str) -> str:
    """Return the value as it is: level 0, text that is not inside JSON."""
    return value


def json_string(value: str) -> str:
    """Return the value as it stands between the quotes of a JSON string (RFC 8259 section 7)."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def restore(text: str, placeholders: Placeholders, escape: Escape = plain) -> str:
    """Return the text with every placeholder that the map handed out put back."""
    return _restore(text, placeholders.restorable(), escape)


class StreamRestorer:
    """Restores one text that arrives in pieces: one per choice and field.

    However the text is cut, the pieces that `feed` and `finish` return make up
    exactly what `restore` returns for the whole. Only the end that may still
    become a placeholder is held back, so never more than the longest of them.
    The map is taken as it is when the stream begins.
    """

    __slots__ = ("_escape", "_held", "_restorable", "_sorted")

    def __init__(self, placeholders: Placeholders, escape: Escape = plain) -> None:
        self._restorable = dict(placeholders.restorable())
        self._sorted = sorted(self._restorable)
        self._escape = escape
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece; return what can no longer change."""
        text = self._held + text
        opened = text.rfind("[")
        if opened < 0:
            self._held = ""
            return text
        if not self._may_become_placeholder(text[opened:]):
            opened = len(text)
        self._held = text[opened:]
        return _restore(text[:opened], self._restorable, self._escape)

    def finish(self) -> str:
        """Return what was held back, which has become no placeholder."""
        held, self._held = self._held, ""
        return held

    def _may_become_placeholder(self, end: str) -> bool:
        at = bisect_left(self._sorted, end)
        return (
            at < len(self._sorted) and self._sorted[at] != end and self._sorted[at].startswith(end)
        )


def restore_json_text(text: str, placeholders: Placeholders) -> str:
    """Return a JSON document with every string restored, at every level of JSON in strings.

    What holds no placeholder keeps its bytes. A text that is not JSON, such as
    arguments that were cut off, is restored as if inside one JSON string.
    Never raises.
    """
    if not _is_json(text):
        return restore(text, placeholders, json_string)
    return _restore_strings(text, placeholders.restorable())


def _restore(text: str, restorable: Mapping[str, str], escape: Escape) -> str:
    if "[" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        surface = restorable.get(match.group())
        return match.group() if surface is None else escape(surface)

    return _BRACKETED.sub(value, text)


def _restore_strings(text: str, restorable: Mapping[str, str]) -> str:
    """Rewrite the string literals of a valid JSON document, and nothing between them."""

    def literal(match: re.Match[str]) -> str:
        written = match.group()
        content: str = json.loads(written) if "\\" in written else written[1:-1]
        if _DOCUMENT.match(content) and _is_json(content):
            restored = _restore_strings(content, restorable)
        else:
            restored = _restore(content, restorable, plain)
        return written if restored == content else _literal(restored)

    return _STRING.sub(literal, text)


def _literal(content: str) -> str:
    # Half a surrogate pair cannot be written but as an escape.
    is_unicode = not any("\ud800" <= char <= "\udfff" for char in content)
    return json.dumps(content, ensure_ascii=not is_unicode)


def _is_json(text: str) -> bool:
    try:
        # Numbers stay text: Python limits the digits of an integer.
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True
