"""SCIM 2.0 as identity providers speak it: conversations in files, over the real policies."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from seawall.adapters.policies import load_policies
from seawall.app.access import Access
from seawall.app.caller import Caller
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.http.api.guard import Api
from seawall.http.api.scim import PREFIX, scim_application
from workforce_scene import ADA, BEN, CLEO, CLINIC, DAN, TERMINAL, Workplace

if TYPE_CHECKING:
    from seawall.app.issue_token import Presented
    from seawall.core.access.engine import Prepared

VECTORS: Final = {
    file.stem: json.loads(file.read_text())
    for file in (Path(__file__).parents[1] / "vectors" / "scim").glob("*.json")
}
ORIGIN: Final = "https://seawall.test"
CLIENTS: Final = {"a-token": "okta", "another-token": "portal"}
"""Which client each token is of: one that may provision, one that may not."""


@cache
def shipped() -> Prepared:
    """Return the policies that ship, prepared once."""
    return load_policies().having({})


class Shipped:
    """The policies that ship, for every tenant."""

    def of(self, tenant: str) -> Prepared:
        """Return a tenant's policies."""
        assert tenant == CLINIC
        return shipped()


class ByToken:
    """Tells which client a token is of."""

    async def identify_whole(self, presented: Presented) -> Caller:
        """Return the client, or refuse."""
        if presented.token not in CLIENTS:
            raise Refused("token-foreign", "this token was not issued for Seawall", "get another")
        return Caller(Principal("client", CLIENTS[presented.token], CLINIC))


class Provider:
    """An identity provider that speaks to a workplace."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        parts: dict[str, Any] = {"ledger": place.ledger, "clock": place.clock}
        access = Access(documents=place.documents, policies=Shipped(), emergencies=None, **parts)
        api = Api(
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
        self._app = scim_application(api, place.provision, lambda: ORIGIN)

    async def send(self, request: dict[str, Any]) -> httpx.Response:
        """Send one request as a file writes it."""
        headers = {"Authorization": "Bearer a-token", **request.get("headers", {})}
        content = None
        if "body" in request:
            content = json.dumps(request["body"]).encode()
            headers.setdefault("Content-Type", "application/scim+json")
        if "raw" in request:
            content = str(request["raw"]).encode()
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.request(
                request["method"], request["path"], headers=headers, content=content
            )


async def provider() -> Provider:
    """Return a provider, whose client may provision."""
    place = await Workplace().open()
    key = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
    spec = {"title": "Okta", "public_key": key, "may_provision": True}
    await place.documents.apply(TERMINAL, [{"kind": "Client", "name": "okta", "spec": spec}])
    return Provider(place)


def seen(expected: Any, actual: Any) -> Any:
    """Return what of an answer the expectation speaks of, so that the two can be compared."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {key: seen(value, actual.get(key, "(missing)")) for key, value in expected.items()}
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [seen(one, other) for one, other in zip(expected, actual, strict=True)]
    return actual


@pytest.mark.parametrize("name", sorted(VECTORS))
async def test_a_conversation_goes_as_written(name: str) -> None:
    """Each request of a file is answered with the status, headers and fields beside it."""
    there = await provider()

    for step in VECTORS[name]:
        response, expected = await there.send(step["request"]), step["response"]
        body = response.json() if response.content else None
        actual = {"status": response.status_code, "body": body}
        actual["headers"] = {
            name: response.headers.get(name) for name in expected.get("headers", {})
        }
        assert expected == seen(expected, actual), step["says"]


async def test_every_answer_is_of_scims_type() -> None:
    """Answers and errors say application/scim+json, and are kept by no cache."""
    there = await provider()

    for path in ("/Users", "/Users/nobody", "/nothing"):
        response = await there.send({"method": "GET", "path": path})
        assert ("application/scim+json", "no-store") == (
            response.headers["content-type"],
            response.headers["cache-control"],
        )


