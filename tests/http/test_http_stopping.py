"""A server that is stopped tells those whom it still answers, and records it."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

from clinic import served_apart

if TYPE_CHECKING:
    from pathlib import Path

    from clinic import Clinic, Upstream

SAID = "Summarize: the knee hurts when climbing stairs. " * 20


def rest(response: http.client.HTTPResponse) -> bytes:
    """Return what is still to be read, whether or not the answer ends as it should."""
    try:
        return response.read()
    except http.client.IncompleteRead as cut:
        return cut.partial


def test_stream_that_is_stopped_is_told_and_recorded_as_such(
    clinic: Clinic, tmp_path: Path, upstream: Upstream
) -> None:
    """On SIGTERM a stream ends in the error server-stopping, which is also the outcome's code."""
    body = {"model": "on-stall", "stream": True, "messages": [{"role": "user", "content": SAID}]}
    with served_apart(clinic.copy(tmp_path / "data"), tmp_path) as server:
        headers = server.headers(use_case="visit-summary")
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        begun = response.read(6)
    events = [line for line in rest(response).split(b"\n") if b'"error"' in line]
    connection.close()
    outcome = server.clinic.entries()[-1]

    assert (b"data: ", 1) == (begun, len(upstream.received()))
    assert ["server-stopping"] == [json.loads(e[6:])["error"]["code"] for e in events]
    assert ("abandoned", "server-stopping") == (outcome.get("outcome"), outcome.get("code"))
