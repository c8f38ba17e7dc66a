"""What every Ledger keeps to: entries in order, with their writes, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from embedded import ORIGIN
from examples import a_context, a_document, a_sealed, an_entry
from fake_keys import RECEIPT_KEY
from seawall.app.ports import (
    CloseExchange,
    KeepDocument,
    KeepPatient,
    KeepSealed,
    OpenExchange,
    SpendAssertion,
)
from seawall.core.errors import Conflict, Invalid, Missing
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Receipt, receipt_mac

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.conftest import Books
    from seawall.app.ports import Write

SPEND = SpendAssertion("digest-1", 1_800_000_000_000)
CONFLICTS: dict[str, tuple[Sequence[Write], str]] = {
    "an assertion that was used": ((SPEND,), "assertion-reused"),
    "a version that exists": ((KeepDocument("clinic", a_document()),), "version-exists"),
    "an exchange that is open": ((OpenExchange("clinic", "x-1"),), "exchange-open"),
}


async def test_a_receipt_authenticates_the_place_and_the_entry(books: Books) -> None:
    """The receipt of an append holds the log's origin, the index, the entry and its MAC."""
    await books.ledger.append("clinic", an_entry())
    raw = encode(an_entry(count=2))
    expected = Receipt(ORIGIN, 1, raw, receipt_mac(RECEIPT_KEY, ORIGIN, 1, raw))
    assert expected == await books.ledger.append("clinic", an_entry(count=2))


async def test_concurrent_appends_leave_no_gap(books: Books) -> None:
    """Appends to several logs at once get the indexes 0, 1, 2 and so on of their own log."""
    await books.ledger.open_log("school", f"{ORIGIN}-2")
    names = ["clinic", "school"] * 150
    appends = (books.ledger.append(log, an_entry(at=at)) for at, log in enumerate(names))
    receipts = await asyncio.gather(*appends)
    for log, origin in (("clinic", ORIGIN), ("school", f"{ORIGIN}-2")):
        mine = {receipt.index: receipt.entry for receipt in receipts if receipt.origin == origin}
        assert list(mine) == sorted(mine)
        assert list(mine.values()) == await books.store.entries(log, 0, 1000)


async def test_a_log_must_exist(books: Books) -> None:
    """An entry for a log that nobody opened is refused."""
    with pytest.raises(Missing) as caught:
        await books.ledger.append("nowhere", an_entry())
    assert caught.value.code == "log-unknown"


async def test_opening_a_log_again_changes_nothing(books: Books) -> None:
    """The second opening of a log keeps its origin and its entries."""
    await books.ledger.append("clinic", an_entry())
    before = await books.store.head("clinic")
    await books.ledger.open_log("clinic", f"{ORIGIN}-again")
    assert before == await books.store.head("clinic")


async def test_a_log_may_be_opened_and_used_at_once(books: Books) -> None:
    """Openings and appends that arrive together are served in their order."""
    _, receipt, _ = await asyncio.gather(
        books.ledger.open_log("school", f"{ORIGIN}-2"),
        books.ledger.append("school", an_entry()),
        books.ledger.open_log("school", f"{ORIGIN}-3"),
    )
    assert (f"{ORIGIN}-2", 0) == (receipt.origin, receipt.index)
    assert [encode(an_entry())] == await books.store.entries("school", 0, 9)


@pytest.mark.parametrize("unfit", [None, 0.5, b"raw", "\ud800", 2**53, "x" * 65_535])
async def test_an_unfit_entry_is_not_recorded(books: Books, unfit: Any) -> None:
    """An entry that has no canonical form is refused, and its write is not done."""
    with pytest.raises(Invalid):
        await books.ledger.append("clinic", an_entry(what=unfit), [OpenExchange("clinic", "x-1")])
    assert (await books.store.head("clinic")).size == 0
    assert await books.store.open_exchanges("clinic") == []


