"""One function of AI, and what it may see: minimum necessary as a document.

45 CFR 164.502(b), 164.514(d): for each function, the classes of identifiers,
the elements of the record, and whether clinical text may reach the model. A
class that is not named is replaced; clinical text that is not allowed makes the
request be refused. That the purpose is treatment excepts nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import (
    SerializerFunctionWrapHandler,
    StrictBool,
    field_validator,
    model_serializer,
    model_validator,
)

from seawall.core.phi.identifiers import Label  # noqa: TC001  pydantic reads the annotation
from seawall.core.policy.elements import Scope, identifier, scope_of_elements
from seawall.core.policy.exceptions import PARAGRAPHS, Exempt
from seawall.core.policy.purpose import Purpose  # noqa: TC001  as above
from seawall.core.registers.shown import Elements, check_entire_record, check_no_identifiers
from seawall.core.registers.spec import Name, Spec, Words

if TYPE_CHECKING:
    from collections.abc import Mapping

AnswerRule = Literal["flag", "mask", "block"]
"""What happens to an identifier in an answer that was not in the request."""

_LATER_SEEN: Final = ("elements", "entire_record_justification", "exception")
_LATER: Final = ("requires_user", "requires_patient_grant")
_NOT_A_VENDOR: Final[dict[Exempt, str]] = {
    Exempt.PROVIDER_TREATMENT: "a disclosure to, or a request by, a health care provider for "
    "treatment; that the purpose is treatment is not enough",
    Exempt.INDIVIDUAL: "what is used for or disclosed to the individual",
    Exempt.SECRETARY: "a disclosure to the Secretary",
}
"""The exceptions that hang on who receives, in words."""


class Sees(Spec):
    """What a use case may show to a model. Empty means nothing."""

    identifiers: frozenset[Label] = frozenset()
    """Which classes are left in a request. The entire record includes none of them."""
    clinical_text: StrictBool = False
    elements: Elements = frozenset()
    """Which elements of the record a request may be made of."""
    entire_record_justification: Words | None = None
    """Why the entire record is needed, if it is an element (45 CFR 164.514(d)(5))."""
    exception: Exempt | None = None
    """To which paragraph of 45 CFR 164.502(b)(2) the document appeals; it unmasks nothing."""

    _check_elements = field_validator("elements")(check_no_identifiers)

    @field_validator("exception")
    @classmethod
    def _check_exception(cls, exempt: Exempt | None) -> Exempt | None:
        """Refuse an exception for a recipient that no vendor of a model is."""
        if exempt in _NOT_A_VENDOR:
            raise ValueError(
                f"{PARAGRAPHS[exempt]} is about {_NOT_A_VENDOR[exempt]}; what a use case sends "
                "goes to the vendor of a model"
            )
        return exempt

    @model_validator(mode="after")
    def _check_entire_record(self) -> Self:
        check_entire_record(self.elements, self.entire_record_justification)
        return self

    @cached_property
    def scope(self) -> Scope:
        """Everything that is named here, classes and elements."""
        return scope_of_elements(map(identifier, self.identifiers), self.elements)

    @cached_property
    def named(self) -> frozenset[str]:
        """The same as texts, as policies look at them."""
        return frozenset(self.scope.texts())

    @model_serializer(mode="wrap")
    def _without_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _said(write(self), _LATER_SEEN)


class UseCaseSpec(Spec):
    """The content of a UseCase document."""

    title: Words
    purpose: Purpose
    sees: Sees = Sees()
    justification: Words
    """Why the function needs what it sees (45 CFR 164.514(d)(2)(i)(B))."""
    endpoints: frozenset[Name] = frozenset()
    answers: AnswerRule = "mask"
    requires_user: StrictBool = False
    """Whether a client must act for a person, by token exchange (RFC 8693)."""
    requires_patient_grant: StrictBool = False
    """Whether a client's token must be bound to the patient whom a request names."""

    @model_serializer(mode="wrap")
    def _without_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _said(write(self), _LATER)


def _said(fields: Mapping[str, Any], later: tuple[str, ...]) -> dict[str, Any]:
    """Leave out, while they say nothing, fields that the first release did not have.

    So the digest of a document that is older than they are stays what its entry says.
    """
    return {name: value for name, value in fields.items() if value or name not in later}
