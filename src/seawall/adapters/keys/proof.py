"""Showing that sealed values open under keys that are not in use yet, and handing nothing out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.adapters.keys.tenants import context_of
from seawall.adapters.keys.wrapping import unwrap_data_key
from seawall.app.ports import Secret, tenant_root
from seawall.core.errors import Tampered
from seawall.core.seal.envelope import unseal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import KeyManager, TenantKey, WrappedKey
    from seawall.core.seal.envelope import Sealed


class ManagedProof:
    """The KeyProof port over the key manager; keys are held until this is let go of."""

    def __init__(self, manager: KeyManager) -> None:
        self._manager = manager
        self._held: dict[tuple[str, int, int], bytes] = {}

    async def prove(self, keys: Sequence[TenantKey], key: WrappedKey, sealed: Sealed) -> None:
        """Open a sealed value and let go of it; `Tampered` if it, or a key, is another."""
        for row in keys:
            if (row.use, row.version) == ("data", key.tenant_key_version):
                unseal(sealed, unwrap_data_key(await self._secret(row), key))
                return
        raise Tampered(
            "key-part-tampered",
            "the key part has a data key and not the tenant's key under which it is wrapped",
            "take another copy, and treat the change as an incident",
        )

    async def _secret(self, row: TenantKey) -> bytes:
        place = (row.tenant, row.version, row.root_version)
        if place not in self._held:
            self._held[place] = await self._manager.unwrap(
                tenant_root(row.tenant), Secret(row.root_version, row.wrapped), context_of(row)
            )
        return self._held[place]
