"""What is opened under which grant, and for how long one entry serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from practice import opened, says
from seawall.core.errors import Refused

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


async def test_request_without_patient_opens_nothing(detector: Detector) -> None:
    """Where no patient and no conversation is named, nothing is opened."""
    practice = await opened(detector, says("ok"))

    await practice.ask("Abdul Koepp")

    assert ([], []) == (practice.entries("phi.open"), practice.keys.opened)


async def test_each_request_without_a_conversation_has_its_own_entry(detector: Detector) -> None:
    """Without a conversation each request opens under an entry of its own."""
    practice = await opened(detector, says("ok"))

    for _ in range(3):
        await practice.ask(patient="abdul")

    assert (3, 3) == (len(practice.entries("phi.open")), len(practice.keys.opened))


async def test_one_entry_serves_a_conversation_for_ten_minutes(detector: Detector) -> None:
    """Within a conversation one entry serves for ten minutes; then there is a new one."""
    practice = await opened(detector, says("ok"))
    counts = []

    for seconds in (0, 300, 299, 2):
        practice.clock.advance(seconds)
        await practice.ask(patient="abdul", conversation="c")
        counts.append(len(practice.entries("phi.open")))

    assert [1, 1, 1, 2] == counts


async def test_grant_names_kinds_subjects_and_end(detector: Detector) -> None:
    """The opening's entry grants these kinds of this patient's PHI, for ten minutes."""
    practice = await opened(detector, says("ok"))

    await practice.ask(patient="abdul")
    (entry,) = practice.entries("phi.open")

    assert ["patient.identifiers"] == entry["grant"]["kinds"]
    assert entry["patients"] == entry["grant"]["subjects"]
    assert practice.clock.now_ms() + 600_000 == entry["grant"]["until"]


async def test_conversations_do_not_share_a_map(detector: Detector) -> None:
    """Another conversation, and another use case in the same one, number anew."""
    practice = await opened(detector, says("ok"))
    for named in ({}, {"conversation": "d"}, {"use_case": "flagging"}):
        await practice.ask("Nurse: call Dr. Walter Brandt", **{"conversation": "c", **named})

    bodies = {sent.body for sent in practice.model.sent}

    assert 1 == len(bodies)
    assert [] == practice.entries("phi.open")


async def test_conversation_goes_on_after_a_restart(detector: Detector) -> None:
    """After a restart the map is opened again under a new entry, and numbers on."""
    practice = await opened(detector, says("[NAME-1] [NAME-2]"))
    await practice.ask("Patient: Walter Brandt", conversation="c")
    practice.begin()
    await practice.documents.load()

    await practice.ask("Patient: Ines Calloway. Patient: Walter Brandt.", conversation="c")

    assert b"Patient: [NAME-2]. Patient: [NAME-1]." in practice.model.sent[1].body
    assert ["conversation.placeholders"] == practice.entries("phi.open")[0]["grant"]["kinds"]


async def test_conversation_stays_with_its_patient(detector: Detector) -> None:
    """A conversation about one patient is refused for another, and for none."""
    practice = await opened(detector, says("ok"))
    await practice.ask(patient="abdul", conversation="c")
    codes = []

    for named in ({"patient": "andy"}, {}):
        with pytest.raises(Refused) as refused:
            await practice.ask(conversation="c", **named)
        codes.append(refused.value.code)

    assert ["conversation-patient"] * 2 == codes


async def test_two_first_turns_at_once_share_one_map(detector: Detector) -> None:
    """Two turns that begin a conversation at the same time use one map and one entry."""
    practice = await opened(detector, says("ok"))

    await asyncio.gather(
        practice.ask("Patient: Walter Brandt", patient="abdul", conversation="c"),
        practice.ask("Patient: Ines Calloway", patient="abdul", conversation="c"),
    )
    sent = b"".join(sent.body for sent in practice.model.sent)

    assert (True, True) == (b"[NAME-1]" in sent, b"[NAME-2]" in sent)
    assert 1 == len(practice.entries("phi.open"))
