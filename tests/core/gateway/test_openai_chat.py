"""Requests of the OpenAI dialect: every field is decided on, and nothing passes unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import (
    Conflict,
    Error,
    Invalid,
    Missing,
    Refused,
    Tampered,
    Unavailable,
)
from seawall.core.gateway.openai_chat import (
    MESSAGE_FIELDS,
    REQUEST_FIELDS,
    STRUCTURE,
    ChatRequest,
    Treatment,
    error_body,
    outgoing,
    read_request,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "chat-requests" / "refused.json"
REFUSED = json.loads(VECTORS.read_text())
MARKER = "Quackenbush"
TEXT = {"role": "user", "content": "hello"}


def by_treatment(table: dict[str, Treatment], treatment: Treatment) -> list[str]:
    """Return the fields of a table that are treated in one way, but for those with a form."""
    formed = {"model", "messages", "n", "stream", "role", "content", "tool_calls", "tool_call_id"}
    return [name for name, how in table.items() if how is treatment and name not in formed]


def request(**fields: Any) -> dict[str, Any]:
    """Return a body of one message, with more fields; None takes a field out."""
    body = {"model": "chat", "messages": [TEXT], **fields}
    return {name: value for name, value in body.items() if value is not None}


def asked(*messages: dict[str, Any]) -> ChatRequest:
    """Return what is understood of some messages."""
    return read_request(request(messages=list(messages)))


def refusal(body: Any) -> Invalid:
    """Return the error with which a body is refused."""
    with pytest.raises(Invalid) as caught:
        read_request(body)
    return caught.value


def body_of(case: dict[str, Any]) -> Any:
    """Return the body of a case: its own, or a valid one with its change."""
    if "message" in case:
        return request(messages=[TEXT, {**TEXT, **case["message"]}])
    if "change" in case:
        return {"model": "chat", "messages": [TEXT], **case["change"]}
    return case["body"]


def test_plain_request_is_understood() -> None:
    """A request names an endpoint; its body goes on without that name."""
    expected = ChatRequest(
        endpoint="chat",
        body={"messages": [TEXT]},
        is_stream=False,
        writes_json=False,
        features=frozenset({"chat-completions"}),
    )

    assert expected == read_request(request())


@pytest.mark.parametrize("case", REFUSED, ids=[case["case"] for case in REFUSED])
def test_each_refused_body_names_its_field(case: dict[str, Any]) -> None:
    """A body that cannot be understood is refused; the message names the place, in words."""
    error = refusal(body_of(case))

    assert case["code"] == error.code
    assert case["names"] in error.message.split() or case["names"] in error.message
    assert error.help


@pytest.mark.parametrize("case", REFUSED, ids=[case["case"] for case in REFUSED])
def test_no_refusal_shows_a_name_or_value(case: dict[str, Any]) -> None:
    """Whatever is wrong with a body, neither its values nor its unknown names are told."""
    error = refusal(body_of(case))

    assert MARKER not in repr(error.args)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


@pytest.mark.parametrize("name", by_treatment(REQUEST_FIELDS, Treatment.WALKED))
def test_walked_fields_go_on(name: str) -> None:
    """A field that is walked goes on as it is, to be searched."""
    value: Any = [{"type": "function", "x": MARKER}] if name == "tools" else {"x": MARKER}

    assert {"messages": [TEXT], name: value} == read_request(request(**{name: value})).body


@pytest.mark.parametrize("name", by_treatment(REQUEST_FIELDS, Treatment.DROPPED))
def test_dropped_fields_go_nowhere(name: str) -> None:
    """A field that would tell the vendor who asks is dropped."""
    assert {"messages": [TEXT]} == read_request(request(**{name: MARKER})).body


@pytest.mark.parametrize("name", by_treatment(REQUEST_FIELDS, Treatment.REFUSED))
def test_refused_fields_refuse(name: str) -> None:
    """A field that cannot be masked refuses the request, by its name and not its value."""
    error = refusal(request(**{name: MARKER}))

    assert error.code == "refused-field"
    assert error.message == f"the field {name} cannot pass the gateway"


@pytest.mark.parametrize("name", by_treatment(REQUEST_FIELDS, Treatment.REFUSED))
@pytest.mark.parametrize("off", [None, False])
def test_refused_fields_that_are_off_are_left_out(name: str, *, off: bool | None) -> None:
    """A field that is refused may be there if it is off, and does not go on."""
    body = {**request(), name: off}

    assert {"messages": [TEXT]} == read_request(body).body


@pytest.mark.parametrize("name", by_treatment(MESSAGE_FIELDS, Treatment.WALKED))
def test_walked_fields_of_a_message_go_on(name: str) -> None:
    """A message's field that is walked goes on as it is."""
    message = {**TEXT, name: MARKER}

    assert [message] == asked(message).body["messages"]


@pytest.mark.parametrize("name", by_treatment(MESSAGE_FIELDS, Treatment.DROPPED))
def test_dropped_fields_of_a_message_go_nowhere(name: str) -> None:
    """A message's field that is dropped does not go on."""
    assert [TEXT] == asked({**TEXT, name: [MARKER]}).body["messages"]


@pytest.mark.parametrize("name", by_treatment(MESSAGE_FIELDS, Treatment.REFUSED))
def test_refused_fields_of_a_message_refuse(name: str) -> None:
    """A message's field that cannot be masked refuses the request, by its place."""
    error = refusal(request(messages=[TEXT, {**TEXT, name: MARKER}]))

    assert error.message == f"the field messages.1.{name} cannot pass the gateway"


