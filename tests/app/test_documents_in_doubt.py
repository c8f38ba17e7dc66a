"""What is withdrawn counts from then on, however late the store answers and whatever fails."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

import embedded
from fakes import FakeClock, MemoryLedger, MemoryStore
from seawall.adapters.db.sqlcipher import connect
from seawall.app.documents import Documents
from seawall.core.errors import Conflict, Error, Missing, Unavailable
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.core.registers.spec import Document, Spec

TENANT: Final = "clinic"
BY: Final = Principal("operator", "terminal", TENANT)


def spy(title: str, *, may_audit: bool) -> dict[str, Any]:
    """Return the document of a client that reads the log, or does so no more."""
    key = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
    spec = {"title": title, "public_key": key, "may_audit": may_audit}
    return {"kind": "Client", "name": "spy", "spec": spec}


def powers(documents: Documents) -> frozenset[str]:
    """Return what the client may do, as decisions see it."""
    held = documents.register(TENANT).find(ClientSpec, "spy")
    return frozenset() if held is None else held.spec.powers


class LateStore(MemoryStore):
    """A store whose next answer comes late: it was read, and is under way."""

    late: asyncio.Event | None = None

    async def documents(self, tenant: str) -> list[Document[Spec]]:
        """Read, and answer when it is time."""
        found = await super().documents(tenant)
        late, self.late = self.late, None
        if late is not None:
            await late.wait()
        return found


async def shared(ledger: MemoryLedger) -> tuple[Documents, Documents, LateStore]:
    """Return the documents as two replicas have them; the second one's store may be late."""
    await ledger.open_log(TENANT, "x.test/log/clinic")
    parts: dict[str, Any] = {"ledger": ledger, "clock": FakeClock(), "is_shared": True}
    store = LateStore(ledger)
    other = Documents(store=MemoryStore(ledger), **parts)
    await other.apply(BY, [spy("a", may_audit=True)])
    return other, Documents(store=store, **parts), store


async def test_a_late_answer_puts_nothing_back() -> None:
    """What was read before a power was withdrawn does not replace what was read after it."""
    other, here, store = await shared(MemoryLedger())
    store.late = late = asyncio.Event()
    earlier = asyncio.create_task(here.refresh())
    await asyncio.sleep(0)
    await other.apply(BY, [spy("a", may_audit=False)])
    await here.refresh()

    late.set()
    await earlier

    assert frozenset() == powers(here)


async def test_a_late_answer_takes_nothing_of_ours_away() -> None:
    """What was read before this process kept a change does not replace what it kept."""
    _, here, store = await shared(MemoryLedger())
    store.late = late = asyncio.Event()
    earlier = asyncio.create_task(here.refresh())
    await asyncio.sleep(0)
    await here.apply(BY, [spy("a", may_audit=False)])

    late.set()
    await earlier

    assert frozenset() == powers(here)


async def test_what_both_kept_is_read_by_both() -> None:
    """A change that was kept and read at once counts once, so that a later one is seen."""
    other, here, _ = await shared(MemoryLedger())
    for at in range(3):
        await here.apply(BY, [spy(f"here {at}", may_audit=True)])
        await other.apply(BY, [spy(f"other {at}", may_audit=False)])

    await here.refresh()

    assert frozenset() == powers(here)


class SlowCommit:
    """A connection whose next commits wait until they are let on, such as on a stalled disk."""

    def __init__(self, connection: Any, *events: threading.Event) -> None:
        self._connection = connection
        self._stalls, self._begun, self._go = events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *given: Any) -> Any:
        """Run a statement, a commit late if so wished."""
        if statement == "commit" and self._stalls.is_set():
            self._stalls.clear()
            self._begun.set()
            self._go.wait(20)
        return self._connection.execute(statement, *given)


