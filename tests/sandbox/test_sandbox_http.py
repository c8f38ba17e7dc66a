"""The sandbox through its door: the OpenAI dialect over TLS."""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import openai
import pytest

if TYPE_CHECKING:
    from sandbox.conftest import Sandbox

NOTE = (
    "Summarize this note.\n\nPatient: [NAME-1], seen [DATE-1].\n"
    "Assessment: Angina; no diabète.\nPlan: Aspirin 81 mg daily.\n"
    "Follow-up: [DATE-2 = DATE-1 + 12 days]."
)
SUMMARY = (
    "Summary for [NAME-1]:\n- Assessment: Angina; no diabète.\n"
    "- Plan: Aspirin 81 mg daily.\n- Follow-up: [DATE-2 = DATE-1 + 12 days]."
)
BOOKING = {
    "type": "function",
    "function": {
        "name": "book_appointment",
        "description": "Book an appointment slot",
        "parameters": {
            "type": "object",
            "properties": {
                "patient_name": {"type": "string"},
                "date": {"type": "string"},
                "phone": {"type": "string"},
                "reason": {"type": "string"},
            },
            "required": ["patient_name", "date", "phone", "reason"],
        },
    },
}
BOOK = "Please book [NAME-1] on [DATE-1] for left knee pain, phone [PHONE-1]."
BOOKED = {
    "patient_name": "[NAME-1]",
    "date": "[DATE-1]",
    "phone": "[PHONE-1]",
    "reason": "left knee pain",
}


def test_plain_answer_has_the_shape_of_a_completion(sandbox: Sandbox) -> None:
    """A plain answer is a chat.completion that says that a sandbox made it."""
    answer = sandbox.ask(NOTE).json()

    assert answer["object"] == "chat.completion"
    assert answer["model"] == "seawall-sandbox-1"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["choices"][0]["message"]["content"] == SUMMARY


def test_usage_adds_up(sandbox: Sandbox) -> None:
    """The total of the usage is the prompt's tokens and the answer's."""
    usage = sandbox.ask("one two three.").json()["usage"]

    assert usage["prompt_tokens"] == 4
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


def test_stream_says_what_the_plain_answer_says(sandbox: Sandbox) -> None:
    """The pieces of a stream, joined, are the plain answer."""
    assert sandbox.ask(NOTE, stream=True).streamed_content() == SUMMARY


def test_stream_starts_with_the_role_and_ends_with_a_reason(sandbox: Sandbox) -> None:
    """The first chunk names the role, the last one why the answer ends."""
    events = sandbox.ask(NOTE, stream=True).events()

    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [c["finish_reason"] for c in events[-1]["choices"]] == ["stop"]
    assert {"chat.completion.chunk"} == {event["object"] for event in events}


def test_stream_cuts_every_placeholder(sandbox: Sandbox) -> None:
    """No chunk of a stream holds a whole placeholder."""
    pieces = [delta.get("content") or "" for delta in sandbox.ask(NOTE, stream=True).deltas()]

    assert not [piece for piece in pieces if "[NAME-1]" in piece]
    assert max(len(piece) for piece in pieces) <= 7


def test_stream_is_written_across_characters(sandbox: Sandbox) -> None:
    """One network write of a stream ends inside a character of several bytes."""
    body = json.dumps(
        {
            "model": "seawall-sandbox-1+echo",
            "stream": True,
            "messages": [{"role": "user", "content": "ééé"}],
        }
    )
    connection = sandbox.connect()
    connection.request("POST", "/v1/chat/completions", body, _headers())
    response = connection.getresponse()
    writes = []
    while write := response.read1():
        writes.append(write)
    connection.close()

    assert [write for write in writes if write.endswith(b"\xc3")]


def test_usage_of_a_stream_comes_last_and_only_when_asked(sandbox: Sandbox) -> None:
    """With include_usage the last event holds the usage and no choice."""
    asked = sandbox.ask(NOTE, stream=True, stream_options={"include_usage": True}).events()
    unasked = sandbox.ask(NOTE, stream=True).events()

    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] > 0
    assert not [event for event in unasked if "usage" in event]


@pytest.mark.parametrize("stream", [False, True])
def test_equal_requests_give_equal_bytes(sandbox: Sandbox, *, stream: bool) -> None:
    """The same request, sent twice, is answered by the same bytes."""
    first, second = (sandbox.ask(NOTE, stream=stream, n=2).body for _ in range(2))

    assert first == second


def test_choices_differ_and_take_turns_in_a_stream(sandbox: Sandbox) -> None:
    """With n = 2 both choices come, the second one says so, plain and streamed."""
    plain = [c["message"]["content"] for c in sandbox.ask(NOTE, n=2).json()["choices"]]
    stream = sandbox.ask(NOTE, n=2, stream=True)

    assert [SUMMARY, f"{SUMMARY}\n\n(Alternative 2.)"] == plain
    assert plain == [stream.streamed_content(index) for index in range(2)]
    assert [e["choices"][0]["index"] for e in stream.events()[:4]] == [0, 1, 0, 1]


def test_booking_calls_the_tool(sandbox: Sandbox) -> None:
    """Asked to book, the sandbox calls the tool that was offered, with what it read."""
    choice = sandbox.ask(BOOK, tools=[BOOKING]).json()["choices"][0]
    (call,) = choice["message"]["tool_calls"]

    assert choice["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "book_appointment"
    assert json.loads(call["function"]["arguments"]) == BOOKED


def test_streamed_tool_call_comes_in_fragments(sandbox: Sandbox) -> None:
    """The fragments of a streamed tool call, joined, are its arguments."""
    deltas = sandbox.ask(BOOK, tools=[BOOKING], stream=True).deltas()
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]

    assert calls[0]["function"]["name"] == "book_appointment"
    assert len(calls) > 5
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == BOOKED


