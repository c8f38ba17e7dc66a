"""The tiled logs ask the policies too: what a tenant forbids is not downloaded either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request

from practice import CLIENT_KEY, OPERATOR, TENANT, TOKEN_URL, Practice, document
from seawall.adapters.policies import load_policies
from seawall.app.access import Access
from seawall.app.count_readings import CountReadings
from seawall.app.index_ledger import IndexLedger
from seawall.app.issue_token import Wanted
from seawall.app.policies import TenantPolicies
from seawall.app.ports import SYSTEM_LOG
from seawall.app.record_reading import Auditors, RecordReading
from seawall.http.tlog import TlogDoor
from token_desk import signed

if TYPE_CHECKING:
    from seawall.core.access.engine import Prepared
    from seawall.core.access.question import Answer, Question
    from seawall.core.phi.detection import Detector

FORBIDDEN = (
    'forbid(principal, action == Action::"{action}", resource) when {{ principal.name == "siem" }};'
)


class Watched:
    """The Policies port: a tenant's, counted as they decide, or what a test puts in force."""

    def __init__(self, tenants: TenantPolicies) -> None:
        self._tenants = tenants
        self._held = Counted(tenants.of(TENANT))
        self.instead: Prepared | None = None

    def of(self, tenant: str) -> Counted:
        """Return what decides for a tenant: the same until other policies are in force."""
        prepared = self._tenants.of(tenant) if self.instead is None else self.instead
        if self._held.prepared is not prepared:
            self._held = Counted(prepared)
        return self._held


@dataclass(eq=False)
class Counted:
    """What decides, and how often it did."""

    prepared: Prepared
    decided: int = 0

    def decide(self, question: Question) -> Answer:
        """Count, and decide."""
        self.decided += 1
        return self.prepared.decide(question)


class Place:
    """A practice with the door to its logs, and a client that may audit both."""

    def __init__(self, detector: Detector) -> None:
        self.practice = practice = Practice(detector)
        self.policies = Watched(TenantPolicies(load_policies(), practice.documents))
        parts: dict[str, Any] = {"ledger": practice.ledger, "clock": practice.clock}
        access = Access(
            documents=practice.documents, policies=self.policies, emergencies=None, **parts
        )
        indexing = IndexLedger(store=practice.store, ledger=practice.ledger)
        reading = RecordReading(store=practice.store, indexing=indexing, **parts)
        self.door = TlogDoor(
            issue_token=practice.issue_token,
            documents=practice.documents,
            auditors=Auditors(),
            access=access,
            store=practice.store,
            read_ledger=practice.read_ledger,
            counting=CountReadings(reading.record, practice.clock),
        )

    async def open(self) -> Place:
        """Begin, with the client."""
        await self.practice.open()
        public = {name: value for name, value in CLIENT_KEY.items() if name != "d"}
        powers = {"may_audit": True, "may_audit_system": True}
        siem = document("Client", "siem", title="S", public_key=public, **powers)
        await self.practice.documents.apply(OPERATOR, [siem])
        return self

    async def forbid(self, action: str) -> None:
        """Let the tenant forbid an action to the client."""
        text = FORBIDDEN.format(action=action)
        said = document("Policy", "no-siem", title="No", reason="it ended", forbid=text)
        await self.practice.documents.apply(OPERATOR, [said])

    async def token(self, **wanted: Any) -> str:
        """Return a token of the client."""
        now = self.practice.clock.now_ms() // 1000
        jti = self.practice.random.bytes(8).hex()
        claims = {"iss": f"{TENANT}/siem", "sub": f"{TENANT}/siem", "aud": TOKEN_URL, "jti": jti}
        assertion = signed(CLIENT_KEY, {**claims, "iat": now, "exp": now + 60})
        issued = await self.practice.issue_token.issue(assertion, None, Wanted(**wanted))
        return issued.token

    async def fetch(self, log: str, path: str = "checkpoint", **wanted: Any) -> tuple[int, bytes]:
        """Fetch a resource of a log, by its name or by any other address."""
        held = {head.log: head.origin.rpartition("/")[2] for head in await self._heads()}
        name = held.get(log, log)
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/log/{name}/{path}",
            "raw_path": f"/log/{name}/{path}".encode(),
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {await self.token(**wanted)}".encode())],
            "path_params": {"log": name, "path": path.removeprefix("tile/")},
        }
        answer = self.door.checkpoint if path == "checkpoint" else self.door.tile
        reply = await answer(Request(scope))
        return reply.status_code, bytes(reply.body)

    async def _heads(self) -> Any:
        return await self.practice.store.logs()

    def refusals(self) -> list[dict[str, Any]]:
        """Return the refusals that were recorded."""
        return self.practice.entries("access.refused")


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/000.p/3", "tile/0/000.p/3"])
async def test_what_a_tenant_forbids_is_not_downloaded(path: str, detector: Detector) -> None:
    """The same fetch is answered before the prohibition, and refused from it on."""
    place = await Place(detector).open()
    before, _ = await place.fetch(TENANT, path)

    await place.forbid("read-ledger")
    after, body = await place.fetch(TENANT, path)

    assert (200, 403) == (before, after)
    assert b"access-refused" in body
    assert b"document.apply" not in body


async def test_the_refusal_is_an_entry_that_names_the_prohibition(detector: Detector) -> None:
    """Who wants to read and may not is told of in the tenant's ledger."""
    place = await Place(detector).open()
    await place.forbid("read-ledger")

    await place.fetch(TENANT)
    (entry,) = place.refusals()

    assert ("siem", "read-ledger", "Log", ["tenant.no-siem.1"]) == (
        entry["actor"]["name"],
        entry["what"],
        entry["on"],
        entry["access"]["policies"],
    )


@pytest.mark.parametrize(
    ("action", "own", "system"),
    [("read-ledger", 403, 200), ("read-system-ledger", 200, 403)],
)
async def test_each_log_has_its_own_question(
    action: str, own: int, system: int, detector: Detector
) -> None:
    """Reading the tenant's log is one act, reading the system's another."""
    place = await Place(detector).open()
    await place.forbid(action)

    assert (own, system) == (
        (await place.fetch(TENANT))[0],
        (await place.fetch(SYSTEM_LOG))[0],
    )


async def test_the_prohibition_hides_which_logs_there_are(detector: Detector) -> None:
    """Its own log, and one that is nowhere, are the same to who may read none."""
    place = await Place(detector).open()
    await place.forbid("read-ledger")

    (own, _), (none, _) = await place.fetch(TENANT), await place.fetch("0" * 16)

    assert (403, 403) == (own, none)


async def test_policies_that_are_broken_hand_out_nothing(detector: Detector) -> None:
    """A policy that cannot be evaluated refuses tiles as it refuses all else."""
    place = await Place(detector).open()
    place.policies.instead = load_policies().having({"odd": "forbid(principal"})

    status, body = await place.fetch(TENANT)

    assert 403 == status
    assert b"policy-broken" in body


async def test_fetches_that_are_permitted_cost_one_question(detector: Detector) -> None:
    """A permit of a client is remembered, so that a tile costs no decision of its own."""
    place = await Place(detector).open()

    for _ in range(3):
        assert 200 == (await place.fetch(TENANT))[0]

    assert 1 == place.policies.of(TENANT).decided


async def test_a_limited_token_reads_no_log(detector: Detector) -> None:
    """The power to audit is the whole client's."""
    place = await Place(detector).open()

    status, body = await place.fetch(TENANT, patient="MRN-7")

    assert (403, True) == (status, b"token-limited" in body)
