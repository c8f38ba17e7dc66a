"""The registers in use: loaded once, replaced whole when documents are applied.

Every version of every document is kept (45 CFR 164.316(b)(2)(i)); each change
is an entry of the tenant's log that names the version and its digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from seawall.app.entries import entry
from seawall.app.ports import KeepDocument
from seawall.core.errors import Conflict, Missing
from seawall.core.registers.register import ALL_KINDS, KINDS, Register, kind_of, read_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seawall.app.ports import Clock, Ledger, Store, Write
    from seawall.core.policy.grant import Receipt
    from seawall.core.policy.principal import Principal
    from seawall.core.registers.spec import Document, Spec


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying one document did."""

    kind: str
    name: str
    version: int
    change: Literal["created", "changed", "unchanged"]
    entry: int | None


class Documents:
    """The documents of every tenant, as they stand."""

    def __init__(
        self, *, store: Store, ledger: Ledger, clock: Clock, is_shared: bool = False
    ) -> None:
        self._store = store
        self._is_shared = is_shared
        """Whether others may apply documents without our knowing."""
        self._ledger = ledger
        self._clock = clock
        self._registers: dict[str, Register] = {}
        self._counts: dict[str, int] = {}
        """How many versions each register was made of; a version is never taken away."""

    async def load(self) -> None:
        """Read every tenant's documents."""
        for tenant in await self._store.tenants():
            await self._load(tenant)

    async def refresh(self) -> None:
        """Read again what other replicas applied; one small question where they applied nothing.

        `Unavailable` if the store does not answer: then nothing may be decided, because a
        permission may have been withdrawn. Where the store is this process's, nothing is asked.
        """
        if not self._is_shared:
            return
        for tenant, count in (await self._store.document_counts()).items():
            if count != self._counts.get(tenant, 0):
                await self._load(tenant)

    async def _load(self, tenant: str) -> None:
        documents = await self._store.documents(tenant)
        self._registers[tenant] = Register(documents)
        self._counts[tenant] = len(documents)

    def tenants(self) -> list[str]:
        """Return the tenants whose documents are loaded."""
        return sorted(self._registers)

    def register(self, tenant: str) -> Register:
        """Return a tenant's register; an unknown tenant's is empty, and decides nothing but no."""
        return self._registers.get(tenant, Register())

    async def history(self, tenant: str, kind: str, name: str) -> list[Document[Spec]]:
        """Return every version of one document, oldest first; `Missing` if there is none."""
        found = [
            document
            for document in await self._store.documents(tenant)
            if (document.kind, document.name) == (kind, name)
        ]
        if not found:
            raise Missing(
                "document-unknown",
                f"there is no {kind if kind in ALL_KINDS else 'document'} of this name",
                "see what there is with `seawall get KIND`",
            )
        return found

    async def apply(
        self, principal: Principal, parsed: Iterable[Mapping[str, Any]]
    ) -> list[Applied]:
        """Apply documents in the order of their kinds; nothing is written if one is invalid.

        Nor if one is `Refused`: retention that is lowered, a hold that is rewritten.
        """
        order = list(KINDS)
        read = sorted((read_document(fields) for fields in parsed), key=lambda d: order.index(d[0]))
        trial = self.register(principal.tenant)
        for kind, name, spec in read:
            document = trial.next_version(kind, name, spec)
            trial = trial.having([document] if document else [])
        return [await self._apply_one(principal, *document) for document in read]

    async def keep(
        self,
        principal: Principal,
        name: str,
        spec: Spec,
        said: Mapping[str, Any],
        writes: Sequence[Write] = (),
    ) -> tuple[Document[Spec], Receipt]:
        """Keep a version that the program itself makes, in the entry that tells of it.

        `said` are the entry's fields, its `action` among them; the document and its digest are
        added. `Conflict` if nothing would change, or if another process made the version first.
        """
        tenant, kind = principal.tenant, kind_of(type(spec))
        await self.refresh()
        document = self.register(tenant).next_version(kind, name, spec)
        if document is None:
            raise Conflict("document-unchanged", f"this {kind} is so already", "see what there is")
        fields = {**said, "document": document.reference, "digest": document.digest()}
        action = str(fields.pop("action"))
        body = entry(action, principal, self._clock, **fields)
        receipt = await self._ledger.append(tenant, body, [KeepDocument(tenant, document), *writes])
        self._have(tenant, document)
        return document, receipt

    def _have(self, tenant: str, document: Document[Spec]) -> None:
        """Know a document that was kept, beside those that others kept while it was."""
        self._registers[tenant] = self.register(tenant).having([document])

    async def _apply_one(self, principal: Principal, kind: str, name: str, spec: Spec) -> Applied:
        tenant = principal.tenant
        await self.refresh()
        register = self.register(tenant)
        document = register.next_version(kind, name, spec)
        if document is None:
            held = next(held for held in register if (held.kind, held.name) == (kind, name))
            return Applied(kind, name, held.version, "unchanged", None)
        receipt = await self._ledger.append(
            tenant,
            entry(
                "document.apply",
                principal,
                self._clock,
                document=document.reference,
                digest=document.digest(),
            ),
            [KeepDocument(tenant, document)],
        )
        self._have(tenant, document)
        change: Literal["created", "changed"] = "created" if document.version == 1 else "changed"
        return Applied(kind, name, document.version, change, receipt.index)
