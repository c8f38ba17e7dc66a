"""Documents: what is read, what is refused, and what a refusal shows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seawall.core.errors import Invalid
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.endpoint import EndpointSpec
from seawall.core.registers.register import KINDS, Register, read_document
from seawall.core.registers.spec import Document, Spec, canonical_spec, read_spec
from seawall.core.registers.use_case import UseCaseSpec

VECTORS = Path(__file__).parents[2] / "vectors" / "registers" / "refused.yaml"
REFUSED = yaml.safe_load(VECTORS.read_text())
MARKER = "quackenbush"

VALID: dict[str, dict[str, Any]] = {
    "Agreement": {
        "parties": {"covered_entity": "Riverside Clinic", "business_associate": "Vendor"},
        "effective": "2026-01-01",
        "expires": "2027-01-01",
        "terms": ["164.504(e)(2)(i)"],
        "covers": {},
    },
    "UseCase": {"title": "Reminders", "purpose": "operations", "justification": "They name."},
    "Endpoint": {
        "dialect": "openai",
        "url": "https://models.example/v1",
        "model": "large",
        "model_version": "1",
        "country": "US",
        "features": ["chat-completions"],
        "retention": "none",
    },
    "Client": {"title": "Scheduler", "public_key": {"x": "A" * 43}},
    "Retention": {"years": 10},
    "LegalHold": {"matter": "Docket 26-118", "placed": "2026-01-01"},
    "RoleScope": {"title": "Clinicians", "justification": "They treat."},
    "User": {"title": "Anna Berg"},
    "Policy": {
        "title": "No exports",
        "reason": "They are made by hand.",
        "forbid": 'forbid (principal, action == Action::"export-patient", resource);',
    },
}

NAMED: dict[str, str] = {"RoleScope": "clinician"}
"""The names of documents of a kind that knows only some."""


def document(kind: str, name: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a parsed document, valid but for the changes."""
    named = NAMED.get(kind, "a") if name is None else name
    return {"kind": kind, "name": named, "spec": {**copy.deepcopy(VALID[kind]), **changes}}


def refusal(fields: dict[str, Any]) -> Invalid:
    """Return the error with which a document is refused."""
    with pytest.raises(Invalid) as caught:
        read_document(fields)
    return caught.value


def client(title: str = "Scheduler") -> ClientSpec:
    """Return a client's spec."""
    return ClientSpec.model_validate({**VALID["Client"], "title": title})


@pytest.mark.parametrize("kind", KINDS)
def test_valid_document_is_read(kind: str) -> None:
    """A document of each kind is read into its kind's spec."""
    read = read_document(document(kind))

    assert (kind, NAMED.get(kind, "a"), KINDS[kind]) == (*read[:2], type(read[2]))


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_document_names_the_field(case: list[Any]) -> None:
    """A wrong field refuses the document, and the message names the field."""
    _, kind, field, value, named = case
    error = refusal(document(kind, **{field: value}))

    assert error.code == "document-invalid"
    assert named in error.message
    assert error.help == f"see docs/reference/documents.md for the fields of {kind}"


@pytest.mark.parametrize("case", REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_document_shows_no_value(case: list[Any]) -> None:
    """Neither the message nor what caused it shows a value of the document."""
    _, kind, field, value, _ = case
    error = refusal(document(kind, **{field: value}))

    assert MARKER not in repr(error.args).lower()
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert MARKER not in str(error.__context__).lower()


@pytest.mark.parametrize(
    "missing",
    [(kind, field) for kind, fields in VALID.items() for field in fields],
    ids="-".join,
)
def test_each_needed_field_is_needed(missing: tuple[str, str]) -> None:
    """A document that lacks a needed field is refused, naming it."""
    kind, field = missing
    fields = document(kind)
    del fields["spec"][field]

    assert f"{field}: field required" in refusal(fields).message


def test_every_wrong_field_is_named() -> None:
    """A refusal names all the wrong fields at once."""
    error = refusal(document("Endpoint", url="http://x", country="usa", colour="red"))

    assert all(f" {field}: " in error.message for field in ("url", "country", "*"))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"kind": "Client", "spec": {}}, id="no name"),
        pytest.param({"name": "a", "spec": {}}, id="no kind"),
        pytest.param({"kind": "Client", "name": 7, "spec": {}}, id="a number for a name"),
        pytest.param({"kind": ["Client"], "name": "a", "spec": {}}, id="a list of kinds"),
        pytest.param({"kind": MARKER, "name": "a", "spec": {}}, id="a kind that is none"),
        pytest.param({"kind": "client", "name": "a", "spec": {}}, id="a kind in lower case"),
        pytest.param({**document("Client"), MARKER: 1}, id="a field too many"),
        pytest.param({"kind": "Client", "name": "a"}, id="no spec"),
        pytest.param({"kind": "Client", "name": "a", "spec": MARKER}, id="a word for a spec"),
        pytest.param({"kind": "Client", "name": "a", "spec": []}, id="a list for a spec"),
    ],
)
def test_other_envelopes_are_refused(fields: dict[str, Any]) -> None:
    """A document is exactly kind, name and spec; anything else is refused and not shown."""
    error = refusal(fields)

    assert error.code == "document-envelope"
    assert MARKER not in repr(error.args)


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a.b_c-9", "a" * 63])
def test_names_that_are_names(name: str) -> None:
    """Names are lower-case letters, digits, dots, underscores and hyphens, 63 at most."""
    assert name == read_document(document("Client", name))[1]


