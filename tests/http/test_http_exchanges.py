"""Two hundred exchanges through a real server, and a search for what they left behind."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clinic import Reply, Server, Upstream
    from seawall.demo.stage import Patient

ROUNDS = 4
SHORTEST = 5
"""Bytes from which a needle cannot turn up in random bytes by chance."""

TOOL = {
    "type": "function",
    "function": {
        "name": "book_slot",
        "description": "Book a slot.",
        "parameters": {"type": "object", "properties": {"patient_name": {"type": "string"}}},
    },
}


def test_plain_exchange_is_answered_and_names_its_entry(server: Server, upstream: Upstream) -> None:
    """A plain exchange is answered with its text restored, and the header names the intent."""
    patient = server.clinic.patients["koepp"]

    reply = server.ask("Call Abdul Koepp back.", patient=patient.reference)

    assert ("answered", "Call Abdul Koepp back.") == (reply.code, reply.text())
    assert "Koepp" not in str(upstream.received())
    assert "exchange.intent" == server.clinic.entries()[reply.entry]["action"]


def test_intent_names_what_was_found_and_what_left(server: Server) -> None:
    """The intent counts identifiers by class, names the model and the documents, holds no PHI."""
    patient = server.clinic.patients["koepp"].reference
    said = "Remind Abdul Koepp, MRN e925b0f3-8006-43f6-aa31-94bd215e55e7."

    reply = server.ask(said, use_case="appointment-reminders", patient=patient)
    intent = server.clinic.entries()[reply.entry]

    assert {"NAME": 1, "ID": 1} == intent["found"]
    assert {"NAME": 1} == intent["left"]
    assert "seawall-sandbox-1+echo" == intent["decision"]["model"]["name"]
    assert "Agreement/standing@1" in intent["decision"]["documents"]
    assert 1 == len(intent["patients"])


def test_intent_names_the_policies_and_the_scope(server: Server) -> None:
    """In the product the policies are always asked, and the intent says what a use case may see."""
    reply = server.ask("Remind them.", use_case="appointment-reminders")
    decision = server.clinic.entries()[reply.entry]["decision"]

    assert ["service.asks-models"] == decision["policies"]
    assert decision["scope"] == {
        "identifiers": ["DATE", "NAME", "PHONE"],
        "elements": [],
        "clinical_text": False,
        "entire_record": False,
    }


def test_unmatched_identifiers_are_recorded_as_unattributed(server: Server) -> None:
    """An exchange with identifiers that match nobody says so in its intent."""
    reply = server.ask("Patient: Quentin Ashworth-Vale, SSN 123-45-6789.")

    intent = server.clinic.entries()[reply.entry]

    assert ([], True) == (intent["patients"], intent["unattributed"])


def test_identifiers_attribute_an_exchange_without_a_named_patient(server: Server) -> None:
    """Identifiers of an imported patient attribute an exchange that names none."""
    number = "e925b0f3-8006-43f6-aa31-94bd215e55e7"

    reply = server.ask(f"Patient Abdul Koepp, MRN {number}, called.")
    intent = server.clinic.entries()[reply.entry]

    assert (1, False) == (len(intent["patients"]), intent["unattributed"])


def test_upstream_learns_nothing_of_the_caller(server: Server, upstream: Upstream) -> None:
    """Of the caller's token and headers, and of its own name for the model, nothing is sent on."""
    server.ask("hi", patient=server.clinic.patients["toy"].reference)

    (body,) = upstream.received()

    assert {
        "model": "seawall-sandbox-1+echo",
        "messages": [{"role": "user", "content": "hi"}],
    } == body


@pytest.fixture(scope="module")
def carried(server: Server) -> list[Reply]:
    """Carry two hundred exchanges of every kind, about every sample patient."""
    return [reply for _ in range(ROUNDS) for reply in one_round(server)]


def one_round(server: Server) -> Iterator[Reply]:
    """Yield fifty exchanges: plain, streamed, with tools, in conversations, refused, failing."""
    for patient in server.clinic.patients.values():
        named, note = {"patient": patient.reference}, patient.notes[0]
        yield server.ask(f"Summarize this note.\n\n{note}", "sandbox", **named)
        yield server.ask(f"Summarize this note.\n\n{note}", "sandbox", stream=True, **named)
        yield server.ask(note, conversation=f"about {patient.key}", **named)
        yield server.ask(note, stream=True)
        yield server.ask(note, use_case="appointment-reminders", **named)
        yield server.ask(note, "consumer-chat", **named)
        yield server.ask(note, "on-cut", stream=True, **named)
        yield server.ask(f"Who is {other(server, patient)}?", **named)
        yield server.post(with_a_tool(note), **named)
        yield server.post(b'{"model": "echo", "messages": ' + json.dumps(note).encode(), **named)


