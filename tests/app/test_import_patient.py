"""Patients become known under random ids; nothing of them is stored in the clear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from practice import ABDUL, ANDY, OPERATOR, TENANT, opened, person, says
from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


async def test_import_records_an_entry_without_an_identifier(detector: Detector) -> None:
    """The entry names a random ledger id and a digest of the ciphertext, and no identifier."""
    practice = await opened(detector)

    entry = practice.entries("patient.import")[0]

    assert entry["identifiers"].startswith("sha256:")
    assert [] == [word for word in ("Koepp", "abdul", "448812") if word in json.dumps(entry)]


async def test_search_terms_are_blinded(detector: Detector) -> None:
    """What is kept for search are keyed digests; the same name at another tenant differs."""
    practice = await opened(detector)
    await practice.keys.prepare("other")

    terms = {term for held in practice.ledger.patients.values() for term in held}
    name = "name\nabdul koepp"

    assert {64} == {len(term) for term in terms}
    assert (await practice.keys.blind(TENANT, [name]))[0] in terms
    assert (await practice.keys.blind("other", [name]))[0] not in terms


async def test_importing_again_keeps_the_ledger_id(detector: Detector) -> None:
    """A patient who is imported again keeps the id; the identifiers are replaced."""
    practice = await opened(detector, says("ok"))
    renamed = {**ABDUL, "name": [{"family": "Kowalczyk", "given": ["Abdul"]}]}

    again = await practice.import_patient.import_patient(OPERATOR, renamed)
    await practice.ask("Ms. Kowalczyk", patient="abdul")

    assert practice.entries("patient.import")[0]["patients"] == [again.patient]
    assert 2 == len(practice.ledger.patients)
    assert b"Kowalczyk" not in practice.model.sent[0].body


async def test_bundle_about_one_patient_is_imported(detector: Detector) -> None:
    """Of a bundle the one Patient is imported, whatever else it holds."""
    practice = await opened(detector)
    third = person("third", "Marlowe", "Ines", "MR-1002003")
    held = [{"resource": {"resourceType": "Encounter"}}, {"resource": third}, {}, 7]

    one = await practice.import_patient.import_patient(
        OPERATOR, {"resourceType": "Bundle", "entry": held}
    )

    assert len(practice.entries()) - 1 == one.entry
    assert 3 == len(practice.ledger.patients)


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ({}, "bundle-patients"),
        ({"resourceType": "Bundle", "entry": []}, "bundle-patients"),
        (
            {"resourceType": "Bundle", "entry": [{"resource": ABDUL}, {"resource": ANDY}]},
            "bundle-patients",
        ),
        ({"resourceType": "Patient", "name": [{"family": "Koepp"}]}, "patient-unnamed"),
        ({"resourceType": "Patient", "id": "x", "birthDate": "Koepp-08"}, "malformed-patient"),
        ({"resourceType": "Patient", "id": "x", "name": "Koepp"}, "malformed-patient"),
    ],
)
async def test_resource_that_is_not_one_patient_is_invalid(
    resource: dict[str, Any], code: str, detector: Detector
) -> None:
    """None, several, nameless or malformed patients are invalid, and nothing is recorded."""
    practice = await opened(detector)
    before = len(practice.entries())

    with pytest.raises(Invalid) as invalid:
        await practice.import_patient.import_patient(OPERATOR, resource)

    assert code == invalid.value.code
    assert "Koepp" not in f"{invalid.value}{invalid.value.help}"
    assert before == len(practice.entries())
