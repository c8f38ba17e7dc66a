"""Entries as FHIR AuditEvents: valid by two validators, by IHE's patterns, without PHI."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given
from hypothesis import strategies as st

from audit_entries import ENTRIES, ORIGIN, entries_of
from seawall.core.audit.balp import violations
from seawall.core.audit.fhir import PATTERNS, audit_events
from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import encode

PATIENT, OTHER = "d0e8c289d8da1de2f404d083", "350e8b02e1833a2c4febf2ca"
DECISION = {
    "allowed": True,
    "documents": ["Client/app@1", "UseCase/visits@2", "Endpoint/chat@3", "Agreement/chat@1"],
    "purpose": {"name": "treatment", "hl7": "TREAT"},
    "reasons": [],
}
URL = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"


def events(action: str, /, kind: Any = "client", **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a made-up entry at index 12."""
    entry = {
        "v": 1,
        "at": "2026-03-02T09:30:00.125Z",
        "action": action,
        "tenant": "harborview",
        "actor": {"kind": kind, "name": "app"},
        **fields,
    }
    return audit_events(ORIGIN, 12, encode(entry))


def agent(event: dict[str, Any], code: str) -> dict[str, Any]:
    """Return the one agent whose type has this code."""
    [found] = [one for one in event["agent"] if one["type"]["coding"][0]["code"] == code]
    return dict(found)


def details(event: dict[str, Any]) -> dict[str, str]:
    """Return what the entity that points to the ledger says."""
    return {one["type"]: one["valueString"] for one in event["entity"][-1]["detail"]}


INTENT: dict[str, Any] = {
    "decision": DECISION,
    "unattributed": False,
    "found": {"NAME": 2},
    "left": {"NAME": 1},
    "features": ["chat-completions"],
    "stream": False,
    "item": "7e" * 16,
    "request": "sha256:" + "5e" * 32,
}


@given(ENTRIES, st.integers(0, 2**53 - 1))
def test_every_entry_makes_valid_events(entry: dict[str, Any], index: int) -> None:
    """Whatever the program writes becomes events that FHIR's and IHE's rules both accept."""
    for event in audit_events(ORIGIN, index, encode(entry)):
        AuditEvent.model_validate(event)
        assert [] == violations(event)


JSON_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=600),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KNOWN_FIELDS = st.sampled_from(
    ["at", "action", "tenant", "actor", "patients", "decision", "grant", "query", "item", "log"]
)


@given(
    st.sampled_from(sorted(PATTERNS)).flatmap(entries_of),
    st.dictionaries(KNOWN_FIELDS | st.text(), JSON_VALUES, max_size=4),
)
def test_an_entry_of_any_form_makes_valid_events(
    entry: dict[str, Any], strange: dict[str, Any]
) -> None:
    """Fields of other types and strange names are said as far as can be, and break nothing."""
    try:
        raw = encode({**entry, **strange})
    except Exception:  # noqa: BLE001  not an entry at all: half of a surrogate pair
        return
    for event in audit_events(ORIGIN, 0, raw):
        AuditEvent.model_validate(event)
        assert [] == violations(event)
        assert len(json.dumps(event)) < 150_000


@given(ENTRIES)
def test_an_event_names_its_own_patient_alone(entry: dict[str, Any]) -> None:
    """One event for each patient, and no other patient's id in it."""
    named = entry.get("patients") or []
    made = audit_events(ORIGIN, 3, encode(entry))

    if named:
        for event, patient in zip(made, named, strict=True):
            others = set(named) - {patient}
            text = json.dumps(event)
            assert (True, []) == (patient in text, [one for one in others if one in text])
    assert len(made) == len({event["id"] for event in made})


