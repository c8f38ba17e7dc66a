"""Walking JSON: every leaf is seen, and what is not changed keeps its meaning to the byte.

Leaves are string values, object keys, numbers (a phone number may be one) and
the leaves of JSON inside strings. Numbers are kept as they were written, since
1.50 and 5551234567890123456789 do not survive a float. What two parsers may
read differently (a key twice, half a surrogate pair) is refused, or the model
could be shown what was not searched. RFC 8259; RFC 7493 for what is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

import orjson

from seawall.core.errors import Invalid

MAX_DEPTH: Final = 64
"""Objects, arrays and documents inside strings that may stand in each other."""
MAX_LEAVES: Final = 20_000
"""Values and keys in one body, those of documents inside strings included."""

Path = tuple[str | int, ...]
"""The keys and positions that lead to a leaf; a key's path is that of its object."""
Leaf = Callable[[str, Path], str]


class KeyPath(tuple[str | int, ...]):
    """The path of a leaf that is a key: equal to that of its object, and told from a value's."""

    __slots__ = ()


_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_DOCUMENT: Final = re.compile(r'[ \t\r\n]*+[\[{"]')
_BEFORE_DOCUMENT: Final = frozenset(' \t\r\n[{"')
_HALF_PAIR: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class Number:
    """A number as it was written; `str` gives its text, `repr` nothing of it.

    No subclass of a number, a string or a dataclass, which a JSON writer that
    does not know it would write in some way of its own.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "<Number>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def parse_strict(raw: bytes) -> Any:
    """Return a JSON document, its numbers as `Number`.

    Raises `Invalid`, which never quotes the document, for what is not UTF-8 or
    not JSON, for a key twice in one object, NaN, half a surrogate pair, more
    than `MAX_DEPTH` levels and more than `MAX_LEAVES` values and keys.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = None
    # Errors are raised outside of handlers, so that none hangs on ours and quotes the body.
    if text is None:
        raise Invalid("json-encoding", "the body is not UTF-8", "encode the body as UTF-8")
    _check_depth(text)
    body = _parse(text)
    if body is _NOT_JSON:
        raise Invalid("json-syntax", "the body is not JSON", "send one JSON document (RFC 8259)")
    # Each value follows a comma or opens an object or array; an object's has a key besides.
    at_most = 2 * sum(map(text.count, ",[{"))
    if at_most > MAX_LEAVES and _count(body) > MAX_LEAVES:
        raise _too_many()
    return body


def dump(body: Any) -> bytes:
    """Return a body as compact JSON in UTF-8, each `Number` as it was written.

    Raises `Invalid` for a string that is not Unicode.
    """
    try:
        return orjson.dumps(body, default=_verbatim)
    except orjson.JSONEncodeError as error:
        is_unicode = "UTF-8" not in str(error)
    if is_unicode:
        raise _not_json()
    raise Invalid(
        "json-unicode",
        "a string of the body holds half a surrogate pair",
        "write characters beyond U+FFFF as UTF-8 or as a pair of escapes",
    )


def transform(body: Any, leaf: Leaf) -> Any:
    """Return a copy of a body in which every leaf is what `leaf(text, path)` returns for it.

    A number whose text changes becomes a string; true, false and null are not
    leaves. A string that is a JSON document is walked inside, and is written
    anew, compactly, only if something in it changed. Raises `Invalid` beyond
    the limits, or if two keys of one object become the same.
    """
    return _Walk(leaf).value(body, (), 0)


def leaves(body: Any) -> Iterator[tuple[str, Path]]:
    """Yield every leaf's text and path, in order; raises as `transform` does."""
    found: list[tuple[str, Path]] = []

    def keep(text: str, path: Path) -> str:
        found.append((text, path))
        return text

    transform(body, keep)
    yield from found


