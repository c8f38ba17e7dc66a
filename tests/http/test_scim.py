"""SCIM 2.0 as identity providers speak it: conversations in files, over the real policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from desk_scene import ORIGIN, desk
from seawall.core.errors import Unavailable
from seawall.http.api.scim import PREFIX
from workforce_scene import ADA, BEN, CLEO, CLINIC, DAN, allowed

VECTORS: Final = {
    file.stem: json.loads(file.read_text())
    for file in (Path(__file__).parents[1] / "vectors" / "scim").glob("*.json")
}

PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


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
    there = await desk()

    for step in VECTORS[name]:
        response, expected = await there.scim(step["request"]), step["response"]
        body = response.json() if response.content else None
        actual = {"status": response.status_code, "body": body}
        actual["headers"] = {
            name: response.headers.get(name) for name in expected.get("headers", {})
        }
        assert expected == seen(expected, actual), step["says"]


async def test_every_answer_is_of_scims_type() -> None:
    """Answers and errors say application/scim+json, and are kept by no cache."""
    there = await desk()

    for path in ("/Users", "/Users/nobody", "/nothing"):
        response = await there.scim({"method": "GET", "path": path})
        assert ("application/scim+json", "no-store") == (
            response.headers["content-type"],
            response.headers["cache-control"],
        )


@pytest.mark.parametrize("token", ["another-token", "no-token"])
async def test_only_a_client_that_may_provision_comes_in(token: str) -> None:
    """Other clients are refused in SCIM's form, and nobody joins."""
    there = await desk()
    before = len(there.place.workforce.persons(CLINIC))

    response = await there.scim(
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


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        (
            "PATCH",
            "/Groups/security-officer",
            {"op": "add", "path": "members", "value": [{"value": DAN}]},
        ),
        ("PATCH", "/Groups/clinician", {"op": "remove", "path": f'members[value eq "{DAN}"]'}),
        ("PUT", "/Groups/clinician", {"displayName": "clinician", "members": [{"value": CLEO}]}),
        ("POST", "/Users", {"userName": "dan@elsewhere.example"}),
    ],
)
async def test_each_person_whom_a_request_changes_is_asked_about(
    method: str, path: str, body: dict[str, Any]
) -> None:
    """A prohibition that names somebody holds for groups, and for the name of who joins."""
    there = await desk(lambda asked: asked.resource.about in {DAN, "dan-2"})
    said = {"schemas": [PATCH], "Operations": [body]} if method == "PATCH" else body
    before = there.place.spec(DAN)

    response = await there.scim({"method": method, "path": path, "body": said})

    assert (403, before, 4) == (
        response.status_code,
        there.place.spec(DAN),
        len(there.place.workforce.persons(CLINIC)),
    )


@pytest.mark.parametrize(("by_person", "standing"), [(True, "suspended"), (False, "active")])
async def test_a_provider_ends_only_its_own_suspension(*, by_person: bool, standing: str) -> None:
    """Its next whole resource says that the person is active, and takes roles all the same."""
    there = await desk()
    off = {"op": "replace", "path": "active", "value": False}
    suspended = {"schemas": [PATCH], "Operations": [off]}
    if by_person:
        await there.place.workforce.change(allowed(), DAN, {"standing": "suspended"})
    await there.scim({"method": "PATCH", "path": f"/Users/{DAN}", "body": suspended})

    body = {"userName": "dan", "active": True, "roles": []}
    shown = await there.scim({"method": "PUT", "path": f"/Users/{DAN}", "body": body})

    spec = there.place.spec(DAN)
    assert (standing == "active", standing, frozenset()) == (
        shown.json()["active"],
        spec.standing,
        spec.roles,
    )


async def test_a_person_does_not_come_this_way() -> None:
    """Who has a session uses the pages: what persons change needs a fresh factor."""
    there = await desk()
    session = await there.place.sign_in(ADA)

    response = await there.scim(
        {
            "method": "GET",
            "path": "/Users",
            "headers": {"Authorization": None, "Cookie": f"__Host-seawall={session}"},
        }
    )

    assert 403 == response.status_code
    assert response.json()["detail"].endswith("[scim-clients-alone]")


async def test_an_error_holds_nothing_that_was_sent() -> None:
    """Neither names nor addresses of a request come back in an error."""
    there = await desk()
    bodies: list[Any] = [
        {"userName": ["Quackenbush"]},
        {"userName": "x", "roles": ["Quackenbush"]},
        {"userName": "x", "active": "Quackenbush"},
        ["Quackenbush"],
        "Quackenbush",
    ]
    answers = [
        await there.scim({"method": "POST", "path": "/Users", "body": one}) for one in bodies
    ]
    paths = (
        "/Users?filter=Quackenbush",
        "/Users/Quackenbush",
        "/Quackenbush",
        "/Users?count=Quack",
    )
    answers += [await there.scim({"method": "GET", "path": path}) for path in paths]

    assert [] == [one.text for one in answers if one.status_code < 400 or "Quack" in one.text]


async def test_leaving_by_scim_is_leaving() -> None:
    """A deletion ends sessions in one append, erases no version, and is the client's entry."""
    there = await desk()
    await there.place.sign_in(DAN)

    response = await there.scim({"method": "DELETE", "path": f"/Users/{DAN}"})
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
    there = await desk()
    for role in ("administrator", "security-officer"):
        body = {"displayName": role, "members": [{"value": BEN}]}
        response = await there.scim({"method": "PUT", "path": f"/Groups/{role}", "body": body})
        assert 200 == response.status_code

    holders = [
        one.name
        for one in there.place.workforce.persons(CLINIC)
        if {"administrator", "security-officer"} <= {role.value for role in one.spec.roles}
    ]
    assert [BEN] == holders


async def test_pages_join_to_the_whole() -> None:
    """Reading by pages of one shows everybody once, in one order."""
    there = await desk()
    found = []
    for start in range(1, 6):
        path = f"/Users?startIndex={start}&count=1"
        page = (await there.scim({"method": "GET", "path": path})).json()
        found += [one["id"] for one in page["Resources"]]

    assert [ADA, BEN, CLEO, DAN] == found


async def test_locations_lead_where_they_say() -> None:
    """The address of a person who joined answers with that person."""
    there = await desk()
    made = await there.scim(
        {"method": "POST", "path": "/Users", "body": {"userName": "Éva.Ö@clinic.example"}}
    )
    path = str(made.headers["location"]).removeprefix(ORIGIN + PREFIX)

    again = await there.scim({"method": "GET", "path": path})

    assert ("eva.o", made.json()) == (made.json()["id"], again.json())


async def test_a_mistake_of_ours_is_said_in_scims_form() -> None:
    """A bug is 500 in SCIM's form, and says nothing of the program."""
    there = await desk()
    there.place.provision._workforce = None  # type: ignore[assignment]  # a mistake

    response = await there.scim({"method": "GET", "path": "/Users"})

    assert (500, "Seawall failed on its own side [internal]") == (
        response.status_code,
        response.json()["detail"],
    )


async def test_a_ledger_that_is_down_lets_nobody_join() -> None:
    """What cannot be recorded does not happen, and the provider is to try again."""
    there = await desk()
    there.place.ledger.down = Unavailable("disk-full", "the ledger cannot be written")

    response = await there.scim(
        {"method": "POST", "path": "/Users", "body": {"userName": "eve@clinic.example"}}
    )
    there.place.ledger.down = None
    await there.place.documents.refresh()

    assert (503, 4) == (response.status_code, len(there.place.workforce.persons(CLINIC)))
