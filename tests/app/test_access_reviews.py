"""Access reviews: frozen grants, one answer each, and nothing stays that nobody confirmed."""

from __future__ import annotations

from typing import Any

import pytest

from seawall.app.access_reviews import REASON
from seawall.core.access.review_report import text
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.register import read_document
from workforce_scene import (
    ADA,
    BEN,
    CLEO,
    CLINIC,
    DAN,
    PROVIDER,
    TERMINAL,
    Workplace,
    allowed,
    answering,
    running,
    user,
)

ALL = {"scope": "all", "due": "2026-03-10"}
CLINICIANS = {"scope": "role", "role": "clinician", "due": "2026-03-10"}
DAY = 86_400


async def begun(asked: dict[str, Any] | None = None) -> Workplace:
    """Return a workplace with the review q1 under way."""
    place = await Workplace().open()
    await place.reviews.begin(running(), "q1", asked or ALL)
    return place


def grants(place: Workplace) -> dict[str, str]:
    """Return how each grant of q1 was answered."""
    said = place.reviews.status(CLINIC, "q1")["grants"]
    return {f"{one['name']} {one['grant']}": one["answer"] for one in said}


def item_of(place: Workplace, name: str, grant: str) -> str:
    """Return the name of the item of a grant."""
    said = place.reviews.status(CLINIC, "q1")["grants"]
    return next(str(one["item"]) for one in said if (one["name"], one["grant"]) == (name, grant))


async def test_a_review_freezes_every_grant() -> None:
    """All roles of persons, and all powers and use cases of clients, are asked about."""
    place = await begun()

    assert {
        "ada role/administrator": "open",
        "ada role/security-officer": "open",
        "ben role/privacy-officer": "open",
        "cleo role/clinician": "open",
        "cleo role/developer": "open",
        "dan role/clinician": "open",
        "portal power/may_apply": "open",
        "portal use-case/notes": "open",
    } == grants(place)


async def test_a_review_is_one_entry() -> None:
    """The beginning names the review, and its grants by their number and a digest."""
    place = await begun()
    said = place.entries("review.begin")[-1]

    assert ("AccessReview/q1@1", 8, 8) == (
        said["document"],
        said["grants"],
        said["with"]["documents"],
    )


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (CLINICIANS, [CLEO, DAN]),
        ({"scope": "persons", "persons": [DAN], "due": "2026-03-10"}, [DAN]),
    ],
)
async def test_a_scope_asks_about_some(asked: dict[str, Any], names: list[str]) -> None:
    """A review can be of one role, or of persons who are named."""
    place = await begun(asked)

    assert names == [one["name"] for one in place.reviews.status(CLINIC, "q1")["grants"]]


async def test_nobody_is_asked_about_themselves() -> None:
    """The privacy officer is asked for everybody, and somebody else about the privacy officer."""
    place = await begun()
    said = place.reviews.status(CLINIC, "q1")["grants"]

    assert {ADA: {BEN}, BEN: {ADA}, CLEO: {BEN}, DAN: {BEN}, "portal": {BEN}} == {
        name: {one["reviewer"] for one in said if one["name"] == name}
        for name in (ADA, BEN, CLEO, DAN, "portal")
    }


async def test_a_document_names_who_is_asked() -> None:
    """A person's `reviewer` is asked, where they have a role and are not the person."""
    place = await Workplace().open()
    await place.documents.apply(
        TERMINAL,
        [user(DAN, "clinician", reviewer=CLEO), user(CLEO, "clinician", reviewer="nobody")],
    )

    await place.reviews.begin(running(), "q1", CLINICIANS)

    assert {CLEO: BEN, DAN: CLEO} == {
        one["name"]: one["reviewer"] for one in place.reviews.status(CLINIC, "q1")["grants"]
    }


async def test_a_grant_that_nobody_could_answer_for_is_refused() -> None:
    """Where its holder alone could answer, there is no review."""
    place = Workplace()
    await place.open()
    await place.documents.apply(TERMINAL, [user(BEN)])

    with pytest.raises(Refused) as refused:
        await place.reviews.begin(running(), "q1", {**ALL, "scope": "persons", "persons": [ADA]})

    assert "reviewer-missing" == refused.value.code