@pytest.mark.parametrize(
    "name",
    ["", "A", "-a", "a-", ".a", "a.", "a b", "a\n", "a/b", "a@1", "ä", "a" * 64, MARKER.title()],
)
def test_names_that_are_none(name: str) -> None:
    """Any other name is refused, and not shown."""
    error = refusal(document("Client", name))

    assert error.code == "document-name"
    assert error.message == "the name of this Client is not a document name"


def test_read_document_does_not_change() -> None:
    """A spec that was read cannot be changed."""
    with pytest.raises(ValidationError):
        client().title = "Other"


def test_what_is_not_said_is_not_allowed() -> None:
    """By default a use case sees nothing, goes nowhere and masks; a client may do nothing."""
    use_case = UseCaseSpec.model_validate(VALID["UseCase"])

    assert (frozenset(), False) == (use_case.sees.identifiers, use_case.sees.clinical_text)
    assert (frozenset(), "mask") == (use_case.endpoints, use_case.answers)
    assert (frozenset(), False) == (client().use_cases, client().may_apply)


def test_endpoint_has_no_agreement_by_default() -> None:
    """An endpoint that names no agreement, secret or authorities has none."""
    endpoint = EndpointSpec.model_validate(VALID["Endpoint"])

    assert (None, None, None) == (endpoint.agreement, endpoint.secret, endpoint.trust)


@pytest.mark.parametrize(
    "secret", ["env:SEAWALL_SECRET_OPENAI", "file:openai-key", "file:OPENAI_2"]
)
def test_secrets_by_reference(secret: str) -> None:
    """A secret is a reference to a variable or a file."""
    spec = EndpointSpec.model_validate({**VALID["Endpoint"], "secret": secret})

    assert secret == spec.secret


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://m.example/v1/", "https://m.example/v1"),
        ("https://m.example//", "https://m.example"),
        ("https://127.0.0.1:8443/v1", "https://127.0.0.1:8443/v1"),
    ],
)
def test_slashes_at_the_end_are_taken_off(written: str, expected: str) -> None:
    """An address is kept without slashes at its end, so that paths can be put behind it."""
    spec = EndpointSpec.model_validate({**VALID["Endpoint"], "url": written})

    assert expected == spec.url


@given(st.permutations(list(VALID["Endpoint"].items())))
def test_order_of_fields_does_not_matter(items: list[tuple[str, Any]]) -> None:
    """The same fields in any order are the same canonical bytes and the same digest."""
    spec = EndpointSpec.model_validate(dict(items))
    expected = EndpointSpec.model_validate(VALID["Endpoint"])

    assert canonical_spec(expected) == canonical_spec(spec)
    assert Document("Endpoint", "a", 1, expected).digest() == Document("b", "c", 2, spec).digest()


def test_canonical_form_reads_back() -> None:
    """The canonical bytes of a spec are JSON from which the same spec is read."""
    spec = client()

    assert spec == ClientSpec.model_validate_json(canonical_spec(spec))


