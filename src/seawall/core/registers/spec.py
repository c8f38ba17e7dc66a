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
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_PATTERN: Final = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"

Name = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
"""A document's name: lower case, digits, `.`, `_` and `-`, at most 63 characters."""

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""A country by its ISO 3166-1 alpha-2 code."""

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
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'spec'}: {item['msg'].lower()}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise Invalid(
            "document-invalid",
            f"{kind} '{name}' does not have the fields of its kind: {wrong}",
            f"see docs/reference/documents.md for the fields of {kind}",
        ) from None
