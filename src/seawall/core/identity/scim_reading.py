"""What identity providers write in SCIM: filters, paths and PATCH operations, read with bounds.

A part of the grammar, as providers really use it: comparisons by `eq` and `pr` that are
joined by `and`, paths with one filter. What is outside it is refused, and no value is in
an error. RFC 7644, sections 3.4.2.2 and 3.5.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import orjson

from seawall.core.errors import Invalid

CORE: Final = (
    "urn:ietf:params:scim:schemas:core:2.0:user:",
    "urn:ietf:params:scim:schemas:core:2.0:group:",
)
"""The schemas whose attributes are meant by their short names, in lower case."""

LONGEST: Final = 1_000
"""So many characters a filter or a path may have."""
MOST_COMPARISONS: Final = 8
MOST_OPERATIONS: Final = 200

_NAME: Final = r"[A-Za-z$][A-Za-z0-9_$-]{0,60}"
_ATTRIBUTE: Final = rf"(?:urn:[A-Za-z0-9:._-]{{1,200}}:)?{_NAME}(?:\.{_NAME})?"
_TEXT: Final = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrtu])*"'
_COMPARISON: Final = re.compile(
    rf"({_ATTRIBUTE}) +(?:(pr)|eq +({_TEXT}|true|false))(?![^ ])", re.IGNORECASE
)
_AND: Final = re.compile(r" +and +", re.IGNORECASE)
_PATH: Final = re.compile(rf"({_ATTRIBUTE})(?:\[(.*)\](?:\.({_NAME}))?)?", re.DOTALL)

Op = Literal["add", "replace", "remove"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """An attribute that is to have a value, or, with None, any."""

    attribute: str
    """In lower case; without its schema where that is a core one."""
    value: str | bool | None


@dataclass(frozen=True, slots=True)
class Path:
    """Where an operation applies."""

    attribute: str
    """As in `Comparison`; a sub-attribute stands behind a dot."""
    where: tuple[Comparison, ...] = ()
    """Which of several values are meant; none means all."""
    sub: str = ""
    """The sub-attribute of those values, in lower case."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a PATCH."""

    op: Op
    path: Path | None
    value: Any


def read_filter(text: str) -> tuple[Comparison, ...]:
    """Return the comparisons of a filter, which must all hold; `Invalid` (`scim-filter`)."""
    found: list[Comparison] = []
    text, at = text.strip(" "), 0
    while len(text) <= LONGEST and len(found) < MOST_COMPARISONS:
        match = _COMPARISON.match(text, at)
        if match is None:
            break
        found.append(Comparison(_short(match[1]), _value(match)))
        if match.end() == len(text):
            return tuple(found)
        joined = _AND.match(text, match.end())
        if joined is None:
            break
        at = joined.end()
    raise Invalid(
        "scim-filter",
        "the filter is not one that is understood here",
        'use comparisons such as userName eq "...", joined by `and`',
    )


def read_path(text: str) -> Path:
    """Return where an operation applies; `Invalid` (`scim-path`) for what is no path."""
    match = _PATH.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise Invalid(
            "scim-path",
            "a path of an operation is not one that is understood here",
            'use an attribute such as active, or members[value eq "..."]',
        )
    where = () if match[2] is None else read_filter(match[2])
    return Path(_short(match[1]), where, (match[3] or "").lower())


def read_patch(body: Any) -> list[Operation]:
    """Return the operations of a PATCH; `Invalid` unless it has the form of one.

    `op` in any case, since one provider writes `Replace`; attributes are compared so too.
    """
    fields = {key.lower(): value for key, value in body.items()} if isinstance(body, dict) else {}
    listed = fields.get("operations")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_OPERATIONS:
        raise Invalid(
            "scim-syntax",
            f"the body is not a PATCH of 1 to {MOST_OPERATIONS} operations",
            "send a PatchOp as RFC 7644, section 3.5.2 has it",
        )
    return [_operation(one) for one in listed]


def _operation(said: Any) -> Operation:
    fields = {key.lower(): value for key, value in said.items()} if isinstance(said, dict) else {}
    op, path, value = fields.get("op"), fields.get("path"), fields.get("value")
    name = op.lower() if isinstance(op, str) else ""
    if name not in {"add", "replace", "remove"} or not isinstance(path, str | None):
        raise Invalid(
            "scim-syntax",
            "an operation is none of add, replace and remove, or its path is no text",
            "send a PatchOp as RFC 7644, section 3.5.2 has it",
        )
    place = read_path(path) if path else None
    if place is None and name == "remove":
        raise Invalid("scim-target", "a remove says no path", "say what is to be removed")
    if place is None and not isinstance(value, dict):
        raise Invalid("scim-value", "an operation has neither path nor object", "send one of them")
    return Operation(cast("Op", name), place, value)


def _short(attribute: str) -> str:
    name = attribute.lower()
    for schema in CORE:
        name = name.removeprefix(schema)
    return name


def _value(match: re.Match[str]) -> str | bool | None:
    if match[2]:
        return None
    said = match[3]
    if said.lower() in {"true", "false"}:
        return said.lower() == "true"
    try:
        return str(orjson.loads(said))
    except orjson.JSONDecodeError:
        raise Invalid("scim-filter", "a text of the filter is none", "write it as JSON") from None
