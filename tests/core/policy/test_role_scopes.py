"""What persons of a role are shown, what is withheld, and what an entry says of a scope."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.access.vocabulary import HUMAN_ROLES, Role
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span
from seawall.core.policy.elements import Scope, identifier, parse_scope
from seawall.core.policy.purpose import Purpose
from seawall.core.policy.scope import (
    RECORDED_CHARACTERS,
    applied,
    scope_of,
    shown_to,
    to_replace,
)
from seawall.core.registers.register import Register
from seawall.core.registers.role_scope import RoleScopeSpec
from seawall.core.registers.spec import Document
from seawall.core.registers.use_case import UseCaseSpec

TREATMENT, OPERATIONS = Purpose.TREATMENT, Purpose.OPERATIONS
SECRET = "because the board of Quackenbush said so"


def role_scope(role: str, *elements: str, purposes: tuple[str, ...] = ("treatment",)) -> Any:
    """Return the RoleScope document of a role."""
    said = {"title": role, "justification": SECRET, "purposes": purposes, "identifiers": ["DATE"]}
    spec = RoleScopeSpec.model_validate({**said, "elements": elements})
    return Document("RoleScope", role, 1, spec)


REGISTER = Register(
    [
        role_scope("clinician", "Patient.name", "Observation[category=laboratory].*"),
        role_scope("auditor", "AuditEvent.*", purposes=("operations",)),
        role_scope("developer", "Patient.id", purposes=()),
    ]
)
ALL = frozenset(HUMAN_ROLES)
ROLES = st.frozensets(st.sampled_from(sorted(HUMAN_ROLES)))
WANTED = st.sets(
    st.sampled_from(["Patient.*", "Patient.name", "AuditEvent.id", "NAME", "DATE", "entire-record"])
).map(lambda texts: parse_scope(" ".join(texts)))


def use_case(**sees: Any) -> Document[UseCaseSpec]:
    """Return a use case that sees something."""
    said = {"title": "A function", "justification": SECRET, "purpose": "treatment", "sees": sees}
    return Document("UseCase", "summary", 3, UseCaseSpec.model_validate(said))


def withheld(roles: frozenset[Role], purpose: Purpose, wanted: str) -> list[tuple[str, str]]:
    """Return which elements are withheld, and by which code."""
    shown = shown_to(REGISTER, roles, purpose, parse_scope(wanted))
    return [(each.element.text, each.code) for each in shown.withheld]


def test_scope_is_the_union_over_roles_that_have_the_purpose() -> None:
    """Roles add up; one whose document does not name the purpose adds nothing."""
    assert "DATE Observation[category=laboratory].* Patient.name" == str(
        scope_of(REGISTER, ALL, TREATMENT)
    )
    assert "AuditEvent.* DATE" == str(scope_of(REGISTER, ALL, OPERATIONS))
    assert Scope() == scope_of(REGISTER, ALL, Purpose.RESEARCH)


@pytest.mark.parametrize(
    ("roles", "purpose", "code"),
    [
        ({Role.SECURITY_OFFICER}, TREATMENT, "no-role-scope"),
        ({Role.SERVICE}, TREATMENT, "no-role-scope"),
        (set(), TREATMENT, "no-role-scope"),
        ({Role.CLINICIAN}, OPERATIONS, "purpose-not-of-role"),
        ({Role.DEVELOPER}, TREATMENT, "purpose-not-of-role"),
        ({Role.CLINICIAN, Role.DEVELOPER}, TREATMENT, "element-not-of-role"),
    ],
)
def test_what_is_withheld_is_told_with_the_reason(
    roles: set[Role], purpose: Purpose, code: str
) -> None:
    """No document, another purpose, or not this element: the three reasons are told apart."""
    expected = [("Patient.birthDate", code)]

    assert expected == withheld(frozenset(roles), purpose, "Patient.birthDate")


def test_part_of_an_element_is_given_and_the_element_told() -> None:
    """Whoever asks for all of a resource gets what the role may see, and is told of the rest."""
    shown = shown_to(REGISTER, {Role.CLINICIAN}, TREATMENT, parse_scope("Patient.* DATE"))

    assert "DATE Patient.name" == str(shown.given)
    assert ["Patient.*"] == [each.element.text for each in shown.withheld]
    assert ("RoleScope/clinician@1",) == shown.determined_by


def test_treatment_excepts_no_role() -> None:
    """A use for treatment inside the entity keeps to the role's elements."""
    assert [("Condition.*", "element-not-of-role")] == withheld(
        frozenset({Role.CLINICIAN}), TREATMENT, "Condition.*"
    )


@given(ROLES, st.sampled_from(list(Purpose)), WANTED)
def test_what_is_given_is_within_scope_and_request(
    roles: frozenset[Role], purpose: Purpose, wanted: Scope
) -> None:
    """Nothing is given beyond the roles' scope or the request; what is not wholly given is told."""
    shown = shown_to(REGISTER, roles, purpose, wanted)
    told = {each.element for each in shown.withheld}

    assert scope_of(REGISTER, roles, purpose).covers(shown.given)
    assert wanted.covers(shown.given)
    assert wanted.elements == told | (wanted.elements & shown.given.elements)


def test_what_was_shown_as_recorded() -> None:
    """An entry names elements, codes and documents, and no justification."""
    shown = shown_to(REGISTER, {Role.CLINICIAN}, TREATMENT, parse_scope("Patient.name NAME"))

    assert shown.fields() == {
        "given": ["Patient.name"],
        "withheld": ["NAME"],
        "codes": ["element-not-of-role"],
        "documents": ["RoleScope/clinician@1"],
    }


def test_scope_that_applied_as_recorded() -> None:
    """An entry names what a use case may see, its exception and that the record is justified."""
    whole = {"elements": ["entire-record"], "entire_record_justification": SECRET}
    document = use_case(identifiers=["DATE", "AGE"], exception="authorization", **whole)

    assert applied(document) == {
        "identifiers": ["AGE", "DATE"],
        "elements": ["entire-record"],
        "clinical_text": False,
        "entire_record": True,
        "justified_in": "UseCase/summary@3",
        "exception": {"name": "authorization", "paragraph": "45 CFR 164.502(b)(2)(iii)"},
    }


def test_purpose_treatment_records_no_exception() -> None:
    """A use case for treatment appeals to nothing unless its document does."""
    assert applied(use_case(elements=["Condition.*"])) == {
        "identifiers": [],
        "elements": ["Condition.*"],
        "clinical_text": False,
        "entire_record": False,
    }


def test_long_scope_is_recorded_in_part() -> None:
    """An entry stays small: it names the first elements and counts the rest."""
    recorded = applied(use_case(elements=[f"Patient.{'a' * 30}{n:03}" for n in range(128)]))

    assert sum(map(len, recorded["elements"])) <= RECORDED_CHARACTERS
    assert 128 == len(recorded["elements"]) + recorded["further"]


@given(st.frozensets(st.sampled_from(list(Label))))
def test_entire_record_unmasks_no_identifier(seen: frozenset[Label]) -> None:
    """The entire record shows a model no class of identifiers that is not named."""
    sees = use_case(
        identifiers=sorted(seen), elements=["entire-record"], entire_record_justification="x"
    ).spec.sees
    spans = [Span(n, n + 1, label, "rule", 0.9) for n, label in enumerate(Label)]

    assert sees.scope.allows(identifier(Label.SSN))
    assert set(Label) - seen == {span.label for span in to_replace(spans, sees)}
