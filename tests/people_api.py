"""The rooms of signing in over a clinic's persons, and a browser that keeps cookies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from api_scene import NeedsAlone, OneToken
from people_scene import KEY, ORIGIN, PeopleScene
from seawall.app.access import Access
from seawall.core.identity.network import network_digest
from seawall.http.api.application import api_application
from seawall.http.api.guard import Api
from seawall.http.api.session import session_room
from seawall.http.api.sign_in import enrol_room, factors_room, sign_in_room, step_up_room
from seawall.http.pages import PagesDoor

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

FOREIGN: Final = "https://evil.example"


def people_application(scene: PeopleScene, origin: str = ORIGIN) -> Starlette:
    """Return the application of the pages and of what they call."""
    mounted = Mount("/api", people_rooms(scene, origin))
    return Starlette(routes=[*PagesDoor().routes(), mounted])


def people_rooms(scene: PeopleScene, origin: str = ORIGIN) -> FastAPI:
    """Return the rooms of signing in."""
    policies = NeedsAlone()
    access = Access(
        documents=scene.documents,
        policies=policies,
        emergencies=None,
        ledger=scene.ledger,
        clock=scene.clock,
    )
    api = Api(
        access=access,
        tokens=OneToken(),
        sessions=scene.sessions,
        store=scene.store,
        ledger=scene.ledger,
        clock=scene.clock,
        random=scene.random,
        key=KEY,
        origin=lambda: origin,
        network_of=lambda address: network_digest(KEY, address),
    )
    rooms = [
        sign_in_room(api, scene.sign_in),
        step_up_room(api, scene.again),
        enrol_room(api, scene.enrol, lambda: origin),
        factors_room(api, scene.own),
        session_room(api, scene.sessions, scene.clock),
    ]
    return api_application(rooms)


class Browser:
    """A browser at a page of the server, at an address."""

    def __init__(self, app: ASGIApp, address: str = "10.1.2.3", origin: str = ORIGIN) -> None:
        self._app = app
        self._address = address
        self.origin = origin
        self.cookies: dict[str, str] = {}

    async def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """Send a request as the page's script does, and keep the cookies of the answer."""
        said = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            said["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            said["Content-Type"] = "application/json"
        transport = httpx.ASGITransport(self._app, client=(self._address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            answer = await client.request(method, path, headers=said, content=content)
        self.cookies |= dict(answer.cookies)
        return answer

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Post below /api; return the parsed answer, or the code of the error."""
        answer = await self.send("POST", f"/api{path}", body, **headers)
        parsed = answer.json() if answer.content else {}
        return parsed["error"]["code"] if "error" in parsed else parsed

    async def csrf(self) -> str:
        """Return what the session's page sends with changes."""
        return str((await self.send("GET", "/api/session")).json()["csrf"])