@pytest.mark.parametrize("cut_off", ["time limit", "cancelled"])
async def test_a_withdrawal_kept_late_counts_at_the_next_request(
    tmp_path: Path, cut_off: str
) -> None:
    """Nobody was told that it was kept, it was: no decision until that is known, and then by it.

    The real sequencer, whose commit takes longer than its limit, or whose caller goes away.
    """
    stalls, begun, go = (threading.Event() for _ in range(3))

    def connecting() -> SlowCommit:
        """Connect as the writer does."""
        connection = connect(tmp_path / "seawall.db", embedded.DATABASE_KEY)
        return SlowCommit(connection, stalls, begun, go)

    limit = 1.0 if cut_off == "time limit" else 30.0
    async with embedded.opened(tmp_path, connecting=connecting, limit_seconds=limit) as database:
        await database.ledger.open_log(TENANT, embedded.ORIGIN)
        documents = Documents(store=database.store, ledger=database.ledger, clock=FakeClock())
        await documents.apply(BY, [spy("a", may_audit=True)])
        stalls.set()
        withdrawing = asyncio.create_task(documents.apply(BY, [spy("a", may_audit=False)]))
        if cut_off == "cancelled":
            await asyncio.to_thread(begun.wait, 20)
            withdrawing.cancel()
        [how] = await asyncio.gather(withdrawing, return_exceptions=True)
        with pytest.raises(Unavailable) as undecided:
            powers(documents)
        # The commit is under way while the next request asks: it waits, or decides nothing.
        reading = asyncio.create_task(documents.refresh())
        await asyncio.sleep(0.1)
        go.set()
        await reading
        counted = powers(documents)
        [again] = await documents.apply(BY, [spy("a", may_audit=False)])

    assert isinstance(how, Unavailable if cut_off == "time limit" else asyncio.CancelledError)
    assert ("documents-unread", frozenset()) == (undecided.value.code, counted)
    assert ("unchanged", 2) == (again.change, again.version)


async def test_what_cannot_be_read_is_not_decided() -> None:
    """While the ledger does not say what it kept, every request is answered that it is later."""
    ledger = MemoryLedger()
    await ledger.open_log(TENANT, "x.test/log/clinic")
    documents = Documents(store=MemoryStore(ledger), ledger=ledger, clock=FakeClock())
    await documents.apply(BY, [spy("a", may_audit=True)])
    ledger.down = Unavailable("ledger-unavailable", "too slow")

    codes = []
    for act in (documents.apply(BY, [spy("b", may_audit=True)]), documents.refresh()):
        with pytest.raises(Unavailable) as refused:
            await act
        codes.append(refused.value.code)
    with pytest.raises(Unavailable):
        powers(documents)
    ledger.down = None
    await documents.refresh()

    assert (["ledger-unavailable"] * 2, frozenset({"may_audit"})) == (codes, powers(documents))


async def test_a_change_is_made_again_after_a_conflict() -> None:
    """What another process kept unseen is read before the next try, which then succeeds."""
    ledger = MemoryLedger()
    await ledger.open_log(TENANT, "x.test/log/clinic")
    parts: dict[str, Any] = {"store": MemoryStore(ledger), "ledger": ledger, "clock": FakeClock()}
    here, other = Documents(**parts), Documents(**parts)
    await other.apply(BY, [spy("a", may_audit=True)])

    with pytest.raises(Conflict):
        await here.apply(BY, [spy("b", may_audit=False)])
    [again] = await here.apply(BY, [spy("b", may_audit=False)])

    assert (2, frozenset()) == (again.version, powers(here))


async def test_what_cannot_have_been_kept_leaves_no_doubt() -> None:
    """A log that is not there kept nothing: other requests go on."""
    ledger = MemoryLedger()
    documents = Documents(store=MemoryStore(ledger), ledger=ledger, clock=FakeClock())

    with pytest.raises(Missing):
        await documents.apply(BY, [spy("a", may_audit=True)])

    assert frozenset() == powers(documents)


async def test_a_second_doubt_is_not_settled_by_what_was_read_before_it() -> None:
    """What was read because of one failure says nothing of a change that failed after it."""
    ledger = MemoryLedger()
    await ledger.open_log(TENANT, "x.test/log/clinic")
    store = LateStore(ledger)
    documents = Documents(store=store, ledger=ledger, clock=FakeClock())
    await documents.apply(BY, [spy("a", may_audit=True)])
    ledger.failing["document.apply"] = Unavailable("ledger-unavailable", "too slow")
    await asyncio.gather(documents.apply(BY, [spy("b", may_audit=True)]), return_exceptions=True)
    store.late = late = asyncio.Event()
    reading = asyncio.create_task(documents._load(TENANT))
    await asyncio.sleep(0)
    await asyncio.gather(documents.apply(BY, [spy("c", may_audit=True)]), return_exceptions=True)

    late.set()
    await reading

    with pytest.raises(Error) as undecided:
        powers(documents)
    assert "documents-unread" == undecided.value.code
