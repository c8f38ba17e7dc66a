"""The ledger over HTTPS: queries, entries and proofs, each recorded before it is answered."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from seawall.core.ledger.encoding import encode
from seawall.core.ledger.proofs import verify_proof

if TYPE_CHECKING:
    from clinic import Reply, Server


def get(server: Server, path: str, client: str = "admin", **parameters: str) -> Reply:
    """Get a path below /api/ledger as a client that may audit."""
    asked = f"?{urlencode(parameters)}" if parameters else ""
    return server.send("GET", f"/api/ledger/{path}{asked}", headers=server.headers(client))


def post(server: Server, body: Any, client: str = "admin") -> Reply:
    """Post a reading."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.send("POST", "/api/ledger/readings", raw, server.headers(client))


def last_reading(server: Server) -> dict[str, Any]:
    """Return the newest entry of the system's log that is a reading."""
    entries = server.clinic.entries("system")
    return next(entry for entry in reversed(entries) if entry["action"] == "ledger.read")


def test_a_query_gives_the_entries_that_match(server: Server) -> None:
    """What was just asked is found by its filters, with its index, in the log's order."""
    asked = server.ask("hello").entry

    found = get(server, "entries", actor="client/app", action="exchange.intent", last="1").json()

    assert [asked] == [entry["entry"] for entry in found["entries"]]
    assert (1, True) == (found["found"], asked < found["size"])


def test_a_query_is_recorded_before_it_is_answered(server: Server) -> None:
    """The answer names the entry of the system's log, which says the query and the count."""
    found = get(server, "entries", **{"use-case": "visit-summary", "last": "3"}).json()

    entry = server.clinic.entries("system")[found["reading"]]

    assert ("ledger.read", "list") == (entry["action"], entry["what"])
    assert {"use-case": "visit-summary", "last": 3} == entry["query"]
    assert (found["found"], found["size"]) == (entry["found"], entry["size"])


def test_one_entry_and_its_proof(server: Server) -> None:
    """The proof of the entry that is shown holds, under the key of the log."""
    shown = get(server, "entries/3").json()
    proof = get(server, "proof/3")
    vkey = _vkey(server)

    assert 3 == shown.pop("entry")
    assert 3 < verify_proof(proof.body.decode(), encode(shown), vkey).size
    assert ("prove", 3) == (last_reading(server)["what"], last_reading(server)["index"])
    assert "text/plain; charset=utf-8" == proof.headers["Content-Type"]


def _vkey(server: Server) -> str:
    return asyncio.run(server.clinic.installation.store.head("riverside")).vkey


@pytest.mark.parametrize(
    ("path", "parameters", "status", "code"),
    [
        ("entries", {"patient": "Abdul Koepp"}, 400, "filter-invalid"),
        ("entries", {"since": "yesterday"}, 400, "time-invalid"),
        ("entries", {"last": "1001"}, 400, "number-invalid"),
        ("entries", {"name": "Koepp"}, 400, "filter-unknown"),
        ("entries", {"log": "hillside"}, 400, "reading-invalid"),
        ("entries/03", {}, 400, "reading-invalid"),
        ("entries/three", {}, 400, "reading-invalid"),
        ("entries/3", {"last": "1"}, 400, "reading-invalid"),
        ("entries/9999999", {}, 404, "entry-unknown"),
        ("proof/9999999", {}, 404, "entry-unknown"),
    ],
)
def test_what_cannot_be_answered_is_told(
    path: str, parameters: dict[str, str], status: int, code: str, server: Server
) -> None:
    """Each wrong question has its code, and none is repeated."""
    reply = get(server, path, **parameters)

    assert (status, code) == (reply.status, reply.code)
    assert b"Koepp" not in reply.body


def test_a_parameter_given_twice_is_refused(server: Server) -> None:
    """Nobody has to guess which of two filters counts."""
    reply = server.send("GET", "/api/ledger/entries?last=1&last=2", headers=server.headers("admin"))

    assert "parameter-twice" == reply.code


@pytest.mark.parametrize(
    ("client", "log", "code"),
    [
        ("app", "tenant", "access-refused"),
        ("app", "system", "access-refused"),
        ("auditor", "system", "access-refused"),
        ("auditor", "tenant", "answered"),
        ("admin", "system", "answered"),
    ],
)
def test_a_client_reads_only_what_it_was_granted(
    client: str, log: str, code: str, server: Server
) -> None:
    """Without may_audit no log is read, and without may_audit_system not the system's."""
    before = len(server.clinic.entries("system"))

    assert code == get(server, "entries", client, log=log).code
    assert code == post(server, {"what": "verify", "log": log}, client).code
    if code != "answered":
        assert "ledger.read" not in {
            entry["action"] for entry in server.clinic.entries("system")[before:]
        }


@pytest.mark.parametrize("path", ["entries", "entries/0", "proof/0"])
def test_without_a_token_nothing_is_read(path: str, server: Server) -> None:
    """Every path needs a token."""
    assert 401 == server.send("GET", f"/api/ledger/{path}").status


def test_a_terminals_reading_is_recorded(server: Server) -> None:
    """What a terminal is about to read is an entry, with how much it will find."""
    query = {"actor": "client/nobody", "last": "2"}

    told = post(server, {"what": "list", "log": "system", "query": query}).json()

    entry = server.clinic.entries("system")[told["reading"]]
    assert ("list", {"actor": "unknown", "last": 2}) == (entry["what"], entry["query"])
    assert (0, entry["size"]) == (told["found"], told["size"])


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", {}, {"what": "steal"}, {"what": "list", "more": 1}),
        *({"what": "list", "query": []}, {"what": "list", "query": {"last": 2}}),
        *({"what": "show", "index": -1}, {"what": "show", "index": True}),
        {"what": "tiles", "minute": "now", "reason": "a check"},
        *({"what": "tiles", "fetches": "2", "reason": "a check"}, {"log": 1}),
        *({"what": "list", "reason": 1}, {"what": "list", "reason": "x" * 2_001}),
    ],
    ids=str,
)
def test_a_reading_of_another_form_is_refused(body: Any, server: Server) -> None:
    """What is not a reading is no entry."""
    assert (400, "reading-invalid") == (post(server, body).status, post(server, body).code)
