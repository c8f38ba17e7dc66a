"""What every Ledger and Store keep to about payloads outside: one reference, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from examples import an_entry
from seawall.app.ports import KeepReference, ShredSubjects, ShredTenant

if TYPE_CHECKING:
    from contracts.conftest import Books
    from seawall.app.ports import Write

FIRST: Final = "sha256:" + "1" * 64
SECOND: Final = "sha256:" + "2" * 64
KIND: Final = "exchange.request"


async def test_a_reference_is_found_by_its_place_alone(books: Books) -> None:
    """Another tenant, kind or item has none."""
    await books.ledger.append(
        "clinic", an_entry(), [KeepReference("clinic", KIND, "x", "p-1", FIRST)]
    )
    places = [("clinic", KIND, "x"), ("school", KIND, "x"), ("clinic", "k", "x"), ("clinic", KIND)]
    found = [await books.store.reference(*(*place, "y")[:3]) for place in places]
    assert [FIRST, None, None, None] == found
    assert await books.store.sealed("clinic", KIND, "x") is None


async def test_a_reference_replaces_the_older_one(books: Books) -> None:
    """As a sealed value does; the older payload is referred to by nothing then."""
    for digest in (FIRST, SECOND):
        kept = KeepReference("clinic", KIND, "x", "p-1", digest)
        await books.ledger.append("clinic", an_entry(), [kept])
    assert SECOND == await books.store.reference("clinic", KIND, "x")
    assert frozenset({SECOND}) == await books.store.referred([FIRST, SECOND])


async def test_references_of_all_tenants_count(books: Books) -> None:
    """A sweep must spare what any tenant refers to; asked about nothing, nothing is."""
    await books.ledger.open_log("school", "localhost/log/fedcba9876543210")
    for tenant, digest in (("clinic", FIRST), ("school", SECOND)):
        kept = KeepReference(tenant, KIND, "x", "p-1", digest)
        await books.ledger.append(tenant, an_entry(), [kept])
    assert frozenset({FIRST, SECOND}) == await books.store.referred([SECOND, FIRST, "sha256:3"])
    assert frozenset() == await books.store.referred([])


@pytest.mark.parametrize(
    ("shredding", "left"),
    [
        (ShredSubjects("clinic", ("p-1",)), frozenset({SECOND})),
        (ShredTenant("clinic"), frozenset()),
        (ShredSubjects("school", ("p-1", "p-2")), frozenset({FIRST, SECOND})),
    ],
)
async def test_shredding_deletes_references(
    books: Books, shredding: Write, left: frozenset[str]
) -> None:
    """Those of the subjects, or of the tenant, and no others."""
    kept = [
        KeepReference("clinic", KIND, subject, subject, digest)
        for subject, digest in (("p-1", FIRST), ("p-2", SECOND))
    ]
    await books.ledger.append("clinic", an_entry(), kept)
    await books.ledger.append("clinic", an_entry(), [shredding])
    assert left == await books.store.referred([FIRST, SECOND])
