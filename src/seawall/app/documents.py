"""The registers in use: loaded once, replaced whole when documents are applied.

Every version of every document is kept (45 CFR 164.316(b)(2)(i)); each change
is an entry of the tenant's log that names the version and its digest.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from seawall.app.entries import entry
from seawall.app.ports import EndSessions, KeepDocument, SpendAssertion
from seawall.core.access import standing
from seawall.core.access.reviewing import after_change
from seawall.core.errors import Conflict, Missing, Refused, Unavailable
from seawall.core.registers.access_review import ReviewedGrantSpec
from seawall.core.registers.policy import check_batch, check_count
from seawall.core.registers.register import ALL_KINDS, KINDS, Register, read_document
from seawall.core.registers.spec import Document
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from seawall.app.ports import Clock, Ledger, Store, Write
    from seawall.core.policy.grant import Receipt
    from seawall.core.policy.principal import Principal
    from seawall.core.registers.spec import Spec

_RECORDED_AS: Final = {
    "User": ("person.join", "person.change", "person.leave", "review.answer", "review.lapse"),
    "Client": ("review.answer", "review.lapse", "document.apply"),
}
"""The actions of entries that name a new version in `document`, where it is not the usual one."""

_TRIES: Final = 3
"""So often a change is made again because another process changed who holds a role."""
_GUARD_MS: Final = 3_600_000
_SPENT: Final = "assertion-reused"
"""What the ledger says of a digest that was spent: an assertion's, or of who held what."""


def recorded_as(kind: str) -> tuple[str, ...]:
    """Return the actions of the entries that tell of a kind's versions."""
    return _RECORDED_AS.get(kind, ("document.apply",))


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying one document did."""

    kind: str
    name: str
    version: int
    change: Literal["created", "changed", "unchanged"]
    entry: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What one document is to become."""

    kind: str
    name: str
    spec: Spec
    after: int | None = None
    """The version that must be the latest, 0 for none; None for whichever."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What its entry says besides, such as by which policies it was allowed."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A change that was checked: the new versions, and what goes with them."""

    documents: tuple[Document[Spec], ...]
    writes: tuple[Write, ...]
    action: str
    said: Mapping[str, Any]
    is_guarded: bool
    """Whether it is kept only if nobody changed meanwhile who holds what somebody must hold."""
    resets: Mapping[str, bool]
    """Whose account at a provider is another, and whether they had one."""


class Resets(Protocol):
    """What ends, besides sessions, when by another account somebody signs in."""

    async def voiding(self, tenant: str, name: str) -> list[Write]:
        """Return what voids a person's own factors; nothing where there are none."""
        ...

    def tell(self, tenant: str, entry: int) -> None:
        """Tell the operator of a change."""
        ...


