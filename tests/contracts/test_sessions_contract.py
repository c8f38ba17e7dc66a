"""What every database keeps to about sessions and about answers to requests with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from examples import an_entry
from seawall.app.ports import (
    BeginAnswer,
    EndSession,
    EndSessions,
    ForgetExpired,
    KeepAnswer,
    KeepSession,
    TouchSession,
)
from seawall.core.identity.session import Session

if TYPE_CHECKING:
    from contracts.conftest import Books
    from seawall.app.ports import Write


def session(digest: str, user: str = "ann", tenant: str = "clinic", began: int = 1_000) -> Session:
    """Return a session with two factors."""
    methods = ("hwk", "mfa", "user")
    return Session(digest, tenant, user, methods, began, began, began, "net-1")


async def kept(books: Books, *writes: Write) -> None:
    """Keep writes with one entry."""
    await books.ledger.append("clinic", an_entry(), writes)


async def test_a_session_is_found_by_its_digest(books: Books) -> None:
    """What was kept is what is read, and another digest finds nothing."""
    await kept(books, KeepSession(session("one")))
    assert session("one") == await books.store.session("one")
    assert await books.store.session("two") is None


async def test_sessions_are_listed_by_person(books: Books) -> None:
    """A tenant's are listed oldest first, a person's alone, nobody's as none."""
    bea, ann = session("b", "bea", began=2_000), session("a")
    await kept(books, KeepSession(bea), KeepSession(ann), KeepSession(session("c", tenant="x")))
    assert [ann, bea] == await books.store.sessions("clinic")
    assert [bea] == await books.store.sessions("clinic", "bea")
    assert [] == await books.store.sessions("clinic", "cy")


async def test_ending_a_session_ends_that_one(books: Books) -> None:
    """The person's other session stays; ending it again changes nothing."""
    await kept(books, KeepSession(session("one")), KeepSession(session("two")))
    await kept(books, EndSession("one"))
    await kept(books, EndSession("one"))
    assert ["two"] == [one.digest for one in await books.store.sessions("clinic")]


async def test_ending_a_person_s_sessions_ends_all_of_them(books: Books) -> None:
    """Another person's stay, and so do those of the same name in another tenant."""
    others = (session("b", "bea"), session("x", tenant="x"))
    made = (session("1"), session("2"), *others)
    await kept(books, *(KeepSession(one) for one in made))
    await kept(books, EndSessions("clinic", "ann"))
    assert [] == await books.store.sessions("clinic", "ann")
    assert list(others) == [await books.store.session(one.digest) for one in others]


async def test_a_session_after_the_end_of_all_is_kept(books: Books) -> None:
    """In one unit of work the new one survives, as at the change of a factor."""
    await kept(books, KeepSession(session("old")))
    await kept(books, EndSessions("clinic", "ann"), KeepSession(session("new")))
    assert ["new"] == [one.digest for one in await books.store.sessions("clinic", "ann")]


async def test_all_sessions_but_one_end(books: Books) -> None:
    """The one that is named goes on if it is there, and is not begun if it is not."""
    await kept(books, KeepSession(session("own")), KeepSession(session("other")))
    await kept(books, EndSessions("clinic", "ann", but="own"))
    assert ["own"] == [one.digest for one in await books.store.sessions("clinic", "ann")]
    await kept(books, EndSessions("clinic", "ann", but="gone"))
    assert [] == await books.store.sessions("clinic", "ann")


async def test_a_session_takes_the_place_of_one_that_is_there(books: Books) -> None:
    """Then the other is gone; one that has ended meanwhile is not begun anew by that."""
    await kept(books, KeepSession(session("old")))
    await kept(books, KeepSession(session("new"), replaces="old"))
    assert ["new"] == [one.digest for one in await books.store.sessions("clinic")]
    await kept(books, EndSessions("clinic", "ann"))
    await kept(books, KeepSession(session("third"), replaces="new"))
    assert [] == await books.store.sessions("clinic")


async def test_a_touch_moves_the_last_use_forwards_alone(books: Books) -> None:
    """An earlier moment, and a session that is gone, change nothing."""
    await kept(books, KeepSession(session("one")))
    await books.ledger.remember([TouchSession("one", 5_000), TouchSession("gone", 5_000)])
    await books.ledger.remember([TouchSession("one", 3_000)])
    found = await books.store.session("one")
    assert found is not None
    assert (5_000, 1_000) == (found.seen_ms, found.factor_ms)


async def test_the_first_claim_of_a_key_wins(books: Books) -> None:
    """A second claim changes nothing, and only the first may answer, once."""
    await books.ledger.remember([BeginAnswer("k", "asked", "one", 0, 9_000)])
    await books.ledger.remember([BeginAnswer("k", "other", "two", 1, 9_000)])
    await books.ledger.remember([KeepAnswer("k", "two", 500, b"no")])
    await books.ledger.remember([KeepAnswer("k", "one", 201, b"yes")])
    await books.ledger.remember([KeepAnswer("k", "one", 202, b"again")])
    found = await books.store.answer("k")
    assert found is not None
    assert ("asked", "one", 9_000, 201, b"yes") == (
        *(found.asked, found.by, found.until_ms, found.status),
        found.body,
    )


async def test_an_expired_claim_is_nobody_s(books: Books) -> None:
    """Another request may claim the key then, and what it was is gone."""
    await books.ledger.remember([BeginAnswer("k", "asked", "one", 0, 9_000)])
    await books.ledger.remember([BeginAnswer("k", "new", "two", 9_000, 20_000)])
    found = await books.store.answer("k")
    assert found is not None
    assert ("new", "two", None) == (found.asked, found.by, found.status)


async def test_what_expired_is_forgotten(books: Books) -> None:
    """Sessions that began before a moment and claims that ended before another go."""
    await kept(books, KeepSession(session("old")), KeepSession(session("new", began=5_000)))
    await books.ledger.remember(
        [BeginAnswer("old", "a", "x", 0, 9_000), BeginAnswer("new", "a", "x", 0, 12_000)]
    )
    await books.ledger.remember([ForgetExpired(2_000, 10_000)])
    assert ["new"] == [one.digest for one in await books.store.sessions("clinic")]
    assert await books.store.answer("old") is None
    assert await books.store.answer("new") is not None