def test_tool_result_is_confirmed_in_words(sandbox: Sandbox) -> None:
    """After the tool's result the sandbox confirms for whom and when."""
    function = {"name": "book_appointment", "arguments": json.dumps(BOOKED)}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": BOOK},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call-1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call-1", "content": '{"status": "booked", "slot": 7}'},
    ]

    assert sandbox.converse(turns, tools=[BOOKING]).content() == (
        "Done: book_appointment has answered for [NAME-1] on [DATE-1]. "
        "Result: status booked, slot 7."
    )


def test_witness_keeps_the_exact_bytes(sandbox: Sandbox) -> None:
    """The number in the answer's header leads to the exact body that arrived."""
    body = b'{ "model": "seawall-sandbox-1", "messages": [{"role":"user","content":"hi"}] }'
    number = sandbox.send("POST", "/v1/chat/completions", body).headers["Sandbox-Received"]

    assert body == sandbox.send("GET", f"/sandbox/received/{number}").body
    assert [json.loads(body)] == [kept["body"] for kept in sandbox.received()]


def test_witness_shows_headers_but_no_credential(sandbox: Sandbox) -> None:
    """The witness shows the headers that arrived, the credential apart."""
    sandbox.ask("hi")
    (kept,) = sandbox.received()

    assert "content-type" in dict(kept["headers"])
    assert "authorization" not in dict(kept["headers"])


def test_witness_keeps_what_is_no_json(sandbox: Sandbox) -> None:
    """A body that is no JSON is kept too, and shown as null."""
    reply = sandbox.send("POST", "/v1/chat/completions", b"\xff not json")

    assert (reply.status, reply.json()["error"]["code"]) == (400, "invalid-json")
    assert [kept["body"] for kept in sandbox.received()] == [None]


def test_witness_keeps_what_other_paths_received(sandbox: Sandbox) -> None:
    """What is sent to an interface that the sandbox does not serve is witnessed."""
    reply = sandbox.send("POST", "/v1/embeddings", b'{"input":"x"}')

    assert (reply.status, reply.json()["error"]["code"]) == (404, "not-found")
    assert [kept["path"] for kept in sandbox.received()] == ["/v1/embeddings"]


def test_witness_keeps_the_last_64(sandbox: Sandbox) -> None:
    """The witness forgets the oldest of 65 requests, and its numbers run on."""
    numbers = [int(sandbox.ask("hi").headers["Sandbox-Received"]) for _ in range(65)]

    assert numbers[1:] == [kept["n"] for kept in sandbox.received()]
    assert sandbox.send("GET", f"/sandbox/received/{numbers[0]}").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/sandbox/received"),
        ("POST", "/sandbox/forget"),
    ],
)
def test_strangers_are_refused(sandbox: Sandbox, method: str, path: str) -> None:
    """Without the key every route refuses, and the witness keeps nothing."""
    reply = sandbox.send(method, path, b"{}", key="another-key-entirely")

    assert (reply.status, reply.json()["error"]["code"]) == (401, "invalid_api_key")
    assert sandbox.received() == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("[]", (400, "invalid-body")),
        ("{}", (400, "missing-model")),
        ('{"model": "gpt-9"}', (404, "model_not_found")),
        ('{"model": "seawall-sandbox-1"}', (400, "missing-messages")),
        ('{"model": "seawall-sandbox-1", "messages": []}', (400, "missing-messages")),
        ('{"model": "seawall-sandbox-1", "messages": ["hi"]}', (400, "invalid-message")),
        (
            '{"model": "seawall-sandbox-1", "messages": [{"role": "user"}], "n": 9}',
            (400, "invalid-n"),
        ),
    ],
)
def test_unusable_requests_say_what_is_wrong(
    sandbox: Sandbox, fields: str, expected: tuple[int, str]
) -> None:
    """Each unusable request gets its status and code, and is witnessed all the same."""
    reply = sandbox.send("POST", "/v1/chat/completions", fields.encode())

    assert (reply.status, reply.json()["error"]["code"]) == expected
    assert len(sandbox.received()) == 1


def test_body_over_the_limit_is_refused(sandbox: Sandbox) -> None:
    """A body of more than 4 MiB gets status 413."""
    reply = sandbox.send("POST", "/v1/chat/completions", b" " * (4 * 1024 * 1024 + 1))

    assert (reply.status, reply.json()["error"]["code"]) == (413, "body-too-large")


def test_models_lists_the_sandbox(sandbox: Sandbox) -> None:
    """The one model is listed."""
    assert [m["id"] for m in sandbox.send("GET", "/v1/models").json()["data"]] == [
        "seawall-sandbox-1"
    ]


def test_openai_client_understands_the_stream(sandbox: Sandbox) -> None:
    """The real openai client reads the same answer from a stream."""
    with (
        openai.DefaultHttpxClient(verify=sandbox.tls) as http,
        openai.OpenAI(
            base_url=f"https://127.0.0.1:{sandbox.port}/v1",
            api_key="sandbox-key-for-tests",
            http_client=http,
        ) as client,
    ):
        chunks = client.chat.completions.create(
            model="seawall-sandbox-1", messages=[{"role": "user", "content": NOTE}], stream=True
        )
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert said == SUMMARY


def test_tls_before_1_2_is_refused(sandbox: Sandbox) -> None:
    """A client that offers no more than TLS 1.1 gets no connection."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", sandbox.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        old.wrap_socket(plain)


def _headers() -> dict[str, str]:
    return {"Authorization": "Bearer sandbox-key-for-tests"}
