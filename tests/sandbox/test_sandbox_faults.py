"""The sandbox misbehaving on demand, as a client meets it."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

import pytest

from seawall.sandbox.faults import FAULTS, HUGE_BYTES

if TYPE_CHECKING:
    import socket

    from sandbox.conftest import Sandbox


@pytest.mark.parametrize("stream", [False, True])
def test_echo_repeats_the_user(sandbox: Sandbox, *, stream: bool) -> None:
    """With +echo the answer is the exact last message of the user."""
    said = "Ünïcode\t[NAME-1]\n 🫀 "
    reply = sandbox.ask(said, "echo", stream=stream)

    assert said == (reply.streamed_content() if stream else reply.content())


def test_reset_sends_nothing(sandbox: Sandbox) -> None:
    """With +reset the connection is reset before the first byte."""
    with pytest.raises(ConnectionResetError):
        sandbox.ask("hi", "reset")


def test_reset_comes_in_the_middle_of_a_stream(sandbox: Sandbox) -> None:
    """With +reset a stream starts, and then its connection is reset."""
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        sandbox.ask("hi", "reset", stream=True)


def test_stall_says_nothing(sandbox: Sandbox) -> None:
    """With +stall not a byte comes, though the request was received."""
    with sandbox.raw(_request("stall", stream=False)) as connection:
        connection.settimeout(0.3)

        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert len(sandbox.received()) == 1


def test_stall_comes_in_the_middle_of_a_stream(sandbox: Sandbox) -> None:
    """With +stall a stream starts, and then falls silent without an end."""
    with sandbox.raw(_request("stall", stream=True)) as connection:
        got = _read_until_silent(connection)

    assert b"chat.completion.chunk" in got
    assert b"[DONE]" not in got


def test_cut_ends_a_plain_answer_early(sandbox: Sandbox) -> None:
    """With +cut half of the JSON arrives, as though it were complete."""
    reply = sandbox.ask("hi", "cut")

    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()


def test_cut_ends_a_stream_early(sandbox: Sandbox) -> None:
    """With +cut a stream ends inside an event and without [DONE]."""
    reply = sandbox.ask("hi", "cut", stream=True)

    assert reply.body.startswith(b"data: {")
    assert not reply.body.endswith(b"\n\n")
    assert b"[DONE]" not in reply.body


def test_garbage_is_not_json(sandbox: Sandbox) -> None:
    """With +garbage the answer is neither JSON nor UTF-8."""
    with pytest.raises(UnicodeDecodeError):
        sandbox.ask("hi", "garbage").json()


def test_garbage_lies_in_the_middle_of_a_stream(sandbox: Sandbox) -> None:
    """With +garbage one event of an otherwise whole stream is not JSON."""
    events = sandbox.ask("hi", "garbage", stream=True).body.split(b"\n\n")

    assert len([event for event in events if b"\xff" in event]) == 1
    assert events[-2:] == [b"data: [DONE]", b""]


def test_error_comes_with_status_200(sandbox: Sandbox) -> None:
    """With +error the status is 200 and the body an error."""
    reply = sandbox.ask("hi", "error")

    assert (reply.status, reply.json()["error"]["code"]) == (200, "fault-error")


def test_error_ends_a_stream(sandbox: Sandbox) -> None:
    """With +error a stream starts, and its last event is an error."""
    reply = sandbox.ask("hi", "error", stream=True)
    first, *_, last, _ = reply.body.split(b"\n\n")

    assert b"chat.completion.chunk" in first
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "fault-error"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [429, 500])
def test_status_faults(sandbox: Sandbox, status: int, *, stream: bool) -> None:
    """With +429 and +500 the status and an error in the dialect's shape arrive."""
    reply = sandbox.ask("hi", str(status), stream=stream)

    assert status == reply.status
    assert f"fault-{status}" == reply.json()["error"]["code"]


def test_429_says_when_to_come_back(sandbox: Sandbox) -> None:
    """With +429 the Retry-After header names the seconds."""
    assert sandbox.ask("hi", "429").headers["Retry-After"] == "7"


def test_redirect_leads_back_to_the_witness(sandbox: Sandbox) -> None:
    """With +redirect a client that followed would be received a second time."""
    reply = sandbox.ask("hi", "redirect")

    assert (reply.status, reply.headers["Location"]) == (307, "/v1/chat/completions?redirected")
    assert len(sandbox.received()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_huge_is_one_very_long_line(sandbox: Sandbox, *, stream: bool) -> None:
    """With +huge 32 MiB arrive with no line's end before the very end."""
    body = sandbox.ask("hi", "huge", stream=stream).body

    assert len(body) > HUGE_BYTES
    assert b"\n" not in body[:-2]
    assert isinstance(json.loads(body.removeprefix(b"data: ")), dict)


def test_echo_and_a_fault_go_together(sandbox: Sandbox) -> None:
    """A cut echo holds the start of what the user said."""
    body = sandbox.ask("x" * 2000, "echo", "cut").body

    assert b"xxxx" in body
    assert not body.endswith(b"}")


@pytest.mark.parametrize("switches", [("nonsense",), ("cut", "500"), ("",)])
def test_unknown_switches_are_refused(sandbox: Sandbox, switches: tuple[str, ...]) -> None:
    """A switch that does not exist, or two faults, are no model."""
    reply = sandbox.ask("hi", *switches)

    assert (reply.status, reply.json()["error"]["code"]) == (404, "model_not_found")


def test_every_fault_is_described() -> None:
    """Each switch says in words what it does."""
    assert [name for name, fault in FAULTS.items() if len(fault.description) < 10] == []


def _read_until_silent(connection: socket.socket) -> bytes:
    got = connection.recv(65_536)
    while b"chat.completion.chunk" not in got:
        got += connection.recv(65_536)
    connection.settimeout(0.5)
    while True:
        try:
            block = connection.recv(65_536)
        except TimeoutError:
            return got
        assert block, "the connection ended in place of falling silent"
        got += block


def _request(fault: str, *, stream: bool) -> bytes:
    turn = {"role": "user", "content": "hi"}
    model = f"seawall-sandbox-1+{fault}"
    body = json.dumps({"model": model, "stream": stream, "messages": [turn]})
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: sandbox\r\n"
        "Authorization: Bearer sandbox-key-for-tests\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