def other(server: Server, patient: Patient) -> str:
    """Return the record number of another patient than the given one."""
    others = [p for p in server.clinic.patients.values() if p.key != patient.key]
    numbers = others[0].patient()["identifier"]
    return str(next(number["value"] for number in numbers if "hospital" in number["system"]))


def with_a_tool(note: str) -> dict[str, Any]:
    """Return a request that has a slot booked."""
    messages = [{"role": "user", "content": f"Book a slot.\n{note}"}]
    return {"model": "sandbox", "messages": messages, "tools": [TOOL]}


def test_two_hundred_exchanges_end_as_they_should(carried: list[Reply]) -> None:
    """Two hundred exchanges of every kind each end in their own way."""
    codes = [reply.code for reply in carried]

    assert 200 == len(codes)
    assert 120 == codes.count("answered")
    assert {"no-agreement", "minimum-necessary", "wrong-patient", "json-syntax"} < set(codes)


def test_every_intent_has_an_outcome(server: Server, carried: list[Reply]) -> None:
    """Each recorded intent is closed by exactly one outcome."""
    entries = server.clinic.entries()
    intents = [entry["item"] for entry in entries if entry["action"] == "exchange.intent"]
    outcomes = [entry["item"] for entry in entries if entry["action"] == "exchange.outcome"]

    assert len(intents) >= len(carried) // 2
    assert sorted(intents) == sorted(outcomes)


def test_nothing_that_was_left_behind_holds_an_identifier(
    server: Server, carried: list[Reply]
) -> None:
    """No file of the data folder, no log at level debug and no metric holds an identifier."""
    needles = list(forms(server.clinic.patients.values()))
    refusals = b"".join(reply.body for reply in carried if reply.code != "answered")
    metrics = server.send("GET", "/metrics").body
    files = [path for path in server.clinic.folder.rglob("*") if path.is_file()]

    assert {"seawall.db", "seawall.db-wal"} < {path.name for path in files}
    assert 200 < sum(path.stat().st_size for path in server.logs)
    assert [] == found([path.read_bytes() for path in (*files, *server.logs)], needles)
    assert [] == found([refusals, metrics], needles)


def test_search_finds_what_was_planted(server: Server, tmp_path: Path) -> None:
    """The search itself finds each single identifier, however it was planted."""
    needles = list(forms(server.clinic.patients.values()))
    planted = tmp_path / "planted"

    for needle in ("Koepp", "SCHADEN", "999-22-1962", "e925b0f3", "978-4581", "03/14/1958"):
        planted.write_bytes(bytes(range(256)) + needle.encode() + bytes(range(256)))
        assert needle.encode() in found([planted.read_bytes()], needles)
    assert found(["Lockman Row".encode("utf-16-le")], needles)
    assert found([b"abdul.koepp@example.org"], needles)


def forms(patients: Any) -> Iterator[bytes]:
    """Yield every identifier of the sample patients in every form that could betray it."""
    for word in {word.strip() for patient in patients for word in identifiers(patient)}:
        if len(word) >= SHORTEST:
            for form in {word, word.lower(), word.upper(), word.title()}:
                yield form.encode()
                yield form.encode("utf-16-le")


def identifiers(patient: Patient) -> Iterator[str]:
    """Yield a sample patient's identifiers, out of the bundle and the notes."""
    person, notes = patient.patient(), "\n".join(patient.notes)
    name, address = person["name"][0], person["address"][0]
    yield from (person["id"], name["family"], *name["given"])
    yield from (f"{given} {name['family']}" for given in name["given"])
    yield from (identifier["value"] for identifier in person["identifier"])
    yield from (line for line in address["line"])
    yield from (re.sub(r"^\d+ | (Suite|Unit|Apt) .*", "", line) for line in address["line"])
    for point in person["telecom"]:
        digits = re.sub(r"\D", "", point["value"])
        yield from (point["value"], digits, point["value"][-8:], f"({digits[:3]}) {digits[3:6]}")
    born = date.fromisoformat(person["birthDate"])
    yield from (f"{born:{layout}}" for layout in ("%Y-%m-%d", "%m/%d/%Y", "%B %d, %Y", "%d %B %Y"))
    yield from (f"{born:%B} {born.day}, {born.year}", f"{born.day} {born:%B} {born.year}")
    yield from re.findall(r"[\w.]+@[\w.]+\w", notes)
    yield from re.findall(r"MRN:? (\w{8})", notes)
    yield from re.findall(r"\(?\b\d{3}\)?[ .-]\d{3}[.-]\d{4}", notes)
    yield from re.findall(rf"[A-Z]\w+ {name['family']}", notes)


def found(contents: list[bytes], needles: list[bytes]) -> list[bytes]:
    """Return which needles are in which content."""
    return [needle for content in contents for needle in needles if needle in content]
