"""Access reviews: each grant is confirmed by somebody else in time, or it is taken away.

A review freezes who holds what, with what the ledger says of its use, and asks for each
grant one person who does not hold it. A revoked grant is gone in the append of the answer;
what nobody answered is gone when the review is closed, which the last day does by itself.
45 CFR 164.308(a)(4)(ii)(C), 164.308(a)(3)(ii)(B) (addressable).
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from seawall.app.documents import Change
from seawall.app.entries import entry
from seawall.app.ports import KeepSealed
from seawall.core.access.question import Resource
from seawall.core.access.review_report import report
from seawall.core.access.reviewing import (
    LEAST,
    could_answer,
    deputies,
    grants_of,
    holding,
    items_of,
    moved,
    reviewer_of,
    without,
)
from seawall.core.access.vocabulary import On, Role
from seawall.core.errors import Conflict, Invalid, Missing, Refused
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.registers.access_review import (
    REVIEW_NAME,
    AccessReviewSpec,
    ReviewedGrantSpec,
)
from seawall.core.registers.obligation import Obligation
from seawall.core.registers.register import kind_of
from seawall.core.registers.spec import read_spec
from seawall.core.registers.user import UserSpec
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.access import Allowed
    from seawall.app.documents import Applied, Documents
    from seawall.app.ports import Clock, KeyRing, Ledger, Notifier, Store
    from seawall.app.review_evidence import ReviewEvidence
    from seawall.core.registers.spec import Document

REASON: Final = "review.reason"
"""The kind of sealed value that a reviewer's reason is; its item is the reviewed grant's name."""
SUBJECT: Final = "reviews"

MOST: Final = 2_000
"""So many grants one review asks about at most; a larger one is begun by role."""
LONGEST: Final = timedelta(days=366)
LONGEST_REASON: Final = 2_000

_REVIEW: Final = kind_of(AccessReviewSpec)
_ITEM: Final = kind_of(ReviewedGrantSpec)
_GRANT_MS: Final = 60_000
_CITATION: Final = "45 CFR 164.308(a)(4)(ii)(C)"


class AccessReviews:
    """Begins, answers and closes the reviews of every tenant."""

    def __init__(
        self,
        *,
        documents: Documents,
        evidence: ReviewEvidence,
        store: Store,
        ledger: Ledger,
        keys: KeyRing,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._evidence = evidence
        self._store = store
        self._ledger = ledger
        self._keys = keys
        self._notifier = notifier
        self._clock = clock

    # --- seeing -------------------------------------------------------------------

    def all(self, tenant: str) -> list[Document[AccessReviewSpec]]:
        """Return every review of a tenant, by name."""
        return self._documents.register(tenant).all(AccessReviewSpec)

    def status(self, tenant: str, name: str) -> dict[str, Any]:
        """Return a review with all its grants; `Missing` (`review-unknown`) if there is none."""
        return report(self._review(tenant, name), items_of(self._documents.register(tenant), name))

    def asked(self, tenant: str, reviewer: str) -> list[Document[ReviewedGrantSpec]]:
        """Return the grants that wait for a person's answer, by name."""
        return [
            one
            for one in self._documents.register(tenant).all(ReviewedGrantSpec)
            if one.spec.answer == "open" and one.spec.reviewer == reviewer
        ]

    def item(self, tenant: str, name: str) -> Document[ReviewedGrantSpec]:
        """Return a reviewed grant; `Missing` (`review-unknown`) if there is none."""
        found = self._documents.register(tenant).find(ReviewedGrantSpec, name)
        if found is None:
            raise _unknown()
        return found

    def resource(self, tenant: str, name: str) -> Resource:
        """Return what answering a reviewed grant acts on: whom it is about, who is to answer."""
        spec = self.item(tenant, name).spec
        about = spec.name if spec.holder == "person" else ""
        return Resource(On.REVIEW, tenant, name, _ITEM, about=about, reviewer=spec.reviewer)

    def due(self, tenant: str) -> list[Obligation]:
        """Return what reviews ask of whom: an answer of each reviewer, and then the closing."""
        register = self._documents.register(tenant)
        found: list[Obligation] = []
        for review in self.all(tenant):
            if review.spec.state == "closed":
                continue
            by_ms = _end_ms(review.spec)
            waiting = {one.spec.reviewer for one in items_of(register, review.name) if _open(one)}
            whose = [f"user/{one}" for one in sorted(waiting)] or [Role.SECURITY_OFFICER.value]
            what = "answer the access review" if waiting else "close the access review"
            found += [
                Obligation(tenant, what, review.name, one, by_ms, _CITATION, "addressable")
                for one in whose
            ]
        return sorted(found, key=lambda one: (one.by_ms, one.about, one.whose))

    # --- beginning ----------------------------------------------------------------

    async def begin(self, allowed: Allowed, name: str, asked: Mapping[str, Any]) -> Applied:
        """Freeze the grants of a scope, and ask for each somebody who does not hold it.

        `asked` has `scope`, `due`, and `role` or `persons`. `Refused` (`reviewer-missing`) if
        a grant has nobody who could answer for it; `Invalid` if the scope holds no grant.
        """
        principal, register = allowed.caller.principal, self._documents.register
        today = self._clock.today()
        if not re.fullmatch(REVIEW_NAME, name):
            raise Invalid(
                "document-name",
                "this cannot be a review's name",
                "use lower-case letters, digits, '.', '_' and '-', at most 50 characters",
            )
        fields = {**asked, "begun": today, "grants": 0, "state": "open"}
        spec = read_spec(AccessReviewSpec, _REVIEW, name, fields)
        if not today + LEAST <= spec.due <= today + LONGEST:
            raise Invalid(
                "review-due",
                f"due is not {LEAST.days} days away, or more than a year",
                "choose a later day: what nobody answers until then is taken away",
            )
        grants = grants_of(register(principal.tenant), spec)
        if not 0 < len(grants) <= MOST:
            raise Invalid(
                "review-size",
                f"the scope holds no grant, or more than {MOST:,}",
                "choose another scope; a large workforce is reviewed role by role",
            )
        evidence = await self._evidence.of(principal.tenant, grants)
        here = register(principal.tenant)
        instead, changes = deputies(here, today), []
        for number, held in enumerate(grants, 1):
            reviewer = reviewer_of(here, held, today, instead)
            if reviewer is None:
                raise Refused(
                    "reviewer-missing",
                    "a grant of the scope has nobody who could answer for it but its holder",
                    "give a second person the role of privacy officer, or name a `reviewer`",
                )
            made = ReviewedGrantSpec(
                review=name,
                holder=held.holder,
                name=held.name,
                grant=held.grant,
                reviewer=reviewer,
                evidence=evidence[held],
            )
            changes.append(Change(_ITEM, f"{name}.{number:04}", made, after=0))
        spec = spec.model_copy(update={"grants": len(grants)})
        said = {"review": name, "scope": spec.scope, "grants": len(grants)}
        said |= {"due": spec.due.isoformat(), "access": allowed.answer.fields()}
        first = Change(_REVIEW, name, spec, after=0)
        return await self._documents.keep(
            principal, [first, *changes], action="review.begin", said=said
        )

    # --- answering ----------------------------------------------------------------

    async def answer(
        self,
        allowed: Allowed,
        name: str,
        answer: Literal["confirmed", "revoked"],
        reason: str,
    ) -> Applied:
        """Confirm a grant or take it away at once, as the one who was asked, with a reason.

        `Refused`: `reviewer-other` for everybody else and for the holder, `review-answered`
        when it was answered or its time is over, `last-administrator` where taking it away
        would leave nobody.
        """
        principal = allowed.caller.principal
        item = self.item(principal.tenant, name)
        self._check_answer(principal, item, reason)
        spec = item.spec
        context = Context(principal.tenant, REASON, SUBJECT, name)
        sealed = await self._keys.seal(reason.strip().encode(), context)
        answered = spec.model_copy(
            update={"answer": answer, "at": self._now(), "reason": sealed.digest()}
        )
        changes = [Change(_ITEM, name, answered, after=item.version)]
        if answer == "revoked":
            changes = [*self._taking_away(principal.tenant, spec), *changes]
        said = {**_told(item), "answer": answer, "reason": sealed.digest()}
        said["access"] = allowed.answer.fields()
        writes = [KeepSealed(sealed, "")]
        return await self._documents.keep(
            principal, changes, action="review.answer", said=said, writes=writes
        )

    def _check_answer(
        self, principal: Principal, item: Document[ReviewedGrantSpec], reason: str
    ) -> None:
        spec = item.spec
        is_holder = spec.holder == "person" and spec.name == principal.name
        if principal.kind != "user" or principal.name != spec.reviewer or is_holder:
            raise Refused(
                "reviewer-other",
                "another person is asked for this answer",
                "the review says who; a reviewer without a role is replaced by itself",
            )
        review = self._review(principal.tenant, spec.review)
        if not _open(item) or review.spec.state == "closed" or self._is_over(review):
            raise Refused(
                "review-answered",
                "this was answered, or its last day is over",
                "what was not answered in time is taken away; grant it anew if it is needed",
            )
        if not 0 < len(reason.strip()) <= LONGEST_REASON:
            raise Invalid(
                "reason-needed",
                "an answer needs a reason",
                f"say why in at most {LONGEST_REASON:,} characters; it is sealed",
            )

    async def reason(self, allowed: Allowed, name: str) -> str:
        """Open the reason of an answer, under an entry that says so; `Missing` without one.

        `Refused` to an administrator, who opens no text that somebody typed of care, in
        whatever other role; and to whom it is about.
        """
        principal = allowed.caller.principal
        item = self.item(principal.tenant, name)
        asker = self._documents.register(principal.tenant).find(UserSpec, principal.name)
        is_theirs = item.spec.holder == "person" and item.spec.name == principal.name
        roles = frozenset() if asker is None else asker.spec.roles
        if is_theirs or Role.ADMINISTRATOR in roles:
            raise Refused(
                "reason-not-yours",
                "no administrator reads why somebody answered, nor does the holder of the grant",
                "ask a security officer who is no administrator",
            )
        sealed = await self._store.sealed(principal.tenant, REASON, item.name)
        if sealed is None or sealed.digest() != item.spec.reason:
            raise Missing("reason-unknown", "no reason of this answer is kept", "")
        until_ms = self._clock.now_ms() + _GRANT_MS
        said: dict[str, Any] = {
            "about": item.reference,
            "access": allowed.answer.fields(),
            "decision": {"allowed": True, "reasons": ["it is read again"], "documents": []},
            "grant": terms(kinds=(REASON,), subjects=(SUBJECT,), until_ms=until_ms),
            "patients": [],
        }
        body = entry("phi.open", principal, self._clock, **said)
        opened_by = Grant(await self._ledger.append(principal.tenant, body))
        return (await self._keys.open(sealed, opened_by)).decode()

    # --- closing ------------------------------------------------------------------

    async def close(self, allowed: Allowed, name: str) -> Applied:
        """Close a review: what was not answered is taken away, one entry each.

        `Refused` (`review-open`) while somebody may still answer; `Conflict` if it is closed.
        """
        principal = allowed.caller.principal
        review = self._review(principal.tenant, name)
        items = items_of(self._documents.register(principal.tenant), name)
        if review.spec.state == "closed":
            raise Conflict("review-closed", "this review is closed", "its report says what came")
        if not self._is_over(review) and any(_open(one) for one in items):
            raise Refused(
                "review-open",
                "some grants wait for an answer, and its last day is not over",
                "wait for the answers or for the day after `due`",
            )
        return await self._close(principal, review, {"access": allowed.answer.fields()})

    async def close_overdue(self) -> int:
        """Close every review whose last day is over; return how many: one round of the server.

        First somebody else is asked what a reviewer cannot answer any more whose own last day
        is over. What another replica does at the same time, it does; the next round looks again.
        """
        await self._documents.refresh()
        closed = 0
        for tenant in self._documents.tenants():
            with suppress(Conflict):
                await self._ask_others(tenant)
            for review in self.all(tenant):
                if review.spec.state == "open" and self._is_over(review):
                    with suppress(Conflict):
                        await self._close(_system(tenant), review, {})
                        closed += 1
        return closed

    async def _ask_others(self, tenant: str) -> None:
        """Ask somebody else what nobody could answer any more, one entry for each review."""
        found: dict[str, list[Change]] = {}
        register = self._documents.register(tenant)
        for name, spec in moved(register, self._clock.today()):
            held = register.find(ReviewedGrantSpec, name)
            after = 0 if held is None else held.version
            found.setdefault(spec.review, []).append(Change(_ITEM, name, spec, after=after))
        for review, changes in found.items():
            said = {"review": review, "grants": len(changes)}
            await self._documents.keep(_system(tenant), changes, action="review.move", said=said)

    async def _close(
        self, by: Principal, review: Document[AccessReviewSpec], said: Mapping[str, Any]
    ) -> Applied:
        items = items_of(self._documents.register(by.tenant), review.name)
        waiting = [one.name for one in items if _open(one)]
        # Who answers may lose their roles by this very closing. So it is told before anything
        # lapses who could answer, and is not looked at again by whoever goes on after a crash.
        if not any(one.spec.answer == "lapsed" for one in items):
            register = self._documents.register(by.tenant)
            for item in items:
                if _open(item) and not could_answer(register, item.spec, review.spec.due):
                    await self._keep_held(by.tenant, item, "unasked")
                    waiting.remove(item.name)
        # One entry each, before the last: whoever goes on after a crash finds what is left open.
        for name in waiting:
            await self._lapse(by.tenant, self.item(by.tenant, name))
        counts = report(review, items_of(self._documents.register(by.tenant), review.name))
        closed = review.spec.model_copy(update={"state": "closed"})
        fields = {"review": review.name, "counts": counts["counts"], **said}
        change = Change(_REVIEW, review.name, closed, after=review.version)
        return await self._documents.keep(by, [change], action="review.close", said=fields)

    async def _lapse(self, tenant: str, item: Document[ReviewedGrantSpec]) -> None:
        """Take away a grant that nobody confirmed; the last of its kind stays, with an alarm."""
        lapsed = item.spec.model_copy(update={"answer": "lapsed", "at": self._now()})
        change = Change(_ITEM, item.name, lapsed, after=item.version)
        changes = [*self._taking_away(tenant, item.spec), change]
        try:
            said = {**_told(item), "answer": "lapsed"}
            await self._documents.keep(_system(tenant), changes, action="review.lapse", said=said)
        except Refused as refused:
            if refused.code != "last-administrator":
                raise
            await self._keep_held(tenant, item, "kept")

    async def _keep_held(
        self, tenant: str, item: Document[ReviewedGrantSpec], answer: Literal["kept", "unasked"]
    ) -> None:
        """Leave a grant that nobody confirmed to its holder, with an alarm."""
        kept = item.spec.model_copy(update={"answer": answer, "at": self._now()})
        change = Change(_ITEM, item.name, kept, after=item.version)
        said = {**_told(item), "answer": answer}
        made = await self._documents.keep(
            _system(tenant), [change], action="review.lapse", said=said
        )
        self._notifier.alarm("grant-unreviewed", tenant, made.entry)

    # --- what is the same in several ----------------------------------------------

    def _taking_away(self, tenant: str, item: ReviewedGrantSpec) -> list[Change]:
        """Return the change of the document that holds a grant; none if it holds it no more."""
        held = holding(self._documents.register(tenant), item)
        spec = None if held is None else without(held.spec, item.grant)
        if held is None or spec is None or spec == held.spec:
            return []
        return [Change(held.kind, held.name, spec, after=held.version)]

    def _review(self, tenant: str, name: str) -> Document[AccessReviewSpec]:
        found = self._documents.register(tenant).find(AccessReviewSpec, name)
        if found is None:
            raise _unknown()
        return found

    def _is_over(self, review: Document[AccessReviewSpec]) -> bool:
        return self._clock.today() > review.spec.due

    def _now(self) -> datetime:
        now = self._clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _open(item: Document[ReviewedGrantSpec]) -> bool:
    return item.spec.answer == "open"


def _told(item: Document[ReviewedGrantSpec]) -> dict[str, Any]:
    spec = item.spec
    return {
        "review": spec.review,
        "item": item.name,
        "holder": spec.holder,
        "name": spec.name,
        "granted": spec.grant,
        "reviewer": spec.reviewer,
    }


def _end_ms(review: AccessReviewSpec) -> int:
    """Return the first moment after a review's last day, in milliseconds since 1970."""
    after = datetime(review.due.year, review.due.month, review.due.day, tzinfo=UTC)
    return int((after + timedelta(days=1)).timestamp() * 1000)


def _system(tenant: str) -> Principal:
    return Principal("system", "seawall", tenant)


def _unknown() -> Missing:
    return Missing("review-unknown", "there is no such review, or no such grant in it", "list them")
