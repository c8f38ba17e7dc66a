"""Something that must be done, by whom and by when, and which paragraph asks for it.

An obligation is worked out of what is recorded, and kept nowhere: when the thing is
done there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Obligation:
    """What must be done, whose it is to do, and by when."""

    tenant: str
    what: str
    """In words, such as `review the emergency access`."""
    about: str
    """The name of what it is about: an id, a document's or a person's name; never PHI."""
    whose: str
    """Whose it is: a role's name, or `user/NAME`."""
    by_ms: int
    citation: str
    strength: Literal["law", "addressable", "guidance", "practice"]
    """How strong the paragraph is; that something must be done by this moment is practice."""

    def is_overdue(self, now_ms: int) -> bool:
        """Whether its moment has come."""
        return now_ms >= self.by_ms

    def fields(self, now_ms: int) -> dict[str, Any]:
        """Return it as JSON says it."""
        by = _EPOCH + timedelta(milliseconds=self.by_ms)
        return {
            "tenant": self.tenant,
            "what": self.what,
            "about": self.about,
            "whose": self.whose,
            "by": by.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "overdue": self.is_overdue(now_ms),
            "citation": self.citation,
            "strength": self.strength,
        }