@pytest.mark.parametrize(
    ("name", "asked", "code"),
    [
        ("Q 1", ALL, "document-name"),
        ("q" * 51, ALL, "document-name"),
        ("q1", {**ALL, "due": "2026-03-01"}, "review-due"),
        ("q1", {**ALL, "due": "2026-03-08"}, "review-due"),
        ("q1", {**ALL, "due": "2027-04-01"}, "review-due"),
        ("q1", {**ALL, "scope": "some"}, "document-invalid"),
        ("q1", {"scope": "all"}, "document-invalid"),
        ("q1", {**CLINICIANS, "role": "service"}, "document-invalid"),
        ("q1", {**CLINICIANS, "role": "auditor"}, "review-size"),
    ],
)
async def test_a_review_that_makes_no_sense_is_invalid(
    name: str, asked: dict[str, Any], code: str
) -> None:
    """A wrong name, day or scope begins nothing, and leaves no entry."""
    place = await Workplace().open()

    with pytest.raises(Error) as invalid:
        await place.reviews.begin(running(), name, asked)

    assert (code, []) == (invalid.value.code, place.entries("review.begin"))


async def test_the_ledger_says_whether_a_grant_was_used() -> None:
    """Each grant shows when its holder signed in and acted, from the last 90 days."""
    place = await Workplace().open()
    await place.sign_in(DAN)
    place.clock.advance(91 * DAY)
    await place.sign_in(CLEO)
    await place.workforce.change(allowed(CLEO), DAN, {"title": "Dan D."})

    await place.reviews.begin(running(), "q1", {**CLINICIANS, "due": "2026-07-01"})
    said = place.reviews.status(CLINIC, "q1")["grants"]

    at = "2026-06-01T09:30:00.000Z"
    assert [
        {"last_sign_in": at, "last_use": at, "uses": 1, "days": 90},
        {"last_sign_in": None, "last_use": None, "uses": 0, "days": 90},
    ] == [one["evidence"] for one in said]


@pytest.mark.parametrize(
    ("said", "signed_in"),
    [
        ({"action": "session.begin", "for": CLINIC}, "2026-03-02T09:30:00.000Z"),
        (
            {"action": "sign-in.outcome", "outcome": "accepted", "for": CLINIC},
            "2026-03-02T09:30:00.000Z",
        ),
        ({"action": "sign-in.outcome", "outcome": "half", "for": CLINIC}, None),
        ({"action": "session.begin", "for": "elsewhere"}, None),
    ],
)
async def test_a_sign_in_is_one_of_this_tenants_person(
    said: dict[str, str], signed_in: str | None
) -> None:
    """Here or at a provider; not half of one, and nobody's of the same name elsewhere."""
    place = await Workplace().open()
    at = place.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"v": 1, "at": at, "tenant": "system", "actor": {"kind": "user", "name": DAN}, **said}
    await place.ledger.append("system", body)

    await place.reviews.begin(running(), "q1", {**ALL, "scope": "persons", "persons": [DAN]})
    [grant] = place.reviews.status(CLINIC, "q1")["grants"]

    assert signed_in == grant["evidence"]["last_sign_in"]


async def test_more_use_than_one_page_is_counted() -> None:
    """A busy holder's entries are counted page by page."""
    place = await Workplace().open()
    at = place.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    actor = {"kind": "client", "name": "portal"}
    body = {"v": 1, "at": at, "action": "exchange.refuse", "tenant": CLINIC, "actor": actor}
    for _ in range(1_001):
        await place.ledger.append(CLINIC, body)

    await place.reviews.begin(running(), "q1", ALL)
    said = place.reviews.status(CLINIC, "q1")["grants"]

    assert [("power/may_apply", 1_001), ("use-case/notes", 0)] == [
        (one["grant"], one["evidence"]["uses"]) for one in said if one["name"] == "portal"
    ]


# --- answering ------------------------------------------------------------------------


async def test_a_confirmed_grant_stays() -> None:
    """The person's document is as it was, and the entry says who confirmed what."""
    place = await begun()
    name = item_of(place, DAN, "role/clinician")

    await place.reviews.answer(answering(BEN), name, "confirmed", "on the ward every day")
    said = place.entries("review.answer")[-1]

    assert ({Role.CLINICIAN}, "confirmed") == (
        set(place.spec(DAN).roles),
        grants(place)["dan role/clinician"],
    )
    assert (f"ReviewedGrant/{name}@2", "dan", "role/clinician", BEN) == (
        said["document"],
        said["name"],
        said["granted"],
        said["actor"]["name"],
    )