class _Walk:
    """One walk over one body, which counts what it sees."""

    __slots__ = ("_leaf", "_left")

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._left = MAX_LEAVES

    def value(self, value: Any, path: Path, depth: int) -> Any:
        """Return the transformed value; `depth` levels are around it."""
        if isinstance(value, str):
            return self._text(value, path, depth)
        if isinstance(value, dict | list):
            if depth >= MAX_DEPTH:
                raise _too_deep()
            self._left -= 2 * len(value) if isinstance(value, dict) else len(value)
            if self._left < 0:
                raise _too_many()
            if isinstance(value, dict):
                return self._object(value, path, depth + 1)
            return [
                self.value(item, (*path, position), depth + 1)
                for position, item in enumerate(value)
            ]
        if value is None or isinstance(value, bool):
            return value
        text = _number_text(value)
        transformed = self._leaf(text, path)
        return value if transformed == text else transformed

    def _object(self, members: dict[str, Any], path: Path, depth: int) -> dict[str, Any]:
        transformed: dict[str, Any] = {}
        key_path = KeyPath(path)
        for key, value in members.items():
            written = self._text(key, key_path, depth)
            transformed[written] = self.value(value, (*path, key), depth)
        if len(transformed) != len(members):
            raise Invalid(
                "json-key-collision",
                "two keys of one object became the same",
                "give the keys of each object distinct names",
            )
        return transformed

    def _text(self, text: str, path: Path, depth: int) -> str:
        # Most text begins with a letter: one look at it is the common case.
        if text[:1] not in _BEFORE_DOCUMENT or not _DOCUMENT.match(text):
            return self._leaf(text, path)
        inner = _parse_inside(text, depth + 1)
        if inner is _NOT_JSON:
            return self._leaf(text, path)
        transformed = self.value(inner, path, depth + 1)
        return text if transformed == inner else dump(transformed).decode()


_NOT_JSON: Final = object()


class _AmbiguousError(ValueError):
    """The document can be read in two ways; holds the error for the caller."""

    def __init__(self, error: Invalid) -> None:
        super().__init__()
        self.error = error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _AmbiguousError(
            Invalid(
                "json-duplicate-key",
                "an object has a key twice",
                "give the keys of each object distinct names",
            )
        )
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise _AmbiguousError(
        Invalid(
            "json-number",
            "NaN and Infinity are not JSON",
            "send null, or leave the value out",
        )
    )


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=Number,
    parse_float=Number,
    parse_constant=_refuse_constant,
)
# Inside a string NaN is only text, and common: Python's own json writes it.
_INSIDE: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=Number, parse_float=Number, parse_constant=Number
)
_LENIENT: Final = json.JSONDecoder(parse_int=Number, parse_float=Number)


def _parse(text: str) -> Any:
    """Return the body or `_NOT_JSON`; raises `Invalid` if it can be read in two ways."""
    try:
        body = _STRICT.decode(text)
    except _AmbiguousError as ambiguous:
        error = ambiguous.error
    except ValueError:
        return _NOT_JSON
    else:
        return _unicode(text, body)
    raise error


def _parse_inside(text: str, depth: int) -> Any:
    """Return the document that a string is, or `_NOT_JSON` for text that only begins like one."""
    try:
        body = _INSIDE.decode(text)
    except _AmbiguousError as ambiguous:
        error = ambiguous.error
    except ValueError:
        return _NOT_JSON
    except RecursionError:
        error = _too_deep()
    else:
        _check_depth(text, depth)
        return _unicode(text, body)
    if not _is_readable(text):
        return _NOT_JSON
    raise error


def _is_readable(text: str) -> bool:
    """Say whether some parser takes a text for JSON: text after an object makes it prose."""
    try:
        _LENIENT.decode(text)
    except ValueError:
        return False
    except RecursionError:
        pass
    return True


def _unicode(text: str, body: Any) -> Any:
    """Return the body; raises `Invalid` if escapes in its text make half a surrogate pair."""
    if _HALF_PAIR.search(text):
        dump(body)
    return body


def _check_depth(text: str, depth: int = 0) -> None:
    """Raise `Invalid` if the brackets of a document nest too deep, before anything recurses."""
    if text.count("[") + text.count("{") + depth <= MAX_DEPTH:
        return
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep()
        elif mark in "]}":
            depth -= 1


def _count(body: Any) -> int:
    """Return how many values and keys a document holds, without looking inside strings."""
    count, pending = 0, [body]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            count += 2 * len(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            count += len(value)
            pending.extend(value)
    return count


def _number_text(value: Any) -> str:
    if isinstance(value, Number):
        return value.text
    if not isinstance(value, int | float):
        raise _not_json()
    return dump(value).decode()


def _verbatim(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text.encode())
    raise _not_json()


def _too_deep() -> Invalid:
    return Invalid(
        "json-depth",
        f"the body nests more than {MAX_DEPTH} levels",
        "send a flatter document",
    )


def _too_many() -> Invalid:
    return Invalid(
        "json-leaves",
        f"the body holds more than {MAX_LEAVES} values and keys",
        "send the document in parts",
    )


def _not_json() -> RuntimeError:
    return RuntimeError("a body holds only what JSON can hold")
