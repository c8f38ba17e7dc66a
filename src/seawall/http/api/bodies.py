"""JSON bodies read strictly: bounded, of bounded depth, every name once, nothing repeated back.

What two readers could read differently is read by none: names that are given twice
(RFC 8259, section 4), numbers that are none, texts that are not Unicode.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from fastapi.exceptions import RequestValidationError
    from starlette.requests import Request

DEEPEST: Final = 32
"""So many lists and objects may lie in one another."""
_NUL: Final = "\0"
_FIELD: Final = re.compile(r"[a-z][a-z_-]{0,39}", re.ASCII)
_JSON: Final = re.compile(r"application/([a-z0-9.-]+\+)?json", re.ASCII)
_MOST_NAMED: Final = 10


def read_json(raw: bytes) -> Any:
    """Return what a body says; `Invalid` if two readers could disagree about it."""
    try:
        parsed = orjson.loads(raw)
        json.loads(raw, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise _wrong("the body is not JSON, or says a name twice") from None
    _check(parsed)
    return parsed


def is_json(request: Request) -> bool:
    """Whether a request says that its body is JSON; a text that happens to be some is none."""
    said = request.headers.getlist("content-type")
    kind = said[0].partition(";")[0].strip().lower() if len(said) == 1 else ""
    return _JSON.fullmatch(kind) is not None


def invalid(error: RequestValidationError) -> Invalid:
    """Return one of our errors that names the fields that are wrong, and no value."""
    wrong = sorted({_field(item) for item in error.errors()})[:_MOST_NAMED]
    return Invalid(
        "request-invalid",
        f"the request does not have the form that it needs: {'; '.join(wrong)}",
        "/api/openapi.json has the fields of every path",
    )


def _field(item: dict[str, Any]) -> str:
    """Name a field by its place; a name of the caller's making is not repeated."""
    kind = str(item["type"])
    place = [
        str(part) if isinstance(part, int) or _FIELD.fullmatch(str(part)) else "*"
        for part in item["loc"]
    ]
    if kind == "extra_forbidden":
        return f"{'.'.join(place[:-1])}: it has a field that does not exist"
    return f"{'.'.join(place)}: {kind.replace('_', ' ')}"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("twice")
    return found


def _check(parsed: Any) -> None:
    """Refuse what lies too deep, and texts with a NUL, which not every store keeps."""
    level, waiting = 0, [parsed]
    while waiting:
        if level > DEEPEST:
            raise _wrong("the body's lists and objects lie too deep in one another")
        inner: list[Any] = []
        for one in waiting:
            if isinstance(one, dict):
                inner += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and _NUL in one:
                raise _wrong("a text of the body has a NUL")
        level, waiting = level + 1, inner


def _wrong(message: str) -> Invalid:
    return Invalid("body-invalid", message, "send one JSON object or list, in UTF-8")
