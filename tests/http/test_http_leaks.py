"""No identifier of the named patient reaches the model from any place of a request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from clinic import Server, Upstream

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "positions.yaml").read_text("utf-8"))

IDENTIFIERS = [
    "Abdul Koepp",
    "Koepp",
    "e925b0f3-8006-43f6-aa31-94bd215e55e7",
    "(555) 978-4581",
    "Peabody",
    "1956-08-03",
]

FORMS = [
    *IDENTIFIERS,
    "KOEPP, ABDUL",
    "Mr. Koepp",
    "e925b0f3",
    "999-22-1962",
    "999221962",
    "555.978.4581",
    "+1 555 978 4581",
    "313 Lockman Row Suite 4",
    "01940",
    "abdul.koepp@example.org",
    "08/03/1956",
    "8/3/56",
    "August 3, 1956",
    "3 August 1956",
    "Aug 3 1956",
]

NUMBERS = [5559784581, 999221962]

PLACEHOLDER = re.compile(r"\[[A-Z]+-\d+[a-z]*(?: = [^\]]*)?\]")


def planted(value: Any, identifier: Any) -> Any:
    """Return a copy of a request with an identifier in place of PHI, inside JSON too."""
    if isinstance(value, str):
        return identifier if value == "PHI" else value.replace("PHI", str(identifier))
    if isinstance(value, list):
        return [planted(item, identifier) for item in value]
    if isinstance(value, dict):
        return {planted(k, str(identifier)): planted(v, identifier) for k, v in value.items()}
    return value


def words(identifier: str) -> list[str]:
    """Return what must not be seen of an identifier: its parts of three characters and more."""
    return [part for part in re.split(r"[^a-z0-9]+", identifier.lower()) if len(part) > 2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["place"])
def test_identifier_does_not_reach_the_model(
    case: dict[str, Any], server: Server, upstream: Upstream
) -> None:
    """An identifier of the named patient is nowhere in what reaches the model."""
    koepp = server.clinic.patients["koepp"].reference

    for identifier in IDENTIFIERS:
        server.post(planted(case["body"], identifier), patient=koepp)
    received = upstream.received()
    seen = json.dumps(received).lower()

    assert len(IDENTIFIERS) == len(received)
    assert [] == [word for each in IDENTIFIERS for word in words(each) if word in seen]


def test_no_form_of_an_identifier_reaches_the_model(server: Server, upstream: Upstream) -> None:
    """However an identifier of the named patient is written, it is replaced."""
    koepp = server.clinic.patients["koepp"].reference

    back = [server.ask(f"Patient: {form}; call.", patient=koepp).text() for form in FORMS]
    seen = json.dumps(upstream.received()).lower()

    assert [f"Patient: {form}; call." for form in FORMS] == back
    assert [] == [word for each in FORMS for word in words(each) if re.search(rf"\b{word}", seen)]


@pytest.mark.parametrize("number", NUMBERS)
def test_number_that_is_an_identifier_does_not_reach_the_model(
    number: int, server: Server, upstream: Upstream
) -> None:
    """A phone or Social Security number written as a JSON number is replaced too."""
    arguments = json.dumps({"number": number, "list": [number]})
    call = {"id": "1", "type": "function", "function": {"name": "dial", "arguments": arguments}}
    schema = {"type": "object", "properties": {"n": {"const": number}}}
    body = {
        "model": "echo",
        "messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "dial", "parameters": schema}}],
    }

    server.post(body, patient=server.clinic.patients["koepp"].reference)

    assert 1 == len(upstream.received())
    assert str(number) not in json.dumps(upstream.received())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", ["koepp", "schaden", "toy", "senger", "atencio"])
def test_whole_note_comes_back_as_it_was_written(
    key: str, *, stream: bool, server: Server, upstream: Upstream
) -> None:
    """A note that the model repeats comes back letter by letter, and left without identifiers."""
    patient = server.clinic.patients[key]
    family = patient.patient()["name"][0]["family"]

    for note in patient.notes:
        reply = server.ask(note, patient=patient.reference, stream=stream)
        assert note == (reply.streamed() if stream else reply.text())

    seen = json.dumps(upstream.received())
    assert not re.search(rf"\b{family}\b", seen.replace("toy trains", ""), re.IGNORECASE)
    assert PLACEHOLDER.search(seen)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_call_comes_back_restored(*, stream: bool, server: Server, upstream: Upstream) -> None:
    """What the model writes into a tool call's arguments comes back restored, as JSON."""
    fields = {name: {"type": "string"} for name in ("patient_name", "mrn", "date", "phone")}
    tool = {
        "name": "book_slot",
        "description": "Book a slot.",
        "parameters": {"type": "object", "properties": fields, "required": list(fields)},
    }
    said = (
        'Book the slot. Patient: Abdul "Abe" Koepp, phone 555-978-4581, '
        "MRN e925b0f3-8006-43f6-aa31-94bd215e55e7, on December 15, 2026."
    )
    body = {
        "model": "sandbox",
        "messages": [{"role": "user", "content": said}],
        "tools": [{"type": "function", "function": tool}],
        "stream": stream,
    }

    reply = server.post(body, patient=server.clinic.patients["koepp"].reference)
    arguments = json.loads(called(reply.events()) if stream else called([reply.json()]))

    assert "e925b0f3-8006-43f6-aa31-94bd215e55e7" == arguments["mrn"]
    assert ("555-978-4581", "December 15, 2026") == (arguments["phone"], arguments["date"])
    assert "e925b0f3" not in json.dumps(upstream.received())


