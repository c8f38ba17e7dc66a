"""What a person sees of a patient: what the role may, and in an emergency all that is held."""

from __future__ import annotations

from typing import Any

import pytest

from emergency_scene import EmergencyScene
from key_scene import ANN, BEN, CLINIC
from seawall.app.view_patient import CLASSES, Viewed
from seawall.core.access.emergency import ACCESS_MS
from seawall.core.errors import Error, Missing, Refused, Unavailable
from seawall.core.phi.known import KnownIdentifiers
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose

OPERATOR = Principal("operator", "tests", CLINIC)
SCOPE = {
    "title": "Who treats",
    "purposes": ["treatment"],
    "identifiers": ["NAME", "DATE"],
    "justification": "Whoever treats needs to know whom.",
}


@pytest.fixture
async def scene() -> EmergencyScene:
    """Return a clinic whose clinicians may be shown names and dates, for treatment."""
    made = await EmergencyScene().open()
    document = {"kind": "RoleScope", "name": "clinician", "spec": SCOPE}
    await made.one.documents.apply(OPERATOR, [document])
    return made


async def view(
    scene: EmergencyScene, name: str, reference: str = "MRN-1", purpose: str = "treatment"
) -> Viewed:
    """Show a patient to somebody."""
    return await scene.one.viewing.view(scene.caller(name), reference, Purpose(purpose))


async def refusal(
    scene: EmergencyScene, name: str, reference: str = "MRN-1", purpose: str = "treatment"
) -> str:
    """Return the code with which somebody is shown nothing."""
    with pytest.raises(Error) as refused:
        await view(scene, name, reference, purpose)
    return refused.value.code


async def test_a_clinician_sees_what_the_role_may(scene: EmergencyScene) -> None:
    """And is told which classes are withheld; no answer of a model is among it."""
    await scene.answer([ANN], ANN, "An answer about Ann.")
    seen = await view(scene, "carla")
    assert {"names", "birth_date"} == set(seen.identifiers)
    assert {"ID", "PHONE"} <= set(seen.withheld)
    assert (None, ()) == (seen.emergency, seen.answers)


async def test_under_an_emergency_access_all_is_shown(scene: EmergencyScene) -> None:
    """Every identifier that is held, and the newest answers about this patient alone."""
    for patients, subject, text in (
        ([ANN], ANN, "first"),
        ([ANN], ANN, "second"),
        ([BEN], BEN, "of another"),
        ([ANN, BEN], ANN, "of two"),
        ([ANN], "unattributed", "of nobody known"),
    ):
        await scene.answer(patients, subject, text)
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    seen = await view(scene, "carla")
    assert {"names", "birth_date", "record_numbers", "phones"} == set(seen.identifiers)
    assert (["second", "first"], ()) == ([one.text for one in seen.answers], seen.withheld)
    assert begun.id == seen.emergency


async def test_the_entry_tells_what_was_shown_and_under_what(scene: EmergencyScene) -> None:
    """It comes first, and is counted among what was done under the access."""
    await view(scene, "carla")
    scene.clock.advance(1)
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    await view(scene, "carla")
    [plain, under] = scene.said("patient.view")
    assert (["DATE", "NAME"], None) == (plain["shown"], plain.get("emergency"))
    assert ["RoleScope/clinician@1"] == plain["decision"]["documents"]
    assert (begun.id, [ANN], []) == (under["emergency"], under["patients"], under["withheld"])
    told = await scene.one.history.told(CLINIC, begun.id)
    assert {"patient.view": 1} == told.did


async def test_another_patient_is_seen_as_without_an_emergency(scene: EmergencyScene) -> None:
    """One patient, and by one person."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    seen = [await view(scene, "carla", "MRN-2"), await view(scene, "cyrus")]
    assert [None, None] == [one.emergency for one in seen]
    assert {"names", "birth_date"} == set(seen[0].identifiers) == set(seen[1].identifiers)


async def test_after_its_time_the_role_applies_again(scene: EmergencyScene) -> None:
    """From the very millisecond."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    scene.clock.advance((ACCESS_MS - 1) / 1000)
    before = await view(scene, "carla")
    scene.clock.advance(0.001)
    after = await view(scene, "carla")
    assert (4, 2) == (len(before.identifiers), len(after.identifiers))


