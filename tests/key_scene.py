"""Two tenants with sealed PHI over fakes, and everything that works on their keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from fake_keys import RECEIPT_KEY, MemoryKeyManager
from fakes import PUBLIC_KEY, SIGNING_KEY, FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.adapters.keys.ring import EnvelopeKeyRing
from seawall.app.destroy_roots import DestroyRoots
from seawall.app.destruction import DescribeDestruction
from seawall.app.entries import entry
from seawall.app.index_ledger import IndexLedger
from seawall.app.key_claims import KeyClaims
from seawall.app.key_history import KeyHistory
from seawall.app.may_shred import MayShred
from seawall.app.ports import SYSTEM_LOG, Held, KeepDocument, KeepPatient, KeepSealed, tenant_root
from seawall.app.rewrap_keys import RewrapKeys
from seawall.app.rotate_keys import RotateKeys
from seawall.app.shred_keys import ShredKeys
from seawall.core.ledger.checkpoint import format_vkey
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.registers.register import read_document
from seawall.core.registers.spec import Document
from seawall.core.seal.certificate import open_certificate, sign_certificate
from seawall.core.seal.envelope import Context, Sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.ports import Destruction, KeyOperator, RootVersion, Write

CLINIC: Final = "clinic"
OTHER: Final = "other"
ANN, BEN = "a" * 24, "b" * 24
KIND: Final = "patient.identifiers"
OPERATOR: Final = Principal("operator", "olga", CLINIC)


class MemoryHoldings:
    """The Holdings port over what a `MemoryLedger` keeps."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def of(self, tenant: str, subjects: Sequence[str] | None = None) -> Held:
        """Count what is held."""
        keys = [key for key in self._ledger.keys.held.values() if key.tenant == tenant]
        kept = [sealed for place, sealed in self._ledger.kept.items() if place[0] == tenant]
        terms_of = {place[1]: found for place, found in self._ledger.patients.items()}
        if subjects is None:
            return Held(len(keys), len(kept), sum(map(len, terms_of.values())))
        return Held(
            sum(key.subject in subjects for key in keys),
            sum(sealed.context.subject in subjects for sealed in kept),
            sum(len(found) for patient, found in terms_of.items() if patient in subjects),
        )


class MemoryCopies:
    """The KeyCopies port: a copy of wrapped keys, which is rewritten when told."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.held: dict[str, Any] = {}

    async def rewrite(self, tenant: str) -> int:
        """Copy the tenant's keys as they are now."""
        self.held[tenant] = [key for key in self._ledger.keys.held.values() if key.tenant == tenant]
        return 1


