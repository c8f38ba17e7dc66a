"""What /api/openapi.json says: of every operation what it is for, who may ask, and its errors."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from api_rooms import Rooms
from seawall.http.api.guard import COOKIE


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """Return the description as the API gives it to whoever asks."""

    async def fetched() -> dict[str, Any]:
        """Fetch the description."""
        rooms = await Rooms().begin()
        reply = await rooms.scene.send("GET", "/api/openapi.json")
        found: dict[str, Any] = reply.json()
        return found

    return asyncio.run(fetched())


def _operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_says_what_it_is_for(described: dict[str, Any]) -> None:
    """A summary, one tag, and a sentence."""
    silent = [
        f"{method} {path}"
        for path, method, said in _operations(described)
        if not said.get("summary") or len(said.get("tags", ())) != 1 or not said.get("description")
    ]
    assert [] == silent


def test_every_operation_has_one_form_of_error(described: dict[str, Any]) -> None:
    """Ours, and never the framework's own, which repeats what was sent."""
    forms = {
        json.dumps(said["responses"][status]["content"]["application/json"]["schema"])
        for _, _, said in _operations(described)
        for status in ("400", "401", "403", "404", "409", "422", "503")
    }
    assert {'{"$ref": "#/components/schemas/ErrorBody"}'} == forms
    assert "ValidationError" not in json.dumps(described)


def test_it_says_how_to_authenticate(described: dict[str, Any]) -> None:
    """By a token, by one that is bound to a key, or by a session's cookie; each alone."""
    schemes = described["components"]["securitySchemes"]
    assert {"bearer", "dpop", "session"} == schemes.keys()
    assert (COOKIE, [{"bearer": []}, {"dpop": []}, {"session": []}]) == (
        schemes["session"]["name"],
        described["security"],
    )


def test_every_change_takes_a_key(described: dict[str, Any]) -> None:
    """And nothing that only reads does."""
    keyed = {
        (path, method)
        for path, method, said in _operations(described)
        if any(one["name"] == "Idempotency-Key" for one in said.get("parameters", ()))
    }
    changes = {(path, method) for path, method, _ in _operations(described) if method != "get"}
    assert changes == keyed


def test_no_page_of_another_server_is_needed(described: dict[str, Any]) -> None:
    """The description is all there is: no page that loads scripts from elsewhere."""
    assert "http://" not in json.dumps(described)
    assert "https://" not in json.dumps(described)
