"""Identifiers of the patient at hand: from FHIR, sealed, shown, indexed."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Invalid
from seawall.core.phi.identifiers import Label
from seawall.core.phi.known import (
    KnownIdentifiers,
    PersonName,
    PostalAddress,
    index_kind,
    normalise_term,
)

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "018f428e",
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
            "valueString": "Aiko Jacobs",
        },
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress": {"city": "Holyoke"},
        },
    ],
    "identifier": [
        {"type": {"coding": [{"code": "MR"}]}, "value": "MRN-0042"},
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-22-1962"},
        {"type": {"coding": [{"code": "DL"}]}, "value": "S99942380"},
    ],
    "name": [{"family": "Koepp", "given": ["Abdul", "José"], "prefix": ["Mr."]}],
    "telecom": [
        {"system": "phone", "value": "555-978-4581"},
        {"system": "fax", "value": "555-978-4582"},
        {"system": "email", "value": "a.koepp@example.com"},
    ],
    "birthDate": "1956-08-03",
    "address": [{"line": ["313 Lockman Row"], "city": "Peabody", "postalCode": "01940"}],
    "contact": [{"name": {"text": "Koepp, Rosa"}}],
}


def test_every_identifying_element_of_a_patient_is_read() -> None:
    """Names, dates, numbers, addresses and relatives of a FHIR Patient become identifiers."""
    expected = KnownIdentifiers(
        names=(PersonName(("Abdul", "José"), "Koepp", ("Mr.",)),),
        birth_date=dt.date(1956, 8, 3),
        record_numbers=("MRN-0042",),
        ssns=("999-22-1962",),
        phones=("555-978-4581",),
        faxes=("555-978-4582",),
        emails=("a.koepp@example.com",),
        addresses=(
            PostalAddress(("313 Lockman Row",), "Peabody", "01940"),
            PostalAddress((), "Holyoke", ""),
        ),
        other_ids=("S99942380", "018f428e"),
        relatives=(PersonName(("Rosa",), "Koepp"), PersonName(("Aiko",), "Jacobs")),
        logical_id="018f428e",
    )

    assert expected == KnownIdentifiers.from_fhir(PATIENT)


def test_nothing_of_a_patient_is_shown() -> None:
    """Neither repr nor str of known identifiers, names and addresses holds a value."""
    known = KnownIdentifiers.from_fhir(PATIENT)
    shown = f"{known!r} {known} {known.names!r} {known.addresses!r} {known.relatives}"

    assert not [value for value in ("Koepp", "Abdul", "999", "Peabody", "Rosa") if value in shown]


@pytest.mark.parametrize("code", ["Practitioner", None])
def test_another_resource_is_refused(code: str | None) -> None:
    """Only a Patient is read."""
    with pytest.raises(Invalid, match="wrong-resource-type"):
        KnownIdentifiers.from_fhir({"resourceType": code})


@pytest.mark.parametrize(
    "broken", [{"birthDate": "1956-13-45"}, {"name": "Koepp"}, {"telecom": [7]}, {"address": 1}]
)
def test_a_malformed_element_is_refused_without_its_value(broken: dict[str, Any]) -> None:
    """The error names no value, and has no cause that would."""
    with pytest.raises(Invalid, match="malformed-patient") as caught:
        KnownIdentifiers.from_fhir(PATIENT | broken)

    assert caught.value.__cause__ is None


def test_a_birth_date_without_a_day_is_ignored() -> None:
    """FHIR allows a year or a month alone; neither is a date that can be matched."""
    assert KnownIdentifiers.from_fhir(PATIENT | {"birthDate": "1956-08"}).birth_date is None


names = st.builds(PersonName, st.tuples(st.text(max_size=8)), st.text(max_size=8))


@given(
    known=st.builds(
        KnownIdentifiers,
        names=st.tuples(names),
        birth_date=st.none() | st.dates(),
        phones=st.tuples(st.text(max_size=9)),
        addresses=st.tuples(st.builds(PostalAddress, st.tuples(st.text(max_size=9)))),
        relatives=st.tuples(names, names),
    )
)
def test_sealing_and_opening_changes_nothing(known: KnownIdentifiers) -> None:
    """What `to_json` writes, `from_json` reads back."""
    assert known == KnownIdentifiers.from_json(known.to_json())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"birth_date": 1}', b"\xff"])
def test_stored_identifiers_that_cannot_be_read_are_refused(raw: bytes) -> None:
    """A record that is not ours raises Invalid."""
    with pytest.raises(Invalid, match="malformed-known-identifiers"):
        KnownIdentifiers.from_json(raw)


def test_identifiers_sealed_before_the_logical_id_was_kept_can_be_read() -> None:
    """A record without the logical id is read as one that has none."""
    fields = json.loads(KnownIdentifiers.from_fhir(PATIENT).to_json())
    del fields["logical_id"]

    assert KnownIdentifiers.from_json(json.dumps(fields).encode()).logical_id == ""


def test_index_terms_are_the_strong_identifiers_in_normal_form() -> None:
    """Record number, SSN, phones, e-mail and full names are indexed, each once."""
    assert KnownIdentifiers.from_fhir(PATIENT).index_terms() == [
        ("mrn", "mrn0042"),
        ("mrn", "018f428e"),
        ("ssn", "999221962"),
        ("phone", "5559784581"),
        ("phone", "5559784582"),
        ("email", "a.koepp@example.com"),
        ("name", "abdul koepp"),
        ("name", "abdul jose koepp"),
    ]


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        (Label.NAME, "KOEPP, Abdul", "abdul koepp"),
        (Label.NAME, "Mr. Abdul Kóepp", "abdul koepp"),
        (Label.PHONE, "+1 (555) 978-4581", "5559784581"),
        (Label.FAX, "555.978.4582", "5559784582"),
        (Label.SSN, "999 22 1962", "999221962"),
        (Label.EMAIL, "A.Koepp@Example.com", "a.koepp@example.com"),
        (Label.ID, "mrn 0042", "mrn0042"),
    ],
)
def test_a_find_is_looked_up_as_it_is_indexed(label: Label, text: str, expected: str) -> None:
    """However an identifier is written, its normal form is the same."""
    kind = index_kind(label)

    assert kind is not None
    assert expected == normalise_term(kind, text)


def test_labels_that_tell_no_patient_have_no_index_kind() -> None:
    """Dates and places are shared by many patients."""
    assert [index_kind(label) for label in (Label.DATE, Label.LOCATION)] == [None, None]
