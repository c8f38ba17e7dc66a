"""Breaking the glass: one patient, sixty minutes, told at once, reviewed by somebody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emergency_scene import TYPED, EmergencyScene
from key_scene import ANN, BEN, CLINIC
from seawall.app.caller import Caller
from seawall.app.emergencies import EmergencySteps
from seawall.core.access.emergency import ACCESS_MS, WARNING, Reason
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused, Unavailable
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.register import read_document

HOUR = 3_600


@pytest.fixture
async def scene() -> EmergencyScene:
    """Return a clinic in which no emergency is under way."""
    return await EmergencyScene().open()


async def code_of(acting: Any) -> str:
    """Return the code of the error that an act raises; empty for none."""
    try:
        await acting
    except Error as error:
        return error.code
    return ""


async def test_a_clinician_opens_one_patient(scene: EmergencyScene) -> None:
    """From then on the policies know the patient, and for nobody else."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    whom = [scene.one.access.asker(scene.caller(name)) for name in ("carla", "cyrus")]
    assert [ANN, None] == [asker.emergency_patient for asker in whom]


async def test_the_entry_tells_who_whom_why_and_until_when(scene: EmergencyScene) -> None:
    """The chosen reason stands there; of the typed one a digest."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    [said] = scene.said("emergency.begin")
    picked = {name: said[name] for name in ("actor", "patients", "reason", "until", "outcome")}
    assert picked == {
        "actor": {"kind": "user", "name": "carla"},
        "patients": [ANN],
        "reason": "patient-unconscious",
        "until": scene.clock.now_ms() + ACCESS_MS,
        "outcome": "emergency",
    }
    assert (begun.id, WARNING) == (said["emergency"], said["warning"])


async def test_what_was_typed_is_in_no_entry_and_no_document(scene: EmergencyScene) -> None:
    """It may name the patient, so it is sealed under the patient's own key."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    document = scene.one.current.find(CLINIC, begun.id)
    recorded = b"".join(scene.ledger.logs[CLINIC].entries) + str(document).encode()
    assert TYPED.encode() not in recorded
    sealed = scene.ledger.kept[CLINIC, "emergency.typed", begun.id]
    assert (ANN, sealed.digest()) == (sealed.context.subject, document.spec.told)


async def test_the_privacy_officer_is_told_at_once(scene: EmergencyScene) -> None:
    """By an alarm that names the entry, and in the list."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    assert [("emergency-access", CLINIC, begun.entry)] == scene.notifier.alarms
    assert [begun.id] == [one.id for one in await scene.one.history.listed(CLINIC)]


@pytest.mark.parametrize(("after_ms", "expected"), [(ACCESS_MS - 1, ANN), (ACCESS_MS, None)])
async def test_it_ends_by_itself_after_an_hour(
    scene: EmergencyScene, after_ms: int, expected: str | None
) -> None:
    """To the millisecond."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    scene.clock.advance(after_ms / 1000)
    assert expected == scene.one.current.patient_of(scene.caller("carla"))


async def test_a_second_patient_is_refused_while_one_is_open(scene: EmergencyScene) -> None:
    """Ending the first lets the next begin, under an id of its own."""
    carla = scene.caller("carla")
    first = await scene.one.glass.begin(carla, scene.asked())
    second = scene.asked(patient="MRN-2")
    assert "emergency-under-way" == await code_of(scene.one.glass.begin(carla, second))
    await scene.one.glass.end(carla, first.id)
    await scene.one.glass.begin(carla, second)
    assert BEN == scene.one.current.patient_of(carla)


async def test_of_two_at_once_on_two_replicas_one_is_refused(scene: EmergencyScene) -> None:
    """A person opens one patient, wherever the requests arrive."""
    carla = scene.caller("carla")
    codes = await asyncio.gather(
        code_of(scene.one.glass.begin(carla, scene.asked())),
        code_of(scene.two.glass.begin(carla, scene.asked(patient="MRN-2"))),
    )
    assert ["", "emergency-under-way"] == sorted(codes)
    assert 1 == len(scene.said("emergency.begin"))


