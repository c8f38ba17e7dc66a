"""The policies of every tenant, prepared as they are asked for, and again as documents change.

A register is replaced whole when a document is applied; whether a tenant's is still the one
that its policies were prepared from is looked at for each question, so that no answer is of
policies that were replaced. 45 CFR 164.308(a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, final

from seawall.core.registers.policy import PolicySpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.core.access.engine import Prepared, Rule, ShippedPolicies
    from seawall.core.access.vocabulary import Action
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document

MOST_PREPARED: Final = 20_000
"""So many policies of tenants are kept prepared; beyond, those asked for longest ago go."""


_AT_ONCE: Final = 3
"""So many documents are read between two requests: a few milliseconds each."""
_LIGHT: Final = 200
"""So many policies are made ready to decide between two requests."""


class Registers(Protocol):
    """The documents of every tenant, as they stand."""

    def register(self, tenant: str) -> Register:
        """Return a tenant's register: the same object until a document of it changes."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A tenant's policies, and the register that they were prepared from."""

    register: Register
    read: Mapping[str, list[Rule] | None]
    """What was read of its Policy documents, by their references."""
    prepared: Prepared

    @property
    def weight(self) -> int:
        """What it counts in the memory of what is prepared."""
        return 1 + len(self.prepared)


@final
class TenantPolicies:
    """Implements `Policies`; it may be asked from several threads."""

    def __init__(
        self, shipped: ShippedPolicies, registers: Registers, most: int = MOST_PREPARED
    ) -> None:
        self._shipped = shipped
        self._registers = registers
        self._most = most
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._weight = 0
        self._turn = Lock()

    def __len__(self) -> int:
        """Return how many tenants' policies are kept prepared."""
        return len(self._held)

    def of(self, tenant: str) -> Prepared:
        """Return a tenant's policies as its documents stand; an unknown tenant has the shipped."""
        register = self._registers.register(tenant)
        with self._turn:
            held = self._held.get(tenant)
            if held is not None and held.register is register:
                self._held.move_to_end(tenant)
                return held.prepared
        made = self._prepare(register, held)
        with self._turn:
            self._keep(tenant, made)
        return made.prepared

    async def ready(self, tenant: str, action: Action) -> None:
        """Prepare what decides on an action aside, if it takes long; a question then finds it.

        Without this the question itself prepares it, and every other tenant waits meanwhile.
        """
        register = self._registers.register(tenant)
        with self._turn:
            held = self._held.get(tenant)
        if held is None or held.register is not register:
            read = {} if held is None else held.read
            unread = [one for one in _policies_of(register) if one.reference not in read]
            if len(unread) > _AT_ONCE:
                await asyncio.to_thread(self.of, tenant)
        prepared = self.of(tenant)
        if len(prepared) > _LIGHT and not prepared.is_prepared(action):
            await asyncio.to_thread(prepared.prepare, action)

    def _prepare(self, register: Register, held: _Held | None) -> _Held:
        found = sorted(_policies_of(register), key=lambda document: document.name)
        earlier = {} if held is None else held.read
        if held is not None and list(earlier) == [document.reference for document in found]:
            # Another document changed: the policies stand, with what they have parsed.
            return _Held(register, earlier, held.prepared)
        read = {
            document.reference: (
                earlier[document.reference]
                if document.reference in earlier
                else self._shipped.read_tenants(document.name, document.spec.forbid)
            )
            for document in found
        }
        by_name = {document.name: read[document.reference] for document in found}
        return _Held(register, read, self._shipped.having_read(by_name))

    def _keep(self, tenant: str, made: _Held) -> None:
        earlier = self._held.pop(tenant, None)
        self._weight += made.weight - (earlier.weight if earlier else 0)
        self._held[tenant] = made
        while self._weight > self._most and len(self._held) > 1:
            _, gone = self._held.popitem(last=False)
            self._weight -= gone.weight


def _policies_of(register: Register) -> list[Document[PolicySpec]]:
    """Return the Policy documents that count, as they stand."""
    found = (
        register.find(PolicySpec, document.name)
        for document in register
        if isinstance(document.spec, PolicySpec) and not document.spec.withdrawn
    )
    return [document for document in found if document is not None]
