"""The documents of one tenant as they stand: read often, replaced whole.

A `Register` never changes. Applying a document makes a new one, so a decision
sees one consistent state from its first check to its last.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seawall.core.errors import Invalid
from seawall.core.registers.access_review import AccessReviewSpec, ReviewedGrantSpec
from seawall.core.registers.agreement import AgreementSpec
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.emergency import EmergencySpec
from seawall.core.registers.endpoint import EndpointSpec
from seawall.core.registers.legal_hold import LegalHoldSpec
from seawall.core.registers.policy import PolicySpec
from seawall.core.registers.retention import RetentionSpec
from seawall.core.registers.role_scope import RoleScopeSpec
from seawall.core.registers.spec import Document, Spec, canonical_spec, check_plain, read_spec
from seawall.core.registers.use_case import UseCaseSpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from seawall.core.access.vocabulary import Role

SpecT = TypeVar("SpecT", bound=Spec)

KINDS: Final[dict[str, type[Spec]]] = {
    "Agreement": AgreementSpec,
    "UseCase": UseCaseSpec,
    "Endpoint": EndpointSpec,
    "Client": ClientSpec,
    "Retention": RetentionSpec,
    "LegalHold": LegalHoldSpec,
    "User": UserSpec,
    "Policy": PolicySpec,
    "RoleScope": RoleScopeSpec,
}
"""Every kind of document that is applied, in the order in which a folder of them is."""

KEPT: Final[dict[str, type[Spec]]] = {
    "Emergency": EmergencySpec,
    "AccessReview": AccessReviewSpec,
    "ReviewedGrant": ReviewedGrantSpec,
}
"""Kinds that the program alone makes, in the transaction of the entry that tells of it.

Nobody applies one: `read_document` knows none of them.
"""

ALL_KINDS: Final[dict[str, type[Spec]]] = {**KINDS, **KEPT}
"""Every kind that is kept."""

_KIND_OF: Final[dict[type[Spec], str]] = {model: kind for kind, model in ALL_KINDS.items()}


def kind_of(model: type[Spec]) -> str:
    """Return the kind of document that has such a spec."""
    return _KIND_OF[model]


class Register:
    """The latest version of each document of one tenant."""

    __slots__ = ("_documents", "_lessened")

    def __init__(self, documents: Iterable[Document[Spec]] = ()) -> None:
        self._documents: dict[tuple[str, str], Document[Spec]] = {}
        self._lessened: Counter[Role] = Counter()
        self._add(documents)

    def _add(self, documents: Iterable[Document[Spec]]) -> None:
        for document in sorted(documents, key=lambda one: one.version):
            held = self._documents.get((document.kind, document.name))
            if held is not None and held.version >= document.version:
                continue
            self._documents[document.kind, document.name] = document
            if held is not None and isinstance(document.spec, UserSpec):
                self._lessened.update(document.spec.lessens(held.spec))

    def __iter__(self) -> Iterator[Document[Spec]]:
        return iter(self._documents.values())

    def find(self, model: type[SpecT], name: str) -> Document[SpecT] | None:
        """Return the latest version of a document by its kind's spec type and name."""
        document = self._documents.get((_KIND_OF[model], name))
        if document is None or not isinstance(document.spec, model):
            return None
        return Document(document.kind, document.name, document.version, document.spec)

    def holds(self, document: Document[Spec]) -> bool:
        """Whether this version, or a later one, is here."""
        held = self._documents.get((document.kind, document.name))
        return held is not None and held.version >= document.version

    def lessened(self, role: Role) -> int:
        """Return how often a version took a role from somebody, or gave it another end.

        It never falls, and is the same for all who have read every version.
        """
        return self._lessened[role]

    def all(self, model: type[SpecT]) -> list[Document[SpecT]]:
        """Return the latest version of every document of a kind, by name."""
        found = [self.find(model, name) for kind, name in self._documents if kind == kind_of(model)]
        return sorted((one for one in found if one is not None), key=lambda one: one.name)

    def next_version(self, kind: str, name: str, spec: Spec) -> Document[Spec] | None:
        """Return the document that applying `spec` makes, or None if nothing changes.

        `Refused` where the kind has a rule that the change would break, `Invalid` where what
        the release knows is not what the document asks of it.
        """
        held = self._documents.get((kind, name))
        if held is not None:
            if canonical_spec(held.spec) == canonical_spec(spec):
                return None
            spec.check_change(held.spec)
        check_plain(kind, spec)
        spec.check_applied()
        return Document(kind, name, held.version + 1 if held else 1, spec)

    def having(self, documents: Iterable[Document[Spec]]) -> Register:
        """Return a register that also holds `documents`."""
        made = Register()
        # Copied whole: a change of one person must not look at every other document.
        made._documents.update(self._documents)
        made._lessened.update(self._lessened)
        made._add(documents)
        return made


def read_document(fields: Mapping[str, Any]) -> tuple[str, str, Spec]:
    """Read one parsed document into (kind, name, spec); raise `Invalid` on anything else."""
    extra = fields.keys() - {"kind", "name", "spec"}
    kind, name, spec = fields.get("kind"), fields.get("name"), fields.get("spec")
    if extra or not isinstance(kind, str) or not isinstance(name, str) or kind not in KINDS:
        raise Invalid(
            "document-envelope",
            "a document needs exactly the fields kind, name and spec, and a kind that exists",
            f"kinds are {', '.join(KINDS)}",
        )
    if not isinstance(spec, dict):
        raise Invalid("document-envelope", f"the spec of this {kind} is not a mapping", "")
    return kind, name, read_spec(KINDS[kind], kind, name, spec)
