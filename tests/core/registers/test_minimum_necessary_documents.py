"""What UseCase and RoleScope documents say of elements; older documents stay as they are."""

from __future__ import annotations

from typing import Any

import pytest

from seawall.core.access.vocabulary import Role
from seawall.core.errors import Invalid
from seawall.core.policy.elements import ENTIRE, parse_element
from seawall.core.policy.exceptions import Exempt
from seawall.core.registers.role_scope import RoleScopeSpec
from seawall.core.registers.spec import Document, Spec, canonical_spec, read_spec
from seawall.core.registers.use_case import UseCaseSpec

SAID = {"title": "A function", "justification": "it needs what it sees"}
ELEMENTS = ["Patient.name", "Appointment[since=-P30D]", "Observation[category=laboratory].*"]
WHOLE: dict[str, Any] = {
    "elements": ["entire-record"],
    "entire_record_justification": "the chart is reviewed",
}


def use_case(sees: dict[str, Any] | None = None, **fields: Any) -> UseCaseSpec:
    """Read a UseCase's spec."""
    said = {**SAID, "purpose": "treatment", **fields}
    return read_spec(UseCaseSpec, "UseCase", "a", said if sees is None else {**said, "sees": sees})


def role_scope(name: str = "clinician", **fields: Any) -> RoleScopeSpec:
    """Read a RoleScope's spec."""
    return read_spec(RoleScopeSpec, "RoleScope", name, {**SAID, **fields})


def digest(spec: Spec) -> str:
    """Return the digest of a document."""
    return Document("UseCase", "a", 1, spec).digest()


def refusal(sees: dict[str, Any]) -> str:
    """Return what the refusal of a use case says."""
    with pytest.raises(Invalid) as caught:
        use_case(sees)
    return caught.value.message


def test_older_documents_keep_their_digests() -> None:
    """These digests are of the release before elements: entries of old ledgers name them."""
    bare: dict[str, Any] = {
        "title": "Reminders",
        "purpose": "operations",
        "justification": "A reminder names the patient and the visit.",
    }
    sees = {"identifiers": ["PHONE", "NAME", "DATE"], "clinical_text": False}
    full = use_case(sees, **bare, endpoints=["chat", "lab"], answers="block")

    assert [
        "sha256:32f7068f076d4e927fb7fac1756df7e33191f0aa229a8f5793c4b97f23775b7f",
        "sha256:62de1dd40603a6316a0c9dd9471884175e92503947a75c82ab14fe6a3f830b59",
    ] == [digest(use_case(**bare)), digest(full)]


@pytest.mark.parametrize(
    "fields",
    [
        {"sees": {"elements": ["Patient.name"]}},
        {"sees": {"exception": "authorization"}},
        {"sees": WHOLE},
        {"requires_user": True},
        {"requires_patient_grant": True},
    ],
    ids=["elements", "exception", "entire record", "user", "patient grant"],
)
def test_each_later_field_is_part_of_the_digest(fields: dict[str, Any]) -> None:
    """What a later field says makes another document, and reads back."""
    changed = use_case(**fields)

    assert digest(use_case()) != digest(changed)
    assert changed == UseCaseSpec.model_validate_json(canonical_spec(changed))


def test_elements_are_kept_in_their_canonical_form() -> None:
    """However an element is written, and in whatever order, the document is the same."""
    again = ["Observation[category=laboratory].*", "Appointment[since=-P30D].*", "Patient.name"]

    assert digest(use_case({"elements": ELEMENTS})) == digest(use_case({"elements": again}))


def test_scope_holds_classes_and_elements() -> None:
    """The scope of a use case allows the classes and the elements that it names, and no more."""
    scope = use_case({"identifiers": ["DATE"], "elements": ELEMENTS}).sees.scope
    asked = ["DATE", "Patient.name.family", "NAME", "Patient.birthDate"]

    assert [True, True, False, False] == [scope.allows(parse_element(text)) for text in asked]


def test_use_case_sees_no_element_unless_said() -> None:
    """Empty means no: no element, no exception, no entire record, nobody needed."""
    spec = use_case()

    assert (frozenset(), None, None) == (
        spec.sees.elements,
        spec.sees.exception,
        spec.sees.entire_record_justification,
    )
    assert (False, False) == (spec.requires_user, spec.requires_patient_grant)


@pytest.mark.parametrize(
    ("sees", "expected"),
    [
        ({"elements": ["entire-record"]}, "entire-record needs an entire_record_justification"),
        ({"entire_record_justification": "it does"}, "entire-record is no element"),
        ({"elements": ["NAME"]}, "classes of identifiers are named in the field identifiers"),
        ({"elements": ["Quackenbush.name"]}, "sees.elements.0: value error, an element is of no"),
        ({"elements": [7]}, "sees.elements.0"),
        ({"elements": [f"Patient.a{n}" for n in range(129)]}, "at most 128 items"),
        ({"exception": "because"}, "sees.exception"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(sees: dict[str, Any], expected: str) -> None:
    """A wrong element, justification or exception refuses the document by its field."""
    said = refusal(sees)

    assert expected in said
    assert "quackenbush" not in said.lower()


@pytest.mark.parametrize(
    ("exempt", "words"),
    [
        (Exempt.PROVIDER_TREATMENT, "that the purpose is treatment is not enough"),
        (Exempt.INDIVIDUAL, "to the individual"),
        (Exempt.SECRETARY, "to the secretary"),
    ],
)
def test_exception_by_the_recipient_is_refused(exempt: Exempt, words: str) -> None:
    """A use case sends to a vendor, so no exception that hangs on who receives can be named."""
    said = refusal({"exception": exempt.value})

    assert words in said
    assert "goes to the vendor of a model" in said
    assert "164.502(b)(2)" in said


@pytest.mark.parametrize("exempt", ["authorization", "required-by-law", "compliance"])
def test_exception_by_its_ground_may_be_named(exempt: str) -> None:
    """An exception that holds whoever receives may be named; the document answers for it."""
    assert exempt == use_case({"exception": exempt}).sees.exception


def test_entire_record_is_named_with_its_own_justification() -> None:
    """With a justification of its own the entire record may be named."""
    assert use_case(WHOLE).sees.scope.is_entire_record
    assert ENTIRE in role_scope(**WHOLE).elements


@pytest.mark.parametrize("name", [role.value for role in Role if role is not Role.SERVICE])
def test_role_scope_is_named_after_a_role(name: str) -> None:
    """There is one RoleScope for each role that a person may hold."""
    assert SAID["title"] == role_scope(name).title


@pytest.mark.parametrize("name", ["service", "nurse", "doctor.quackenbush"])
def test_role_scope_of_no_role_is_refused(name: str) -> None:
    """A RoleScope under any other name would never be read; the error does not repeat it."""
    with pytest.raises(Invalid) as caught:
        role_scope(name)

    assert "document-name" == caught.value.code
    assert name not in caught.value.message
    assert "clinician" in caught.value.help


@pytest.mark.parametrize(
    "fields",
    [{"elements": ["entire-record"]}, {"entire_record_justification": "x"}, {"elements": ["SSN"]}],
)
def test_role_scope_has_the_same_rules(fields: dict[str, Any]) -> None:
    """The entire record and the classes of identifiers are as in a use case."""
    with pytest.raises(Invalid):
        role_scope(**fields)


def test_role_scope_shows_nothing_unless_said() -> None:
    """Empty means no: no purpose, no class, no element."""
    spec = role_scope()

    assert (frozenset(), frozenset()) == (spec.purposes, spec.scope.elements)