@pytest.mark.parametrize(
    ("action", "fields", "profile"),
    [
        ("document.apply", {"document": "Endpoint/chat@3"}, "IHE.BasicAudit.Update"),
        (
            "patient.import",
            {"patients": [PATIENT], "identifiers": "sha256:00"},
            "IHE.BasicAudit.PatientUpdate",
        ),
        (
            "phi.open",
            {"patients": [PATIENT], "decision": DECISION, "grant": {"kinds": ["k"]}},
            "IHE.BasicAudit.PatientRead",
        ),
        ("phi.open", {"patients": [], "decision": DECISION}, "IHE.BasicAudit.Read"),
        (
            "patient.view",
            {"patients": [PATIENT], "decision": DECISION, "grant": {"kinds": ["k"]}},
            "IHE.BasicAudit.PatientRead",
        ),
        (
            "exchange.intent",
            {**INTENT, "patients": [PATIENT]},
            "IHE.BasicAudit.PrivacyDisclosure.Source",
        ),
        (
            "phi.open",
            {"patients": [PATIENT], "decision": DECISION, "for_user": "ann"},
            "IHE.BasicAudit.PatientRead",
        ),
        (
            "exchange.intent",
            {**INTENT, "patients": [PATIENT], "for_user": "ann"},
            "IHE.BasicAudit.PrivacyDisclosure.Source",
        ),
        ("token.issue", {"token": "74a336a91a050afab643a4da"}, "IHE.IUA.71"),
        ("token.issue", {"token": "74a336a91a050afab643a4da", "person": "ann"}, "IHE.IUA.71"),
        ("dataset.seal", {"dataset": "visits"}, "IHE.BasicAudit.Create"),
        ("dataset.open", {"dataset": "visits", "decision": DECISION}, "IHE.BasicAudit.Read"),
    ],
)
@pytest.mark.parametrize("kind", ["client", "operator", "system", "user"])
def test_an_action_with_a_pattern_of_ihe_claims_it(
    action: str, fields: dict[str, Any], profile: str, kind: str
) -> None:
    """The profile is in meta, and the event keeps its rules."""
    [event] = events(action, kind, **fields)

    assert ([URL + profile], []) == (event["meta"].get("profile"), violations(event, profile))