@pytest.mark.parametrize("version", [None, "", "0", "true"])
async def test_a_warning_that_was_not_acknowledged_refuses(
    scene: EmergencyScene, version: str | None
) -> None:
    """By the version of the text that is shown now."""
    with pytest.raises(Invalid, match="emergency-unacknowledged"):
        await scene.one.glass.begin(scene.caller("carla"), scene.asked(acknowledged=version))
    assert [] == scene.said("emergency.begin")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"reason": "curiosity"}, "emergency-reason-unknown"),
        ({"typed": "short"}, "emergency-reason"),
        ({"typed": "        "}, "emergency-reason"),
        ({"typed": "x" * 501}, "emergency-reason"),
        ({"typed": "a tab is one space, this bell is not \a"}, "emergency-reason"),
        ({"patient": "MRN-9"}, "patient-unknown"),
    ],
)
async def test_what_is_said_must_be_whole(
    scene: EmergencyScene, changed: dict[str, str], code: str
) -> None:
    """A reason of the list, a typed one of 8 to 500 characters, a patient who is known."""
    assert code == await code_of(
        scene.one.glass.begin(scene.caller("carla"), scene.asked(**changed))
    )


async def test_who_may_not_learns_nothing_of_patients(scene: EmergencyScene) -> None:
    """Refused in the same words for a patient who is known and one who is not."""
    dora = scene.caller("dora")
    found = [
        await code_of(scene.one.glass.begin(dora, scene.asked(patient=patient)))
        for patient in ("MRN-1", "MRN-9")
    ]
    assert ["access-refused", "access-refused"] == found
    assert ["break-glass", "break-glass"] == [one["what"] for one in scene.said("access.refused")]


async def test_a_factor_must_have_been_shown_just_now(scene: EmergencyScene) -> None:
    """A terminal that somebody left does not break the glass."""
    carla = scene.caller("carla", factor_age_ms=301_000)
    with pytest.raises(Refused, match="step-up-needed"):
        await scene.one.glass.begin(carla, scene.asked())


async def test_nothing_opens_unless_it_is_recorded(scene: EmergencyScene) -> None:
    """If the ledger does not take the entry there is no access."""
    scene.ledger.failing["emergency.begin"] = Missing("ledger-down", "it does not answer")
    carla = scene.caller("carla")
    assert "ledger-down" == await code_of(scene.one.glass.begin(carla, scene.asked()))
    assert (None, []) == (scene.one.current.patient_of(carla), scene.alarms)


async def test_a_conflict_that_is_no_second_access_is_told(scene: EmergencyScene) -> None:
    """Whatever the store refuses, nothing opened."""
    scene.ledger.failing["emergency.begin"] = Conflict("version-exists", "it exists")
    carla = scene.caller("carla")
    assert "version-exists" == await code_of(scene.one.glass.begin(carla, scene.asked()))
    assert None is scene.one.current.patient_of(carla)


async def test_what_is_no_access_is_not_ended_as_one(scene: EmergencyScene) -> None:
    """Emergency mode has a way of its own to end."""
    begun = await scene.one.mode.begin(scene.caller("sam"), "disaster", TYPED)
    ended = scene.one.glass.end(scene.caller("pia"), begun.id, TYPED)
    assert "emergency-unknown" == await code_of(ended)


async def test_a_step_that_changes_nothing_is_a_bug(scene: EmergencyScene) -> None:
    """No entry tells of what did not happen."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    document = scene.one.current.find(CLINIC, begun.id)
    steps = EmergencySteps(documents=scene.one.documents, clock=scene.clock)
    by = scene.caller("carla").principal
    with pytest.raises(RuntimeError, match="changed nothing"):
        await steps.follow(by, "emergency.end", document, document.spec, said={}, sealed=None)


async def test_a_replica_sees_what_another_began_and_ended(scene: EmergencyScene) -> None:
    """By the refresh that each request does."""
    carla = scene.caller("carla")
    seen = []
    begun = await scene.one.glass.begin(carla, scene.asked())
    await scene.two.documents.refresh()
    seen.append(scene.two.current.patient_of(carla))
    await scene.two.glass.end(carla, begun.id)
    await scene.one.documents.refresh()
    seen.append(scene.one.current.patient_of(carla))
    assert [ANN, None] == seen


async def test_what_is_done_meanwhile_is_told_as_an_emergencys(scene: EmergencyScene) -> None:
    """For the one patient, by the one person, while it lasts; and not for others."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    for name, patient in (("carla", ANN), ("carla", BEN), ("cyrus", ANN)):
        await scene.act(name, patient)
    assert [begun.id, None, None] == [one.get("emergency") for one in scene.said("phi.open")]


