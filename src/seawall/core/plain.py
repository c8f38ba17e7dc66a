"""Text as a terminal may show it: nothing in it steers the terminal, or turns its writing.

Titles, names and messages come from documents, providers and servers. A control
character in one clears the screen, renames the window or adds a line that looks like
another entry; a bidirectional mark turns the order of what a person reads
(CVE-2021-42574). What is shown instead is the character's escape.
"""

from __future__ import annotations

import re
from typing import Final

_STEERING: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the order of writing
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # halves of surrogate pairs, which no stream writes
    "\ufff9-\ufffb\ufeff\U000e0000-\U000e007f"  # what is shown as nothing, and hides text
    "]"
)


def plain(text: str, kept: str = "") -> str:
    """Return a text with escapes in the place of what steers a terminal; `kept` stays."""

    def escape(found: re.Match[str]) -> str:
        """Return one character as Python writes it."""
        one = found[0]
        return one if one in kept else one.encode("unicode_escape").decode("ascii")

    return _STEERING.sub(escape, text)


def plain_json(text: str) -> str:
    """Return JSON of the same meaning without such characters; what stands between tokens stays."""
    return _STEERING.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    one = found[0]
    # An encoder writes these within strings as escapes: what is left stands between tokens.
    if one in "\t\n\r":
        return one
    raw = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))
