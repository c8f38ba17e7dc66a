"""What every Ledger and Store keep to about facts: indexes, publications, archives, leases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from examples import an_entry
from seawall.app.ports import (
    Archived,
    KeepArchived,
    KeepFacets,
    KeepLease,
    KeepPublished,
    OpenExchange,
    Published,
    Query,
)
from seawall.core.errors import Refused
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.facets import facets_of

if TYPE_CHECKING:
    from contracts.conftest import Books
    from seawall.app.ports import Fact, Ledger, Pruner


def numbered(at: int) -> dict[str, Any]:
    """Return an entry of actor `a` or `b`, about one of three patients."""
    actor = {"kind": "client", "name": "ab"[at % 2]}
    return an_entry(at=at) | {"actor": actor, "patients": [f"p-{at % 3}"], "action": "x.y"}


async def fill(books: Books, count: int) -> None:
    """Append `count` entries and index them, a second apart."""
    await asyncio.gather(*(books.ledger.append("clinic", numbered(at)) for at in range(count)))
    rows = tuple(
        (facet, value, at * 1_000, at)
        for at in range(count)
        for facet, value in facets_of(numbered(at))
    )
    await books.ledger.remember([KeepFacets("clinic", count, rows)])


def an_archived(bundle: int, archive: str) -> KeepArchived:
    """Return the fact that an archive holds a bundle."""
    return KeepArchived(Archived("clinic", bundle, archive, "v-1", "sha256:0", 1))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(last=2), [28, 29]),
        (Query(before=5, last=2), [3, 4]),
        (Query((("patient", "p-1"),), last=3), [22, 25, 28]),
        (Query((("patient", "p-1"), ("actor", "client/a")), last=2), [22, 28]),
        (Query((("patient", "p-1"),), since_ms=4_000, until_ms=10_000), [4, 7]),
        (Query(since_ms=27_000), [27, 28, 29]),
        (Query(since_ms=27_000, before=29), [27, 28]),
        (Query((("actor", "client/a"),), earlier=(8_000, 8), last=2), [4, 6]),
        (Query((("actor", "client/a"),), earlier=(8_000, 9), last=2), [6, 8]),
        (Query(earlier=(8_999, 0), last=2), [7, 8]),
        (Query((("patient", "nobody"),)), []),
        (Query((("action", "x.y"), ("patient", "nobody"))), []),
    ],
)
async def test_a_query_finds_what_meets_every_condition(
    books: Books, query: Query, expected: list[int]
) -> None:
    """The newest entries that have every facet and lie in the time are found, in log order."""
    await fill(books, 30)
    assert [(at, encode(numbered(at))) for at in expected] == await books.store.find(
        "clinic", query
    )


async def test_indexing_twice_changes_nothing(books: Books) -> None:
    """A projection that is made again finds each entry once, and never goes back."""
    await fill(books, 4)
    await books.ledger.remember([KeepFacets("clinic", 2, (("actor", "client/a", 0, 0),))])
    assert await books.store.indexed("clinic") == 4
    assert len(await books.store.find("clinic", Query((("actor", "client/a"),)))) == 2


async def test_facets_that_exist_are_told_from_others(books: Books) -> None:
    """A value is known where some entry of this log has it under this facet."""
    await fill(books, 4)
    assert await books.store.has_facet("clinic", "patient", "p-2")
    assert not await books.store.has_facet("clinic", "actor", "p-2")
    assert not await books.store.has_facet("school", "patient", "p-2")


async def test_a_publication_grows_with_what_the_world_says(books: Books) -> None:
    """The same size published again replaces what was kept of it; sizes come in order."""
    small = Published("clinic", 1, 5, "note", is_witnessed=False)
    for made in (Published("clinic", 3, 7, "x", is_witnessed=True, stamp=b"t"), small):
        await books.ledger.remember([KeepPublished(made)])
    cosigned = replace(small, note="note + 1", is_witnessed=True)
    await books.ledger.remember([KeepPublished(cosigned)])
    found = await books.store.published("clinic")
    assert [cosigned, Published("clinic", 3, 7, "x", is_witnessed=True, stamp=b"t")] == found


async def test_publications_above_a_size_are_found(books: Books) -> None:
    """Those of larger sizes alone, so that a reader can go on where it was."""
    for size in (1, 3, 5):
        made = Published("clinic", size, 5, "note", is_witnessed=False)
        await books.ledger.remember([KeepPublished(made)])
    found = {above: await books.store.published("clinic", above=above) for above in (0, 3, 5)}
    assert {0: [1, 3, 5], 3: [5], 5: []} == {
        above: [made.size for made in several] for above, several in found.items()
    }


async def test_publications_are_read_in_pieces(books: Books) -> None:
    """The first so many above a size, and the newest up to one, of this log alone."""
    await books.ledger.open_log("school", "localhost/log/school")
    for log, size in (("clinic", 1), ("clinic", 3), ("clinic", 5), ("school", 4)):
        made = Published(log, size, 5, "note", is_witnessed=False)
        await books.ledger.remember([KeepPublished(made)])
    pieces = [await books.store.published("clinic", above=above, limit=2) for above in (-1, 3, 5)]
    last = [await books.store.last_published("clinic", size) for size in (0, 4, 5, 9)]
    assert [[1, 3], [5], []] == [[made.size for made in piece] for piece in pieces]
    assert [None, 3, 5, 5] == [made and made.size for made in last]


async def test_what_archives_hold_is_remembered(books: Books) -> None:
    """Each archive's copy of a bundle is a fact of its own."""
    facts: list[Fact] = [an_archived(1, "b"), an_archived(0, "b"), an_archived(0, "a")]
    await books.ledger.remember(facts)
    found = await books.store.archived("clinic")
    assert [(0, "a"), (0, "b"), (1, "b")] == [(made.bundle, made.archive) for made in found]


