"""An access review, and each grant that is reviewed: frozen at the beginning, answered once.

The program makes these documents, and nobody applies them. A grant that is not
confirmed in time is taken away. 45 CFR 164.308(a)(4)(ii)(C) (addressable),
164.308(a)(3)(ii)(B) (addressable), 164.316(b)(2)(i).
"""

from __future__ import annotations

from datetime import date  # noqa: TC003  pydantic reads the annotation
from typing import Annotated, Any, Final, Literal

from pydantic import (
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from seawall.core.errors import Refused
from seawall.core.registers.spec import NAME_PATTERN, Name, Spec
from seawall.core.registers.user import HumanRole, Moment  # noqa: TC001  as above

REVIEW_NAME: Final = r"[a-z0-9]([a-z0-9._-]{0,48}[a-z0-9])?"
"""A review's name: shorter than a document's, since its grants are named by it and a number."""

GRANT: Final = rf"(role|power|use-case)/{NAME_PATTERN}"
"""A role of a person; a power or a use case of a client."""

EVIDENCE_DAYS: Final = 90
"""So far back it is counted how often a grant's holder acted: practice."""

GrantName = Annotated[str, StringConstraints(pattern=f"^{GRANT}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class AccessReviewSpec(Spec):
    """The content of an AccessReview document: what is reviewed, by when."""

    scope: Literal["all", "role", "persons"]
    """All persons and clients, those who hold one role, or the persons who are named."""
    role: HumanRole | None = None
    persons: frozenset[Name] = frozenset()
    begun: date
    due: date
    """The last day for answers; after it what is unanswered is taken away."""
    grants: NonNegativeInt
    """How many there are; each is a document of its own."""
    state: Literal["open", "closed"] = "open"

    def check_change(self, earlier: Spec) -> None:
        """Refuse every change but the closing of an open one."""
        if not isinstance(earlier, AccessReviewSpec) or earlier.state == "closed":
            raise _over()
        if self != earlier.model_copy(update={"state": "closed"}):
            raise _over()


class Evidence(Spec):
    """What the ledger says of a grant's use, when the review began."""

    last_sign_in_ms: NonNegativeInt | None = None
    """When the person last signed in; None for never, and for clients."""
    uses: NonNegativeInt
    """How many entries of the tenant's log name the holder as actor, of the last 90 days;
    for a use case those under it."""
    last_use_ms: NonNegativeInt | None = None


class ReviewedGrantSpec(Spec):
    """The content of a ReviewedGrant document: one grant, who answers for it, and the answer."""

    review: Name
    holder: Literal["person", "client"]
    name: Name
    """The person's or the client's name."""
    grant: GrantName
    reviewer: Name
    """The person who is to answer; never the holder."""
    evidence: Evidence
    asked: date | None = None
    """Since when the reviewer is asked, where another one was asked before."""
    answer: Literal["open", "confirmed", "revoked", "lapsed", "kept", "unasked", "ended"] = "open"
    """`lapsed`: nobody answered, so it was taken away. `kept`: nobody answered, and it could not
    be taken away, because it is the last of its kind. `unasked`: nobody who could answer was
    asked in time, so it stays. `ended`: the holder left meanwhile."""
    at: Moment | None = None
    """When it was answered, lapsed or ended."""
    reason: Digest | None = None
    """The digest of the sealed reason that the reviewer typed."""

    def check_change(self, earlier: Spec) -> None:
        """Refuse to answer twice, or to change what was frozen; a reviewer may be replaced."""
        if not isinstance(earlier, ReviewedGrantSpec) or earlier.answer != "open":
            raise _over()
        frozen = ("review", "holder", "name", "grant", "evidence")
        if any(getattr(self, one) != getattr(earlier, one) for one in frozen):
            raise _over()

    @model_serializer(mode="wrap")
    def _without_asked(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `asked` while it is empty: the first form of the document did not have it."""
        fields: dict[str, Any] = write(self)
        return {name: one for name, one in fields.items() if name != "asked" or one is not None}


def _over() -> Refused:
    return Refused(
        "review-answered",
        "this was answered or closed, and stays as it is",
        "begin another review",
    )