@given(st.sets(st.sampled_from([f"use-case-{n}" for n in range(20)])))
def test_order_of_a_set_does_not_matter(names: set[str]) -> None:
    """Documents that name the same set are the same, however Python orders sets."""
    one = ClientSpec.model_validate({**VALID["Client"], "use_cases": sorted(names)})
    other = ClientSpec.model_validate({**VALID["Client"], "use_cases": sorted(names, reverse=True)})

    assert canonical_spec(one) == canonical_spec(other)


def test_reference_names_the_version() -> None:
    """A document's reference names its kind, its name and its version."""
    assert Document("Client", "scheduler", 3, client()).reference == "Client/scheduler@3"


def test_register_finds_the_latest_version() -> None:
    """Of several versions the latest counts, in whatever order they come."""
    versions = [Document("Client", "a", n, client(f"Version {n}")) for n in (2, 3, 1)]
    found = Register(versions).find(ClientSpec, "a")

    assert found is not None
    assert (3, "Version 3") == (found.version, found.spec.title)


def test_register_finds_by_kind_and_name() -> None:
    """A document is not found under another name or as another kind."""
    register = Register([Document("Client", "a", 1, client())])

    assert [None, None] == [register.find(ClientSpec, "b"), register.find(UseCaseSpec, "a")]


def test_document_under_another_kinds_label_is_not_found() -> None:
    """A spec that was filed under another kind's name never passes for that kind."""
    misfiled: Document[Spec] = Document("UseCase", "a", 1, client())

    assert Register([misfiled]).find(UseCaseSpec, "a") is None


def test_applying_the_same_changes_nothing() -> None:
    """Applying what is held already makes no new version."""
    register = Register([Document("Client", "a", 1, client())])

    assert register.next_version("Client", "a", client()) is None


def test_applying_something_else_is_the_next_version() -> None:
    """Applying a change makes the version after the held one; a new name begins with 1."""
    register = Register([Document("Client", "a", 4, client())])
    change = register.next_version("Client", "a", client("Other"))
    new = register.next_version("Client", "b", client())

    assert ("Client/a@5", "Client/b@1") == (change and change.reference, new and new.reference)


def test_register_with_more_is_another_register() -> None:
    """Adding documents makes a register and leaves the one before as it was."""
    before = Register([Document("Client", "a", 1, client())])
    after = before.having(
        [Document("Client", "a", 2, client()), Document("Client", "b", 1, client())]
    )

    assert {"Client/a@1"} == {each.reference for each in before}
    assert {"Client/a@2", "Client/b@1"} == {each.reference for each in after}


def test_agreements_are_applied_before_what_names_them() -> None:
    """A folder is applied in an order in which nothing is named before it exists."""
    assert ["Agreement", "UseCase", "Endpoint", "Client"] == list(KINDS)[:4]


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_any_mapping_is_read_or_refused(fields: dict[str, str]) -> None:
    """Whatever a spec holds, nothing but `Invalid` is raised."""
    with pytest.raises(Invalid):
        read_spec(EndpointSpec, "Endpoint", "a", fields)


def test_a_name_of_the_writers_making_is_not_repeated() -> None:
    """A name that is near one of the kind's is a slip, and told; another could be anything."""
    names = ["titel", "Anna Quackenbush 123-45-6789", "annaquackenbush"]
    told = refusal(document("UseCase", None, **dict.fromkeys(names, 1))).message

    assert [True, False, False] == [name in told for name in names]
    assert 2 == told.count("*: extra inputs")


def test_many_wrong_fields_are_told_by_their_count() -> None:
    """The message is short, however many fields the document has."""
    told = refusal(
        document("UseCase", None, **{f"no field {at}": 1 for at in range(5_000)})
    ).message

    assert told.endswith("and 4,990 more")
    assert len(told) < 600


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\u202e", "\u2066", "\x9b", "\r"])
def test_a_text_that_steers_a_terminal_is_not_applied(sign: str) -> None:
    """A document that was applied with one is read as it is."""
    kind, name, spec = read_document(document("UseCase", title=f"Ben{sign}[2J"))
    with pytest.raises(Invalid) as caught:
        Register().next_version(kind, name, spec)

    assert "document-text" == caught.value.code


def test_lines_and_tabs_are_text() -> None:
    """Whoever writes a reason may write several lines, as other systems end them too."""
    kind, name, spec = read_document(document("UseCase", title="one\ntwo\tthree\r\nfour"))

    assert 1 == getattr(Register().next_version(kind, name, spec), "version", None)
