"""An emergency as it is kept: who, which patient, when, how it ended, what its review found.

The program alone makes these documents, in the transaction of the entry that tells of
it; nobody applies one. They hold ledger ids, names, moments, codes and digests; what was
typed is sealed. 45 CFR 164.312(a)(2)(ii), 164.308(a)(7)(ii)(C).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from seawall.core.access.emergency import (
    ACCESS_MS,
    MODE_MS,
    OFFLINE_MS,
    REVIEW_HOURS,
    WARNINGS,
    Finding,
    Happening,
    Reason,
    State,
    follow,
    over_ms,
    state_at,
)
from seawall.core.errors import Refused
from seawall.core.registers.legal_hold import LedgerId  # noqa: TC001  pydantic reads the annotation
from seawall.core.registers.spec import Name, Spec

Moment = Annotated[int, Field(ge=0, lt=2**53)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
What = Literal["access", "mode", "offline"]


class Step(Spec):
    """Who did something to an emergency, and when."""

    by: Name
    at_ms: Moment
    told: Digest | None = None
    """The digest of the sealed text that they typed; none where nothing was asked."""


class Reviewed(Step):
    """What a review found."""

    finding: Finding


class EmergencySpec(Spec):
    """The content of an Emergency document."""

    what: What
    """Access to one patient's record, emergency mode, or a sign-in with an offline factor."""
    person: Name
    """Who began it."""
    patient: LedgerId | None = None
    reason: Reason
    told: Digest | None = None
    """The digest of the sealed reason; none for an offline sign-in, which asks for none."""
    warning: str | None = None
    """The version of the warning that was acknowledged."""
    began_ms: Moment
    until_ms: Moment
    review_hours: Annotated[int, Field(ge=1, le=REVIEW_HOURS)] = REVIEW_HOURS
    renewed: tuple[Step, ...] = ()
    ended: Step | None = None
    review: Reviewed | None = None

    @property
    def ended_ms(self) -> int | None:
        """When somebody ended it."""
        return None if self.ended is None else self.ended.at_ms

    @property
    def reviewed_ms(self) -> int | None:
        """When it was reviewed."""
        return None if self.review is None else self.review.at_ms

    @property
    def involved(self) -> frozenset[str]:
        """Whose doing it is, and who may therefore not review it."""
        return frozenset({self.person, *(step.by for step in self.renewed)})

    def state(self, now_ms: int) -> State:
        """Return where it stands at a moment."""
        return state_at(self, now_ms)

    def is_open(self, now_ms: int) -> bool:
        """Whether it is under way at a moment; one that begins later is not."""
        return self.began_ms <= now_ms and self.state(now_ms) is State.BEGUN

    @model_validator(mode="after")
    def _whole(self) -> EmergencySpec:
        """Refuse what no emergency is: an access without a patient, or longer than it may be."""
        latest = max([self.began_ms, *(step.at_ms for step in self.renewed)])
        longest = {"access": ACCESS_MS, "mode": MODE_MS, "offline": OFFLINE_MS}[self.what]
        is_access = self.what == "access"
        if (
            (self.patient is not None) != is_access
            or (self.warning in WARNINGS) != is_access
            or (self.told is None) != (self.what == "offline")
            or (self.renewed and self.what != "mode")
            or not self.began_ms <= self.until_ms <= latest + longest
        ):
            raise ValueError("these fields are not those of such an emergency")
        return self

    def check_change(self, earlier: Spec) -> None:
        """Raise unless exactly one thing happened since `earlier` that may follow it.

        It is `Refused` where what was recorded would change, and a `Conflict` where the state
        table has no such step.
        """
        if isinstance(earlier, EmergencySpec):
            happening, at_ms = _happened(earlier, self)
            follow(earlier.state(at_ms), happening)
            if happening is Happening.REVIEW and at_ms < over_ms(earlier):
                raise _rewritten()


def _happened(earlier: EmergencySpec, later: EmergencySpec) -> tuple[Happening, int]:
    """Return what happened between two versions, and when."""
    before, after = earlier.model_dump(), later.model_dump()
    changed = {name for name, value in after.items() if before[name] != value}
    if changed == {"ended"} and later.ended is not None and earlier.ended is None:
        return Happening.END, later.ended.at_ms
    if changed == {"review"} and later.review is not None and earlier.review is None:
        return Happening.REVIEW, later.review.at_ms
    if (
        "renewed" in changed <= {"renewed", "until_ms"}
        and later.renewed[:-1] == earlier.renewed
        and later.until_ms >= earlier.until_ms
    ):
        return Happening.RENEW, later.renewed[-1].at_ms
    raise _rewritten()


def _rewritten() -> Refused:
    return Refused(
        "emergency-rewritten",
        "this would change what is recorded of an emergency",
        "an emergency is renewed, ended and reviewed, each once, and never rewritten",
    )
