"""What is refused before anything leaves: in the dialect's shape, with help, without a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seawall.http.requests import MAX_BODY_BYTES

if TYPE_CHECKING:
    from clinic import Server, Upstream

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "bad-requests.yaml").read_text("utf-8"))
GREETING = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bad_request_is_refused_and_nothing_leaves(
    case: dict[str, Any], server: Server, upstream: Upstream
) -> None:
    """A bad request gets its status and code with help, no value, and reaches no model."""
    named = {
        part: case[part]
        for part in ("use_case", "patient", "conversation", "client")
        if part in case
    }

    reply = server.post(case["body"].encode(), **named)

    assert (case["status"], case["code"]) == (reply.status, reply.code)
    assert {"message", "type", "param", "code", "help"} == set(reply.json()["error"])
    assert reply.json()["error"]["help"]
    assert b"koepp" not in reply.body.lower()
    assert [] == upstream.received()


@pytest.mark.parametrize("case", [c for c in CASES if c["status"] == 403], ids=lambda c: c["name"])
def test_refusal_is_an_entry(case: dict[str, Any], server: Server) -> None:
    """What policy refuses is an entry with the same code, which the answer names."""
    named = {part: case[part] for part in ("use_case", "patient", "client") if part in case}

    reply = server.post(case["body"].encode(), **named)
    entry = server.clinic.entries()[reply.entry]

    assert ("exchange.refuse", case["code"]) == (entry["action"], entry["code"])


def test_invalid_utf8_is_refused(server: Server, upstream: Upstream) -> None:
    """A body that is not UTF-8 is refused."""
    reply = server.post(GREETING.replace(b"hi", b"Koepp \xff\xfe"))

    assert (400, "json-encoding") == (reply.status, reply.code)
    assert [] == upstream.received()


def test_body_over_the_limit_is_refused(server: Server, upstream: Upstream) -> None:
    """A body over the limit is refused with 413."""
    reply = server.post(GREETING.replace(b"hi", b"x" * MAX_BODY_BYTES))

    assert (413, "body-too-large") == (reply.status, reply.code)
    assert [] == upstream.received()


def test_deep_body_is_refused(server: Server, upstream: Upstream) -> None:
    """A body that nests too deep is refused."""
    deep = b'{"model":"echo","messages":' + b"[" * 100 + b"]" * 100 + b"}"

    assert "json-depth" == server.post(deep).code
    assert [] == upstream.received()


@pytest.mark.parametrize(
    "strong",
    ["Andy Schaden, MRN d630c6ca-046c-470a-8f3a-4dbc3850e7ae", "SSN 999-21-8417", "Andy Schaden"],
)
def test_another_patients_identifiers_are_refused(
    strong: str, server: Server, upstream: Upstream
) -> None:
    """Identifiers of another imported patient than the named one are refused as wrong-patient."""
    koepp = server.clinic.patients["koepp"].reference

    reply = server.ask(f"Summarize: {strong} has pneumonia.", patient=koepp)

    assert (403, "wrong-patient") == (reply.status, reply.code)
    assert [] == upstream.received()


def test_record_number_of_another_patient_is_refused_beside_the_right_name(
    server: Server, upstream: Upstream
) -> None:
    """Another patient's record number is refused even where the named patient is named too."""
    koepp, number = server.clinic.patients["koepp"], "d630c6ca-046c-470a-8f3a-4dbc3850e7ae"

    reply = server.ask(f"Abdul Koepp, MRN {number}: summary please.", patient=koepp.reference)

    assert "wrong-patient" == reply.code
    assert [] == upstream.received()


def test_use_case_must_be_named_by_a_client_with_several(
    server: Server, upstream: Upstream
) -> None:
    """A client with several use cases must say which; the request goes nowhere."""
    reply = server.post(GREETING, use_case=None)

    assert (400, "use-case-missing") == (reply.status, reply.code)
    assert [] == upstream.received()


def test_only_use_case_of_a_client_need_not_be_named(server: Server) -> None:
    """A client with a single use case may leave the header out."""
    assert "answered" == server.post(GREETING, client="narrow", use_case=None).code


def test_client_without_a_use_case_may_not_ask(server: Server, upstream: Upstream) -> None:
    """A client without any use case is refused, whatever it names."""
    assert "use-case-not-granted" == server.post(GREETING, client="bare").code
    assert [] == upstream.received()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/chat/completions"), ("GET", "/v2"), ("POST", "/v1/embeddings"), ("GET", "/docs")],
)
def test_unknown_path_or_method_is_refused_in_the_dialect(
    method: str, path: str, server: Server
) -> None:
    """A path or method that does not exist is told in the dialect's shape."""
    reply = server.send(method, path, headers=server.headers())

    assert (404, "no-such-door") == (reply.status, reply.code)


def test_models_lists_the_endpoints_of_the_clients_use_cases(server: Server) -> None:
    """GET /v1/models lists the endpoints that exist among those of the client's use cases."""
    listed = server.send("GET", "/v1/models", headers=server.headers("narrow")).json()
    names = [model["id"] for model in listed["data"]]

    assert sorted(names) == names
    assert {"echo", "sandbox"} < set(names)
    assert "no-such-endpoint" not in names
    assert [] == server.send("GET", "/v1/models", headers=server.headers("bare")).json()["data"]


def test_health_readiness_and_metrics_need_no_token(server: Server) -> None:
    """The operator's three pages answer without a token and name no patient."""
    pages = [server.send("GET", path) for path in ("/healthz", "/readyz", "/metrics")]

    assert [200, 200, 200] == [page.status for page in pages]
    assert ["ok", "ready"] == [page.json()["status"] for page in pages[:2]]
    assert b"seawall_exchanges_total" in pages[2].body


def test_metrics_count_exchanges_by_outcome(server: Server) -> None:
    """Each exchange is counted under `answered` or the code of its refusal."""
    server.post(GREETING)
    server.post(b"{}")

    counted = server.send("GET", "/metrics").body.decode()

    assert 'outcome="answered"' in counted
    assert 'outcome="wrong-field"' in counted


def test_error_of_the_dialect_is_read_by_its_clients(server: Server) -> None:
    """The error body has the members that OpenAI's clients read."""
    error = json.loads(server.post(b"{}").body)["error"]

    assert ("wrong-field", "invalid_request_error", None) == (
        error["code"],
        error["type"],
        error["param"],
    )
