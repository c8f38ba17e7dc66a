"""No client gives itself, or anybody, what it has not; and persons are changed by named ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from fakes import FakeClock, MemoryLedger, MemoryStore
from seawall.app.documents import Applied, Documents
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec

TENANT: Final = "riverside"
TERMINAL: Final = Principal("operator", "terminal", TENANT)
PIPELINE: Final = Principal("client", "pipeline", TENANT)
OFFICER: Final = Principal("user", "ada", TENANT)
OPERATOR: Final = Principal("client", "operator", TENANT)
FORBIDS: Final = 'forbid (principal is Client, action == Action::"read-ledger", resource);'
THUMBPRINT: Final = "C" * 42 + "A"


def key(letter: str) -> dict[str, str]:
    """Return a public key."""
    return {"kty": "OKP", "crv": "Ed25519", "x": letter * 42 + "A"}


def client(name: str, letter: str, **spec: Any) -> dict[str, Any]:
    """Return a Client document."""
    said = {"title": name, "public_key": key(letter), **spec}
    return {"kind": "Client", "name": name, "spec": said}


def policy(**spec: Any) -> dict[str, Any]:
    """Return a Policy document."""
    said = {"title": "none reads", "reason": "why", "forbid": FORBIDS, **spec}
    return {"kind": "Policy", "name": "no-reading", "spec": said}


def person(name: str, *roles: str) -> dict[str, Any]:
    """Return a User document."""
    return {"kind": "User", "name": name, "spec": {"title": name, "roles": list(roles)}}


HELD: Final = {
    "pipeline": client("pipeline", "A", may_apply=True, may_audit=True, use_cases=["reminders"]),
    "idp": client("idp", "B", may_provision=True),
    "portal": client(
        "portal", "C", use_cases=["summary"], tokens_not_before="2026-01-01T00:00:00Z"
    ),
    "twin": client("twin", "D", may_apply=True, dpop_bound=True, certificate_bound=True),
    "operator": client("operator", "E", may_apply=True, may_manage_keys=True),
}
"""What is registered; the pipeline is a client that may apply."""


@dataclass
class Scene:
    """A tenant's documents, applied by whoever a test says."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    async def open(self, *more: dict[str, Any]) -> Scene:
        """Apply what is held, at the terminal."""
        await self.ledger.open_log(TENANT, "x.test/log/riverside")
        self.documents = Documents(
            store=MemoryStore(self.ledger),
            ledger=self.ledger,
            clock=FakeClock(),
            provisioners=frozenset({f"{TENANT}/idp"}),
        )
        held = {**HELD, **{one["name"]: one for one in more}}
        people = [person("ada", "security-officer"), person("eve", "developer")]
        await self.documents.apply(TERMINAL, [*held.values(), policy(), *people])
        return self

    async def apply(self, by: Principal, document: dict[str, Any]) -> Applied:
        """Apply one document."""
        [applied] = await self.documents.apply(by, [document])
        return applied


def of(name: str, **changed: Any) -> dict[str, Any]:
    """Return a document that is held, with other fields."""
    held = HELD[name]
    return {**held, "spec": {**held["spec"], **changed}}


UNGIVEN: Final = {
    "own power to change persons": of("pipeline", may_provision=True),
    "own power over keys": of("pipeline", may_manage_keys=True),
    "own power over the system's log": of("pipeline", may_audit_system=True),
    "own use case": of("pipeline", use_cases=["reminders", "summary"]),
    "the provider's key": of("idp", public_key=key("A")),
    "another key of the provider": of(
        "idp", also_keys=[{"key": key("A"), "until": "2027-01-01T00:00:00Z"}]
    ),
    "the provider without its power": of("idp", may_provision=False),
    "the provider's tokens": of("idp", tokens_not_before="2026-01-01T00:00:00Z"),
    "the operator's key": of("operator", public_key=key("A")),
    "the key of who asks about other patients": of("portal", public_key=key("A")),
    "the certificate of such a one": of(
        "portal", public_key=key("A"), certificate_thumbprints=[THUMBPRINT]
    ),
    "a use case of another": of("portal", use_cases=["summary", "triage"]),
    "a power of another": of("portal", may_manage_keys=True),
    "revoked tokens": of("portal", tokens_not_before=None),
    "tokens revoked later": of("portal", tokens_not_before="2025-01-01T00:00:00Z"),
    "a new client with other use cases": client("new", "A", use_cases=["summary"]),
    "a new client with other powers": client("new", "A", may_provision=True),
    "a prohibition withdrawn": policy(withdrawn=True),
    "a prohibition of something else": policy(forbid=FORBIDS.replace("read", "export")),
}


@pytest.mark.parametrize("what", UNGIVEN)
async def test_a_client_gives_only_what_it_has(what: str) -> None:
    """Nothing that it has not, to nobody, itself included; and what is forbidden stays so."""
    scene = await Scene().open()
    before = scene.ledger.bodies(TENANT)

    with pytest.raises(Refused) as refused:
        await scene.apply(PIPELINE, UNGIVEN[what])

    assert ("client-powers", before) == (refused.value.code, scene.ledger.bodies(TENANT))


