"""A legal hold: what may be evidence stays, however old it is, until the hold is released.

Preserving what litigation may ask for is practice here: the HIPAA rules do not name it.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003  pydantic reads the annotation
from typing import Annotated

from pydantic import StringConstraints

from seawall.core.errors import Refused
from seawall.core.registers.spec import Spec, Words

LedgerId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
"""A patient's random ledger id: never a name, never a record number."""


class LegalHoldSpec(Spec):
    """The content of a LegalHold document. It holds from when it is applied."""

    matter: Words
    """What the hold is for, such as a docket number; never a patient's name."""
    patient: LedgerId | None = None
    """Whose entries are held; none means the whole tenant's."""
    placed: date
    """The day on which the duty to preserve arose, as counsel says it."""
    released: date | None = None
    """The first day on which the hold holds nothing; none while it is in force."""

    def check_change(self, earlier: Spec) -> None:
        """Raise `Refused` if this holds something else: a hold is released, not rewritten."""
        if isinstance(earlier, LegalHoldSpec) and self.patient != earlier.patient:
            raise Refused(
                "hold-changed",
                "a LegalHold document names another patient than its version before",
                "release this hold with `released`, and place another under a name of its own",
            )

    def is_in_force(self, today: date) -> bool:
        """Return whether the hold still holds; `placed` in the future holds already."""
        return self.released is None or today < self.released
