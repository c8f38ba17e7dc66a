"""What hostile requests to the API are answered: names, headers, methods, bodies."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi.routing import APIRoute

from api_rooms import Rooms
from api_scene import Mounted, code_of
from seawall.core.access.vocabulary import Action
from seawall.http.api.bodies import DEEPEST
from seawall.http.api.guard import is_guarded, is_public

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = "Abdul-Koepp-1961-07-04"


@pytest.fixture(scope="module")
def rooms() -> Rooms:
    """Return every room, for tests that change nothing."""
    return asyncio.run(Rooms().begin())


async def _raw(rooms: Rooms, raw: bytes, kind: str = "application/json") -> httpx.Response:
    headers = {**rooms.scene.person(), "Content-Type": kind}
    return await rooms.scene.send("POST", "/api/documents", headers, raw=raw)


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%2Fsystem",
        "%00",
        "tenant%00",
        "tenant%0a",
        "a" * 64,
        "a" * 2_000,
        "%ff",
        "%EF%BC%8E%EF%BC%8E",
        "%C2%A0tenant",
        "TENANT",
        "tenant;x=y",
        "*",
    ],
)
async def test_a_name_leads_nowhere_else(rooms: Rooms, name: str) -> None:
    """What is no name is none, or is of nothing; it is not said again."""
    replies = [
        await rooms.scene.send("GET", f"/api/documents/{path}", rooms.scene.person())
        for path in (f"Retention/{name}", f"{name}/tenant", f"Retention/{name}/history")
    ]
    assert all(one.status_code in {400, 404} for one in replies)
    assert not any("passwd" in one.text or "aaaa" in one.text for one in replies)


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-User",
        "X-Forwarded-Prefix",
    ],
)
async def test_no_header_says_what_is_asked(rooms: Rooms, header: str) -> None:
    """Neither another path nor another method nor another caller."""
    path = "/api/documents/Retention/nothing"
    plain = await rooms.scene.send("GET", path, rooms.scene.person())
    told = {**rooms.scene.person(), header: "DELETE"}
    reply = await rooms.scene.send("GET", path, told)
    assert (plain.status_code, plain.content) == (reply.status_code, reply.content)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "TRACE", "CONNECT", "HEAD", "BREW"])
async def test_a_method_that_a_path_has_not_is_no_door(rooms: Rooms, method: str) -> None:
    """It does nothing, whoever asks."""
    reply = await rooms.scene.send(method, "/api/documents", rooms.scene.person())
    assert 404 == reply.status_code


@pytest.mark.parametrize(
    "path",
    ["/api/documents/Retention/..", "/api/documents/../session", "/api//session"],
)
async def test_a_path_is_not_resolved(rooms: Rooms, path: str) -> None:
    """A segment that leads up leads nowhere."""
    assert await _asgi(rooms, "GET", path) in {400, 404}


async def test_a_small_get_is_none(rooms: Rooms) -> None:
    """A method is as it is written."""
    asked = await _asgi(rooms, "get", "/api/session")
    assert 404 == asked


async def _asgi(rooms: Rooms, method: str, path: str) -> int:
    assert rooms.scene.app is not None
    status: list[int] = []
    headers = [(b"cookie", rooms.scene.person()["Cookie"].encode())]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": headers}
    scope |= {"query_string": b"", "client": ("127.0.0.1", 1), "root_path": "", "scheme": "https"}
    scope |= {"server": ("seawall.test", 443), "http_version": "1.1"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await Mounted(rooms.scene.app)(scope, receive, send)
    return status[0]


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/plain; application/json",
        "application/json, text/plain",
        "",
    ],
)
async def test_only_what_is_said_to_be_json_is_read_as_json(rooms: Rooms, kind: str) -> None:
    """A page of another site can send some of the others without being asked first."""
    reply = await _raw(rooms, b"[]", kind)
    assert (415, "body-kind") == (reply.status_code, code_of(reply))


@pytest.mark.parametrize(
    "raw",
    [
        b"[",
        b"\xff\xfe[\x00]\x00",
        b'[{"kind": "Retention", "kind": "Client", "name": "x", "spec": {}}]',
        b"[NaN]",
        b'["\\ud800"]',
        b'["\\u0000"]',
        b'[{"\\u0000": 1}]',
        b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2),
        b"[" * 200_000,
        b"[] []",
        b"\xef\xbb\xbf[]",
    ],
)
async def test_a_body_has_one_meaning(rooms: Rooms, raw: bytes) -> None:
    """What two readers could read differently is read by none."""
    reply = await _raw(rooms, raw)
    assert (400, "body-invalid") == (reply.status_code, code_of(reply))


async def test_a_body_is_bounded(rooms: Rooms) -> None:
    """Whatever its length is said to be."""
    replies = [await _raw(rooms, b'["' + b"x" * (1 << 20) + b'"]')]
    headers = {**rooms.scene.person(), "Content-Type": "application/json"}
    long = json.dumps({"what": "x" * 5_000}).encode()
    replies.append(await rooms.scene.send("POST", "/api/backups", headers, raw=long))
    assert [(413, "body-too-large")] * 2 == [(one.status_code, code_of(one)) for one in replies]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/payloads/open", {"entry": SECRET, "part": SECRET, SECRET: SECRET}),
        ("/api/access/explain", {"principal": [SECRET], "action": SECRET * 20, SECRET: 1}),
        ("/api/documents", [{"kind": "Retention", "name": "x", "spec": {}, SECRET: SECRET}]),
        ("/api/documents", [{"kind": SECRET, "name": SECRET, "spec": {}}]),
        ("/api/keys", {"do": SECRET}),
        ("/api/ledger/readings", {"what": SECRET, "log": SECRET}),
        ("/api/backups", {SECRET: SECRET}),
    ],
)
async def test_no_value_is_said_again(rooms: Rooms, path: str, body: Any) -> None:
    """Not in the answer, whatever is wrong: somebody may have typed a patient's name."""
    reason = {"reason": "x", "purpose": "operations"} if isinstance(body, dict) else None
    bodies = [body, {**body, **reason}] if reason and isinstance(body, dict) else [body]
    for one in bodies:
        reply = await rooms.scene.send("POST", path, rooms.scene.person(), one)
        assert 400 <= reply.status_code < 500
        assert SECRET not in reply.text


