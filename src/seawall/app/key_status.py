"""What keys there are, how far they are, and what is due: without a key being shown or opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.app.ports import tenant_root
from seawall.app.rewrap_keys import newest_version
from seawall.app.shred_keys import is_shredded
from seawall.core.errors import Missing
from seawall.core.ledger.facets import moment_text

if TYPE_CHECKING:
    from seawall.app.key_history import KeyHistory
    from seawall.app.key_schedule import KeySchedule
    from seawall.app.ports import KeyManager, RootVersion, WrappedKeys


class KeyStatus:
    """Describes one tenant's keys."""

    def __init__(
        self,
        *,
        keys: WrappedKeys,
        manager: KeyManager,
        history: KeyHistory,
        schedule: KeySchedule,
    ) -> None:
        self._keys = keys
        self._manager = manager
        self._history = history
        self._schedule = schedule

    async def of(self, tenant: str) -> dict[str, Any]:
        """Return versions with their ages, what is left to wrap anew, what is due or open."""
        held = await self._keys.tenant_keys(tenant)
        counts = await self._keys.counts(tenant)
        newest = newest_version(held)
        shreddings = await self._history.begun(tenant, "keys.shred")
        rotations = await self._history.unfinished(tenant, "keys.rotate")
        return {
            "tenant": tenant,
            "shredded": is_shredded(held),
            "provider": self._manager.provider,
            "root": [
                {"version": one.version, "state": one.state, "made": _made(one)}
                for one in await self._roots(tenant)
            ],
            "keys": [
                {
                    "use": key.use,
                    "version": key.version,
                    "root": key.root_version,
                    "made": moment_text(key.made_ms) if key.made_ms else "",
                    "data_keys": counts.get(key.version, 0) if key.use == "data" else 0,
                }
                for key in held
                if key.wrapped
            ],
            "left": sum(count for version, count in counts.items() if version < newest),
            "due": [one.fields() for one in await self._schedule.due(tenant)],
            "rotating": [
                {"entry": one.index, "at": one.entry["at"], "what": one.entry["what"]}
                for one in rotations
            ],
            "shreddings": [
                {
                    "entry": one.index,
                    "at": one.entry["at"],
                    "what": one.entry["what"],
                    "patients": len(one.entry.get("patients", ())),
                    "reason": one.entry["reason"],
                    "done": one.is_ended,
                }
                for one in shreddings
            ],
        }

    async def _roots(self, tenant: str) -> list[RootVersion]:
        try:
            return await self._manager.versions(tenant_root(tenant))
        except Missing:
            return []


def _made(version: RootVersion) -> str:
    return version.made.isoformat(timespec="seconds") if version.made else ""
