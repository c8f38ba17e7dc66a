"""Who acts: a client by its token, a person by a session or at the terminal, or the system itself.

45 CFR 164.312(a)(2)(i): each has a name of its own, and each entry names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """An identified actor within one tenant."""

    kind: Literal["client", "user", "operator", "system"]
    name: str
    tenant: str

    def fields(self) -> dict[str, str]:
        """Return the actor as an entry names it."""
        return {"kind": self.kind, "name": self.name}
