"""Every room of the API over fakes, with an exchange in the ledger and real key work."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

from api_scene import CLIENT, TENANT, Scene
from fakes import MemoryStore, RecordingNotifier
from key_scene import KeyScene
from seawall.adapters.policies import load_policies
from seawall.adapters.rates import MovingRates
from seawall.adapters.second_factor import TimeCodes
from seawall.app.answer import ANSWER
from seawall.app.ask_model import REQUEST
from seawall.app.backup.recording import RecordBackup
from seawall.app.entries import entry
from seawall.app.explain_access import ExplainAccess
from seawall.app.index_ledger import IndexLedger
from seawall.app.key_schedule import KeySchedule
from seawall.app.key_status import KeyStatus
from seawall.app.manage_keys import ManageKeys
from seawall.app.open_payload import OpenPayload
from seawall.app.policies import TenantPolicies
from seawall.app.ports import SYSTEM_LOG, KeepSealed, ShredSubjects, tenant_root
from seawall.app.read_ledger import ReadLedger
from seawall.app.record_reading import Auditors, RecordReading
from seawall.app.step_up import CodeStepUp
from seawall.app.view_exchanges import ViewExchanges
from seawall.core.access.matrix import matrix, matrix_fields
from seawall.core.policy.principal import Principal
from seawall.core.registers.obligation import Obligation
from seawall.core.seal.envelope import Context
from seawall.http.api.access import access_room
from seawall.http.api.backups import backups_room
from seawall.http.api.documents import documents_room
from seawall.http.api.exchanges import exchanges_room, payloads_room
from seawall.http.api.keys import keys_room
from seawall.http.api.ledger import LedgerParts, ledger_room
from seawall.http.api.obligations import obligations_room
from seawall.http.api.session import session_room
from seawall.http.api.works import Works

if TYPE_CHECKING:
    from fastapi import APIRouter

    from seawall.app.documents import Documents
    from seawall.core.registers.register import Register

PATIENT: Final = "0123456789abcdef01234567"
ITEM: Final = "7e7960d9f47c7acefe73b32f1feaebfc"
RECEIPTS: Final = b"r" * 32
_DOCUMENTS: Final = ["Client/app@1", "UseCase/visit-summary@1", "Endpoint/sandbox@1"]
_PURPOSE: Final = {"name": "treatment", "hl7": "TREAT"}
_MODEL: Final = {"name": "seawall-sandbox-1", "version": "1", "country": "US"}


class SlowRegisters:
    """The registers as explanations read them, slowly, and how many read at once."""

    documents: Documents

    def __init__(self) -> None:
        self._reading = 0
        self.most_at_once = 0

    def register(self, tenant: str) -> Register:
        """Return a tenant's register after a while."""
        self._reading += 1
        self.most_at_once = max(self.most_at_once, self._reading)
        time.sleep(0.01)
        self._reading -= 1
        return self.documents.register(tenant)