GIVEN: Final = {
    "its own next key": of("pipeline", public_key=key("F")),
    "less for itself": of("pipeline", may_audit=False),
    "its own use case to another": of("portal", use_cases=["summary", "reminders"]),
    "its own power to another": of("portal", may_audit=True),
    "less for another": of("portal", use_cases=[]),
    "the revocation of another's tokens": of("portal", tokens_not_before="2026-06-01T00:00:00Z"),
    "a title of a stronger one": of("idp", title="the provider"),
    "the key of a weaker one": of("twin", public_key=key("F")),
    "a new client with what it has": client("new", "F", may_audit=True, use_cases=["reminders"]),
    "another prohibition": {**policy(), "name": "another"},
}


@pytest.mark.parametrize("what", GIVEN)
async def test_what_a_client_has_it_may_give(what: str) -> None:
    """Within its own powers and use cases it applies clients, and it adds prohibitions."""
    scene = await Scene().open()
    assert "unchanged" != (await scene.apply(PIPELINE, GIVEN[what])).change


@pytest.mark.parametrize(
    "loose",
    [
        {"dpop_bound": False},
        {"certificate_bound": False, "certificate_thumbprints": []},
        {"certificate_bound": True, "certificate_thumbprints": []},
    ],
)
@pytest.mark.parametrize("name", ["pipeline", "twin", "new"])
async def test_who_is_bound_gives_no_unbound_tokens(name: str, loose: dict[str, Any]) -> None:
    """A client whose tokens are bound loosens neither its own binding nor another's."""
    powers = {
        "may_apply": True,
        "dpop_bound": True,
        "certificate_bound": True,
        "certificate_thumbprints": [THUMBPRINT],
    }
    scene = await Scene().open(client("pipeline", "A", **powers), client("twin", "D", **powers))
    letter = {"pipeline": "A", "twin": "D", "new": "F"}[name]

    with pytest.raises(Refused) as refused:
        await scene.apply(PIPELINE, client(name, letter, **{**powers, **loose}))

    assert "client-powers" == refused.value.code


async def test_a_batch_is_judged_one_by_one() -> None:
    """No document of a batch is applied by what another one of it would give."""
    scene = await Scene().open()
    batch = [of("pipeline", use_cases=["reminders", "summary"]), of("portal", public_key=key("A"))]

    with pytest.raises(Refused) as refused:
        await scene.documents.apply(PIPELINE, batch)

    held = scene.documents.register(TENANT).find(ClientSpec, "pipeline")
    assert ("client-powers", 1) == (refused.value.code, held.version if held else 0)


async def test_a_client_that_is_not_registered_gives_nothing() -> None:
    """Who has no document has nothing to give."""
    scene = await Scene().open()
    with pytest.raises(Refused) as refused:
        await scene.apply(Principal("client", "ghost", TENANT), client("new", "A"))
    assert "client-powers" == refused.value.code


@pytest.mark.parametrize("by", [OFFICER, TERMINAL, OPERATOR], ids=lambda by: str(by.kind))
async def test_people_and_the_terminal_give_more(by: Principal) -> None:
    """A security officer registers services and withdraws prohibitions, and so the terminal does.

    The client `operator` is the terminal while a server runs: its key lies in the data folder.
    """
    scene = await Scene().open()
    given = [UNGIVEN["a use case of another"], UNGIVEN["a prohibition withdrawn"]]
    applied = await scene.documents.apply(by, given)
    assert ["changed", "changed"] == [one.change for one in applied]


@pytest.mark.parametrize("by", [OFFICER, PIPELINE], ids=lambda by: str(by.kind))
@pytest.mark.parametrize(
    "document",
    [
        UNGIVEN["the provider's key"],
        UNGIVEN["another key of the provider"],
        UNGIVEN["the operator's key"],
    ],
    ids=["key", "next key", "operator"],
)
async def test_what_changes_persons_is_given_at_the_terminal(
    document: dict[str, Any], by: Principal
) -> None:
    """Not even a security officer puts a key of theirs into a client that changes persons.

    Nor into the one that is the terminal: they would change their own roles by it.
    """
    scene = await Scene().open()
    with pytest.raises(Refused) as refused:
        await scene.apply(by, document)
    assert "client-powers" == refused.value.code
    assert "changed" == (await scene.apply(TERMINAL, document)).change


async def test_a_security_officer_takes_from_the_provider() -> None:
    """What narrows such a client, whoever may apply clients does: in an emergency, at once."""
    scene = await Scene().open()
    revoked = of("idp", tokens_not_before="2026-01-01T00:00:00Z", may_provision=False)
    assert "changed" == (await scene.apply(OFFICER, revoked)).change


async def test_a_named_client_changes_persons() -> None:
    """The client that the settings name lets people join and change."""
    scene = await Scene().open()
    applied = await scene.apply(Principal("client", "idp", TENANT), person("eve", "clinician"))
    assert 2 == applied.version


async def test_an_unnamed_client_changes_no_person() -> None:
    """A client that a security officer made for themselves changes nobody's roles."""
    scene = await Scene().open()
    await scene.apply(OFFICER, client("mine", "A", may_provision=True))

    with pytest.raises(Refused) as refused:
        await scene.apply(Principal("client", "mine", TENANT), person("ada", "privacy-officer"))

    assert ("provisioner-unnamed", True) == (
        refused.value.code,
        "seawall.toml" in refused.value.help,
    )
