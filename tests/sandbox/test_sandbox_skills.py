"""What the sandbox model says: cases as files, and tool calls from schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seawall.sandbox.dialect import read_request
from seawall.sandbox.reading import Reading
from seawall.sandbox.schema import fill
from seawall.sandbox.skills import Answer, answer, tool_to_call

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
PROMPT = (
    "Please book a follow-up for Abdul Koepp (MRN e925b0f3) with Dr. Sharyl Hilpert on "
    "December 15, 2026 at 2:30 pm, 40 minutes, because of right knee pain. "
    "Phone (555) 978-4581, [ORGANIZATION-1], a.koepp@example.org."
)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path) -> None:
    """The sandbox answers each case's prompt as the case says."""
    prompt, expected = case.read_text(encoding="utf-8").rstrip("\n").split("\n# answer\n")

    assert Answer(expected) == _answer({"role": "user", "content": prompt})


@pytest.mark.parametrize(
    ("name", "schema", "expected"),
    [
        ("patient_name", {"type": "string"}, "Abdul Koepp"),
        ("patientPhone", {"type": "string"}, "(555) 978-4581"),
        ("email", {"type": "string"}, "a.koepp@example.org"),
        ("mrn", {"type": "string"}, "e925b0f3"),
        ("clinic", {"type": "string"}, "[ORGANIZATION-1]"),
        ("provider", {"type": "string"}, "Dr. Sharyl Hilpert"),
        ("date", {"type": "string", "format": "date"}, "2026-12-15"),
        ("date", {"type": "string"}, "December 15, 2026"),
        ("start", {"type": "string", "format": "date-time"}, "2026-12-15T14:30:00"),
        ("time", {"type": ["string", "null"]}, "2:30 pm"),
        ("duration", {"type": "integer"}, 40),
        ("reason", {"anyOf": [{"type": "null"}, {"type": "string"}]}, "right knee pain"),
        ("kind", {"enum": ["new", "follow-up"]}, "follow-up"),
        ("kind", {"enum": [1, 2]}, 1),
        ("source", {"const": "chat"}, "chat"),
        ("patient", {"$ref": "#/$defs/Patient"}, {"name": "Abdul Koepp"}),
        ("phones", {"type": "array", "items": {"type": "string"}}, ["unknown"]),
        ("phone", {"type": "array", "items": {"type": "string"}}, ["(555) 978-4581"]),
        ("tags", {"type": "array"}, []),
        ("urgent", {"type": "boolean"}, False),
        ("count", {"type": "integer", "minimum": 1}, 1),
        ("nothing", {"type": "null"}, None),
        ("extra", {"type": "object"}, {}),
        ("broken", {"$ref": "#/nowhere"}, "unknown"),
        ("circular", {"$ref": "#/properties/circular"}, "unknown"),
    ],
)
def test_schema_is_filled_from_the_text(name: str, schema: dict[str, Any], expected: Any) -> None:
    """Each required property gets what the text says for its name, in its type."""
    patient = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    root = {"type": "object", "properties": {name: schema}, "required": [name]}

    assert {name: expected} == fill({**root, "$defs": {"Patient": patient}}, Reading(PROMPT))


def test_optional_properties_are_left_out_when_nothing_is_found() -> None:
    """A property that is not required appears only where the text answers it."""
    schema = {"properties": {"phone": {"type": "string"}, "email": {"type": "string"}}}

    assert fill(schema, Reading("Call 555-978-4581.")) == {"phone": "555-978-4581"}


def test_schema_that_refers_to_itself_ends() -> None:
    """A schema without an end is filled to a limited depth."""
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}

    assert json.dumps(fill(node, Reading(""))).count("next") < 20


