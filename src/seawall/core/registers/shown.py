"""What documents about showing PHI have in common: elements, and why the entire record.

45 CFR 164.514(d)(5): an entire medical record is not used, disclosed or requested
unless it is specifically justified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from seawall.core.policy.elements import ENTIRE, MOST, Element, ElementField

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

Elements = Annotated[frozenset[ElementField], Field(max_length=MOST)]
"""The elements of the record that a document names."""


def check_no_identifiers(elements: frozenset[Element]) -> frozenset[Element]:
    """Return the elements; `ValueError` if one is a class of identifiers."""
    if any(element.is_identifier for element in elements):
        raise ValueError("classes of identifiers are named in the field identifiers")
    return elements


def check_entire_record(elements: AbstractSet[Element], justification: str | None) -> None:
    """Raise `ValueError` unless the entire record and its own justification go together."""
    if ENTIRE in elements and justification is None:
        raise ValueError(
            "entire-record needs an entire_record_justification of its own (45 CFR 164.514(d)(5))"
        )
    if ENTIRE not in elements and justification is not None:
        raise ValueError("entire_record_justification is given, and entire-record is no element")
