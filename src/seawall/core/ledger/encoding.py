"""How an entry becomes bytes: restricted canonical JSON, one spelling per meaning.

Objects, arrays, strings, booleans and integers within 2^53-1 either way; no
null, no fractions. Keys are sorted by code point, nothing stands between
tokens, text is UTF-8, and only what JSON must escape is escaped, in the way
of RFC 8785 section 3.2.2.2. Who reads a leaf can therefore write it again and
get the same hash, and no field can be said twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from seawall.core.errors import Invalid, Tampered

ENTRY_BYTES: Final = 65_535
"""The longest entry: what the length prefix of a tlog-tiles bundle can say."""

LARGEST_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259 section 6)."""

DEPTH: Final = 32
"""How deep objects and arrays may lie in each other; the entry itself is the first."""

# Sorted by UTF-8 bytes, which is the order of code points; escapes as in RFC 8785.
_WRITING: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def encode(entry: Mapping[str, Any]) -> bytes:
    """Write an entry in its one form; `Invalid` if it holds what the form does not have."""
    if not isinstance(entry, Mapping):
        raise _unfit("an entry is an object")
    if not _is_plain(entry, DEPTH):
        entry = _plain(entry, DEPTH)
    try:
        raw = orjson.dumps(entry, option=_WRITING)
    except orjson.JSONEncodeError:
        raise _unfit("an entry holds half of a surrogate pair") from None
    if len(raw) > ENTRY_BYTES:
        raise _unfit(f"an entry is longer than {ENTRY_BYTES} bytes")
    return raw


def decode(raw: bytes) -> dict[str, Any]:
    """Read an entry; `Tampered` unless the bytes are exactly what `encode` would write."""
    if len(raw) > ENTRY_BYTES:
        raise _changed()
    try:
        entry = orjson.loads(raw)
        written = encode(entry)
    except (orjson.JSONDecodeError, Invalid):
        raise _changed() from None
    if written != raw:
        raise _changed()
    found: dict[str, Any] = entry
    return found


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is made of the very types that are written as they are.

    The common case, told quickly; what is not plain here may be made so, or is refused.
    """
    kind = type(value)
    if kind is str or kind is bool:
        return True
    if kind is int:
        return bool(-LARGEST_INTEGER <= value <= LARGEST_INTEGER)
    if depth == 0 or kind not in (dict, list):
        return False
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return False
        value = value.values()
    # Loops, and texts told without a call: this is on the path of every entry.
    for item in value:  # noqa: SIM110  a generator takes half as long again
        if type(item) is not str and not _is_plain(item, depth - 1):
            return False
    return True


def _plain(value: Any, depth: int) -> Any:
    """Return the value with mappings as `dict` and sequences as `list`, all of it checked."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise _unfit("an entry holds an integer beyond 2^53-1")
        return value
    if depth == 0:
        raise _unfit(f"an entry is nested deeper than {DEPTH}")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise _unfit("an entry holds a key that is not text")
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    raise _unfit(f"an entry holds a value of the kind {type(value).__name__}")


def _unfit(message: str) -> Invalid:
    return Invalid(
        "entry-unfit",
        message,
        "record objects, arrays, text, booleans and integers only; put large content in a "
        "sealed record and its digest in the entry",
    )


def _changed() -> Tampered:
    return Tampered(
        "entry-not-canonical",
        "stored bytes are not an entry in its canonical form",
        "keep the data folder as it is, restore a backup elsewhere, and treat it as an incident",
    )