async def test_only_exchanges_without_a_lease_are_expired(books: Books) -> None:
    """A replica's exchanges are its own until its lease has run out."""
    writes = [OpenExchange("clinic", "x-1", "r-1"), OpenExchange("clinic", "x-2", "r-2")]
    await books.ledger.append("clinic", an_entry(), writes)
    await books.ledger.remember([KeepLease("r-1", 5_000), KeepLease("r-2", 9_000)])
    await books.ledger.remember([KeepLease("r-1", 8_000)])
    assert await books.store.open_exchanges("clinic", expired_at_ms=7_999) == []
    assert await books.store.open_exchanges("clinic", expired_at_ms=8_000) == ["x-1"]
    assert await books.store.open_exchanges("clinic") == ["x-1", "x-2"]


def pruner(ledger: Ledger) -> Pruner:
    """Return what prunes beside this ledger."""
    return cast("Pruner", getattr(ledger, "pruner", ledger))


async def test_a_log_is_pruned_where_two_archives_hold_it(books: Books) -> None:
    """Entries and facets below the minimum go, the tree and what follows stay."""
    await fill(books, 600)
    before = await books.store.head("clinic")
    await books.ledger.remember([an_archived(at, name) for at in (0, 1) for name in "ab"])
    await pruner(books.ledger).prune("clinic", 512)
    after = await books.store.head("clinic")
    assert replace(before, minimum=512) == after
    assert [encode(numbered(at)) for at in range(512, 600)] == await books.store.entries(
        "clinic", 0, 600
    )
    assert not (await books.store.find("clinic", Query(until_ms=512_000)))
    assert len(await books.store.tile("clinic", 1, 0)) == 64
    assert (await books.ledger.append("clinic", numbered(600))).index == 600


@pytest.mark.parametrize("minimum", [512, 100, 1_024])
async def test_a_log_is_not_pruned_before(books: Books, minimum: int) -> None:
    """One archive, half a bundle, and more than there is: nothing goes."""
    await fill(books, 600)
    await books.ledger.remember([an_archived(0, "a"), an_archived(0, "b"), an_archived(1, "a")])
    with pytest.raises(Refused) as caught:
        await pruner(books.ledger).prune("clinic", minimum)
    assert caught.value.code == "prune-refused"
    assert len(await books.store.entries("clinic", 0, 600)) == 600


async def test_a_clock_that_jumps_back_hides_nothing(books: Books) -> None:
    """Entries keep the order of the log, and are found by the time that each of them says."""
    moments = [5_000, 6_000, 1_000, 2_000, 7_000]
    for at in range(5):
        await books.ledger.append("clinic", numbered(at))
    rows = tuple(
        (facet, value, moments[at], at)
        for at in range(5)
        for facet, value in facets_of(numbered(at))
    )
    await books.ledger.remember([KeepFacets("clinic", 5, rows)])
    found = {
        since: [at for at, _ in await books.store.find("clinic", Query(since_ms=since))]
        for since in (0, 2_000, 6_000)
    }
    assert {0: [0, 1, 2, 3, 4], 2_000: [0, 1, 3, 4], 6_000: [1, 4]} == found
    assert [2, 3] == [
        at for at, _ in await books.store.find("clinic", Query(until_ms=5_000, last=5))
    ]


async def test_the_newest_witnessed_publication_is_found(books: Books) -> None:
    """Of those that cover a size the newest with enough witnesses, and none where there is none."""
    for size, witnessed in ((1, True), (3, True), (5, False)):
        made = Published("clinic", size, 5, "note", is_witnessed=witnessed)
        await books.ledger.remember([KeepPublished(made)])
    found = [await books.store.newest_witnessed("clinic", size) for size in (0, 3, 4)]
    assert [3, 3, None] == [made and made.size for made in found]