@pytest.mark.parametrize(
    ("name", "reference", "purpose", "code"),
    [
        ("dora", "MRN-1", "treatment", "access-refused"),
        ("dora", "MRN-9", "treatment", "access-refused"),
        ("pia", "MRN-1", "operations", "access-refused"),
        ("carla", "MRN-1", "research", "access-refused"),
        ("carla", "MRN-9", "treatment", "patient-unknown"),
    ],
)
async def test_who_may_not_sees_nothing(
    scene: EmergencyScene, name: str, reference: str, purpose: str, code: str
) -> None:
    """And does not learn who is a patient here."""
    assert code == await refusal(scene, name, reference, purpose)
    assert [] == scene.said("patient.view")


async def test_an_emergency_opens_for_treatment_alone(scene: EmergencyScene) -> None:
    """Whatever the access, the purpose is asked for each time."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    assert "access-refused" == await refusal(scene, "carla", purpose="operations")


async def test_a_role_without_a_scope_is_shown_nothing() -> None:
    """Empty means no; the refusal is an entry, and nothing is opened."""
    scene = await EmergencyScene().open()
    with pytest.raises(Refused, match="no-role-scope") as refused:
        await view(scene, "carla")
    [said] = scene.said("access.refused")
    assert ("no-role-scope", True) == (said["access"]["code"], refused.value.entry is not None)
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    assert 4 == len((await view(scene, "carla")).identifiers)


async def test_nothing_is_shown_unless_it_is_recorded(scene: EmergencyScene) -> None:
    """The entry is the grant."""
    scene.ledger.failing["patient.view"] = Unavailable("ledger-down", "no answer")
    assert "ledger-down" == await refusal(scene, "carla")


async def test_of_a_shredded_patient_nothing_is_there(scene: EmergencyScene) -> None:
    """The reference itself is gone with the keys; what lacks its seal says so."""
    del scene.ledger.kept[CLINIC, "patient.identifiers", ANN]
    with pytest.raises(Missing, match="patient-gone"):
        await view(scene, "carla")


def test_everything_that_is_held_has_a_class() -> None:
    """A new field of what is known of a patient is shown to nobody until it has one."""
    assert set(KnownIdentifiers.__dataclass_fields__) == set(CLASSES)


async def test_an_access_that_ends_meanwhile_shows_nothing(scene: EmergencyScene) -> None:
    """Ended between the question and the entry; the view is counted all the same."""
    carla = scene.caller("carla")
    begun = await scene.one.glass.begin(carla, scene.asked())
    append = scene.ledger.append

    async def ending_first(log: str, body: Any, writes: Any = ()) -> Any:
        """End the access on the other replica before the view is recorded."""
        if body["action"] == "patient.view":
            scene.clock.advance(1)
            await scene.two.glass.end(carla, begun.id)
        return await append(log, body, writes)

    scene.ledger.append = ending_first  # type: ignore[assignment,method-assign]
    assert "emergency-over" == await refusal(scene, "carla")
    told = await scene.one.history.told(CLINIC, begun.id)
    assert {"patient.view": 1} == told.did


async def test_trying_record_numbers_leaves_a_trace(scene: EmergencyScene) -> None:
    """Naming a patient whom nobody is is an entry, which does not say the number."""
    for begin in (view(scene, "carla", "MRN-9"), glass(scene, "MRN-9")):
        with pytest.raises(Missing) as caught:
            await begin
        said = scene.said("access.refused")[-1]
        assert ("patient-unknown", "carla") == (said["access"]["code"], said["actor"]["name"])
        assert "MRN" not in f"{said} {caught.value}"
        assert caught.value.entry is not None


async def glass(scene: EmergencyScene, patient: str) -> None:
    """Break the glass as Carla."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked(patient=patient))