class Rooms:
    """The scene of the API with all its rooms."""

    patient: Final = PATIENT

    def __init__(self) -> None:
        self.keys = KeyScene()
        self.scene = Scene(self.keys.ledger, self.keys.clock, self.keys.random)
        self.works = Works(self.scene.random)
        self.named: set[str] = set()
        """Who may read the system's log where there are several tenants."""
        self.registers = SlowRegisters()
        self.tables_made = 0
        self.intent = 0
        self.all: list[APIRouter] = []

    async def begin(self) -> Rooms:
        """Serve every room; record an exchange about one patient, and one that was refused."""
        self.all = self._rooms()
        await self.scene.begin(*self.all)
        for log in (SYSTEM_LOG, TENANT):
            await self.keys.operator.make(tenant_root(log))
            await self.keys.ring.prepare(log)
        await self._exchange()
        return self

    async def ended(self, work: str) -> dict[str, Any]:
        """Return how an order ended, once it has."""
        task = self.works._works[work].task
        if task is not None:
            await asyncio.wait([task])
        return self.works.told(TENANT, work)

    def shred(self) -> None:
        """Shred the patient's keys and what they sealed."""
        self.scene.ledger._apply(ShredSubjects(TENANT, (PATIENT,)))

    async def swap_request(self) -> None:
        """Put another sealed request into the place of the exchange's own."""
        place = Context(TENANT, REQUEST, PATIENT, ITEM)
        other = await self.keys.ring.seal(b'{"received": "x", "sent": "x"}', place)
        self.scene.ledger._apply(KeepSealed(other))

    def _rooms(self) -> list[APIRouter]:
        scene, api = self.scene, self.scene.api
        store, ledger, clock = scene.store, scene.ledger, scene.clock
        indexing = IndexLedger(store=store, ledger=ledger)
        readings = RecordReading(
            store=store,
            ledger=ledger,
            indexing=indexing,
            clock=clock,
            keys=self.keys.ring,
            random=scene.random,
        )
        shipped = load_policies()
        policies = TenantPolicies(shipped, scene.documents)

        def table() -> list[dict[str, Any]]:
            """Make the table of access."""
            self.tables_made += 1
            return matrix_fields(matrix(shipped.having({})))

        parts = LedgerParts(
            documents=scene.documents,
            auditors=Auditors(self.named),  # type: ignore[arg-type]  # a test adds to it
            read_ledger=ReadLedger(store),
            readings=readings,
            clock=clock,
        )
        opening = OpenPayload(
            access=scene.access,
            documents=scene.documents,
            store=store,
            payloads=store,
            ledger=ledger,
            keys=self.keys.ring,
            clock=clock,
            random=scene.random,
        )
        self.registers.documents = scene.documents
        explaining = ExplainAccess(registers=self.registers, policies=policies, clock=clock)
        return [
            session_room(api, scene.sessions, clock),
            documents_room(api, scene.documents),
            keys_room(api, self._managing(indexing), self.works),
            ledger_room(api, parts),
            backups_room(api, RecordBackup(ledger=ledger, clock=clock, receipt_key=RECEIPTS)),
            exchanges_room(api, ViewExchanges(store=store, readings=readings)),
            payloads_room(api, opening),
            obligations_room(api, [self._at_once, self._waited_for], clock),
            access_room(api, explaining, table, MovingRates(clock)),
        ]

    def _managing(self, indexing: IndexLedger) -> ManageKeys:
        keys, clock = self.keys, self.scene.clock
        notifier = RecordingNotifier()
        wrapped: dict[str, Any] = {"keys": keys.ledger.keys, "manager": keys.manager}
        store: MemoryStore = self.scene.store
        schedule = KeySchedule(
            store=store, history=keys.history, notifier=notifier, clock=clock, **wrapped
        )
        return ManageKeys(
            store=store,
            ring=keys.ring,
            status=KeyStatus(history=keys.history, schedule=schedule, **wrapped),
            rotating=keys.rotating,
            rewrapping=keys.rewrapping,
            shredding=keys.shredding,
            step_up=CodeStepUp(
                store=store,
                ledger=keys.ledger,
                indexing=indexing,
                keys=keys.ring,
                factor=TimeCodes(self.scene.random, "Seawall test"),
                notifier=notifier,
                clock=clock,
            ),
        )

    def _at_once(self, tenant: str) -> list[Obligation]:
        by_ms = self.scene.clock.now_ms() + 1_000
        return [_obligation(tenant, "second", by_ms)]

    async def _waited_for(self, tenant: str) -> list[Obligation]:
        return [_obligation(tenant, "first", self.scene.clock.now_ms() - 1_000)]

    async def _exchange(self) -> None:
        by, clock, ring = Principal("client", CLIENT, TENANT), self.scene.clock, self.keys.ring
        decision = {"allowed": True, "documents": _DOCUMENTS, "reasons": [], "purpose": _PURPOSE}
        texts = {"received": "Anna Koepp has a cough", "sent": "[NAME-1] has a cough"}
        raw = json.dumps(texts).encode()
        request = await ring.seal(raw, Context(TENANT, REQUEST, PATIENT, ITEM))
        answer = await ring.seal(b"Anna Koepp: a cold", Context(TENANT, ANSWER, PATIENT, ITEM))
        about: dict[str, Any] = {"patients": [PATIENT], "item": ITEM}
        said: dict[str, Any] = {"decision": {**decision, "model": _MODEL}, "found": {"NAME": 2}}
        said |= {"left": {}, "request": request.digest(), **about}
        body = entry("exchange.intent", by, clock, **said)
        self.intent = (await self.scene.ledger.append(TENANT, body, [KeepSealed(request)])).index
        said = {"intent": self.intent, "outcome": "answered", "answer": answer.digest(), **about}
        body = entry("exchange.outcome", by, clock, **said)
        await self.scene.ledger.append(TENANT, body, [KeepSealed(answer)])
        said = {"decision": decision, "patients": [PATIENT], "code": "minimum-necessary"}
        body = entry("exchange.refuse", by, clock, **said)
        await self.scene.ledger.append(TENANT, body)


def _obligation(tenant: str, what: str, by_ms: int) -> Obligation:
    citation = "45 CFR 164.308(a)(4)(ii)(C)"
    return Obligation(tenant, what, "x", "privacy-officer", by_ms, citation, "addressable")