@pytest.mark.parametrize(
    ("action", "fields", "expected"),
    [
        ("document.apply", {"document": "UseCase/visits@1"}, ("rest", "update", "U", "0")),
        ("patient.import", {"patients": [PATIENT]}, ("rest", "update", "U", "0")),
        ("phi.open", {"patients": [PATIENT]}, ("rest", "read", "R", "0")),
        ("patient.view", {"patients": [PATIENT]}, ("rest", "read", "R", "0")),
        ("dataset.seal", {"dataset": "visits"}, ("rest", "create", "C", "0")),
        ("dataset.open", {"dataset": "visits"}, ("rest", "read", "R", "0")),
        ("dataset.opened", {"outcome": "opened"}, ("rest", "operation", "E", "0")),
        ("dataset.opened", {"outcome": "failed"}, ("rest", "operation", "E", "8")),
        ("exchange.intent", {**INTENT, "patients": [PATIENT]}, ("110106", "disclose", "R", "0")),
        ("exchange.intent", {**INTENT, "patients": []}, ("rest", "operation", "E", "0")),
        (
            "exchange.intent",
            {**INTENT, "patients": [], "unattributed": True},
            ("110106", "disclose", "R", "0"),
        ),
        ("exchange.outcome", {"outcome": "answered"}, ("rest", "operation", "E", "0")),
        ("exchange.outcome", {"outcome": "abandoned"}, ("rest", "operation", "E", "4")),
        ("exchange.outcome", {"outcome": "blocked"}, ("rest", "operation", "E", "8")),
        ("exchange.outcome", {"outcome": "not-sent"}, ("rest", "operation", "E", "8")),
        ("exchange.outcome", {"outcome": "unknown"}, ("rest", "operation", "E", "12")),
        ("exchange.outcome", {"outcome": "something-new"}, ("rest", "operation", "E", "8")),
        ("exchange.refuse", {"code": "no-agreement"}, ("110113", "110132", "E", "8")),
        (
            "access.refused",
            {"access": {"code": "access-refused"}},
            ("110113", "110132", "E", "8"),
        ),
        ("payload.open", {"patients": [PATIENT]}, ("rest", "read", "R", "0")),
        ("session.begin", {"for": "clinic"}, ("110114", "110122", "E", "0")),
        ("session.again", {"for": "clinic"}, ("110114", "110122", "E", "0")),
        ("session.refused", {"code": "factors-missing"}, ("110114", "110122", "E", "8")),
        ("session.end", {"sessions": "all"}, ("110114", "110123", "E", "0")),
        ("token.issue", {"token": "74"}, ("110114", "ITI-71", "E", "0")),
        ("token.person", {"token": "74"}, ("110114", "token.person", "E", "0")),
        ("token.revoke", {"token": "74"}, ("110114", "token.revoke", "D", "0")),
        ("ledger.read", {"what": "list"}, ("110101", "ledger.read", "R", "0")),
        ("ledger.archive", {"upto": 256}, ("110106", "archive", "R", "0")),
        ("ledger.retain", {"years": 7}, ("110101", "ledger.retain", "U", "0")),
        ("ledger.prune", {"to": 256}, ("110101", "destroy", "E", "0")),
        ("ledger.pruned", {"outcome": "pruned"}, ("110101", "destroy", "D", "0")),
        ("ledger.pruned", {"outcome": "failed"}, ("110101", "destroy", "D", "8")),
        ("ledger.alarm", {"code": "log-forked"}, ("110113", "ledger.alarm", "E", "12")),
        ("keys.rotate", {"what": "root"}, ("110113", "110129", "E", "0")),
        ("keys.rotated", {"outcome": "rotated"}, ("110113", "110129", "U", "0")),
        ("keys.rotated", {"outcome": "failed"}, ("110113", "110129", "U", "8")),
        ("keys.rewrap", {"keys": 3}, ("110113", "110129", "E", "0")),
        ("keys.rewrapped", {"outcome": "rewrapped"}, ("110113", "110129", "U", "0")),
        ("keys.claim", {"state": "begun"}, ("110113", "110129", "E", "0")),
        ("keys.shred", {"patients": [PATIENT]}, ("110113", "destroy", "D", "0")),
        ("keys.renew", {"shred": 3}, ("110113", "110129", "E", "0")),
        ("keys.drop", {"shred": 3}, ("110113", "110129", "D", "0")),
        ("keys.destroy", {"shred": 3}, ("110113", "destroy", "E", "0")),
        ("keys.destroyed", {"patients": [PATIENT]}, ("110113", "destroy", "D", "0")),
        ("emergency.begin", {"patients": [PATIENT]}, ("110113", "110127", "E", "0")),
        ("emergency.renew", {"what": "mode"}, ("110113", "110127", "E", "0")),
        ("emergency.end", {"patients": [PATIENT]}, ("110113", "110138", "E", "0")),
        (
            "emergency.review",
            {"outcome": "inappropriate"},
            ("110101", "emergency.review", "R", "0"),
        ),
        ("offline.enrol", {"person": "ann"}, ("110113", "110137", "C", "0")),
        ("operator.enrol", {"operator": "olga"}, ("110113", "110137", "C", "0")),
        ("operator.verify", {"operator": "olga"}, ("110114", "operator.verify", "E", "0")),
        ("operator.verified", {"outcome": "accepted"}, ("110114", "110122", "E", "0")),
        ("operator.verified", {"outcome": "refused"}, ("110114", "110122", "E", "8")),
        ("clinic.new-thing", {}, ("110100", "clinic.new-thing", "E", "0")),
    ],
)
def test_each_action_is_said_in_its_codes(
    action: str, fields: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Type, first subtype, action and outcome are those of the reference page."""
    [event] = events(action, **fields)

    said = (event["type"]["code"], event["subtype"][0]["code"], event["action"], event["outcome"])
    assert expected == said


def test_the_action_itself_is_a_subtype() -> None:
    """A code of ours, in a naming system below the log's host, says which action it was."""
    [event] = events("exchange.refuse", code="no-agreement")

    ours = {"system": "https://seawall.example/sid/action", "code": "exchange.refuse"}
    assert (ours, "no-agreement") == (event["subtype"][-1], event["outcomeDesc"])


def test_a_refusal_of_the_policies_says_its_code() -> None:
    """The code is in the answer that the entry holds."""
    refused = {"allowed": False, "policies": [], "code": "step-up-needed"}
    [event] = events("access.refused", "user", what="read-ledger", on="Log", access=refused)

    assert ("8", "step-up-needed") == (event["outcome"], event["outcomeDesc"])


def test_a_disclosure_names_who_gave_who_got_and_who_asked() -> None:
    """Seawall is the source and the recorder, the endpoint the recipient, the client requests."""
    [event] = events("exchange.intent", **INTENT, patients=[PATIENT])

    treatment = [
        {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
            ]
        }
    ]
    assert event["source"]["observer"] == agent(event, "110153")["who"]
    assert "Endpoint/chat@3" == agent(event, "110152")["who"]["identifier"]["value"]
    assert "harborview" == agent(event, "159541003")["who"]["identifier"]["value"]
    asking = agent(event, "110150")
    assert ("harborview/app", True, treatment) == (
        asking["who"]["identifier"]["value"],
        asking["requestor"],
        asking["purposeOfUse"],
    )
    assert (treatment, 4) == (event["purposeOfEvent"], len(asking["policy"]))
    assert ('{"NAME":1}', '{"NAME":2}') == (details(event)["left"], details(event)["found"])


