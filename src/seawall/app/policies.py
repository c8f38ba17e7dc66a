"""The policies of every tenant, prepared as they are asked for, and again as documents change.

A register is replaced whole when a document is applied; whether a tenant's is still the one
that its policies were prepared from is looked at for each question, so that no answer is of
policies that were replaced. 45 CFR 164.308(a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, final

from seawall.core.registers.policy import PolicySpec

if TYPE_CHECKING:
    from seawall.core.access.engine import Prepared, ShippedPolicies
    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document

MOST_PREPARED: Final = 20_000
"""So many policies of tenants are kept prepared; beyond, those asked for longest ago go."""


class Registers(Protocol):
    """The documents of every tenant, as they stand."""

    def register(self, tenant: str) -> Register:
        """Return a tenant's register: the same object until a document of it changes."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A tenant's policies, and the register that they were prepared from."""

    register: Register
    versions: tuple[str, ...]
    """The versions of its Policy documents."""
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

    def _prepare(self, register: Register, held: _Held | None) -> _Held:
        found = sorted(_policies_of(register), key=lambda document: document.name)
        versions = tuple(document.reference for document in found)
        if held is not None and held.versions == versions:
            # Another document changed: the policies stand, with what they have parsed.
            return _Held(register, versions, held.prepared)
        texts = {document.name: document.spec.forbid for document in found}
        return _Held(register, versions, self._shipped.having(texts))

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
