"""How long a tenant's ledger is kept: six years are the floor, and no version lowers it.

45 CFR 164.316(b)(2)(i) and 164.530(j)(2) ask for six years for documentation; that the
ledger itself is kept as long is this product's practice.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from seawall.core.errors import Refused
from seawall.core.registers.spec import Spec

FLOOR_YEARS: Final = 6
"""How long entries are kept without a Retention document, and at least with one."""

_MOST_YEARS: Final = 100
"""What an S3 bucket can lock at most."""


class RetentionSpec(Spec):
    """The content of a Retention document. Of several the longest counts."""

    years: Annotated[int, Field(strict=True, ge=FLOOR_YEARS, le=_MOST_YEARS)]
    """Calendar years from an entry's day to the day on which it may go."""

    def check_change(self, earlier: Spec) -> None:
        """Raise `Refused` if this asks for fewer years than the version before."""
        if isinstance(earlier, RetentionSpec) and self.years < earlier.years:
            raise Refused(
                "retention-lowered",
                f"a Retention document asks for fewer years than its version before, "
                f"{earlier.years}",
                "leave the years as they are, or raise them: retention is never lowered",
            )
