"""What a client with `may_apply`, or a security officer with a client, does not become."""

from __future__ import annotations

from typing import Any, Final

import pytest

from api_scene import CLIENT, PERSON, TENANT, Scene
from seawall.adapters.policies import load_policies
from seawall.app.policies import TenantPolicies
from seawall.core.policy.principal import Principal
from seawall.core.registers.user import UserSpec
from seawall.http.api.documents import documents_room

TERMINAL: Final = Principal("operator", "terminal", TENANT)
FORBIDS: Final = 'forbid (principal is Client, action == Action::"read-ledger", resource);'


def client(name: str, letter: str, **spec: Any) -> dict[str, Any]:
    """Return a Client document."""
    key = {"kty": "OKP", "crv": "Ed25519", "x": letter * 42 + "A"}
    return {"kind": "Client", "name": name, "spec": {"title": name, "public_key": key, **spec}}


def user(name: str, *roles: str) -> dict[str, Any]:
    """Return a User document."""
    return {"kind": "User", "name": name, "spec": {"title": name, "roles": list(roles)}}


def policy(**spec: Any) -> dict[str, Any]:
    """Return a Policy document."""
    said = {"title": "none reads", "reason": "why", "forbid": FORBIDS, **spec}
    return {"kind": "Policy", "name": "no-reading", "spec": said}


async def scene() -> Scene:
    """Return the API with the policies that ship: an officer, and a client that may apply."""
    made = Scene()
    await made.begin(documents_room(made.api, made.documents))
    made.access._policies = TenantPolicies(load_policies(), made.documents)
    people = [user("eve", "administrator", "security-officer"), user(PERSON, "security-officer")]
    clients = [client(CLIENT, "A", may_apply=True), client("idp", "B", may_provision=True)]
    await made.documents.apply(TERMINAL, [*people, *clients, policy()])
    return made


STEPS: Final = {
    "a person": (user("eve", "privacy-officer", "security-officer"), "access-refused"),
    "its own powers": (
        client(CLIENT, "A", may_apply=True, may_provision=True, may_manage_keys=True),
        "client-powers",
    ),
    "the provider's key": (client("idp", "A", may_provision=True), "client-powers"),
    "the tenant's prohibitions": (policy(withdrawn=True), "client-powers"),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_pipeline_stays_a_pipeline(step: str) -> None:
    """Each step from `may_apply` to an officer's roles is refused, and nothing is written."""
    there = await scene()
    document, code = STEPS[step]
    before = {one.reference for one in there.documents.register(TENANT)}

    answer = await there.send("POST", "/documents", there.client(), [document])

    assert (403, code) == (answer.status_code, answer.json()["error"]["code"])
    assert before == {one.reference for one in there.documents.register(TENANT)}


async def test_no_officer_changes_themselves_through_a_client() -> None:
    """A client of their own making changes no persons, whatever its document says."""
    there = await scene()
    mine = client(CLIENT, "A", may_apply=True, may_provision=True)
    made = await there.send("POST", "/documents", there.person(), [mine])
    roles = user(PERSON, "security-officer", "privacy-officer")

    answer = await there.send("POST", "/documents", there.client(), [roles])

    held = there.documents.register(TENANT).find(UserSpec, PERSON)
    assert (200, 403) == (made.status_code, answer.status_code)
    assert "provisioner-unnamed" == answer.json()["error"]["code"]
    assert held is not None
    assert {"security-officer"} == {role.value for role in held.spec.roles}