class Documents:
    """The documents of every tenant, as they stand."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        is_shared: bool = False,
        provisioners: frozenset[str] = frozenset(),
    ) -> None:
        """Take the `TENANT/CLIENT`s that may change persons, if their documents say so too."""
        self.provisioners: Final = provisioners
        self.resets: Callable[[], Resets] | None = None
        """Returns what voids factors; it is made of documents, so that it comes later."""
        self._store = store
        self._is_shared = is_shared
        """Whether others may apply documents without our knowing."""
        self._ledger = ledger
        self._clock = clock
        self._registers: dict[str, Register] = {}
        self._counts: dict[str, int] = {}
        """How many versions each register was made of; a version is never taken away."""
        self._turns: dict[str, asyncio.Lock] = {}
        self._doubts: dict[str, object] = {}
        """The tenants of whose last change it is not known whether it was kept, each by a mark."""
        self._reading: dict[str, asyncio.Lock] = {}

    async def load(self) -> None:
        """Read every tenant's documents."""
        for tenant in await self._store.tenants():
            await self._load(tenant)

    async def refresh(self) -> None:
        """Read again what other replicas applied; one small question where they applied nothing.

        `Unavailable` if the store does not answer: then nothing may be decided, because a
        permission may have been withdrawn. Where the store is this process's, nothing is asked,
        unless it is not known whether a change was kept.
        """
        for tenant in list(self._doubts):
            async with self._reading.setdefault(tenant, asyncio.Lock()):
                if tenant in self._doubts:
                    await self._load(tenant)
        if not self._is_shared:
            return
        for tenant, count in (await self._store.document_counts()).items():
            if count != self._counts.get(tenant, 0):
                await self._load(tenant)

    async def _load(self, tenant: str) -> None:
        doubt = self._doubts.get(tenant)
        if doubt is not None:
            # What we gave up waiting for may be kept still; what is asked after it is done
            # after it. Beginning a log that is there changes nothing.
            head = await self._store.head(tenant)
            await self._ledger.open_log(tenant, head.origin)
        documents = await self._store.documents(tenant)
        # A slow answer is older than what was read or kept meanwhile.
        if len(documents) >= self._counts.get(tenant, 0):
            self._registers[tenant] = Register(documents)
            self._counts[tenant] = len(documents)
        if doubt is not None and self._doubts.get(tenant) is doubt:
            del self._doubts[tenant]

    def tenants(self) -> list[str]:
        """Return the tenants whose documents are loaded."""
        return sorted(self._registers)

    def register(self, tenant: str) -> Register:
        """Return a tenant's register; an unknown tenant's is empty, and decides nothing but no.

        `Unavailable` (`documents-unread`) while it is not known what was kept last: a permission
        may have been withdrawn, or a hold placed.
        """
        if tenant in self._doubts:
            raise Unavailable(
                "documents-unread",
                "it is not known whether the last change of a document was kept",
                "try again: the documents are read before the next request",
            )
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
        self,
        principal: Principal,
        parsed: Iterable[Mapping[str, Any]],
        said: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    ) -> list[Applied]:
        """Apply documents in the order of their kinds; nothing is written if one is invalid.

        Nor if one is `Refused`: retention that is lowered, a hold that is rewritten. `said` is
        what entries say besides, by kind and name.
        """
        order, given = list(KINDS), list(parsed)
        check_batch(given)
        read = []
        for fields in given:
            read.append(read_document(fields))
            # Reading many takes long, and others wait to be answered.
            await asyncio.sleep(0)
        read.sort(key=lambda one: order.index(one[0]))
        more = said or {}
        changes = [Change(*one, said=more.get((one[0], one[1]), {})) for one in read]
        return await self.keep_each(by=principal, changes=changes)

    async def keep_each(
        self, by: Principal, changes: Sequence[Change], said: Mapping[str, Any] | None = None
    ) -> list[Applied]:
        """Keep changes one after the other, each with its entry; none if one of them is refused."""
        await self.refresh()
        trial = self.register(by.tenant)
        for change in changes:
            if (document := self._checked(by, trial, change)) is not None:
                trial = trial.having([document])
        return [await self.keep(by, [change], said=said) for change in changes]

    async def keep(
        self,
        by: Principal,
        changes: Sequence[Change],
        *,
        action: str | None = None,
        said: Mapping[str, Any] | None = None,
        writes: Sequence[Write] = (),
    ) -> Applied:
        """Keep changes and `writes` in one append, whose entry names the first document.

        The others are told by their count and a digest. What a change of a person ends goes
        with it, whoever makes it: sessions, and questions of reviews under way. Nothing is
        written if the first change changes nothing, or if a rule of its kind refuses it.
        """
        tenant = by.tenant
        async with self._turns.setdefault(tenant, asyncio.Lock()):
            await self.refresh()
            for left in reversed(range(_TRIES)):
                found = self._prepare(by, changes)
                if found is None:
                    return self._unchanged(tenant, changes[0])
                prepared = found
                fields = {**prepared.said, **changes[0].said, **(said or {})}
                voids = await self._voids(by, prepared.resets)
                body = entry(action or prepared.action, by, self._clock, **fields)
                try:
                    receipt = await self._append(tenant, body, [*prepared.writes, *voids, *writes])
                    break
                except Conflict as conflict:
                    if not (prepared.is_guarded and conflict.code == _SPENT and left):
                        raise
                    await self.refresh()
            self._take(tenant, prepared.documents)
        if self.resets is not None and (voids or any(prepared.resets.values())):
            self.resets().tell(tenant, receipt.index)
        first = prepared.documents[0]
        change: Literal["created", "changed"] = "created" if first.version == 1 else "changed"
        return Applied(first.kind, first.name, first.version, change, receipt.index)

    async def _voids(self, by: Principal, resets: Mapping[str, bool]) -> list[Write]:
        """Return what voids the factors of whose account is another; no client does that."""
        found: list[Write] = []
        if self.resets is not None:
            for name in resets:
                found += await self.resets().voiding(by.tenant, name)
        if found and by.kind == "client":
            raise standing.account_stays()
        return found

    async def _append(
        self, tenant: str, body: Mapping[str, Any], writes: Sequence[Write]
    ) -> Receipt:
        """Append, or raise; unless nothing can have been kept, the register is in doubt then."""
        try:
            return await self._ledger.append(tenant, body, writes)
        except (Missing, Refused):
            raise
        except BaseException:
            # A conflict too: what it is with, this process has not read.
            self._doubts[tenant] = object()
            raise

    def _take(self, tenant: str, documents: Sequence[Document[Spec]]) -> None:
        """Have what was kept; somebody may have read it from the store already."""
        held = self._registers.get(tenant, Register())
        new = [one for one in documents if not held.holds(one)]
        self._registers[tenant] = held.having(new)
        self._counts[tenant] = self._counts.get(tenant, 0) + len(new)

    def _unchanged(self, tenant: str, change: Change) -> Applied:
        held = next(
            held
            for held in self.register(tenant)
            if (held.kind, held.name) == (change.kind, change.name)
        )
        return Applied(change.kind, change.name, held.version, "unchanged", None)

    def _checked(self, by: Principal, register: Register, change: Change) -> Document[Spec] | None:
        """Return the version that a change makes, None for no change; `Refused` by a rule."""
        held = register.find(type(change.spec), change.name)
        if change.after not in {None, 0 if held is None else held.version}:
            raise Conflict(
                "version-changed",
                f"this {change.kind} has another version than you have seen",
                "read it again, and make the change to what it says now",
            )
        document = register.next_version(change.kind, change.name, change.spec)
        if document is None:
            return None
        check_count(register, document)
        standing.check_left(document, self._clock.now())
        standing.check_not_own(by, register, document)
        standing.check_client(by, register, document, self.provisioners)
        standing.check_account(by, register, document)
        standing.check_user_name(register, document)
        standing.check_leaves_someone(register, document, self._clock.today())
        return document

    def _prepare(self, by: Principal, changes: Sequence[Change]) -> _Prepared | None:
        """Check changes, and return what is to be written for them; None if nothing changes."""
        now = self._clock.now()
        register = before = self.register(by.tenant)
        made: list[Document[Spec]] = []
        writes: list[Write] = []
        guards: list[str] = []
        resets: dict[str, bool] = {}
        for change in changes:
            document = self._checked(by, register, change)
            if document is None and not made:
                return None
            if document is None:
                continue
            new = [document]
            for name, spec in after_change(by, register, document, now):
                if (other := register.next_version("ReviewedGrant", name, spec)) is not None:
                    new.append(other)
            made += new
            guards += standing.guarded_by(register, document)
            writes += _ended(by.tenant, register, document)
            earlier = register.find(UserSpec, document.name)
            if earlier is not None and standing.changes_account(register, document):
                resets[document.name] = earlier.spec.account is not None
            register = register.having(new)
        for guard in guards:
            spent = hashlib.sha256(f"{by.tenant}/{guard}".encode()).hexdigest()
            writes.append(SpendAssertion(spent, self._clock.now_ms() + _GUARD_MS))
        action, said = _recorded(before, made, now)
        kept = [KeepDocument(by.tenant, one) for one in made]
        return _Prepared(tuple(made), (*kept, *writes), action, said, bool(guards), resets)


