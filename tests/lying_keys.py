"""Every wrapped key that ever lay anywhere: rows, dead rows, logs and copies are never clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from key_scene import KeyScene
from seawall.adapters.keys.tenants import context_of
from seawall.adapters.keys.wrapping import unwrap_data_key
from seawall.app.ports import Secret, tenant_root
from seawall.core.errors import Error
from seawall.core.seal.envelope import unseal

if TYPE_CHECKING:
    from seawall.app.ports import TenantKey
    from seawall.core.seal.envelope import Sealed


class Lying(dict[Any, Any]):
    """A table that forgets no value it ever had."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: list[Any] = []

    def __setitem__(self, key: Any, value: Any) -> None:
        self.ever.append(value)
        super().__setitem__(key, value)

    def setdefault(self, key: Any, value: Any = None) -> Any:
        """Keep a value unless there is one."""
        if key not in self:
            self[key] = value
        return self[key]


async def lying_scene(manager: Any = None, operator: Any = None) -> KeyScene:
    """Return a scene whose tables of keys are such, over a key manager or the fake."""
    scene = KeyScene()
    if manager is not None:
        scene.manager, scene.operator = manager, operator
        scene.restart()
    scene.ledger.keys.held, scene.ledger.keys.tenants = Lying(), Lying()
    return await scene.open()


async def ways_in(scene: KeyScene, sealed: Sealed, manager: Any = None) -> list[tuple[int, int]]:
    """Return by which versions of tenant key and root key something opens that was sealed.

    Each data key of it that ever lay somewhere is tried with each tenant key that did.
    """
    found, tables = [], scene.ledger.keys
    data_keys: list[Any] = getattr(tables.held, "ever")  # noqa: B009  a dict by its type
    tenant_keys: list[Any] = getattr(tables.tenants, "ever")  # noqa: B009  as above
    secrets = [await _opened(manager or scene.manager, key) for key in tenant_keys if key.wrapped]
    for data_key in data_keys:
        for tenant_key, secret in secrets:
            if data_key.key_id != sealed.key_id or not secret:
                continue
            try:
                assert b"PHI" == unseal(sealed, unwrap_data_key(secret, data_key))
            except Error:
                continue
            found.append((tenant_key.version, tenant_key.root_version))
    return sorted(set(found))


async def _opened(manager: Any, key: TenantKey) -> tuple[TenantKey, bytes]:
    secret = Secret(key.root_version, key.wrapped)
    try:
        return key, await manager.unwrap(tenant_root(key.tenant), secret, context_of(key))
    except Error:
        return key, b""
