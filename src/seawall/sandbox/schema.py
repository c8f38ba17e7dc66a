"""Filling a JSON schema out of what was read, property by property.

Knows the part of JSON Schema that function definitions use: objects, arrays,
scalars, enum, const, anyOf/oneOf/allOf, `$ref` into the same schema, and the
formats date, time and date-time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from seawall.sandbox.dialect import is_object
from seawall.sandbox.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

Schema = dict[str, Any]

MAXIMUM_DEPTH: Final = 8

FINDERS: Final[tuple[tuple[frozenset[str], Callable[[Reading], str]], ...]] = (
    (frozenset({"phone", "telephone", "mobile", "cell"}), Reading.phone),
    (frozenset({"email", "mail"}), Reading.email),
    (frozenset({"mrn", "id", "record", "identifier"}), Reading.record_number),
    (frozenset({"duration", "minutes", "length"}), Reading.minutes),
    (frozenset({"reason", "purpose", "complaint", "concern", "notes", "note"}), Reading.reason),
    (frozenset({"date", "day"}), Reading.date),
    (frozenset({"time", "hour"}), Reading.time),
    (
        frozenset({"provider", "clinician", "doctor", "practitioner", "physician"}),
        Reading.clinician,
    ),
    (frozenset({"location", "place", "clinic", "site"}), Reading.place),
    (frozenset({"start", "when", "slot"}), Reading.date),
    (frozenset({"name", "patient", "person", "who"}), Reading.patient),
)
"""Words of a property's name, and what answers them; the first row that shares a word wins."""

_NAME_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_DATE_LAYOUTS: Final = ("%Y-%m-%d", "%m/%d/%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y")


def fill(schema: Schema, reading: Reading) -> Any:
    """Return a value that fits `schema`, with what `reading` finds for each property's name.

    Required properties are always there (`unknown`, 0, false ... where nothing
    was found); optional ones only where something was found.
    """
    return _Filling(schema, reading).value(schema, name="", depth=0)


class _Filling:
    """One walk through one schema."""

    def __init__(self, root: Schema, reading: Reading) -> None:
        self._root = root
        self._reading = reading

    def value(self, schema: Schema, *, name: str, depth: int) -> Any:
        schema = self._resolved(schema) if depth <= MAXIMUM_DEPTH else {"const": None}
        kind = _type_of(schema)
        if kind == "const":
            return schema["const"]
        if kind == "enum":
            return self._option(schema["enum"])
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            items = schema.get("items")
            return [self.value(items, name=name, depth=depth + 1)] if is_object(items) else []
        return self._scalar(schema, kind, self._found(name))

    def _scalar(self, schema: Schema, kind: str, found: str) -> str | float | bool | None:
        if kind in {"integer", "number"}:
            digits = re.search(r"[0-9]{1,9}", found)
            least: float = schema.get("minimum", 0)
            return int(digits.group()) if digits else least
        if kind == "boolean":
            return bool(schema.get("default", False))
        if kind == "null":
            return None
        return _formatted(found, schema.get("format"), self._reading) or "unknown"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not is_object(properties):
            return {}
        required = schema.get("required", [])
        return {
            name: self.value(inner, name=name, depth=depth + 1)
            for name, inner in properties.items()
            if is_object(inner) and (name in required or self._found(name))
        }

    def _option(self, options: list[Any]) -> Any:
        """Return the option that the text names, or the first."""
        text = self._reading.text.lower()
        return next((o for o in options if isinstance(o, str) and o.lower() in text), options[0])

    def _found(self, name: str) -> str:
        words = {word.lower() for word in _NAME_WORDS.findall(name)}
        finders = (find for row, find in FINDERS if row & words)
        find = next(finders, None)
        if find is None:
            return ""
        # A patient's id is best said by number, else by name: a caller can look up either.
        return find(self._reading) or (self._reading.patient() if "patient" in words else "")

    def _resolved(self, schema: Schema) -> Schema:
        """Follow `$ref` within the schema, and take the first real branch of a choice."""
        for _ in range(MAXIMUM_DEPTH):
            if isinstance(schema.get("$ref"), str):
                schema = self._referred(schema["$ref"])
                continue
            branches = next((schema[k] for k in ("anyOf", "oneOf", "allOf") if k in schema), None)
            if not isinstance(branches, list):
                break
            schema = next((b for b in branches if is_object(b) and b.get("type") != "null"), {})
        return schema

    def _referred(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step) if is_object(found) else None
        return found if is_object(found) else {}


def _type_of(schema: Schema) -> str:
    """Return the schema's type, or the keyword that says more than a type does."""
    if "const" in schema:
        return "const"
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return "enum"
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind is None and "properties" in schema:
        return "object"
    return str(kind)


def _formatted(found: str, layout: object, reading: Reading) -> str:
    """Write a date that was found as the schema's `format` wants it; placeholders stay."""
    if layout not in {"date", "date-time"} or found.startswith("["):
        return found
    day = _iso_date(found)
    if layout == "date" or not day:
        return day or found
    return f"{day}T{_iso_time(reading.time())}"


def _iso_date(found: str) -> str:
    """Return an ISO 8601 date, or the empty string where `found` is no whole date."""
    words = re.sub(r"^[A-Z][a-z]{2,8}day,? ", "", found)
    for layout in _DATE_LAYOUTS:
        try:
            return datetime.strptime(words, layout).replace(tzinfo=UTC).date().isoformat()
        except ValueError:
            continue
    return ""


def _iso_time(found: str) -> str:
    """Return an ISO 8601 time of day; midnight where none was found."""
    match = re.match(r"([0-9]{1,2})(?::([0-9]{2}))? ?([AaPp]?)", found)
    if match is None:
        return "12:00:00" if found == "noon" else "00:00:00"
    hour = int(match[1]) % 12 if match[3] else int(match[1])
    return f"{hour + 12 * (match[3].lower() == 'p'):02}:{match[2] or '00'}:00"
