"""Whose data an exchange concerns: matched, unattributed, or plainly another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from practice import TENANT, opened, says
from seawall.core.errors import Refused

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector


async def whose(practice: Practice, reference: str) -> str:
    """Return the ledger id of a patient."""
    [term] = await practice.keys.blind(TENANT, [f"reference\n{reference}"])
    ((patient,),) = (await practice.store.patients(TENANT, [term])).values()
    return patient


async def test_named_patient_is_in_the_intent(detector: Detector) -> None:
    """The named patient is concerned, even where nothing was found."""
    practice = await opened(detector, says("ok"))

    await practice.ask("hello", patient="abdul")
    (intent,) = practice.entries("exchange.intent")

    assert ([await whose(practice, "abdul")], False) == (intent["patients"], intent["unattributed"])


async def test_patient_may_be_named_by_record_number(detector: Detector) -> None:
    """Seawall-Patient takes a record number as well as a FHIR id."""
    practice = await opened(detector, says("ok"))

    await practice.ask("hello", patient="MR-448812")

    expected = [await whose(practice, "abdul")]
    assert expected == practice.entries("exchange.intent")[0]["patients"]


async def test_identifiers_are_matched_to_known_patients(detector: Detector) -> None:
    """Without a named patient, identifiers in the text tell whom the exchange concerns."""
    practice = await opened(detector, says("ok"))

    await practice.ask("Patient: Abdul Koepp, MRN MR-448812; and patient Andy Schaden.")
    (intent,) = practice.entries("exchange.intent")
    both = {await whose(practice, "abdul"), await whose(practice, "andy")}

    assert (both, False) == (set(intent["patients"]), intent["unattributed"])


async def test_strangers_identifiers_are_unattributed(detector: Detector) -> None:
    """Identifiers that match no known patient make the intent unattributed."""
    practice = await opened(detector, says("ok"))

    await practice.ask("Patient: Quentin Marlowe, SSN 123-45-6789")
    (intent,) = practice.entries("exchange.intent")

    assert ([], True) == (intent["patients"], intent["unattributed"])


async def test_text_without_identifiers_concerns_nobody(detector: Detector) -> None:
    """A request without identifiers concerns nobody and is not unattributed."""
    practice = await opened(detector, says("ok"))

    await practice.ask("What is a normal pulse?")
    (intent,) = practice.entries("exchange.intent")

    assert ([], False) == (intent["patients"], intent["unattributed"])


@pytest.mark.parametrize(
    "said", ["Patient: Andy Schaden", "MRN MR-771203", "Abdul Koepp, MRN MR-771203"]
)
async def test_other_patients_identifiers_are_refused(said: str, detector: Detector) -> None:
    """Another's name alone, or another's record number even beside the right name, refuses."""
    practice = await opened(detector)

    with pytest.raises(Refused) as refused:
        await practice.ask(said, patient="abdul")

    assert "wrong-patient" == refused.value.code
    assert ([], []) == (practice.entries("exchange.intent"), practice.model.sent)


async def test_relative_beside_the_named_patient_is_no_conflict(detector: Detector) -> None:
    """Another's name beside the named patient's is both: it may be a relative's."""
    practice = await opened(detector, says("ok"))

    await practice.ask("Patient Abdul Koepp came with patient Andy Schaden", patient="abdul")

    assert 2 == len(practice.entries("exchange.intent")[0]["patients"])


async def test_unknown_patient_is_refused(detector: Detector) -> None:
    """A reference that names nobody is refused before anything is opened."""
    practice = await opened(detector)

    with pytest.raises(Refused) as refused:
        await practice.ask(patient="nobody")

    assert "patient-unknown" == refused.value.code
    assert ([], []) == (practice.keys.opened, practice.model.sent)
