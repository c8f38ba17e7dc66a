"""Every reading of the ledger is itself an entry, made before anything is shown.

45 CFR 164.312(b), 164.308(a)(1)(ii)(D). The entry is one of the system's log: who
read, which log, what for, the query, and how much was found. If it cannot be
recorded, nothing is read out. A filter's value that no entry has is recorded
as `unknown`: somebody may have typed a patient's name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from seawall.app.entries import entry
from seawall.app.ledger_query import query_fields
from seawall.app.ports import SYSTEM_LOG, KeepSealed, Query, whose
from seawall.core.errors import Refused, Unavailable
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import FACETS, moment_of
from seawall.core.registers.client import ClientSpec
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Clock, Head, KeyRing, Ledger, Random, Store
    from seawall.core.policy.principal import Principal
    from seawall.core.registers.register import Register
    from seawall.core.seal.envelope import Sealed

What = Literal["list", "show", "prove", "verify", "export", "produce", "follow", "tiles"]
"""What a log is read for."""

WHATS: Final[tuple[str, ...]] = get_args(What)
HANDED_OUT: Final = frozenset({"export", "produce", "tiles"})
"""What takes entries away whole, which is an act of its own: `export-ledger`."""
REASON: Final = "ledger.reason"
"""The kind of sealed value that a reason is; its item is random, and in the entry."""
UNKNOWN: Final = "unknown"
_WHOLE: Final = ("verify", "export", "produce")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is about to be read: which log, what for, and what of it.

    `index` is the entry that is shown or proved. `minute` is the minute that many
    fetches are recorded under; `fetches` is how many there were by its end.
    """

    what: What
    log: str
    query: Query | None = None
    index: int | None = None
    minute: str | None = None
    fetches: int | None = None

    def fields(self) -> dict[str, Any]:
        """Return the reading as it is sent to a server, which is to record it."""
        said: dict[str, Any] = {
            "what": self.what,
            "log": ("system" if whose(self.log) == SYSTEM_LOG else "tenant")
            + self.log[len(whose(self.log)) :],
            "index": self.index,
            "minute": self.minute,
            "fetches": self.fetches,
        }
        if self.query is not None:
            said["query"] = {name: str(value) for name, value in query_fields(self.query).items()}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A reading that is recorded: its entry, and what may now be handed out.

    `size` is the log's size that the reading is of, `found` how many entries it finds.
    """

    entry: int
    size: int
    found: int
    entries: tuple[tuple[int, bytes], ...] = ()
    """What a `list` found, as `find_within` orders it."""


class RecordReading:
    """Records readings, and finds what they ask for."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        indexing: IndexLedger,
        clock: Clock,
        keys: KeyRing | None = None,
        random: Random | None = None,
    ) -> None:
        """Take what reasons are sealed with; without it no reason can be given."""
        self._keys = keys
        self._random = random
        self._store = store
        self._ledger = ledger
        self._indexing = indexing
        self._clock = clock

    async def record(
        self,
        principal: Principal,
        reading: Reading,
        access: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> Recorded:
        """Make the reading an entry, then return what it finds; errors record nothing shown.

        `access` says by which policies it was allowed. A reason is sealed beside the entry.
        """
        head = await self._store.head(reading.log)
        said: dict[str, Any] = {} if access is None else {"access": dict(access)}
        kept: list[KeepSealed] = []
        if reason:
            sealed = await self._sealed(reason)
            said["reason"] = {"item": sealed.context.item, "digest": sealed.digest()}
            kept.append(KeepSealed(sealed))
        found: list[tuple[int, bytes]] = []
        if reading.query is not None:
            await self._indexing.caught_up(reading.log)
            said["query"] = await self._known(reading.log, reading.query)
        if reading.what == "list":
            query = reading.query or Query()
            found = await find_within(self._store, reading.log, query, head.size)
        count = _count(reading, head, len(found))
        if count is not None:
            said["found"] = count
        for name in ("index", "minute", "fetches"):
            if (value := getattr(reading, name)) is not None:
                said[name] = value
        receipt = await self._ledger.append(
            SYSTEM_LOG,
            entry(
                "ledger.read",
                principal,
                self._clock,
                what=reading.what,
                log=head.origin,
                size=head.size,
                **said,
            ),
            kept,
        )
        return Recorded(receipt.index, head.size, count or 0, tuple(found))

    async def _sealed(self, reason: str) -> Sealed:
        if self._keys is None or self._random is None:
            raise Unavailable("reason-unkept", "a reason cannot be sealed here", "give none")
        await self._keys.prepare(SYSTEM_LOG)
        item = self._random.bytes(16).hex()
        return await self._keys.seal(reason.encode(), Context(SYSTEM_LOG, REASON, SYSTEM_LOG, item))

    async def _known(self, log: str, query: Query) -> dict[str, Any]:
        """Return the query as it is recorded: values that entries have, and no others."""
        said = query_fields(query)
        for facet in FACETS:
            if facet in said and not await self._store.has_facet(log, facet, said[facet]):
                said[facet] = UNKNOWN
        return said


async def find_within(store: Store, log: str, query: Query, size: int) -> list[tuple[int, bytes]]:
    """Return what a query finds of a log as it was at a size: what is recorded is what is shown.

    Without a condition in the order of the log, and else in the order of time, which
    differs from it where entries came at once or a clock was set back. `before` names an
    entry of either order, so that the first entry of a page leads to the page before it.
    """
    if not query.facets and query.since_ms is query.until_ms is None:
        before = size if query.before is None else min(query.before, size)
        return await store.find(log, replace(query, before=before))
    earlier = None
    if query.before is not None:
        # An entry that is not there, yet or any more, stands for its place alone.
        named = await store.entries(log, query.before, query.before + 1)
        earlier = (moment_of(decode(named[0])), query.before) if named else None
    bound = size if earlier is not None or query.before is None else min(query.before, size)
    found = await store.find(log, replace(query, before=bound, earlier=earlier))
    return sorted(found, key=lambda one: (moment_of(decode(one[1])), one[0]))


@dataclass(frozen=True, slots=True)
class Auditors:
    """Who may read which log: by a client's document, and for the system's log by more.

    The system's log tells of every tenant, and each tenant writes its own documents. So a
    document alone opens it only where there is one tenant; else the installation's setting
    `system_auditors` names the clients too, as `tenant/client`. Empty means no.
    """

    named: frozenset[str] = frozenset()

    def require_named(self, principal: Principal, tenants: Sequence[str]) -> None:
        """Raise `Refused` where there are several tenants and the setting does not name who asks.

        What the policies say comes besides; a person is named as `tenant/user/name`.
        """
        kind = "" if principal.kind == "client" else f"{principal.kind}/"
        if list(tenants) != [principal.tenant] and (
            f"{principal.tenant}/{kind}{principal.name}" not in self.named
        ):
            raise _not_granted()

    def require(
        self, register: Register, principal: Principal, log: str, tenants: Sequence[str]
    ) -> None:
        """Raise `Refused` unless a client may read this log; no client reads another tenant's.

        `register` is that of the client's tenant, `tenants` are all that there are.
        """
        client = register.find(ClientSpec, principal.name)
        own = whose(log) == principal.tenant and client is not None and client.spec.may_audit
        systems = (
            whose(log) == SYSTEM_LOG
            and client is not None
            and client.spec.may_audit_system
            and (
                list(tenants) == [principal.tenant]
                or f"{principal.tenant}/{principal.name}" in self.named
            )
        )
        if not own and not systems:
            raise _not_granted()


def _not_granted() -> Refused:
    return Refused(
        "audit-not-granted",
        "this client may not read this log",
        "read it as a client whose document says may_audit: true; for the system's log "
        "may_audit_system: true, and where there are several tenants also the setting "
        "system_auditors; an operator that is older than these fields is granted them by "
        "applying its Client document with them",
    )


def _count(reading: Reading, head: Head, found: int) -> int | None:
    """Return how many entries a reading finds; None for one that is not of counted entries."""
    if reading.what == "list":
        return found
    if reading.what in _WHOLE:
        # How much a filter leaves of it is known only once it was read.
        return head.size - head.minimum if reading.query is None else None
    if reading.index is not None:
        return int(head.minimum <= reading.index < head.size)
    return None