def _ended(tenant: str, register: Register, document: Document[Spec]) -> list[Write]:
    """Return what a change of a person ends: every session, once they may do nothing."""
    if not isinstance(document.spec, UserSpec):
        return []
    earlier = register.find(UserSpec, document.name)
    ends = standing.ends_sessions(earlier.spec if earlier else None, document.spec)
    return [EndSessions(tenant, document.name)] if ends else []


def _recorded(
    register: Register, made: Sequence[Document[Spec]], now: datetime
) -> tuple[str, dict[str, Any]]:
    """Return how an entry says what was changed; of many documents the first, and a digest."""
    first, action = made[0], "document.apply"
    said: dict[str, Any] = {"document": first.reference, "digest": first.digest()}
    if isinstance(first.spec, UserSpec):
        earlier = register.find(UserSpec, first.name)
        person = Document(first.kind, first.name, first.version, first.spec)
        action, fields = standing.recorded(earlier.spec if earlier else None, person, now)
        said |= fields
    asked = Counter[str](
        one.spec.reviewer
        for one in made
        if isinstance(one.spec, ReviewedGrantSpec)
        and (was := register.find(ReviewedGrantSpec, one.name)) is not None
        and was.spec.reviewer != one.spec.reviewer
    )
    if asked:
        said["asked"] = dict(sorted(asked.items()))
    if others := made[1:]:
        lines = "".join(f"{one.reference} {one.digest()}\n" for one in others)
        digest = hashlib.sha256(lines.encode()).hexdigest()
        said["with"] = {"documents": len(others), "digest": f"sha256:{digest}"}
    return action, said
