"""What persons of a role may be shown, and for which purposes: minimum necessary inside.

45 CFR 164.514(d)(2)(i)-(ii): the classes of persons who need PHI, the categories that
each needs, and the conditions. A document's name is the role. What it does not name is
not shown, for treatment neither: 164.502(b)(2)(i) excepts no use inside the entity.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

from pydantic import field_validator, model_validator

from seawall.core.access.vocabulary import HUMAN_ROLES
from seawall.core.phi.identifiers import Label  # noqa: TC001  pydantic reads the annotation
from seawall.core.policy.elements import Scope, identifier, scope_of_elements
from seawall.core.policy.purpose import Purpose  # noqa: TC001  as above
from seawall.core.registers.shown import Elements, check_entire_record, check_no_identifiers
from seawall.core.registers.spec import Spec, Words

_ROLES: Final = frozenset(role.value for role in HUMAN_ROLES)


class RoleScopeSpec(Spec):
    """The content of a RoleScope document. Empty means nothing."""

    names: ClassVar[frozenset[str] | None] = _ROLES

    title: Words
    purposes: frozenset[Purpose] = frozenset()
    """For what the role may be shown it; for no other purpose, and for none if empty."""
    identifiers: frozenset[Label] = frozenset()
    elements: Elements = frozenset()
    justification: Words
    """Why persons of the role need it to do their work."""
    entire_record_justification: Words | None = None
    """Why they need the entire record, if it is an element (45 CFR 164.514(d)(5))."""

    _check_elements = field_validator("elements")(check_no_identifiers)

    @model_validator(mode="after")
    def _check_entire_record(self) -> Self:
        check_entire_record(self.elements, self.entire_record_justification)
        return self

    @property
    def scope(self) -> Scope:
        """Everything that is named here, classes and elements."""
        return scope_of_elements(map(identifier, self.identifiers), self.elements)
