"""What a certificate of destruction says: gathered from the ledger and the key manager."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import SYSTEM_LOG
from seawall.core.ledger.facets import moment_text
from seawall.core.seal.certificate import UNDER, Beyond

if TYPE_CHECKING:
    from datetime import datetime

    from seawall.app.key_history import KeyHistory
    from seawall.app.ports import Clock, Destruction, KeyManager, Store
    from seawall.app.rewrap_keys import Progress
    from seawall.core.policy.principal import Principal

HELD: Final = timedelta(seconds=600)
"""So long a process may hold a key in memory after it was deleted."""

_BY_PROVIDER: Final = {
    "file": "whoever kept an older copy of the key ring's file, and knows its passphrase, still "
    "opens older copies of the data with it",
    "openbao": "a snapshot of the key manager's own storage from before, with what unseals it, "
    "still has the versions that were destroyed",
    "aws": "until the time under `final_at` an administrator of the account can cancel the "
    "destruction",
}
_ALWAYS: Final = (
    "what was sent to the endpoints of models before, or exported: ask who received it",
    "images of a machine's memory, and what it swapped to a disk",
    "the ledger's entries: they stay, hold no PHI, and name patients by random ids",
)
_OF_PATIENTS: Final = (
    "conversations that named no patient: their replacement maps are sealed as unattributed",
    "data sets that were sealed for more than these patients",
    (
        "keyed digests of identifiers in older copies of the database: guesses can be tried "
        "against them by whoever also holds the tenant's present index key"
    ),
)
_SHARED: Final = {
    "exchange.intent": "requests that concern several patients or nobody known for certain, which "
    "are sealed as unattributed",
    "exchange.outcome": "answers to such requests",
}


@dataclass(slots=True)
class Shredding:
    """One shredding under way: the entry that ordered it, who goes on with it, how far it is."""

    tenant: str
    index: int
    ordered: dict[str, Any]
    principal: Principal
    progress: Progress | None = None
    drop_damaged: bool = False
    """Whether data keys that open nothing are deleted where they stand in the way."""
    below: int = 0
    """The root version that was made for what stays, where nothing recorded it yet."""
    versions: tuple[int, ...] = ()
    """Which root versions ended, as the service's own key manager says."""
    destroyed: Destruction | None = field(default=None, repr=False)
    copies: int = 0

    @property
    def patients(self) -> list[str]:
        """Whose keys are shredded, by ledger id; nobody's where it is the whole tenant."""
        return list(self.ordered.get("patients", ()))

    @property
    def is_of_tenant(self) -> bool:
        """Whether the whole tenant is shredded."""
        return str(self.ordered["what"]) == "tenant"


class DescribeDestruction:
    """Writes the content of certificates."""

    def __init__(
        self, *, store: Store, history: KeyHistory, manager: KeyManager, clock: Clock
    ) -> None:
        self._store = store
        self._history = history
        self._manager = manager
        self._clock = clock

    async def body(self, shredding: Shredding) -> dict[str, Any]:
        """Return what the certificate of a shredding that is done says."""
        destroyed, now = shredding.destroyed, self._clock.now()
        if destroyed is None:
            raise RuntimeError("a certificate is made after the keys were destroyed")
        ordered = shredding.ordered
        return {
            "what": ordered["what"],
            "tenant": shredding.tenant,
            "patients": shredding.patients,
            "reason": ordered["reason"],
            "ordered": {
                "by": ordered["actor"],
                "at": ordered["at"],
                "entry": shredding.index,
            },
            "finished": {"by": shredding.principal.fields(), "at": _text(now)},
            "deleted": {
                **ordered["deleted"],
                "damaged": await self._history.dropped(shredding.tenant, shredding.index),
            },
            "keys": {
                "provider": self._manager.provider,
                "root": destroyed.name,
                "versions": list(shredding.versions),
                "method": destroyed.method,
                "final_at": _text(destroyed.final_at),
            },
            "copies": shredding.copies,
            "no_process_after": _text(max(now + HELD, destroyed.final_at)),
            "logs": {
                "tenant": await self._checkpoint(shredding.tenant),
                "system": await self._checkpoint(SYSTEM_LOG),
            },
            "beyond": [one.fields() for one in await self._beyond(shredding)],
            "under": list(UNDER),
        }

    async def _checkpoint(self, log: str) -> dict[str, Any]:
        head = await self._store.head(log)
        return {"origin": head.origin, "size": head.size, "checkpoint": head.checkpoint}

    async def _beyond(self, shredding: Shredding) -> list[Beyond]:
        """Return what this shredding cannot reach, the gravest first."""
        found = [Beyond(_BY_PROVIDER.get(self._manager.provider, _BY_PROVIDER["openbao"]))]
        if not shredding.is_of_tenant:
            for action, what in _SHARED.items():
                found.append(Beyond(what, await self._shared(shredding, action)))
            found += map(Beyond, _OF_PATIENTS)
            if (await self._store.head(shredding.tenant)).minimum:
                found.append(Beyond("entries that were pruned are not among these counts"))
        return [*found, *map(Beyond, _ALWAYS)]

    async def _shared(self, shredding: Shredding, action: str) -> int:
        """Count the exchanges of these patients whose payloads are not sealed for one of them."""
        items: set[str] = set()
        for patient in shredding.patients:
            async for said in self._history.about(shredding.tenant, patient, action):
                has_payload = "request" in said or "answer" in said
                if has_payload and len(said["patients"]) != 1:
                    items.add(str(said.get("item")))
        return len(items)


def _text(at: datetime) -> str:
    return moment_text(int(at.timestamp() * 1000))