class Strict:
    """The KeyOperator port over a fake: what is not there is `Missing`, as servers may say."""

    def __init__(self, manager: MemoryKeyManager) -> None:
        self._manager = manager

    async def make(self, name: str) -> None:
        """Make a root key."""
        await self._manager.make(name)

    async def versions(self, name: str) -> list[RootVersion]:
        """Tell the versions."""
        return await self._manager.versions(name)

    async def rotate(self, name: str) -> int:
        """Make a new version."""
        return await self._manager.rotate(name)

    async def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy versions; `Missing` if there is no key."""
        await self._manager.versions(name)
        return await self._manager.destroy(name, below)


class KeyScene:
    """Everything that works on keys; `restart` makes it anew over what is durable."""

    def __init__(self, provider: str = "openbao") -> None:
        self.clock = FakeClock()
        self.random = FakeRandom()
        self.ledger = MemoryLedger()
        self.store = MemoryStore(self.ledger)
        self.manager = MemoryKeyManager(provider)
        self.operator: KeyOperator = self.manager
        self.copies = MemoryCopies(self.ledger)
        self.sealed: dict[tuple[str, str], Sealed] = {}
        self.restart()

    def restart(self) -> None:
        """Begin as another process does: nothing is held in memory."""
        self.ring = EnvelopeKeyRing(
            manager=self.manager,
            operator=self.operator,
            keys=self.ledger.keys,
            receipt_key=RECEIPT_KEY,
            clock=self.clock,
            random=self.random,
        )
        shared: dict[str, Any] = {"ledger": self.ledger, "clock": self.clock}
        asked: dict[str, Any] = {"keys": self.ledger.keys, "keeper": self.ring}
        indexing = IndexLedger(store=self.store, ledger=self.ledger)
        self.history = KeyHistory(store=self.store, indexing=indexing)
        self.claims = KeyClaims(store=self.store, history=self.history, ring=self.ring, **shared)
        self.roots = DestroyRoots(
            manager=self.manager, operator=self.operator, clock=self.clock, **asked, wait=self.wait
        )
        alone: dict[str, Any] = {"ring": self.ring, "claims": self.claims, "roots": self.roots}
        self.rewrapping = RewrapKeys(store=self.store, **shared, **asked, batch=2)
        self.rotating = RotateKeys(
            history=self.history, manager=self.manager, **shared, **asked, **alone
        )
        self.shredding = ShredKeys(
            store=self.store,
            history=self.history,
            may_shred=MayShred(store=self.store, history=self.history, clock=self.clock),
            describing=DescribeDestruction(
                store=self.store, history=self.history, manager=self.manager, clock=self.clock
            ),
            rewrapping=self.rewrapping,
            holdings=MemoryHoldings(self.ledger),
            copies=[self.copies],
            sign=self.sign,
            **shared,
            **asked,
            **alone,
            wait=self.wait,
        )

    async def wait(self, seconds: float) -> None:
        """Let time pass, and others go on."""
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    async def sign(self, body: Mapping[str, Any]) -> str:
        """Sign a certificate by the system log's key."""
        name = (await self.store.head(SYSTEM_LOG)).origin
        return sign_certificate(body, name, SIGNING_KEY.sign, PUBLIC_KEY)

    async def open(self) -> KeyScene:
        """Open both tenants, and seal something for two patients of each."""
        await self.ledger.open_log(SYSTEM_LOG, "seawall.example/log/00")
        await self.operator.make(tenant_root(SYSTEM_LOG))
        await self.ring.prepare(SYSTEM_LOG)
        for number, tenant in enumerate((CLINIC, OTHER), 1):
            await self.ledger.open_log(tenant, f"seawall.example/log/0{number}")
            await self.operator.make(tenant_root(tenant))
            await self.ring.prepare(tenant)
            for patient in (ANN, BEN):
                await self.seal(tenant, patient)
        return self

    async def seal(self, tenant: str, patient: str, kind: str = KIND) -> Sealed:
        """Seal something for a patient, with an entry and an index term."""
        sealed = await self.ring.seal(b"PHI", Context(tenant, kind, patient, patient))
        who = Principal("operator", "olga", tenant)
        said = entry("patient.import", who, self.clock, patients=[patient])
        writes: list[Write] = [
            KeepSealed(sealed),
            KeepPatient(tenant, patient, (f"term/{patient}",)),
        ]
        await self.ledger.append(tenant, said, writes)
        self.sealed[tenant, patient] = sealed
        return sealed

    async def opens(self, tenant: str, patient: str, ring: EnvelopeKeyRing | None = None) -> bool:
        """Whether what was sealed opens under a grant, by a process that holds no key yet."""
        who = Principal("operator", "olga", tenant)
        granted = terms(kinds=(KIND,), subjects=(patient,), until_ms=self.clock.now_ms() + 1_000)
        receipt = await self.ledger.append(
            tenant, entry("phi.open", who, self.clock, patients=[patient], grant=granted)
        )
        self.ring.forget(tenant)
        opened = await (ring or self.ring).open(self.sealed[tenant, patient], Grant(receipt))
        return opened == b"PHI"

    async def exchange(self, patients: Sequence[str], item: str) -> None:
        """Record an exchange that concerned these patients, and its answer."""
        who = Principal("client", "app", CLINIC)
        for action, payload in (("exchange.intent", "request"), ("exchange.outcome", "answer")):
            said: dict[str, Any] = {"patients": list(patients), "item": item, payload: "sha256:00"}
            await self.ledger.append(CLINIC, entry(action, who, self.clock, **said))

    async def apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        """Keep a document of the clinic."""
        _, _, read = read_document({"kind": kind, "name": name, "spec": spec})
        said = entry("document.apply", OPERATOR, self.clock, document=f"{kind}/{name}@1")
        write = KeepDocument(CLINIC, Document(kind, name, 1, read))
        await self.ledger.append(CLINIC, said, [write])

    def said(self, action: str, log: str = CLINIC) -> list[dict[str, Any]]:
        """Return the entries of an action."""
        return [body for body in self.ledger.bodies(log) if body["action"] == action]


def body_of(scene: KeyScene, note: str) -> dict[str, Any]:
    """Return what a certificate says, once its signature was checked."""
    origin = scene.ledger.logs[SYSTEM_LOG].origin
    return open_certificate(note, format_vkey(origin, PUBLIC_KEY))