def test_an_exchange_is_followed_by_its_request_id() -> None:
    """Intent and outcome hold the exchange's random id in BALP's transaction entity."""
    found = []
    for action, fields in (
        ("exchange.intent", {**INTENT, "patients": [PATIENT]}),
        ("exchange.outcome", {"item": INTENT["item"], "outcome": "answered"}),
    ):
        [event] = events(action, **fields)
        found += [one["what"] for one in event["entity"] if one["type"]["code"] == "XrequestId"]

    assert [{"identifier": {"value": "7e" * 16}}] * 2 == found


def test_a_patient_is_a_reference_by_the_ledger_id() -> None:
    """No name, no address of a FHIR server: a random id in the host's naming system."""
    event, other = events("phi.open", patients=[PATIENT, OTHER], decision=DECISION)

    expected = {"system": "https://seawall.example/sid/patient", "value": PATIENT}
    assert {"type": "Patient", "identifier": expected} == event["entity"][0]["what"]
    assert OTHER == other["entity"][0]["what"]["identifier"]["value"]


def test_a_person_at_the_terminal_is_the_requestor() -> None:
    """For an operator the client is the terminal, and the user slice the person."""
    [event] = events("patient.import", "operator", patients=[PATIENT], identifiers="sha256:00")

    assert [False, False, True] == [one["requestor"] for one in event["agent"]]
    assert "app" == agent(event, "AUT")["name"]


def test_a_person_in_a_session_is_the_requestor() -> None:
    """Named as a person of the tenant, whose browser is not what asks."""
    [event] = events("emergency.begin", "user", patients=[PATIENT])
    [asking] = [agent for agent in event["agent"] if agent["requestor"]]
    [browser] = [agent for agent in event["agent"] if agent["who"].get("display") == "a browser"]

    assert asking["who"]["identifier"]["system"].endswith("/sid/person")
    assert browser["requestor"] is False


