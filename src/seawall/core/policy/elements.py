"""What may be shown, named: identifier classes, elements of a FHIR record, the entire record.

One small language for what a function of AI or a role may see:

    element  = class / "entire-record" / type "." path / type filters [ "." path ]
    class    = a label of core/phi/identifiers.py, such as NAME
    type     = a resource type of FHIR R4
    path     = "*" / name *7( "." name )
    name     = a FHIR element's name, with "[x]" where its type may vary
    filters  = "[" filter *( "," filter ) "]"
    filter   = ( "category" / "class" / "code" / "status" / "type" ) "=" code
             / "since=-P" days "D"

Every operation is total, and none looks at a record: an element that is not covered is not
shown. 45 CFR 164.502(b), 164.514(d)(2)(i)(B), 164.514(d)(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from seawall.core.errors import Invalid
from seawall.core.phi.identifiers import Label
from seawall.core.policy.fhir_names import DATA_TYPES, RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

ENTIRE_RECORD: Final = "entire-record"
"""The entire medical record, which needs a justification of its own (45 CFR 164.514(d)(5))."""
SINCE: Final = "since"
MOST: Final = 128
"""So many elements a scope may name."""

_CODED: Final = frozenset({"category", "class", "code", "status", "type"})
_LABELS: Final = frozenset(label.value for label in Label)
_LONGEST: Final = 700
"""Longer than anything that the grammar allows."""
_NAME: Final = r"[a-z][A-Za-z0-9]{0,39}(?:\[x\])?"
_FORM: Final = re.compile(
    r"(?P<type>[A-Z][A-Za-z]{1,39})"
    r"(?:\[(?P<filters>[^\[\]]*)\])?"
    rf"(?:\.(?P<path>\*|{_NAME}(?:\.{_NAME}){{0,7}}))?"
)
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}")
_SINCE: Final = re.compile(r"-P(?P<days>[1-9][0-9]{0,4})D")
_ANY_TYPE: Final = "[x]"


@dataclass(frozen=True, slots=True)
class Element:
    """One thing that may be shown; made by `parse_element`."""

    name: str
    """An identifier class, a resource type, or `entire-record`."""
    path: tuple[str, ...] = ()
    """Below the resource; empty for all of it."""
    filters: tuple[tuple[str, str], ...] = ()
    """Which resources of the type, by key and value, sorted; empty for all of them."""

    @property
    def is_identifier(self) -> bool:
        """Whether this is a class of identifiers."""
        return self.name in _LABELS

    @property
    def is_entire_record(self) -> bool:
        """Whether this is the entire record."""
        return self.name == ENTIRE_RECORD

    @property
    def text(self) -> str:
        """The element as it is written, in its one canonical form."""
        if self.is_identifier or self.is_entire_record:
            return self.name
        held = ",".join(f"{key}={value}" for key, value in self.filters)
        return f"{self.name}{f'[{held}]' if held else ''}.{'.'.join(self.path) or '*'}"

    def covers(self, other: Element) -> bool:
        """Whether whoever may see this may see all of `other`."""
        return meet(self, other) == other


ENTIRE: Final = Element(ENTIRE_RECORD)


def identifier(label: Label) -> Element:
    """Return the element that is a class of identifiers."""
    return Element(label.value)


def parse_element(text: str) -> Element:
    """Read an element; `Invalid`, without what was written, if it is none."""
    if text in _LABELS or text == ENTIRE_RECORD:
        return Element(text)
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or (found["filters"] is None and found["path"] is None):
        raise _malformed(
            "an element is no identifier class, no FHIR element and not the entire record"
        )
    if found["type"] not in RESOURCES:
        raise _malformed("an element is of no resource type of FHIR R4")
    path = found["path"] or "*"
    steps = () if path == "*" else tuple(path.split("."))
    return Element(found["type"], steps, _filters(found["filters"]))


def _malformed(message: str) -> Invalid:
    return Invalid(
        "element-malformed",
        message,
        "write an identifier class such as NAME, a FHIR element such as Appointment.start or "
        "Observation[category=laboratory,since=-P30D].value[x], or entire-record",
    )


def _filters(text: str | None) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    pairs = [part.partition("=")[::2] for part in text.split(",")]
    held = dict(pairs)
    if len(held) != len(pairs) or not all(_is_filter(key, value) for key, value in pairs):
        raise _malformed(
            "an element's filter is none of category, class, code, status, type and since, "
            "is said twice, or has no value of its form"
        )
    return tuple(sorted(held.items()))


def _is_filter(key: str, value: str) -> bool:
    form = _CODE if key in _CODED else _SINCE if key == SINCE else None
    return form is not None and form.fullmatch(value) is not None


def meet(one: Element, other: Element) -> Element | None:
    """Return what is in both, or None for nothing.

    A code in two filters that differ is nothing, though a resource may have two categories.
    """
    if one.is_entire_record or other.is_entire_record:
        return other if one.is_entire_record else one
    if one.name != other.name:
        return None
    path, filters = _meet_paths(one.path, other.path), _meet_filters(one.filters, other.filters)
    return None if path is None or filters is None else Element(one.name, path, filters)


def _meet_paths(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    longer = one if len(one) > len(other) else other
    steps = [_meet_steps(left, right) for left, right in zip(one, other, strict=False)]
    met = tuple(step for step in steps if step is not None)
    return None if len(met) < len(steps) else met + longer[len(met) :]


def _meet_steps(one: str, other: str) -> str | None:
    """Return the narrower of two names: `value[x]` holds `valueQuantity`."""
    if one == other or _is_typed(one, other):
        return one
    return other if _is_typed(other, one) else None


def _is_typed(typed: str, choice: str) -> bool:
    stem = choice.removesuffix(_ANY_TYPE)
    return stem != choice and typed.startswith(stem) and typed[len(stem) :] in DATA_TYPES


def _meet_filters(
    one: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...] | None:
    held = dict(one)
    for key, value in other:
        before = held.setdefault(key, value)
        if before == value:
            continue
        if key != SINCE:
            return None
        held[key] = min(before, value, key=_days)
    return tuple(sorted(held.items()))


def _days(value: str) -> int:
    return int(value.removeprefix("-P").removesuffix("D"))


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be shown, as a set of elements. Empty means nothing."""

    elements: frozenset[Element] = frozenset()

    def allows(self, element: Element) -> bool:
        """Whether all of `element` may be shown by one of the elements here."""
        return any(held.covers(element) for held in self.elements)

    def covers(self, other: Scope) -> bool:
        """Whether everything that `other` allows is allowed here."""
        return all(self.allows(element) for element in other.elements)

    def difference(self, other: Scope) -> Scope:
        """Return the elements here that `other` does not wholly allow."""
        return Scope(frozenset(each for each in self.elements if not other.allows(each)))

    def meet(self, element: Element) -> Scope:
        """Return what of `element` is allowed here."""
        if self.allows(element):
            return Scope(frozenset({element}))
        met = (meet(held, element) for held in self.elements)
        return Scope(frozenset(each for each in met if each is not None))

    def union(self, other: Scope) -> Scope:
        """Return what is allowed here or by `other`."""
        return Scope(self.elements | other.elements)

    @property
    def is_entire_record(self) -> bool:
        """Whether the entire record is allowed."""
        return ENTIRE in self.elements

    def texts(self) -> tuple[str, ...]:
        """Return the elements as they are written, sorted."""
        return tuple(sorted(element.text for element in self.elements))

    def __str__(self) -> str:
        """Return the canonical text: elements sorted, a space between them."""
        return " ".join(self.texts())


def scope_of_elements(*groups: Iterable[Element]) -> Scope:
    """Return the scope of all the elements."""
    return Scope(frozenset(element for group in groups for element in group))


def parse_scope(text: str) -> Scope:
    """Read elements with spaces between them; `Invalid` if one is none, or they are too many."""
    parts = text.split(" ", MOST) if text else []
    if len(parts) > MOST:
        raise Invalid(
            "scope-too-large",
            f"a scope names more than {MOST} elements",
            "name whole resources, such as Condition.*",
        )
    return Scope(frozenset(parse_element(part) for part in parts))


def _validate(value: object) -> Element:
    if isinstance(value, Element):
        return value
    if not isinstance(value, str):
        raise ValueError("an element is a text")  # noqa: TRY004  pydantic turns it into its own error
    try:
        return parse_element(value)
    except Invalid as error:
        raise ValueError(error.message) from None


ElementField = Annotated[
    Element,
    PlainValidator(_validate),
    PlainSerializer(lambda element: element.text, return_type=str),
    WithJsonSchema({"type": "string"}),
]
"""An element as a document's field: a text, kept in its canonical form."""