async def test_a_revoked_grant_is_gone_at_once_and_nothing_else_ends() -> None:
    """The next question finds the role gone; the session and the other role stay."""
    place = await begun()
    session = await place.sign_in(CLEO)
    before = (await place.asker(session)).roles

    name = item_of(place, CLEO, "role/clinician")
    await place.reviews.answer(answering(BEN), name, "revoked", "moved to development")
    said = place.entries()[-1]

    assert ({Role.CLINICIAN, Role.DEVELOPER}, {Role.DEVELOPER}) == (
        set(before),
        set((await place.asker(session)).roles),
    )
    assert ("review.answer", f"User/{CLEO}@2", ["clinician"]) == (
        said["action"],
        said["document"],
        said["lost"],
    )


@pytest.mark.parametrize("grant", ["power/may_apply", "use-case/notes"])
async def test_a_clients_grant_is_revoked_alone(grant: str) -> None:
    """A client loses one power or one use case, and keeps the rest."""
    place = await begun()
    name = item_of(place, "portal", grant)

    await place.reviews.answer(answering(BEN), name, "revoked", "nothing uses it")
    client = place.documents.register(CLINIC).find(ClientSpec, "portal")

    assert client is not None
    kept = {f"power/{one}" for one in client.spec.powers}
    kept |= {f"use-case/{one}" for one in client.spec.use_cases}
    assert {"power/may_apply", "use-case/notes"} - {grant} == kept


async def test_the_reason_is_sealed_and_in_no_entry() -> None:
    """What the reviewer typed is found by its digest, and is read under an entry alone."""
    place = await begun()
    name = item_of(place, DAN, "role/clinician")

    await place.reviews.answer(answering(BEN), name, "confirmed", "Mrs. Quackenbush asked for Dan")
    written = b"".join(place.ledger.logs[CLINIC].entries)
    sealed = place.ledger.kept[CLINIC, REASON, name]
    before = len(place.entries("phi.open"))

    assert b"Quackenbush" not in written
    assert place.entries("review.answer")[-1]["reason"] == sealed.digest()
    assert "Mrs. Quackenbush asked for Dan" == await place.reviews.reason(running(), name)
    assert before + 1 == len(place.entries("phi.open"))


async def test_a_reason_that_was_never_given_is_missing() -> None:
    """A grant without an answer has no reason."""
    place = await begun()

    with pytest.raises(Missing) as missing:
        await place.reviews.reason(running(), item_of(place, DAN, "role/clinician"))

    assert "reason-unknown" == missing.value.code


@pytest.mark.parametrize("who", [ADA, DAN])
async def test_no_administrator_and_no_holder_reads_a_reason(who: str) -> None:
    """What somebody typed may tell of care, and is not for whom it is about."""
    place = await begun()
    name = item_of(place, DAN, "role/clinician")
    await place.reviews.answer(answering(BEN), name, "confirmed", "Mrs. Quackenbush asked")

    with pytest.raises(Refused) as refused:
        await place.reviews.reason(running(who), name)

    assert ("reason-not-yours", []) == (refused.value.code, place.entries("phi.open"))


@pytest.mark.parametrize(
    ("by", "name", "reason", "code"),
    [
        (CLEO, DAN, "why not", "reviewer-other"),
        (ADA, DAN, "why not", "reviewer-other"),
        (PROVIDER, DAN, "why not", "reviewer-other"),
        (BEN, BEN, "why not", "reviewer-other"),
        (BEN, DAN, "  ", "reason-needed"),
        (BEN, DAN, "x" * 2_001, "reason-needed"),
    ],
)
async def test_only_the_one_who_is_asked_answers(
    by: Any, name: str, reason: str, code: str
) -> None:
    """Nobody else, no client, nobody about themselves, and nobody without a reason."""
    place = await begun()
    grant = "role/privacy-officer" if name == BEN else "role/clinician"

    with pytest.raises(Error) as error:
        await place.reviews.answer(answering(by), item_of(place, name, grant), "confirmed", reason)

    assert (code, "open") == (error.value.code, grants(place)[f"{name} {grant}"])


async def test_an_answer_is_given_once() -> None:
    """What was answered stays answered."""
    place = await begun()
    name = item_of(place, DAN, "role/clinician")
    await place.reviews.answer(answering(BEN), name, "confirmed", "needed")

    with pytest.raises(Refused) as refused:
        await place.reviews.answer(answering(BEN), name, "revoked", "not needed after all")

    assert ("review-answered", frozenset({Role.CLINICIAN})) == (
        refused.value.code,
        place.spec(DAN).roles,
    )


