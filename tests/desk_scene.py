"""A workplace seen over HTTP: persons by their sessions, clients by tokens, the real policies."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import httpx

from seawall.adapters.policies import load_policies
from seawall.app.access import Access
from seawall.app.caller import Caller
from seawall.core.access.question import Answer
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.http.api.application import api_application
from seawall.http.api.guard import COOKIE, CSRF_HEADER, Api
from seawall.http.api.persons import persons_room
from seawall.http.api.reviews import reviews_room
from seawall.http.api.scim import scim_application
from workforce_scene import CLINIC, TERMINAL, Workplace

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from seawall.app.issue_token import Presented
    from seawall.core.access.engine import Prepared
    from seawall.core.access.question import Question

ORIGIN: Final = "https://seawall.test"
CLIENTS: Final = {"a-token": "okta", "another-token": "portal"}
"""Which client each token is of: one that may provision, one that may not."""


@cache
def shipped() -> Prepared:
    """Return the policies that ship, prepared once."""
    return load_policies().having({})


class Shipped:
    """The policies that ship, and what a test forbids besides."""

    def __init__(self, forbids: Callable[[Question], bool]) -> None:
        self.forbids = forbids

    def of(self, tenant: str) -> Shipped:
        """Return a tenant's policies."""
        assert tenant == CLINIC
        return self

    def decide(self, question: Question) -> Answer:
        """Ask what ships, unless it is forbidden."""
        if self.forbids(question):
            return Answer(allowed=False, policies=("forbidden",), code="access-refused")
        return shipped().decide(question)


class ByToken:
    """Tells which client a token is of."""

    async def identify_whole(self, presented: Presented) -> Caller:
        """Return the client, or refuse."""
        if presented.token not in CLIENTS:
            raise Refused("token-foreign", "this token was not issued for Seawall", "get another")
        return Caller(Principal("client", CLIENTS[presented.token], CLINIC))


class Desk:
    """The rooms of persons, of reviews and of SCIM, over one workplace."""

    def __init__(self, place: Workplace, forbids: Callable[[Question], bool]) -> None:
        self.place = place
        parts: dict[str, Any] = {"ledger": place.ledger, "clock": place.clock}
        access = Access(
            documents=place.documents, policies=Shipped(forbids), emergencies=None, **parts
        )
        self.api = Api(
            access=access,
            tokens=ByToken(),
            sessions=place.sessions,
            store=place.store,
            random=place.random,
            key=bytes(32),
            origin=lambda: ORIGIN,
            network_of=lambda _: "network",
            **parts,
        )
        rooms = [persons_room(self.api, place.workforce), reviews_room(self.api, place.reviews)]
        self._rooms = api_application(rooms)
        self._scim = scim_application(self.api, place.provision, lambda: ORIGIN)

    async def scim(self, request: dict[str, Any]) -> httpx.Response:
        """Send one request of an identity provider, as a file writes it."""
        given = {"Authorization": "Bearer a-token", **request.get("headers", {})}
        headers = {name: value for name, value in given.items() if value is not None}
        content = None
        if "body" in request:
            content = json.dumps(request["body"]).encode()
            headers.setdefault("Content-Type", "application/scim+json")
        if "raw" in request:
            content = str(request["raw"]).encode()
        return await _sent(self._scim, request["method"], request["path"], headers, content)

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """Send a request below /api as a page of ours does, for a person who just signed in."""
        name = await self.place.sign_in(who)
        caller = await self.place.sessions.identify(name, "network")
        said = {
            "Cookie": f"{COOKIE}={name}",
            "Origin": ORIGIN,
            "Sec-Fetch-Site": "same-origin",
            CSRF_HEADER: self.api.csrf(caller),
            **{key.replace("_", "-"): value for key, value in headers.items()},
        }
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            said["Content-Type"] = "application/json"
        return await _sent(self._rooms, method, path, said, content)


async def desk(forbids: Callable[[Question], bool] = lambda _: False) -> Desk:
    """Return a desk, whose workplace has a client that may provision."""
    place = await Workplace().open()
    key = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
    spec = {"title": "Okta", "public_key": key, "may_provision": True}
    await place.documents.apply(TERMINAL, [{"kind": "Client", "name": "okta", "spec": spec}])
    return Desk(place, forbids)


async def _sent(
    app: ASGIApp, method: str, path: str, headers: dict[str, str], content: bytes | None
) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        return await client.request(method, path, headers=headers, content=content)