@pytest.mark.parametrize(
    ("action", "fields", "expected"),
    [
        ("emergency.begin", {"what": "access", "decision": DECISION}, ["TREAT", "ETREAT", "BTG"]),
        ("phi.open", {"decision": DECISION}, ["TREAT", "ETREAT", "BTG"]),
        ("patient.view", {"decision": DECISION}, ["TREAT", "ETREAT", "BTG"]),
        ("exchange.refuse", {}, ["ETREAT", "BTG"]),
        ("emergency.begin", {"what": "mode"}, []),
        ("emergency.begin", {"what": "offline"}, []),
        ("emergency.end", {"what": "access"}, []),
        ("emergency.review", {"what": "access"}, []),
    ],
)
def test_what_is_done_under_an_emergency_access_says_so(
    action: str, fields: dict[str, Any], expected: list[str]
) -> None:
    """By HL7's purposes of use, of the event and of who asked; what is about one does not."""
    [event] = events(action, "user", emergency="access-1", patients=[PATIENT], **fields)
    [asking] = [agent for agent in event["agent"] if agent["requestor"]]
    said = [
        [one["coding"][0]["code"] for one in held]
        for held in (event.get("purposeOfEvent", []), asking.get("purposeOfUse", []))
    ]

    assert [expected, expected] == said


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("exchange.intent", {**INTENT, "patients": [PATIENT]}),
        ("exchange.refuse", {"decision": DECISION, "patients": []}),
        ("phi.open", {"decision": DECISION, "patients": [PATIENT]}),
    ],
)
def test_a_person_who_is_acted_for_is_an_agent_who_did_not_ask(
    action: str, fields: dict[str, Any]
) -> None:
    """The client asks; the person is a human user of the tenant besides."""
    [event] = events(action, for_user="ann", **fields)
    person = agent(event, "humanuser")

    assert ("harborview/ann", "https://seawall.example/sid/person", "ann", False) == (
        *(person["who"]["identifier"][name] for name in ("value", "system")),
        *(person["name"], person["requestor"]),
    )
    assert ["harborview/app"] == [
        one["who"]["identifier"]["value"] for one in event["agent"] if one["requestor"]
    ]


def test_an_exchange_for_nobody_has_no_person() -> None:
    """A client that acts for itself is alone with Seawall."""
    [event] = events("exchange.refuse", decision=DECISION, patients=[])

    assert 2 == len(event["agent"])


def test_the_policies_that_determined_it_are_the_askers_policy() -> None:
    """After the documents, each in a naming system of the log's host."""
    decision = {**DECISION, "policies": ["service.asks-models", "clinician.treats"]}
    [event] = events("exchange.intent", **{**INTENT, "decision": decision}, patients=[PATIENT])

    assert [
        "https://seawall.example/sid/policy/service.asks-models",
        "https://seawall.example/sid/policy/clinician.treats",
    ] == agent(event, "110150")["policy"][4:]


@pytest.mark.parametrize("action", ["token.issue", "token.person", "token.revoke"])
def test_a_tokens_events_are_found_by_its_id(action: str) -> None:
    """Issued, asked for by a person, taken back: the same policy."""
    [event] = events(action, token="74a336a91a050afab643a4da")
    [asking] = [one for one in event["agent"] if one["requestor"]]

    assert ["urn:ietf:params:oauth:jti:74a336a91a050afab643a4da"] == asking["policy"]


def test_a_token_for_a_person_says_that_it_was_exchanged() -> None:
    """The form's grant is the exchange, and the person is in the details alone."""
    [event] = events("token.issue", token="74", person="ann", one_patient=True)
    query = base64.b64decode(event["entity"][0]["query"])

    assert b"grant_type=urn:ietf:params:oauth:grant-type:token-exchange" == query
    assert ("ann", "true", 2) == (
        details(event)["person"],
        details(event)["one_patient"],
        len(event["agent"]),
    )


def test_an_address_that_the_ledger_does_not_keep_is_unknown() -> None:
    """Nothing is made up where a pattern asks for a client's address."""
    [event] = events("phi.open", patients=[PATIENT])

    assert {"_address"} == agent(event, "110152")["network"].keys()
    assert {"address": "seawall.example", "type": "1"} == agent(event, "110153")["network"]


