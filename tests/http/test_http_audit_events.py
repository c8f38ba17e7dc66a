"""What a real server recorded, as audit events: valid, in IHE's patterns, without PHI."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from clinic import TENANT
from seawall.core.audit.balp import violations
from seawall.core.audit.fhir import audit_events

if TYPE_CHECKING:
    from clinic import Server


@pytest.fixture(scope="module")
def recorded(server: Server) -> dict[str, list[dict[str, Any]]]:
    """Return the events of an answered exchange, a stream, a refusal and a token, by action."""
    patient = server.clinic.patients["koepp"].reference
    server.ask("Call Abdul Koepp back.", patient=patient)
    server.ask("Call Abdul Koepp back.", patient=patient, stream=True)
    server.ask("hello", use_case="appointment-reminders", endpoint="nobody")
    store = server.clinic.installation.store
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for log in (TENANT, "system"):
        head = asyncio.run(store.head(log))
        for index, raw in enumerate(asyncio.run(store.entries(log, 0, head.size))):
            found[json.loads(raw)["action"]] += audit_events(head.origin, index, raw)
    return found


@pytest.mark.parametrize(
    ("action", "profile"),
    [
        ("document.apply", "IHE.BasicAudit.Update"),
        ("patient.import", "IHE.BasicAudit.PatientUpdate"),
        ("phi.open", "IHE.BasicAudit.PatientRead"),
        ("exchange.intent", "IHE.BasicAudit.PrivacyDisclosure.Source"),
        ("exchange.outcome", None),
        ("exchange.refuse", None),
        ("token.issue", "IHE.IUA.71"),
    ],
)
def test_real_entries_make_events_of_their_pattern(
    action: str, profile: str | None, recorded: dict[str, list[dict[str, Any]]]
) -> None:
    """Both validators accept each event, and those with a patient claim the pattern."""
    events = recorded[action]
    for event in events:
        AuditEvent.model_validate(event)
        assert [] == violations(event)
    claimed = {one.rpartition("/")[2] for e in events for one in e["meta"].get("profile", [])}

    assert events
    assert profile in (claimed or {None})


def test_no_event_holds_what_was_said(recorded: dict[str, list[dict[str, Any]]]) -> None:
    """Neither the patient's name nor the record number that named the patient is in an event."""
    text = json.dumps(recorded).lower()

    assert (False, False) == ("koepp" in text, "abdul" in text)
