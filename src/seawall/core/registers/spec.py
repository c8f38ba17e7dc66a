"""What every kind of document has in common: an envelope, a typed spec, a digest.

A document is `{kind, name, spec}`. Its spec is a frozen pydantic model that
refuses unknown fields, so a misspelt field is an error and never a silent
permission. A document is never overwritten: a change is a new version
(45 CFR 164.316(b)(2)(i)).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME_PATTERN: Final = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"

Name = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
"""A document's name: lower case, digits, `.`, `_` and `-`, at most 63 characters."""

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""A country by its ISO 3166-1 alpha-2 code."""

_MOST_NAMED: Final = 10
_LONGEST_NAMED: Final = 40
_UNPLAIN: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
"""Characters that steer a terminal, or turn the order in which a text is shown."""

Words = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
"""Text that a person wrote for a person; never empty."""


class Spec(BaseModel):
    """The content of a document: frozen, strict about fields, hidden in no error message."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    names: ClassVar[frozenset[str] | None] = None
    """The only names that documents of the kind may have; None for any document name."""

    def check_change(self, earlier: Spec) -> None:
        """Raise `Refused` if this may not be the version after `earlier`; most kinds never do."""

    def check_applied(self) -> None:
        """Raise `Invalid` if this may not be applied any more; reading it again never asks.

        For what depends on the release, such as a schema: a document that an earlier one
        took is read by every later one.
        """


SpecT_co = TypeVar("SpecT_co", bound=Spec, covariant=True)


@dataclass(frozen=True, slots=True)
class Document(Generic[SpecT_co]):
    """One version of one document, as it was applied."""

    kind: str
    name: str
    version: int
    spec: SpecT_co

    @property
    def reference(self) -> str:
        """Name this very version, as entries and reasons do: `Agreement/sandbox-baa@2`."""
        return f"{self.kind}/{self.name}@{self.version}"

    def digest(self) -> str:
        """Return the SHA-256 of the canonical spec."""
        return "sha256:" + hashlib.sha256(canonical_spec(self.spec)).hexdigest()


def canonical_spec(spec: Spec) -> bytes:
    """Return the spec as JSON with sorted keys: what is stored, digested and compared.

    Sets are sorted too, since Python orders them differently in each process.
    """
    return orjson.dumps(spec.model_dump(), default=sorted, option=orjson.OPT_SORT_KEYS)


def read_spec(model: type[SpecT_co], kind: str, name: str, fields: Mapping[str, Any]) -> SpecT_co:
    """Validate a spec; raise `Invalid` that names every wrong field and no value."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise Invalid(
            "document-name",
            f"the name of this {kind} is not a document name",
            "use lower-case letters, digits, '.', '_' and '-', at most 63 characters",
        )
    if model.names is not None and name not in model.names:
        raise Invalid(
            "document-name",
            f"the name of this {kind} is none that the kind has",
            f"a {kind} is named {', '.join(sorted(model.names))}",
        )
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        count, known = error.error_count(), _fields_of(model)
        items = error.errors(include_url=False, include_input=False, include_context=False)
        wrong = [
            f"{'.'.join(_place(part, known) for part in item['loc']) or 'spec'}: "
            f"{item['msg'].lower()}"
            for item in items[:_MOST_NAMED]
        ]
        more = [f"and {count - _MOST_NAMED:,} more"] if count > _MOST_NAMED else []
        raise Invalid(
            "document-invalid",
            f"{kind} '{name}' does not have the fields of its kind: {'; '.join([*wrong, *more])}",
            f"see docs/reference/documents.md for the fields of {kind}",
        ) from None


def check_plain(kind: str, spec: Spec) -> None:
    """Raise `Invalid` (`document-text`) if a text could steer the terminal that shows it.

    It is asked when a document is applied: one that was applied earlier is read as it is.
    """
    if any(_UNPLAIN.search(text) for text in _texts(spec.model_dump(mode="json"))):
        raise Invalid(
            "document-text",
            f"a text of this {kind} has a character that steers terminals or turns their writing",
            "use letters, signs, spaces, tabs and line ends",
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _place(part: str | int, known: frozenset[str]) -> str:
    """Return a part of a field's place; a name of whoever wrote it only where it is a slip."""
    if isinstance(part, int) or part in known:
        return str(part)
    is_slip = len(part) <= _LONGEST_NAMED and get_close_matches(part, known, 1, cutoff=0.8)
    return part if is_slip else "*"


@cache
def _fields_of(model: type[Spec]) -> frozenset[str]:
    """Return the names of all fields of a kind, of what lies in its fields too."""
    schema = model.model_json_schema()
    objects = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for one in objects for name in one.get("properties", {}))
