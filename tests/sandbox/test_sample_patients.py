"""The sample patients, notes and agreement that the demo ships."""

from __future__ import annotations

import json
import re
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from seawall.sandbox.notes import summarise
from seawall.sandbox.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = files("seawall.demo")
INDEX = json.loads((DEMO / "patients" / "index.json").read_text(encoding="utf-8"))
NOTES = [(patient["key"], note) for patient in INDEX for note in patient["notes"]]
KEYS = [patient["key"] for patient in INDEX]

REQUIRED_TERMS = (
    "164.504(e)(2)(i)",
    *(f"164.504(e)(2)(ii)({letter})" for letter in "ABCDEFGHIJ"),
    "164.504(e)(2)(iii)",
    *(f"164.314(a)(2)(i)({letter})" for letter in "ABC"),
)


@pytest.mark.parametrize("key", KEYS)
def test_references_resolve_inside_the_bundle(key: str) -> None:
    """Every reference of a bundle leads to a resource of the same bundle."""
    bundle = _bundle(key)
    present = {entry["fullUrl"] for entry in bundle["entry"]}

    assert set() == set(_references(bundle)) - present


@pytest.mark.parametrize("key", KEYS)
def test_bundle_is_a_small_collection_with_distinct_entries(key: str) -> None:
    """A bundle is a FHIR collection under 60 kB whose entries are named by their ids."""
    bundle = _bundle(key)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]

    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert urls == [f"urn:uuid:{entry['resource']['id']}" for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    assert len((DEMO / "patients" / f"{key}.json").read_bytes()) < 60_000


@pytest.mark.parametrize("key", KEYS)
def test_patient_has_two_booked_appointments(key: str) -> None:
    """Each patient has two appointments in December 2026 or January 2027."""
    starts = [a["start"][:7] for a in _resources(key, "Appointment") if a["status"] == "booked"]

    assert starts == ["2026-12", "2027-01"]


@pytest.mark.parametrize(("key", "note"), NOTES)
def test_note_holds_the_identifiers_of_its_patient(key: str, note: str) -> None:
    """A note names its patient by family and given name, birth date, record number and phone."""
    (patient,) = _resources(key, "Patient")
    text = _note(note)
    digits = re.sub(r"\D", "", text)
    name = patient["name"][0]
    said = [name["family"], name["given"][0], patient["id"] and _record_number(patient)]

    assert [value for value in said if value.lower() not in text.lower()] == []
    assert patient["telecom"][0]["value"].replace("-", "") in digits
    assert [form for form in _birth_date_forms(patient["birthDate"]) if form in text]


@pytest.mark.parametrize(("key", "note"), NOTES)
def test_note_names_a_clinician_of_the_bundle(key: str, note: str) -> None:
    """A note's clinician and hospital are those of the bundle."""
    families = [p["name"][0]["family"] for p in _resources(key, "Practitioner")]
    hospitals = [o["name"].strip(" -") for o in _resources(key, "Organization")]
    text = _note(note)

    assert [family for family in families if family in text]
    assert [hospital for hospital in hospitals if hospital.lower() in text.lower()]


@pytest.mark.parametrize("key", KEYS)
def test_notes_name_the_next_appointment(key: str) -> None:
    """A patient's notes say when the first of the two appointments is."""
    first = date.fromisoformat(_resources(key, "Appointment")[0]["start"][:10])
    texts = "".join(_note(note) for patient, note in NOTES if patient == key)

    assert [form for form in _forms(first) if form in texts]


@pytest.mark.parametrize(("key", "note"), NOTES)
def test_note_is_of_a_realistic_length(key: str, note: str) -> None:
    """A note has between 1 and 2.5 kB of plain text."""
    assert key == note.split("-", maxsplit=1)[0]
    assert 1000 <= len(_note(note).encode()) <= 2500


@pytest.mark.parametrize(("key", "note"), NOTES)
def test_note_can_be_summarised(key: str, note: str) -> None:
    """The sandbox's summary names the patient, no relative, and keeps three sections at least."""
    (patient,) = _resources(key, "Patient")
    text = _note(note)
    head, *lines = summarise(text, Reading(text).patient()).splitlines()

    assert patient["name"][0]["family"].lower() in head.lower()
    assert "Mrs." not in head
    assert len(lines) >= 3


def test_patients_are_diverse() -> None:
    """There are a child, someone over 89, two sexes, and two languages."""
    patients = [patient for key in KEYS for patient in _resources(key, "Patient")]
    births = [patient["birthDate"] for patient in patients]
    languages = {patient["communication"][0]["language"]["text"] for patient in patients}

    assert min(births) < "1936"
    assert max(births) > "2010"
    assert {"female", "male"} == {patient["gender"] for patient in patients}
    assert {"English", "Spanish"} <= languages


@pytest.mark.parametrize("term", REQUIRED_TERMS)
def test_agreement_cites_each_required_term_under_its_own_heading(term: str) -> None:
    """Each of the fifteen required terms has a section that opens with its citation."""
    assert f"\n\n*45 CFR {term}*\n\n" in _agreement()


def test_agreement_has_fifteen_sections_and_says_that_it_is_a_sample() -> None:
    """The agreement's part A has fifteen sections, and it is marked as a sample twice."""
    assert len(re.findall(r"^### \d+\. ", _agreement(), re.MULTILINE)) == 15
    assert _agreement().count("Not legal advice") == 2


def test_attribution_names_source_and_licence() -> None:
    """The patients' folder says where they come from, under which licence, and what changed."""
    notice = (DEMO / "patients" / "ATTRIBUTION.txt").read_text(encoding="utf-8")

    assert "Copyright 2018 Boston Children's Hospital" in notice
    assert "Apache License, Version 2.0" in notice
    assert "Changes:" in notice


def _bundle(key: str) -> Any:
    return json.loads((DEMO / "patients" / f"{key}.json").read_text(encoding="utf-8"))


def _resources(key: str, kind: str) -> list[Any]:
    resources = (entry["resource"] for entry in _bundle(key)["entry"])
    return [resource for resource in resources if resource["resourceType"] == kind]


def _note(name: str) -> str:
    return (DEMO / "notes" / name).read_text(encoding="utf-8")


def _agreement() -> str:
    path = DEMO / "agreement" / "business-associate-agreement.md"
    return path.read_text(encoding="utf-8")


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from _references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _record_number(patient: Any) -> str:
    """Return the hospital's record number in the short form that the notes use."""
    kinds = {i["type"]["text"]: i["value"] for i in patient["identifier"] if "type" in i}
    return str(kinds["Medical Record Number"]).split("-", maxsplit=1)[0]


def _birth_date_forms(birth_date: str) -> list[str]:
    born = date.fromisoformat(birth_date)
    return [*_forms(born), f"{born:%m-%d-%Y}", f"{born.month}/{born.day}/{born:%y}"]


def _forms(day: date) -> list[str]:
    return [
        f"{day:%m/%d/%Y}",
        f"{day:%B} {day.day}, {day.year}",
        f"{day:%b} {day.day}, {day.year}",
        f"{day.day} {day:%B} {day.year}",
    ]
