"""What leaving ends, it ends in one transaction of every database; and somebody stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from fakes import FakeClock
from seawall.app.documents import Change, Documents
from seawall.app.ports import KeepSession
from seawall.core.errors import Refused
from seawall.core.identity.session import Session
from seawall.core.ledger.encoding import decode
from seawall.core.policy.principal import Principal
from seawall.core.registers.access_review import Evidence, ReviewedGrantSpec
from seawall.core.registers.user import UserSpec
from workforce_scene import user

if TYPE_CHECKING:
    from contracts.conftest import Books

BY = Principal("operator", "terminal", "clinic")
BOTH = ("administrator", "security-officer")


async def documents_of(books: Books) -> Documents:
    """Return the documents as one of several replicas reads them."""
    clock = FakeClock()
    found = Documents(store=books.store, ledger=books.ledger, clock=clock, is_shared=True)
    await found.load()
    return found


def asked(number: int, about: str) -> Change:
    """Return a question of a review, as it is begun."""
    spec = ReviewedGrantSpec(
        review="q1",
        holder="person",
        name=about,
        grant="role/administrator",
        reviewer="eve",
        evidence=Evidence(uses=0),
    )
    return Change("ReviewedGrant", f"q1.{number:04}", spec, after=0)


async def test_leaving_ends_sessions_and_questions_in_one_append(books: Books) -> None:
    """The document, the sessions and what a review asked change with one entry."""
    documents = await documents_of(books)
    await documents.apply(BY, [user(name, *BOTH) for name in ("ada", "eve")])
    session = Session("digest", "clinic", "ada", ("mfa",), 1, 1, 1, "network")
    await documents.keep(
        BY, [asked(1, "ada"), asked(2, "eve")], action="review.begin", writes=[KeepSession(session)]
    )
    before = (await books.store.head("clinic")).size

    spec = UserSpec.model_validate({"title": "Ada", "standing": "left"})
    await documents.keep(BY, [Change("User", "ada", spec)])
    again = (await documents_of(books)).register("clinic")
    [raw] = await books.store.entries("clinic", before, before + 10)

    assert ("person.leave", "all", 1) == (
        decode(raw)["action"],
        decode(raw)["sessions"],
        decode(raw)["with"]["documents"],
    )
    assert [] == await books.store.sessions("clinic", "ada")
    assert ["ended", "open"] == [one.spec.answer for one in again.all(ReviewedGrantSpec)]


async def test_of_two_replicas_only_one_removes_a_last_one(books: Books) -> None:
    """Each saw both administrators, and each removes another: the second is refused."""
    first = await documents_of(books)
    await first.apply(BY, [user(name, *BOTH) for name in ("ada", "eve")])
    second = await documents_of(books)
    # The second has read what there is, and asks no more, as where both write at once.
    second._is_shared = False

    await first.apply(BY, [user("ada")])
    with pytest.raises(Refused) as refused:
        await second.apply(BY, [user("eve")])

    assert "last-administrator" == refused.value.code


@pytest.mark.parametrize("keeps", [(), ("security-officer",), ("developer",)])
async def test_nothing_between_hides_one_removal_from_another(
    books: Books, keeps: tuple[str, ...]
) -> None:
    """Whatever else the two take, and whatever of a holder was changed between, one is refused."""
    first = await documents_of(books)
    people = [user(name, *BOTH) for name in ("ada", "eve")]
    await first.apply(BY, [*people, user("zoe", "security-officer")])
    second = await documents_of(books)
    second._is_shared = False

    await first.apply(BY, [user("ada", "security-officer")])
    await first.apply(BY, [user("zoe", "security-officer", user_name="zoe@clinic.example")])
    with pytest.raises(Refused) as refused:
        await second.apply(BY, [user("eve", *keeps)])

    assert "last-administrator" == refused.value.code


async def test_what_was_read_between_hides_no_removal(books: Books) -> None:
    """One that read a holder's new title knows as little of a removal under way as before it."""
    first = await documents_of(books)
    await first.apply(BY, [user(name, *BOTH) for name in ("ada", "eve", "zoe")])
    stale = await documents_of(books)
    await first.apply(BY, [user("eve", *BOTH, user_name="eve@clinic.example")])
    newer = await documents_of(books)
    stale._is_shared = newer._is_shared = False

    await stale.apply(BY, [user("ada")])
    await first.apply(BY, [user("zoe")])
    with pytest.raises(Refused) as refused:
        await newer.apply(BY, [user("eve")])

    assert "last-administrator" == refused.value.code


async def test_a_role_is_given_and_taken_again_and_again(books: Books) -> None:
    """The same person loses the same role twice, though the same others hold it each time."""
    documents = await documents_of(books)
    await documents.apply(BY, [user("ada", *BOTH)])
    changes = [("administrator",), (), ("administrator",), ()]
    applied = [(await documents.apply(BY, [user("eve", *roles)]))[0] for roles in changes]
    assert [1, 2, 3, 4] == [one.version for one in applied]


async def test_each_change_of_a_batch_is_guarded(books: Books) -> None:
    """Of two batches that take the role from two each, only one is kept."""
    first = await documents_of(books)
    await first.apply(BY, [user(name, *BOTH) for name in ("ada", "ben", "cleo", "dan")])
    second = await documents_of(books)
    second._is_shared = False
    left = UserSpec.model_validate({"title": "x", "standing": "left"})

    await first.keep(BY, [Change("User", name, left) for name in ("ada", "ben")])
    with pytest.raises(Refused) as refused:
        await second.keep(BY, [Change("User", name, left) for name in ("cleo", "dan")])

    assert "last-administrator" == refused.value.code


async def test_a_document_reads_as_it_was_written(books: Books) -> None:
    """Days, moments and sets come back from the store with the digest that the entry says."""
    documents = await documents_of(books)
    left_at = datetime(2026, 3, 1, 8, 30, 15, 123_456, tzinfo=UTC).isoformat()
    await documents.apply(BY, [user("ann", "clinician", "auditor", until="2026-12-31")])
    await documents.apply(
        BY, [user("ann", "auditor", until="2026-12-31", standing="left", left_at=left_at)]
    )

    size = (await books.store.head("clinic")).size
    said = [decode(raw)["digest"] for raw in await books.store.entries("clinic", size - 2, size)]
    found = await books.store.documents("clinic")

    assert said == [one.digest() for one in found if one.name == "ann"]