async def test_after_the_last_day_nobody_answers() -> None:
    """An answer that comes too late is none."""
    place = await begun()
    name = item_of(place, DAN, "role/clinician")
    place.clock.advance(9 * DAY)

    with pytest.raises(Refused) as refused:
        await place.reviews.answer(answering(BEN), name, "confirmed", "sorry")

    assert "review-answered" == refused.value.code


async def test_nobody_applies_a_review() -> None:
    """The program makes reviews and their grants; a file of them is refused."""
    for kind in ("AccessReview", "ReviewedGrant"):
        with pytest.raises(Invalid) as invalid:
            read_document({"kind": kind, "name": "q1", "spec": {}})
        assert "document-envelope" == invalid.value.code


# --- closing ----------------------------------------------------------------------------


async def test_what_nobody_could_answer_is_kept_and_alarmed() -> None:
    """Roles that are taken on the last day take nobody else's: who is asked then is asked late."""
    place = await begun()
    place.clock.advance(8 * DAY)
    await place.workforce.change(allowed(), BEN, {"roles": []})
    place.clock.advance(DAY)

    await place.reviews.close_overdue()

    assert (frozenset({Role.CLINICIAN}), "unasked", "unasked") == (
        place.spec(DAN).roles,
        grants(place)["dan role/clinician"],
        grants(place)["portal power/may_apply"],
    )
    assert {"grant-unreviewed"} == {code for code, _, _ in place.notifier.alarms}


async def test_who_could_answer_is_told_before_anything_lapses() -> None:
    """That the closing takes a reviewer's own role keeps nothing of what they did not answer."""
    place = await begun()
    place.clock.advance(9 * DAY)

    await place.reviews.close_overdue()

    assert (frozenset(), "lapsed", 0) == (
        place.spec(BEN).roles,
        grants(place)["dan role/clinician"],
        list(grants(place).values()).count("unasked"),
    )


async def test_a_review_is_not_closed_while_somebody_may_answer() -> None:
    """Before its last day is over, a review with open questions stays open."""
    place = await begun()

    with pytest.raises(Refused) as refused:
        await place.reviews.close(running(), "q1")

    assert "review-open" == refused.value.code


async def test_what_nobody_answered_is_taken_away() -> None:
    """At the closing every unanswered grant lapses; the last administrator's stays, alarmed."""
    place = await begun()
    name = item_of(place, DAN, "role/clinician")
    await place.reviews.answer(answering(BEN), name, "confirmed", "needed")
    place.clock.advance(9 * DAY)

    await place.reviews.close(running(), "q1")
    said = place.entries("review.close")[-1]

    assert {
        "ada role/administrator": "kept",
        "ada role/security-officer": "kept",
        "ben role/privacy-officer": "lapsed",
        "cleo role/clinician": "lapsed",
        "cleo role/developer": "lapsed",
        "dan role/clinician": "confirmed",
        "portal power/may_apply": "lapsed",
        "portal use-case/notes": "lapsed",
    } == grants(place)
    assert ([], [Role.CLINICIAN]) == (list(place.spec(CLEO).roles), list(place.spec(DAN).roles))
    assert {"confirmed": 1, "kept": 2, "lapsed": 5} == {
        answer: count for answer, count in said["counts"].items() if count
    }
    assert ["grant-unreviewed"] * 2 == [code for code, _, _ in place.notifier.alarms]


async def test_each_lapse_is_an_entry_of_the_systems_own() -> None:
    """Who closes takes away nothing themselves: the last day does."""
    place = await begun(CLINICIANS)
    place.clock.advance(9 * DAY)

    await place.reviews.close(running(), "q1")
    said = place.entries("review.lapse")

    assert [(CLEO, "User/cleo@2", "lapsed"), (DAN, "User/dan@2", "lapsed")] == [
        (one["name"], one["document"], one["answer"]) for one in said
    ]
    assert {"system"} == {one["actor"]["kind"] for one in said}


async def test_the_last_day_closes_a_review_by_itself() -> None:
    """A round closes what nobody closed, once, and not a day before."""
    place = await begun(CLINICIANS)
    closed = []
    for days in (8, 1, 1):
        place.clock.advance(days * DAY)
        closed.append(await place.reviews.close_overdue())

    assert ([0, 1, 0], "closed") == (closed, place.reviews.status(CLINIC, "q1")["state"])


