"""Keys are replaced by new versions while everything goes on; what older ones sealed still opens.

Each rotation is an entry before it begins and one when it ended. One that was
interrupted has only the first: rotating again goes on with it, and makes no
second version. Root and tenant keys are replaced under a claim. Of data keys
under an older tenant key `RewrapKeys` takes care.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import tenant_root
from seawall.app.recall import UNATTRIBUTED
from seawall.app.rewrap_keys import newest_version
from seawall.core.errors import Error, Invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from seawall.app.destroy_roots import DestroyRoots
    from seawall.app.key_claims import KeyClaims
    from seawall.app.key_history import KeyHistory
    from seawall.app.ports import (
        Clock,
        KeyKeeper,
        KeyManager,
        KeyRing,
        Ledger,
        WrappedKeys,
    )
    from seawall.core.policy.principal import Principal

_SUBJECT: Final = re.compile(rf"[0-9a-f]{{24}}|{UNATTRIBUTED}")
_KIND: Final = re.compile(r"[a-z]+(\.[a-z]+)+")


class RotateKeys:
    """Makes new versions of root, tenant and data keys, each recorded."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        history: KeyHistory,
        keys: WrappedKeys,
        keeper: KeyKeeper,
        manager: KeyManager,
        roots: DestroyRoots,
        ring: KeyRing,
        claims: KeyClaims,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._history = history
        self._keys = keys
        self._keeper = keeper
        self._manager = manager
        self._roots = roots
        self._ring = ring
        self._claims = claims
        self._clock = clock

    async def root(
        self, principal: Principal, tenant: str, access: Mapping[str, Any] | None = None
    ) -> int:
        """Make a new version of the tenant's root key, and wrap its keys under it."""
        name, said = tenant_root(tenant), {"what": "root"}

        async def current() -> int:
            """Return the newest version that the key manager has."""
            return (await self._manager.versions(name))[-1].version

        async def work(before: int) -> int:
            """Rotate, unless an earlier attempt did; move the tenant's keys."""
            version = await current()
            if version <= before:
                await self._roots.versions(tenant)
                version = await self._roots.rotate(tenant)
            await self._keeper.rewrap_tenant_keys(tenant)
            return version

        async with self._claims.working(principal, tenant, "rotate"):
            return await self._recorded(principal, tenant, said, current, work, access=access)

    async def tenant(
        self, principal: Principal, tenant: str, access: Mapping[str, Any] | None = None
    ) -> int:
        """Make a new version of the tenant's key; its data keys are wrapped anew afterwards."""
        said = {"what": "tenant"}

        async def current() -> int:
            """Return the newest version that is kept."""
            return newest_version(await self._keys.tenant_keys(tenant))

        async def work(before: int) -> int:
            """Make the next version, unless an earlier attempt did."""
            version = await current()
            if version <= before:
                version = (await self._keeper.new_tenant_key(tenant)).version
            return version

        async with self._claims.working(principal, tenant, "rotate"):
            return await self._recorded(principal, tenant, said, current, work, access=access)

    async def data(
        self,
        principal: Principal,
        tenant: str,
        subject: str,
        kind: str,
        access: Mapping[str, Any] | None = None,
    ) -> int:
        """Make a new version of the data key of a subject and kind; `Invalid` if it is no such."""
        if not _SUBJECT.fullmatch(subject) or not _KIND.fullmatch(kind):
            raise Invalid(
                "data-key-unnamed",
                "a data key is named by a patient and a kind of sealed value",
                "kinds are in docs/reference/ledger-entries.md, such as patient.identifiers",
            )

        async def current() -> int:
            """Return the newest version that is kept; 0 if there is none."""
            held = await self._keys.current(tenant, subject, kind)
            return held.version if held else 0

        async def work(before: int) -> int:
            """Make the next version, unless an earlier attempt did."""
            version = await current()
            if version <= before:
                version = (await self._keeper.new_data_key(tenant, subject, kind)).version
            return version

        said: dict[str, Any] = {"what": "data", "kind": kind, "patients": [subject]}
        if subject == UNATTRIBUTED:
            said = {"what": "data", "kind": kind, "patients": [], "unattributed": True}
        return await self._recorded(principal, tenant, said, current, work, access=access)

    async def _recorded(
        self,
        principal: Principal,
        tenant: str,
        said: dict[str, Any],
        current: Callable[[], Awaitable[int]],
        work: Callable[[int], Awaitable[int]],
        *,
        access: Mapping[str, Any] | None,
    ) -> int:
        """Record, rotate, record; or go on with what an earlier attempt left open."""
        open_ = [
            one
            for one in await self._history.unfinished(tenant, "keys.rotate")
            if all(one.entry.get(name) == value for name, value in said.items())
        ]
        if open_:
            intent, before = open_[-1].index, int(open_[-1].entry["from"])
        else:
            before = await current()
            more = {} if access is None else {"access": access}
            fields = entry(
                "keys.rotate", principal, self._clock, **said, **more, **{"from": before}
            )
            intent = (await self._ledger.append(tenant, fields)).index
        try:
            version = await work(before)
        except Error as error:
            await self._end(principal, tenant, intent, {**said, "code": error.code}, "failed")
            raise
        await self._end(principal, tenant, intent, {**said, "to": version}, "rotated")
        return version

    async def _end(
        self, principal: Principal, tenant: str, intent: int, said: dict[str, Any], outcome: str
    ) -> None:
        """Record how it ended; whoever is interrupted before leaves it open, to be gone on with."""
        self._ring.forget(tenant)
        fields = entry(
            "keys.rotated", principal, self._clock, intent=intent, outcome=outcome, **said
        )
        await self._ledger.append(tenant, fields)