@pytest.mark.parametrize("token", ["another-token", "no-token"])
async def test_only_a_client_that_may_provision_comes_in(token: str) -> None:
    """Other clients are refused in SCIM's form, and nobody joins."""
    there = await provider()
    before = len(there.place.workforce.persons(CLINIC))

    response = await there.send(
        {
            "method": "POST",
            "path": "/Users",
            "headers": {"Authorization": f"Bearer {token}"},
            "body": {"userName": "eve@clinic.example"},
        }
    )

    assert ["urn:ietf:params:scim:api:messages:2.0:Error"] == response.json()["schemas"]
    assert (response.status_code in {401, 403}, before) == (
        True,
        len(there.place.workforce.persons(CLINIC)),
    )


async def test_a_person_does_not_come_this_way() -> None:
    """Who has a session uses the pages: what persons change needs a fresh factor."""
    there = await provider()
    session = await there.place.sign_in(ADA)

    response = await there.send(
        {
            "method": "GET",
            "path": "/Users",
            "headers": {"Authorization": "", "Cookie": f"__Host-seawall={session}"},
        }
    )

    assert response.status_code in {400, 403}


async def test_an_error_holds_nothing_that_was_sent() -> None:
    """Neither names nor addresses of a request come back in an error."""
    there = await provider()
    bodies: list[Any] = [
        {"userName": ["Quackenbush"]},
        {"userName": "x", "roles": ["Quackenbush"]},
        {"userName": "x", "active": "Quackenbush"},
        ["Quackenbush"],
        "Quackenbush",
    ]
    answers = [
        await there.send({"method": "POST", "path": "/Users", "body": one}) for one in bodies
    ]
    paths = (
        "/Users?filter=Quackenbush",
        "/Users/Quackenbush",
        "/Quackenbush",
        "/Users?count=Quack",
    )
    answers += [await there.send({"method": "GET", "path": path}) for path in paths]

    assert [] == [one.text for one in answers if one.status_code < 400 or "Quack" in one.text]


async def test_leaving_by_scim_is_leaving() -> None:
    """A deletion ends sessions in one append, erases no version, and is the client's entry."""
    there = await provider()
    await there.place.sign_in(DAN)

    response = await there.send({"method": "DELETE", "path": f"/Users/{DAN}"})
    said = there.place.entries()[-1]

    assert (204, b"") == (response.status_code, response.content)
    assert ("person.leave", "all", {"kind": "client", "name": "okta"}) == (
        said["action"],
        said["sessions"],
        said["actor"],
    )
    assert 2 == len(await there.place.documents.history(CLINIC, "User", DAN))
    assert [] == await there.place.store.sessions(CLINIC, DAN)


async def test_a_group_is_handed_over_in_one_request() -> None:
    """Who gains a role comes before who loses it, so that the last administrator can change."""
    there = await provider()
    for role in ("administrator", "security-officer"):
        body = {"displayName": role, "members": [{"value": BEN}]}
        response = await there.send({"method": "PUT", "path": f"/Groups/{role}", "body": body})
        assert 200 == response.status_code

    holders = [
        one.name
        for one in there.place.workforce.persons(CLINIC)
        if {"administrator", "security-officer"} <= {role.value for role in one.spec.roles}
    ]
    assert [BEN] == holders


async def test_pages_join_to_the_whole() -> None:
    """Reading by pages of one shows everybody once, in one order."""
    there = await provider()
    found = []
    for start in range(1, 6):
        path = f"/Users?startIndex={start}&count=1"
        page = (await there.send({"method": "GET", "path": path})).json()
        found += [one["id"] for one in page["Resources"]]

    assert [ADA, BEN, CLEO, DAN] == found


async def test_locations_lead_where_they_say() -> None:
    """The address of a person who joined answers with that person."""
    there = await provider()
    made = await there.send(
        {"method": "POST", "path": "/Users", "body": {"userName": "Éva.Ö@clinic.example"}}
    )
    path = str(made.headers["location"]).removeprefix(ORIGIN + PREFIX)

    again = await there.send({"method": "GET", "path": path})

    assert ("eva.o", made.json()) == (made.json()["id"], again.json())