async def test_writes_become_visible_with_their_entry(books: Books) -> None:
    """All writes of an append are there when its receipt is."""
    document, sealed = a_document(), a_sealed()
    writes: list[Write] = [
        KeepDocument("clinic", document),
        KeepSealed(sealed),
        KeepPatient("clinic", "p-1", ("t-1",)),
        OpenExchange("clinic", "x-1"),
    ]
    await books.ledger.append("clinic", an_entry(), writes)
    assert [document] == await books.store.documents("clinic")
    assert sealed == await books.store.sealed("clinic", "exchange.request", "x-1")
    assert {"t-1": frozenset({"p-1"})} == await books.store.patients("clinic", ["t-1", "t-2"])
    assert ["x-1"] == await books.store.open_exchanges("clinic")


@pytest.mark.parametrize("what", CONFLICTS)
async def test_a_conflicting_write_leaves_neither_entry_nor_write(books: Books, what: str) -> None:
    """The second of two equal writes is refused with its entry and with the writes before it."""
    writes, code = CONFLICTS[what]
    await books.ledger.append("clinic", an_entry(), writes)
    before = await books.store.head("clinic")
    sealed = KeepSealed(a_sealed(context=a_context("x-2")))
    with pytest.raises(Conflict) as caught:
        await books.ledger.append("clinic", an_entry(), [sealed, *writes])
    assert caught.value.code == code
    assert before == await books.store.head("clinic")
    assert await books.store.sealed("clinic", "exchange.request", "x-2") is None


async def test_a_conflict_harms_nobody_else_of_the_batch(books: Books) -> None:
    """Appends that arrive together with a conflicting one are recorded without a gap."""
    appends = (
        books.ledger.append("clinic", an_entry(at=at), [SPEND] if at in {1, 2} else [])
        for at in range(5)
    )
    answers = await asyncio.gather(*appends, return_exceptions=True)
    recorded = [answer.index for answer in answers if isinstance(answer, Receipt)]
    assert [0, 1, 2, 3] == recorded
    assert isinstance(answers[2], Conflict)
    assert [encode(an_entry(at=at)) for at in (0, 1, 3, 4)] == await books.store.entries(
        "clinic", 0, 9
    )


async def test_an_outcome_closes_its_exchange(books: Books) -> None:
    """A closed exchange is awaited no more; another tenant's of the same id still is."""
    opened = [OpenExchange("clinic", "x-1"), OpenExchange("school", "x-1")]
    await books.ledger.append("clinic", an_entry(), opened)
    await books.ledger.append("clinic", an_entry(), [CloseExchange("clinic", "x-1")])
    assert [] == await books.store.open_exchanges("clinic")
    assert ["x-1"] == await books.store.open_exchanges("school")


async def test_a_write_that_is_none_is_a_mistake_of_the_program(books: Books) -> None:
    """An unknown write is a RuntimeError for its caller, and the ledger goes on."""
    unknown: Any = object()
    with pytest.raises(RuntimeError):
        await books.ledger.append("clinic", an_entry(), [unknown])
    assert (await books.ledger.append("clinic", an_entry())).index == 0


async def test_a_sealed_value_is_replaced_only_where_it_is_the_one_meant(books: Books) -> None:
    """Who would replace another value than is there has a Conflict, also within one batch."""
    values = [a_sealed(text) for text in (b"one", b"two", b"three")]
    steps = [(0, ""), (1, values[0].digest()), (2, values[0].digest()), (2, "")]
    appends = (
        books.ledger.append("clinic", an_entry(at=at), [KeepSealed(values[which], replaces)])
        for at, (which, replaces) in enumerate(steps)
    )
    answers = await asyncio.gather(*appends, return_exceptions=True)
    assert [None, None, "sealed-changed", "sealed-changed"] == [
        getattr(answer, "code", None) for answer in answers
    ]
    assert values[1] == await books.store.sealed("clinic", "exchange.request", "x-1")
    with pytest.raises(Conflict):
        await books.ledger.append("clinic", an_entry(), [KeepSealed(values[2], "")])
    await books.ledger.append("clinic", an_entry(), [KeepSealed(values[2], values[1].digest())])
    assert values[2] == await books.store.sealed("clinic", "exchange.request", "x-1")
