"""Which keys a ledger says were destroyed: what else is gone was lost, and is told.

A shredding deletes data keys and sealed values in one transaction with its
entry. So a sealed value without its key is one of an older snapshot whose
patient was shredded since, and an entry says so, or its key was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from seawall.core.backup.rows import Shape
from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SHREDDINGS: Final = Shape("shreddings", (("entry", "bytes"),))
"""Of a key part that was written anew: entries that no snapshot has yet."""
_TOLD: Final = (b'"keys.shred"', b'"keys.rewrapped"')


@dataclass(slots=True)
class Shreddings:
    """What entries say was shredded, by tenant."""

    tenants: set[str] = field(default_factory=set)
    patients: dict[str, set[str]] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)
    """How many data keys were deleted because they no longer opened."""

    def read(self, tenant: str, entries: Iterable[bytes]) -> None:
        """Note what entries of a tenant's log say."""
        for raw in told(entries):
            said = decode(raw)
            if said.get("action") == "keys.rewrapped":
                dropped = self.damaged.get(tenant, 0) + int(said.get("dropped", 0))
                self.damaged[tenant] = dropped
            elif said.get("action") == "keys.shred" and said["what"] == "tenant":
                self.tenants.add(tenant)
            elif said.get("action") == "keys.shred":
                self.patients.setdefault(tenant, set()).update(said["patients"])

    def unexplained(self, tenant: str, gone: Collection[str]) -> int:
        """Return how many of those whose keys are gone nothing explains."""
        if tenant in self.tenants:
            return 0
        left = len({*gone} - self.patients.get(tenant, set()))
        return max(0, left - self.damaged.get(tenant, 0))


def told(entries: Iterable[bytes]) -> list[bytes]:
    """Return the entries that may be about keys that were deleted."""
    return [raw for raw in entries if any(mark in raw for mark in _TOLD)]


def keys_lost(count: int) -> Tampered:
    """Return what it is that keys are gone which nobody destroyed."""
    return Tampered(
        "backup-keys-lost",
        f"the backup has sealed values of {count} subjects and no key of theirs, and no entry "
        "says that they were shredded",
        "use another copy or another snapshot, and treat it as an incident",
    )