async def test_a_client_never_acts_under_a_persons_emergency(scene: EmergencyScene) -> None:
    """Not even one that acts for the person, or is called so."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    client = Caller(Principal("client", "carla", CLINIC), acting_user="carla")
    assert None is scene.one.current.patient_of(client)
    assert {} == scene.one.current.said(client, [ANN])


async def test_an_access_ends_once(scene: EmergencyScene) -> None:
    """Whoever began it needs nothing to stop; who stops again is told where it stands."""
    carla = scene.caller("carla", factor_age_ms=10**7)
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    await scene.one.glass.end(carla, begun.id)
    with pytest.raises(Conflict, match="emergency-state"):
        await scene.one.glass.end(carla, begun.id)


@pytest.mark.parametrize(
    ("name", "typed", "code"),
    [
        ("cyrus", "I stop this for her", "access-refused"),
        ("pia", "", "reason-needed"),
        ("pia", "this is not her patient", ""),
    ],
)
async def test_who_reviews_may_stop_an_access(
    scene: EmergencyScene, name: str, typed: str, code: str
) -> None:
    """With a reason; a colleague may not."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    assert code == await code_of(scene.one.glass.end(scene.caller(name), begun.id, typed))
    expected = None if not code else ANN
    assert expected == scene.one.current.patient_of(scene.caller("carla"))


async def test_another_tenant_has_no_such_emergency(scene: EmergencyScene) -> None:
    """An id of the clinic's is nobody else's to end."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    stranger = Caller(Principal("user", "carla", "other"))
    assert "emergency-unknown" == await code_of(scene.one.glass.end(stranger, begun.id))


async def test_the_warning_has_a_version_and_the_reasons(scene: EmergencyScene) -> None:
    """What is shown is what has to be acknowledged."""
    warned = scene.one.glass.warn()
    assert (WARNING, 60, tuple(Reason)) == (warned.version, warned.minutes, warned.reasons)


async def test_nobody_applies_an_emergency(scene: EmergencyScene) -> None:
    """The program alone makes one: there is no way to write one by hand."""
    begun = await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    spec = scene.one.current.find(CLINIC, begun.id).spec.model_dump(mode="json")
    with pytest.raises(Invalid, match="document-envelope"):
        read_document({"kind": "Emergency", "name": "mine", "spec": spec})


async def begin_and_end(scene: EmergencyScene, person: str = "carla") -> str:
    """Begin an access and end it at once; return the code of the refusal to begin, or empty."""
    try:
        begun = await scene.one.glass.begin(scene.caller(person), scene.asked())
    except Error as error:
        return error.code
    await scene.one.glass.end(scene.caller(person), begun.id)
    return ""


async def test_a_script_opens_no_clinics_records(scene: EmergencyScene) -> None:
    """Three accesses of one person in an hour, one after the other; a colleague begins more."""
    codes = []
    for _ in range(4):
        codes.append(await begin_and_end(scene))
        scene.clock.advance(600)
    other = await begin_and_end(scene, "cyrus")
    scene.clock.advance(1_200)
    assert (["", "", "", "emergency-many"], "", "") == (codes, other, await begin_and_end(scene))


async def test_whose_role_is_taken_has_no_access_any_more(scene: EmergencyScene) -> None:
    """A clinician who became a developer sees the patient no more."""
    await scene.one.glass.begin(scene.caller("carla"), scene.asked())
    spec = {"title": "Carla", "roles": ["developer"]}
    document = {"kind": "User", "name": "carla", "spec": spec}
    await scene.one.documents.apply(Principal("operator", "tests", CLINIC), [document])
    seen = scene.one.viewing.view(scene.caller("carla"), "MRN-1", Purpose.TREATMENT)
    assert "access-refused" == await code_of(seen)


async def test_a_beginning_in_doubt_is_alarmed(scene: EmergencyScene) -> None:
    """It may be in the ledger though nobody said so."""
    scene.ledger.failing["emergency.begin"] = Unavailable("ledger-slow", "no answer")
    asked = scene.one.glass.begin(scene.caller("carla"), scene.asked())
    assert "ledger-slow" == await code_of(asked)
    assert [("emergency-access", CLINIC, None)] == scene.notifier.alarms
