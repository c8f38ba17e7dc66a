"""Upstreams that fail: each fault has its code, its entry and its outcome; nothing hangs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from seawall.adapters.models.openai import UpstreamClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinic import Clinic, Server, Upstream

PLAIN = [
    ("on-reset", 502, "upstream-unreachable"),
    ("on-cut", 502, "upstream-garbage"),
    ("on-garbage", 502, "upstream-garbage"),
    ("on-error", 502, "upstream-garbage"),
    ("on-huge", 502, "upstream-too-large"),
    ("on-500", 502, "upstream-failed"),
    ("on-429", 429, "upstream-busy"),
    ("on-redirect", 400, "upstream-rejected"),
]

STREAMED = [
    ("on-reset", "upstream-unreachable"),
    ("on-cut", "upstream-cut"),
    ("on-garbage", "upstream-garbage"),
    ("on-error", "upstream-garbage"),
    ("on-huge", "upstream-garbage"),
]

SAID = "Summarize: Abdul Koepp has knee pain. " * 20


@pytest.mark.parametrize(("endpoint", "status", "code"), PLAIN)
def test_fault_of_the_upstream_has_its_code(
    endpoint: str, status: int, code: str, server: Server, upstream: Upstream
) -> None:
    """A plain exchange with a failing upstream ends in the fault's code; it was sent once."""
    reply = server.ask("Koepp", endpoint)

    assert (status, code) == (reply.status, reply.code)
    assert reply.json()["error"]["help"]
    assert b"koepp" not in reply.body.lower()
    assert 1 == len(upstream.received())


@pytest.mark.parametrize(("endpoint", "code"), STREAMED)
def test_fault_in_a_stream_ends_it_in_the_dialects_error(
    endpoint: str, code: str, server: Server, upstream: Upstream
) -> None:
    """A stream whose upstream fails ends in an error event, never in [DONE]."""
    events = server.ask(SAID, endpoint, stream=True).events()

    assert code == events[-1]["error"]["code"]
    assert "[DONE]" not in events
    assert 1 == len(upstream.received())


@pytest.mark.parametrize(("endpoint", "status", "code"), PLAIN[:3])
def test_fault_is_an_outcome(endpoint: str, status: int, code: str, server: Server) -> None:
    """A failed exchange has an outcome in the ledger, with the code, after its intent."""
    reply = server.ask("hi", endpoint)
    entries = server.clinic.entries()
    intent, outcome = entries[reply.entry], entries[-1]

    assert status == reply.status
    assert "exchange.intent" == intent["action"]
    assert (intent["item"], "failed", code) == (
        outcome["item"],
        outcome["outcome"],
        outcome["code"],
    )


def test_breaker_opens_after_five_failures_and_sends_nothing(
    server: Server, upstream: Upstream
) -> None:
    """After five failures in a row the endpoint rests: the sixth request is not sent."""
    failed = [server.ask("hi", "resting").code for _ in range(5)]

    resting = server.ask("hi", "resting")

    assert ["upstream-failed"] * 5 == failed
    assert (503, "circuit-open") == (resting.status, resting.code)
    assert 5 == len(upstream.received())
    assert "answered" == server.ask("hi", "echo").code


def test_stalling_upstream_is_given_up(
    clinic: Clinic, serve_here: Callable[..., Any], upstream: Upstream
) -> None:
    """An upstream that falls silent is given up after its time limit, in a stream too."""
    with serve_here(
        UpstreamClient(secrets=clinic.installation.settings.data_dir / "secrets", idle_seconds=0.3)
    ) as (server, _):
        plain = server.ask("hi", "on-stall")
        streamed = server.ask(SAID, "on-stall", stream=True).events()

    assert (504, "upstream-timeout") == (plain.status, plain.code)
    assert "upstream-timeout" == streamed[-1]["error"]["code"]
    assert 2 == len(upstream.received())


def test_full_disk_refuses_the_exchange_and_nothing_leaves(
    serve_here: Callable[..., Any], server: Server, upstream: Upstream
) -> None:
    """With no space for the intent an exchange is refused in the dialect, and nothing is sent."""
    token = server.token()  # the same clinic, whose copy has the same keys
    with serve_here(database_pages=1) as (full, _):
        full.tokens["app"] = token
        replies = [full.ask("Koepp " * 4_000) for _ in range(3)]

    assert [(503, "database-full")] * 3 == [(reply.status, reply.code) for reply in replies]
    assert replies[0].json()["error"]["help"]
    assert [] == upstream.received()


def test_client_that_leaves_a_stream_ends_the_exchange_as_abandoned(server: Server) -> None:
    """When the caller hangs up in the middle of a stream, the outcome is `abandoned`."""
    headers = server.headers(use_case="visit-summary")
    asked = server.ask("hi").entry
    connection = server.connect()
    body = b'{"model":"on-stall","stream":true,"messages":[{"role":"user","content":"%s"}]}'
    connection.request("POST", "/v1/chat/completions", body % SAID.encode(), headers)
    response = connection.getresponse()
    assert response.read(6).startswith(b"data: ")
    response.close()
    connection.close()

    outcome = wait_for(lambda: abandoned(server, asked))

    assert ("abandoned", "client-gone") == (outcome["outcome"], outcome["code"])


def abandoned(server: Server, after: int) -> dict[str, Any] | None:
    """Return the outcome of an exchange that was given up, once it is there."""
    found = [e for e in server.clinic.entries()[after:] if e.get("outcome") == "abandoned"]
    return found[0] if found else None


def wait_for(look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """Look until there is something."""
    for _ in range(200):
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing came")
