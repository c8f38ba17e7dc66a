"""Minimum necessary: what of a request goes to a model, and what persons of a role are shown.

45 CFR 164.502(b), 164.514(d)(2). A use case names what it may see; everything
else that was found is replaced. Clinical text cannot be replaced without
losing its sense, so a use case that may not see it refuses the request. What a
role may be shown is what its RoleScope names, and what is withheld is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seawall.core.policy.decision import Refusal
from seawall.core.policy.elements import ENTIRE, Scope
from seawall.core.policy.exceptions import PARAGRAPHS
from seawall.core.registers.role_scope import RoleScopeSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from seawall.core.access.vocabulary import Role
    from seawall.core.phi.spans import Span
    from seawall.core.policy.elements import Element
    from seawall.core.policy.purpose import Purpose
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document
    from seawall.core.registers.use_case import Sees, UseCaseSpec

RECORDED_CHARACTERS: Final = 2000
"""So much of the elements' names an entry holds; the document's version holds them all."""


def to_replace(spans: Iterable[Span], sees: Sees) -> list[Span]:
    """Return the spans whose class the use case may not see, the entire record or not."""
    return [span for span in spans if span.label not in sees.identifiers]


def refuse_clinical(kinds: Collection[str], sees: Sees) -> Refusal | None:
    """Return why clinical content of these `kinds` may not go, or None if it may."""
    if sees.clinical_text or not kinds:
        return None
    return Refusal(
        "minimum-necessary",
        "the request holds clinical text, which this use case may not see "
        f"(found: {', '.join(sorted(kinds))}; 45 CFR 164.502(b))",
        "send only what the function needs, or ask under a use case that may see clinical text",
    )


def applied(use_case: Document[UseCaseSpec]) -> dict[str, Any]:
    """Return the scope of a use case as an entry records it: names, and never a justification."""
    sees = use_case.spec.sees
    elements, further = _bounded(sorted(sees.named - sees.identifiers))
    recorded: dict[str, Any] = {
        "identifiers": sorted(sees.identifiers),
        "elements": elements,
        "clinical_text": sees.clinical_text,
        "entire_record": sees.scope.is_entire_record,
    }
    if further:
        recorded["further"] = further
    if sees.scope.is_entire_record:
        recorded["justified_in"] = use_case.reference
    if sees.exception is not None:
        paragraph = PARAGRAPHS[sees.exception]
        recorded["exception"] = {"name": sees.exception.value, "paragraph": paragraph}
    return recorded


def _bounded(texts: Iterable[str]) -> tuple[list[str], int]:
    """Return as many texts as an entry may hold, and how many more there are."""
    held: list[str] = []
    size = further = 0
    for text in texts:
        size += len(text)
        if size <= RECORDED_CHARACTERS:
            held.append(text)
        else:
            further += 1
    return held, further


class Withheld(NamedTuple):
    """An element that is not shown, or not wholly, and why not."""

    element: Element
    code: str
    """`no-role-scope`, `purpose-not-of-role` or `element-not-of-role`."""
    reason: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What of what somebody wants to see is shown, and what is withheld."""

    given: Scope
    withheld: tuple[Withheld, ...]
    determined_by: tuple[str, ...]
    """The versions of the RoleScope documents that gave it."""

    def fields(self) -> dict[str, Any]:
        """Return what was shown as an entry records it: names and versions."""
        given, given_further = _bounded(self.given.texts())
        withheld, withheld_further = _bounded(sorted(each.element.text for each in self.withheld))
        further = given_further + withheld_further
        return {
            "given": given,
            "withheld": withheld,
            "codes": sorted({each.code for each in self.withheld}),
            "documents": list(self.determined_by),
            **({"further": further} if further else {}),
        }


def scope_of(register: Register, roles: Iterable[Role], purpose: Purpose) -> Scope:
    """Return what persons of all these roles together may be shown for a purpose."""
    return _scope(_applying(_documents(register, roles), purpose))


def shown_to(register: Register, roles: Iterable[Role], purpose: Purpose, wanted: Scope) -> Shown:
    """Return what of `wanted` persons of these roles may be shown, and what they may not.

    Of an element that is allowed in part, the part is given, and the element is told as withheld.
    """
    documents = _documents(register, roles)
    applying = _applying(documents, purpose)
    scope, given = _scope(applying), Scope()
    for element in wanted.elements:
        given = given.union(scope.meet(element))
    withheld = sorted(wanted.difference(scope).elements, key=lambda element: element.text)
    why = _why_not(any_documents=bool(documents), any_applying=bool(applying))
    return Shown(
        given=given,
        withheld=tuple(Withheld(element, *why) for element in withheld),
        determined_by=tuple(document.reference for document in applying),
    )


def text_withheld(register: Register, roles: Iterable[Role], purpose: Purpose) -> Withheld | None:
    """Return why persons of these roles may not read whole texts, None where no scope says so.

    A text may hold anything of a record, so that only the entire record has it all. A tenant
    that has written no RoleScope for any of the roles leaves it to the policies.
    """
    if not _documents(register, roles):
        return None
    entire = Scope(frozenset({ENTIRE}))
    return next(iter(shown_to(register, roles, purpose, entire).withheld), None)


def _why_not(*, any_documents: bool, any_applying: bool) -> tuple[str, str]:
    if not any_documents:
        return "no-role-scope", "no RoleScope document says what these roles may be shown"
    if not any_applying:
        return "purpose-not-of-role", "these roles may be shown nothing for this purpose"
    return "element-not-of-role", "these roles may not be shown all of this element"


def _documents(register: Register, roles: Iterable[Role]) -> list[Document[RoleScopeSpec]]:
    found = (register.find(RoleScopeSpec, role) for role in sorted(set(roles)))
    return [document for document in found if document is not None]


def _applying(
    documents: Iterable[Document[RoleScopeSpec]], purpose: Purpose
) -> list[Document[RoleScopeSpec]]:
    return [document for document in documents if purpose in document.spec.purposes]


def _scope(documents: Iterable[Document[RoleScopeSpec]]) -> Scope:
    scope = Scope()
    for document in documents:
        scope = scope.union(document.spec.scope)
    return scope