@pytest.mark.parametrize(
    "query", [f"kind={SECRET}", f"after={SECRET}", f"limit={SECRET}", "limit=0"]
)
async def test_no_parameter_is_said_again(rooms: Rooms, query: str) -> None:
    """Nor in a query."""
    reply = await rooms.scene.send("GET", f"/api/documents?{query}", rooms.scene.person())
    assert reply.status_code in {400, 404}
    assert SECRET not in reply.text


async def test_a_parameter_is_given_once(rooms: Rooms) -> None:
    """Of two it could not be told which is meant."""
    path = "/api/documents?kind=Client&kind=User"
    reply = await rooms.scene.send("GET", path, rooms.scene.person())
    assert (400, "parameter-twice") == (reply.status_code, code_of(reply))


async def test_a_body_that_does_not_come_is_given_up(rooms: Rooms) -> None:
    """Nothing is read for who is nobody: the caller is looked at first."""

    async def endless() -> AsyncIterator[bytes]:
        """Begin a body, and never end it."""
        raise AssertionError("nobody's body was read")
        yield b""

    assert rooms.scene.app is not None
    transport = httpx.ASGITransport(Mounted(rooms.scene.app))
    async with httpx.AsyncClient(transport=transport, base_url="https://seawall.test") as client:
        reply = await client.post("/api/documents", content=endless())
    assert (401, "token-missing") == (reply.status_code, code_of(reply))


def _routes(rooms: Rooms) -> list[APIRoute]:
    """Return every route, once it is sure that the description has no other."""
    assert rooms.scene.app is not None
    described = rooms.scene.app.openapi()["paths"]
    found = [one for room in rooms.all for one in room.routes if isinstance(one, APIRoute)]
    assert sum(len(one.methods or ()) for one in found) == sum(map(len, described.values()))
    return found


def test_every_route_asks_the_policies(rooms: Rooms) -> None:
    """But those about the caller's own session; and no route is for whoever calls, unlisted."""
    routes = _routes(rooms)
    public = sorted(route.path for route in routes if is_public(route.endpoint))
    assert [] == public
    assert all(is_guarded(route.dependant) for route in routes)


async def test_everything_but_ones_own_session_can_be_refused() -> None:
    """Once nothing is allowed, no route answers anything but its refusal."""
    rooms = await Rooms().begin()
    rooms.scene.policies.forbidden.update(Action)
    refused = {
        (method, route.path)
        for route in _routes(rooms)
        for method in route.methods or ()
        if route.path not in _OWN and await _is_refused(rooms, method, route.path)
    }
    everything = {
        (method, route.path) for route in _routes(rooms) for method in route.methods or ()
    }
    assert {(method, path) for path in _OWN for method in ("GET", "DELETE")} == everything - refused


_OWN = ("/session", "/session/others")
"""What is about the caller's own sessions, and asks nobody."""


async def _is_refused(rooms: Rooms, method: str, path: str) -> bool:
    bodies: dict[str, Any] = {
        "/documents": [{"kind": "Retention", "name": "x", "spec": {}}],
        "/documents/{kind}/{name}": {"spec": {}},
        "/keys": {"do": "rewrap"},
        "/payloads/open": {
            "entry": 0,
            "part": "sent",
            "reason": "a patient asks",
            "purpose": "operations",
        },
        "/ledger/readings": {"what": "verify"},
    }
    named = path.format(kind="Retention", name="x", index="0", id="0")
    body = bodies.get(path, {}) if method != "GET" else None
    reply = await rooms.scene.send(method, f"/api{named}", rooms.scene.person(), body)
    return code_of(reply) == "access-refused"


@pytest.mark.parametrize(("kind", "status"), [(None, 404), ("text/plain", 415)])
async def test_a_program_may_leave_out_what_its_body_is(
    rooms: Rooms, kind: str | None, status: int
) -> None:
    """It has a token, which no page of another site has; what it does say counts."""
    headers = {**rooms.scene.client(), **({} if kind is None else {"Content-Type": kind})}
    raw = b'{"principal": "user/nobody", "action": "operate", "resource": "Installation/*"}'
    reply = await rooms.scene.send("POST", "/api/access/explain", headers, raw=raw)
    assert status == reply.status_code