@given(st.text(max_size=20), st.sampled_from(["request", "message"]))
def test_every_other_field_is_refused(name: str, where: str) -> None:
    """A field of any other name refuses the request, in the body and in a message."""
    table = REQUEST_FIELDS if where == "request" else MESSAGE_FIELDS
    if name in table:
        return
    body = request(**{name: 1}) if where == "request" else request(messages=[{**TEXT, name: 1}])

    assert refusal(body).code == "unknown-field"


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
def test_roles(role: str) -> None:
    """The five roles of the dialect are understood."""
    assert [{"role": role}] == asked({"role": role}).body["messages"]


@pytest.mark.parametrize(
    "content",
    [
        "text",
        "",
        None,
        [],
        [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
    ],
)
def test_content_that_can_be_masked(content: Any) -> None:
    """Text, no text, and parts of text go on."""
    message = {"role": "user", "content": content}

    assert [message] == asked(message).body["messages"]


def test_call_ids_are_ours_and_agree() -> None:
    """A client's call ids are replaced by ours, the same for the same call in every message."""
    calls = [{"id": f"{MARKER}-{n}", "type": "function", "function": {}} for n in (1, 2)]
    body = asked(
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": f"{MARKER}-2", "content": "b"},
        {"role": "tool", "tool_call_id": f"{MARKER}-1", "content": "a"},
        {"role": "tool", "tool_call_id": f"{MARKER}-3", "content": "c"},
    ).body
    first, *results = body["messages"]

    assert ["call_0001", "call_0002"] == [call["id"] for call in first["tool_calls"]]
    assert ["call_0002", "call_0001", "call_0003"] == [each["tool_call_id"] for each in results]
    assert MARKER not in str(body)


def test_call_goes_on_but_for_its_id() -> None:
    """What a tool call holds besides its id goes on, to be walked; null calls stay null."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0}
    first, second = asked(
        {"role": "assistant", "tool_calls": [call]}, {"role": "assistant", "tool_calls": None}
    ).body["messages"]

    assert [{**call, "id": "call_0001"}] == first["tool_calls"]
    assert second["tool_calls"] is None


def test_body_that_is_read_is_not_changed() -> None:
    """Understanding a request changes nothing of the body that was received."""
    body = request(user=MARKER, messages=[{"role": "tool", "tool_call_id": "a", "content": "b"}])
    before = json.dumps(body)
    read_request(body)

    assert before == json.dumps(body)


@pytest.mark.parametrize("choices", [1, 8, None])
def test_choices(choices: int | None) -> None:
    """A request may ask for one to eight choices, or leave it open."""
    assert choices == read_request({**request(), "n": choices}).body["n"]


@pytest.mark.parametrize(("stream", "expected"), [(True, True), (False, False), (None, False)])
def test_stream(stream: bool | None, *, expected: bool) -> None:  # noqa: FBT001  a row of the table
    """A request asks for a stream or does not."""
    assert expected is read_request({**request(), "stream": stream}).is_stream


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ({"type": "json_object"}, True),
        ({"type": "json_schema", "json_schema": {}}, True),
        ({"type": "text"}, False),
        ({"type": ["json_object"]}, False),
        ({}, False),
        ("json_object", False),
        (None, False),
    ],
)
def test_whether_the_answer_is_json(response_format: Any, *, expected: bool) -> None:
    """The answer is JSON exactly if the request says so."""
    read = read_request({**request(), "response_format": response_format})

    assert expected is read.writes_json


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"chat-completions"}),
        ({"tools": []}, {"chat-completions"}),
        ({"tools": [{"type": "function"}]}, {"chat-completions", "tools"}),
        ({"tool_choice": "auto"}, {"chat-completions", "tools"}),
    ],
)
def test_features_that_a_request_uses(fields: dict[str, Any], expected: set[str]) -> None:
    """A request uses chat completions, and tools if it offers or demands any."""
    assert expected == read_request(request(**fields)).features


def test_outgoing_body_names_the_upstreams_model() -> None:
    """What is sent names the model as the upstream knows it."""
    body = outgoing(read_request(request()).body, "large-2026")

    assert {"model": "large-2026", "messages": [TEXT]} == body


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Invalid, "invalid_request_error"),
        (Conflict, "invalid_request_error"),
        (Missing, "invalid_request_error"),
        (Refused, "permission_error"),
        (Unavailable, "server_error"),
        (Tampered, "server_error"),
    ],
)
def test_error_in_the_dialects_shape(kind: type[Error], expected: str) -> None:
    """An error becomes the dialect's own, with what to do next in its message."""
    assert error_body(kind("no-agreement", "no agreement", "sign one")) == {
        "error": {
            "message": "no agreement; sign one",
            "type": expected,
            "param": None,
            "code": "no-agreement",
            "help": "sign one",
        }
    }


def test_error_without_help() -> None:
    """An error without help has its message alone."""
    assert error_body(Missing("gone", "it is gone"))["error"]["message"] == "it is gone"


def test_tables_and_structure_hold_no_blank() -> None:
    """Every name of the tables is one word, so none was run together with another."""
    names = [*REQUEST_FIELDS, *MESSAGE_FIELDS, *STRUCTURE]

    assert [] == [name for name in names if not name.isidentifier()]