async def test_a_closing_that_broke_off_is_gone_on_with() -> None:
    """What lapsed before a crash stays lapsed, and the rest lapses at the next try."""
    place = await begun(CLINICIANS)
    place.clock.advance(9 * DAY)
    place.ledger.failing["review.close"] = Invalid("full", "the disk is full")
    with pytest.raises(Invalid):
        await place.reviews.close_overdue()
    place.ledger.failing.clear()

    assert (1, 2) == (await place.reviews.close_overdue(), len(place.entries("review.lapse")))


async def test_two_replicas_close_a_review_once() -> None:
    """Whoever comes second finds that it was done, and that is no failure."""
    place = await begun(CLINICIANS)
    parts: dict[str, Any] = {"store": place.store, "ledger": place.ledger, "clock": place.clock}
    documents = type(place.documents)(**parts)
    await documents.load()
    other = type(place.reviews)(
        **parts,
        documents=documents,
        evidence=place.evidence,
        keys=place.keys,
        notifier=place.notifier,
    )
    place.clock.advance(9 * DAY)

    closed = [await place.reviews.close_overdue(), await other.close_overdue()]

    assert ([1, 0], 2, 1) == (
        closed,
        len(place.entries("review.lapse")),
        len(place.entries("review.close")),
    )


async def test_a_closed_review_is_not_closed_again() -> None:
    """Closing twice is a conflict."""
    place = await begun(CLINICIANS)
    place.clock.advance(9 * DAY)
    await place.reviews.close_overdue()

    with pytest.raises(Conflict) as conflict:
        await place.reviews.close(running(), "q1")

    assert ("review-closed", []) == (conflict.value.code, place.reviews.due(CLINIC))


async def test_a_grant_that_went_meanwhile_lapses_without_a_change() -> None:
    """A role that was taken away otherwise is not taken away again."""
    place = await begun(CLINICIANS)
    await place.workforce.change(allowed(), DAN, {"roles": []})
    place.clock.advance(9 * DAY)

    await place.reviews.close_overdue()

    assert ("lapsed", 2) == (
        grants(place)["dan role/clinician"],
        place.workforce.person(CLINIC, DAN).version,
    )


async def test_reviews_are_obligations_of_whom_they_ask() -> None:
    """Each reviewer is to answer by the end of the last day; then the officer is to close."""
    place = await begun()
    asked = [(one.whose, one.what) for one in place.reviews.due(CLINIC)]
    for one in (*place.reviews.asked(CLINIC, BEN), *place.reviews.asked(CLINIC, ADA)):
        by = answering(one.spec.reviewer)
        await place.reviews.answer(by, one.name, "confirmed", "needed")

    assert [
        ("user/ada", "answer the access review"),
        ("user/ben", "answer the access review"),
    ] == asked
    assert [("security-officer", "close the access review")] == [
        (one.whose, one.what) for one in place.reviews.due(CLINIC)
    ]


async def test_what_is_asked_of_the_policies_names_both() -> None:
    """The policies see whom a question is about, and who is to answer it."""
    place = await begun()
    found = place.reviews.resource(CLINIC, item_of(place, DAN, "role/clinician"))

    assert (DAN, BEN) == (found.about, found.reviewer)


async def test_an_unknown_review_is_missing() -> None:
    """Nothing is told of what there is not."""
    place = await begun()

    for ask in (place.reviews.status, place.reviews.item):
        with pytest.raises(Missing) as missing:
            ask(CLINIC, "q2")
        assert "review-unknown" == missing.value.code


async def test_the_report_is_laid_out_to_be_read() -> None:
    """A person reads who was asked what, what the ledger said, and how it was answered."""
    place = await begun(CLINICIANS)
    await place.reviews.answer(answering(BEN), "q1.0001", "confirmed", "needed")

    assert (
        "Access review q1: open\n"
        "  of       who holds clinician\n"
        "  begun    2026-03-02\n"
        "  due      2026-03-10\n"
        "  grants   2\n"
        "       1   waits for an answer\n"
        "       1   confirmed\n"
        "\n"
        "Answered by ben:\n"
        "  q1.0002\n"
        "    person dan has role/clinician\n"
        "    never acted in 90 days\n"
        "    waits for an answer\n"
        "  q1.0001\n"
        "    person cleo has role/clinician\n"
        "    never acted in 90 days\n"
        "    confirmed on 2026-03-02\n"
    ) == text(place.reviews.status(CLINIC, "q1"))
