"""What came of an access review: as JSON, and as a page that a person reads.

It says nothing that the review's documents do not say. 45 CFR 164.308(a)(4)(ii)(C)
(addressable), 164.316(b)(1)(ii).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from seawall.core.ledger.facets import moment_text
from seawall.core.registers.access_review import EVIDENCE_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.core.registers.access_review import (
        AccessReviewSpec,
        Evidence,
        ReviewedGrantSpec,
    )
    from seawall.core.registers.spec import Document

ANSWERS: Final = {
    "open": "waits for an answer",
    "confirmed": "confirmed",
    "revoked": "taken away by the reviewer",
    "lapsed": "taken away, since nobody answered in time",
    "kept": "not answered, and not taken away: it is the last of its kind",
    "unasked": "not answered, and not taken away: nobody who could answer was asked in time",
    "ended": "the holder left meanwhile",
}
"""What each answer means."""


def report(
    review: Document[AccessReviewSpec], items: Sequence[Document[ReviewedGrantSpec]]
) -> dict[str, Any]:
    """Return a review with all its grants, as JSON says it."""
    spec = review.spec
    counts = Counter[str](one.spec.answer for one in items)
    return {
        "review": review.name,
        "version": review.version,
        "scope": spec.scope,
        "role": None if spec.role is None else spec.role.value,
        "persons": sorted(spec.persons),
        "begun": spec.begun.isoformat(),
        "due": spec.due.isoformat(),
        "state": spec.state,
        "counts": {answer: counts[answer] for answer in ANSWERS},
        "grants": [item_report(one) for one in items],
    }


def text(said: dict[str, Any]) -> str:
    """Return a report as plain text, by reviewer, the open questions first."""
    scope = {"role": f"who holds {said['role']}", "persons": ", ".join(said["persons"])}
    head = [
        f"Access review {said['review']}: {said['state']}",
        f"  of       {scope.get(said['scope'], 'everybody and every client')}",
        f"  begun    {said['begun']}",
        f"  due      {said['due']}",
        f"  grants   {len(said['grants'])}",
    ]
    head += [f"  {count:>6}   {ANSWERS[one]}" for one, count in said["counts"].items() if count]
    lines = [*head, ""]
    for reviewer in sorted({one["reviewer"] for one in said["grants"]}):
        own = [one for one in said["grants"] if one["reviewer"] == reviewer]
        lines.append(f"Answered by {reviewer}:")
        for one in sorted(own, key=lambda one: (list(ANSWERS).index(one["answer"]), one["item"])):
            lines += [
                f"  {one['item']}",
                f"    {one['holder']} {one['name']} has {one['grant']}",
                f"    {_used(one['evidence'])}",
                f"    {ANSWERS[one['answer']]}{f' on {at[:10]}' if (at := one['at']) else ''}",
            ]
        lines.append("")
    return "\n".join(lines)


def item_report(item: Document[ReviewedGrantSpec]) -> dict[str, Any]:
    """Return one reviewed grant, as JSON says it."""
    spec = item.spec
    return {
        "item": item.name,
        "version": item.version,
        "holder": spec.holder,
        "name": spec.name,
        "grant": spec.grant,
        "reviewer": spec.reviewer,
        "evidence": _evidence(spec.evidence),
        "answer": spec.answer,
        "at": None if spec.at is None else spec.at.isoformat().replace("+00:00", "Z"),
        "reason": spec.reason,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    """Return what the ledger said, with moments as text."""
    said = {"last_sign_in": evidence.last_sign_in_ms, "last_use": evidence.last_use_ms}
    moments = {name: None if at is None else moment_text(at) for name, at in said.items()}
    return {**moments, "uses": evidence.uses, "days": EVIDENCE_DAYS}


def _used(evidence: dict[str, Any]) -> str:
    signed_in, used = evidence["last_sign_in"], evidence["last_use"]
    times = "once" if evidence["uses"] == 1 else f"{evidence['uses']} times"
    said = f"{f'acted {times}' if used else 'never acted'} in {evidence['days']} days"
    last = f", last on {used[:10]}" if used else ""
    return said + last + (f"; signed in on {signed_in[:10]}" if signed_in else "")