@pytest.mark.parametrize(
    ("said", "expected"),
    [("on 12/15/2026", "2026-12-15"), ("on 15 December 2026", "2026-12-15"),
     ("on Tuesday, Dec 15, 2026", "2026-12-15"), ("on [DATE-1]", "[DATE-1]"),
     ("on December 15", "December 15"), ("soon", "unknown")],
)  # fmt: skip
def test_dates_are_written_as_the_schema_wants(said: str, expected: str) -> None:
    """A whole date becomes ISO 8601; a placeholder or part of a date stays as it is."""
    assert expected == _date(said)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("at noon", "12:00:00"), ("at 12 am", "00:00:00"), ("at 12:15 p.m.", "12:15:00"),
     ("at 16:05", "16:05:00"), ("sometime", "00:00:00")],
)  # fmt: skip
def test_times_are_written_as_the_schema_wants(said: str, expected: str) -> None:
    """A time of day becomes ISO 8601, and midnight where none is said."""
    schema = {"properties": {"start": {"type": "string", "format": "date-time"}}}

    assert {"start": f"2026-12-15T{expected}"} == fill(schema, Reading(f"2026-12-15 {said}"))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "book_slot"),
        ("none", None),
        ("required", "book_slot"),
        ({"type": "function", "function": {"name": "find_patient"}}, "find_patient"),
        ({"type": "function", "function": {"name": "absent"}}, None),
    ],
)
def test_tool_choice_binds(choice: Any, expected: str | None) -> None:
    """The caller's tool_choice decides; left alone, the tool nearest to the request is called."""
    tools = [{"function": {"name": "find_patient"}}, {"function": {"name": "book_slot"}}]
    body = {
        "model": "seawall-sandbox-1",
        "messages": [{"role": "user", "content": "Book a slot."}],
        "tools": [*tools, "junk"],
        "tool_choice": choice,
    }
    tool = tool_to_call(read_request(json.dumps(body).encode()))

    assert expected == (tool.name if tool else None)


def test_no_tool_is_called_unless_booking_is_asked() -> None:
    """Tools that are offered are left alone when the user asks for a summary."""
    tools = [{"function": {"name": "book_slot"}}]

    assert _answer({"role": "user", "content": "Summarise: well."}, tools=tools).tool == ""


def test_system_turn_may_hold_the_instruction() -> None:
    """A note alone is summarised when the system's turn asks for it."""
    system = {"role": "system", "content": "You summarise notes."}
    note = {"role": "user", "content": [{"type": "text", "text": "Plan: rest."}, {"type": "x"}]}

    assert _answer(system, note).text == "Summary:\n- Plan: rest."


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("booked", "booked"),
        ('{"ok": true, "slots": [{"id": 1}, {"id": 2}]}', "ok true, id 1, id 2"),
        ("{}", "empty"),
        ("", "empty"),
    ],
)
def test_tool_result_is_told_leaf_by_leaf(result: str, expected: str) -> None:
    """A tool's result is repeated in words, whatever its shape."""
    said = _answer({"role": "user", "content": "Book."}, {"role": "tool", "content": result}).text

    assert f"Done: the tool has answered. Result: {expected}." == said


def test_json_object_is_json() -> None:
    """With response_format json_object the answer's text is a JSON object."""
    turn = {"role": "user", "content": "Summarise: Plan: rest."}
    said = _answer(turn, response_format={"type": "json_object"}).text

    assert json.loads(said) == {"skill": "summary", "text": "Summary:\n- Summarise: Plan: rest."}


def test_json_schema_is_filled() -> None:
    """With response_format json_schema the answer's text fits the schema."""
    schema = {"type": "object", "properties": {"phone": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = _answer({"role": "user", "content": PROMPT}, response_format=wanted).text

    assert json.loads(said) == {"phone": "(555) 978-4581"}


def _date(said: str) -> Any:
    schema = {"type": "string", "format": "date"}
    root = {"type": "object", "properties": {"date": schema}, "required": ["date"]}
    return fill(root, Reading(said))["date"]


def _answer(*messages: dict[str, Any], **fields: Any) -> Answer:
    body = {"model": "seawall-sandbox-1", "messages": messages, **fields}
    return answer(read_request(json.dumps(body).encode()))