def called(events: list[Any]) -> str:
    """Return the joined arguments of the first tool call of an answer or a stream."""
    choices = [c for event in events if isinstance(event, dict) for c in event["choices"]]
    parts = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    calls = [call for part in parts for call in part.get("tool_calls") or ()]
    return "".join(call["function"]["arguments"] for call in calls)


def test_use_case_shows_only_the_classes_that_it_names(server: Server, upstream: Upstream) -> None:
    """Names, phones and dates reach a use case that sees them; the record number does not."""
    said = "Remind Abdul Koepp, MRN e925b0f3-8006-43f6-aa31-94bd215e55e7, 555-978-4581."
    koepp = server.clinic.patients["koepp"].reference

    reply = server.ask(said, use_case="appointment-reminders", patient=koepp)
    seen = json.dumps(upstream.received())

    assert said == reply.text()
    assert ("Abdul Koepp" in seen, "555-978-4581" in seen) == (True, True)
    assert "e925b0f3" not in seen


def test_text_that_looks_like_a_placeholder_stays_as_it_is(server: Server) -> None:
    """Text of the caller's own that looks like a placeholder comes back unchanged."""
    said = "[NAME-1] and [NAME-2] asked about Abdul Koepp [DATE-1]."
    koepp = server.clinic.patients["koepp"].reference

    assert said == server.ask(said, patient=koepp).text()


def test_conversation_keeps_its_placeholders_over_turns(server: Server, upstream: Upstream) -> None:
    """Within a conversation the same value keeps its placeholder, whatever comes before it."""
    koepp = server.clinic.patients["koepp"].reference
    for said in ("Abdul Koepp lives in Peabody.", "In Peabody, near 01940, is Abdul Koepp."):
        server.ask(said, patient=koepp, conversation="stable")

    first, second = (body["messages"][0]["content"] for body in upstream.received())

    assert set(PLACEHOLDER.findall(first)) < set(PLACEHOLDER.findall(second))


def test_conversation_of_another_patient_is_refused(server: Server, upstream: Upstream) -> None:
    """A conversation stays with its patient: another one in the same conversation is refused."""
    koepp, toy = (server.clinic.patients[key].reference for key in ("koepp", "toy"))
    server.ask("Abdul Koepp", patient=koepp, conversation="mine")
    upstream.forget()

    reply = server.ask("hi", patient=toy, conversation="mine")

    assert (403, "conversation-patient") == (reply.status, reply.code)
    assert [] == upstream.received()


def test_conversation_survives_a_restart(serve_here: Any, clinic: Any, upstream: Upstream) -> None:
    """After a restart of the server a conversation goes on with the same placeholders."""
    koepp = clinic.patients["koepp"].reference
    with serve_here() as (server, _):
        folder = server.clinic
        server.ask("Abdul Koepp lives in Peabody.", patient=koepp, conversation="c")
    with serve_here(of=folder) as (server, _):
        text = server.ask("In Peabody is Abdul Koepp.", patient=koepp, conversation="c").text()

    first, second = (body["messages"][0]["content"] for body in upstream.received())

    assert "In Peabody is Abdul Koepp." == text
    assert set(PLACEHOLDER.findall(first)) == set(PLACEHOLDER.findall(second))
