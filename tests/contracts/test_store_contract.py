"""What every Store keeps to: it shows what was recorded, and a tree that anyone can recompute."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from contracts import naive_tree
from embedded import ORIGIN
from examples import a_document, a_sealed, an_entry
from fakes import PUBLIC_KEY
from seawall.app.ports import SYSTEM_LOG, KeepDocument, KeepPatient, KeepSealed, SpendAssertion
from seawall.core.errors import Missing
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, open_checkpoint
from seawall.core.ledger.encoding import encode

if TYPE_CHECKING:
    from contracts.conftest import Books


async def test_an_empty_log_has_a_signed_checkpoint(books: Books) -> None:
    """A log without entries has size 0, the root of RFC 6962's empty tree, and a signature."""
    head = await books.store.head("clinic")
    expected = Checkpoint(ORIGIN, 0, naive_tree.root([]))
    assert expected == open_checkpoint(head.checkpoint, head.vkey)
    assert ("clinic", ORIGIN, 0) == (head.log, head.origin, head.size)
    assert format_vkey(ORIGIN, PUBLIC_KEY) == head.vkey


async def test_heads_and_tiles_equal_a_naive_tree(books: Books) -> None:
    """At each size, root, signed checkpoint and tiles are those of RFC 6962's definition."""
    written: list[bytes] = []
    for before, size in pairwise((0, 1, 2, 3, 255, 256, 257, 512, 600)):
        entries = [an_entry(at=at) for at in range(before, size)]
        await asyncio.gather(*(books.ledger.append("clinic", entry) for entry in entries))
        written += map(encode, entries)
        head = await books.store.head("clinic")
        expected = Checkpoint(ORIGIN, size, naive_tree.root(written))
        assert expected == open_checkpoint(head.checkpoint, head.vkey)
        assert (size, expected.root) == (head.size, head.root)
        for level, index in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)):
            tile = naive_tree.tile(written, level, index)
            assert tile == await books.store.tile("clinic", level, index)


async def test_entries_are_read_by_range(books: Books) -> None:
    """A range holds its start, not its stop, and nothing beyond the log's end."""
    for at in range(5):
        await books.ledger.append("clinic", an_entry(at=at))
    written = [encode(an_entry(at=at)) for at in range(5)]
    for start, stop in ((0, 5), (1, 3), (3, 99), (4, 4), (3, 1), (9, 12)):
        assert written[start:stop] == await books.store.entries("clinic", start, stop)


async def test_a_log_that_does_not_exist_is_missing(books: Books) -> None:
    """There is no head of an unknown log, and nothing to read in it."""
    with pytest.raises(Missing) as caught:
        await books.store.head("nowhere")
    assert caught.value.code == "log-unknown"
    assert await books.store.entries("nowhere", 0, 9) == []
    assert await books.store.tile("nowhere", 0, 0) == b""


async def test_the_systems_log_is_no_tenant(books: Books) -> None:
    """All logs are listed by name; the system's is not among the tenants."""
    await books.ledger.open_log(SYSTEM_LOG, f"{ORIGIN}-system")
    await books.ledger.open_log("academy", f"{ORIGIN}-2")
    logs = await books.store.logs()
    assert ["academy", "clinic", SYSTEM_LOG] == [head.log for head in logs]
    assert ["academy", "clinic"] == await books.store.tenants()


async def test_every_version_of_a_document_is_kept(books: Books) -> None:
    """Documents come by name, oldest version first, and only those of the tenant."""
    written = [a_document("b"), a_document("a"), a_document("a", version=2), a_document("c")]
    for document in written[:3]:
        await books.ledger.append("clinic", an_entry(), [KeepDocument("clinic", document)])
    await books.ledger.append("clinic", an_entry(), [KeepDocument("school", written[3])])
    expected = [a_document("a"), a_document("a", version=2), a_document("b")]
    assert expected == await books.store.documents("clinic")


async def test_a_sealed_value_is_replaced_by_a_newer_one(books: Books) -> None:
    """The last sealed value of a tenant, kind and item is the one that is there."""
    first, second = a_sealed(b"first"), a_sealed(b"second")
    for sealed in (first, second):
        await books.ledger.append("clinic", an_entry(), [KeepSealed(sealed)])
    assert second == await books.store.sealed("clinic", "exchange.request", "x-1")
    for place in (
        ("school", "exchange.request", "x-1"),
        ("clinic", "exchange.answer", "x-1"),
        ("clinic", "exchange.request", "x-2"),
    ):
        assert await books.store.sealed(*place) is None


async def test_a_patients_terms_replace_the_older_ones(books: Books) -> None:
    """A term finds the patients who have it now, in their own tenant only."""
    for write in (
        KeepPatient("clinic", "p-1", ("t-1", "t-2")),
        KeepPatient("clinic", "p-2", ("t-2", "t-2")),
        KeepPatient("school", "p-3", ("t-2",)),
        KeepPatient("clinic", "p-1", ("t-2", "t-3")),
    ):
        await books.ledger.append("clinic", an_entry(), [write])
    expected = {"t-2": frozenset({"p-1", "p-2"}), "t-3": frozenset({"p-1"})}
    assert expected == await books.store.patients("clinic", ["t-1", "t-2", "t-3", "t-4"])
    assert {} == await books.store.patients("clinic", [])


async def test_every_version_of_a_document_counts(books: Books) -> None:
    """The number of a tenant's versions grows with each, and a tenant without any has none."""
    for version in (1, 2):
        writes = [KeepDocument("clinic", a_document(version=version))]
        await books.ledger.append("clinic", an_entry(), writes)
        assert {"clinic": version} == await books.store.document_counts()


async def test_marks_of_tokens_are_found_until_their_time_is_over(books: Books) -> None:
    """What begins with `zz` is told from the digests of assertions, in every order of text."""
    digests = ("0" * 64, "f" * 64, "zz" + "0" * 64, "zz" + "f" * 64)
    spent = [SpendAssertion(digest, 2_000 + at) for at, digest in enumerate(digests)]
    await books.ledger.append("clinic", an_entry(), spent)
    assert frozenset(digests[2:]) == await books.store.spent_from("zz", 2_000)
    assert frozenset(digests[3:]) == await books.store.spent_from("zz", 2_002)