def test_a_token_is_said_by_its_id_and_never_its_request() -> None:
    """The JWT ID is in agent.policy; the request's form is there, its secret is not."""
    [event] = events("token.issue", token="74a336a91a050afab643a4da")

    assert ["urn:ietf:params:oauth:jti:74a336a91a050afab643a4da"] == event["agent"][0]["policy"]
    assert "Z3JhbnRfdHlwZT1jbGllbnRfY3JlZGVudGlhbHM=" == event["entity"][0]["query"]
    assert "12" == details(event)["index"]


def test_a_reading_names_the_log_and_the_patient_who_was_asked_for() -> None:
    """The audit log is a security resource; the patient of a filter is an entity."""
    [event] = events(
        "ledger.read", what="list", log="seawall.example/log/ab", query={"patient": PATIENT}
    )
    patient, log, _ = event["entity"]

    assert PATIENT == patient["what"]["identifier"]["value"]
    assert "https://seawall.example/log/ab" == log["what"]["identifier"]["value"]
    assert "Security Audit Log" == log["name"]


def test_an_event_points_to_its_place_in_the_ledger() -> None:
    """Origin, index and leaf hash are enough to ask for the proof."""
    raw = encode({"at": "2026-03-02T09:30:00.125Z", "action": "x.y"})
    [event] = audit_events(ORIGIN, 12, raw)

    assert f"https://{ORIGIN}#12" == event["meta"]["source"]
    leaf = hashlib.sha256(b"\x00" + raw).hexdigest()
    said = details(event)
    assert (ORIGIN, "12", leaf) == (said["log"], said["index"], said["leaf"])


def test_the_same_entry_makes_the_same_events() -> None:
    """Ids follow from origin, index and patient, and differ with each of them."""
    raw = encode({"at": "2026-03-02T09:30:00.125Z", "action": "x", "patients": [PATIENT, OTHER]})
    first, again = audit_events(ORIGIN, 12, raw), audit_events(ORIGIN, 12, raw)
    elsewhere = [*audit_events(ORIGIN, 13, raw), *audit_events(f"{ORIGIN}0", 12, raw)]

    assert first == again
    assert 6 == len({event["id"] for event in [*first, *elsewhere]})


def test_one_patient_can_be_asked_for() -> None:
    """With a patient, only the event of this one is made."""
    raw = encode({"at": "2026-03-02T09:30:00.125Z", "action": "x", "patients": [PATIENT, OTHER]})

    assert audit_events(ORIGIN, 1, raw)[1:] == audit_events(ORIGIN, 1, raw, OTHER)


def test_an_event_that_would_break_its_profile_does_not_claim_it() -> None:
    """What IHE's pattern has no place for is said without the claim."""
    [event] = events("exchange.intent", **{**INTENT, "unattributed": True}, patients=[])

    assert "profile" not in event["meta"]


def test_an_entry_that_was_changed_makes_no_event() -> None:
    """Bytes that are not an entry's one form are tampering, and no event hides that."""
    with pytest.raises(Tampered):
        audit_events(ORIGIN, 0, b'{"b":1,"a":2}')


def test_no_action_of_the_program_is_left_to_the_general_event() -> None:
    """Every action that the page of entries has a section for is said in codes of its own."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "ledger-entries.md").read_text(
        "utf-8"
    )
    actions = set(re.findall(r"^## `([a-z]+\.[a-z-]+)`$", page, re.MULTILINE))

    assert "exchange.intent" in actions
    assert set() == actions - PATTERNS.keys()


def test_the_reference_page_has_each_action() -> None:
    """The table of patterns is the page's: action, type, letter, profile."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "audit-events.md").read_text("utf-8")
    for action, pattern in PATTERNS.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{action}` |")]
        cells = [cell.strip() for cell in row.split("|")]
        profiles = [one for one in pattern.profiles if one is not None]

        assert (True, f"`{pattern.letter}`") == (f"`{pattern.kind[1]}`" in cells[2], cells[3])
        assert [] == [one for one in profiles if one.removeprefix("IHE.BasicAudit.") not in row]
