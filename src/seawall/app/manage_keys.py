"""Orders about keys, as the terminal and the API give them: who may, then what is done.

An order is a small object with `do` and what that needs. Every one needs the
second factor of a named operator before anything begins, and everything it
does is recorded under that operator's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Invalid, Missing

if TYPE_CHECKING:
    from seawall.app.key_status import KeyStatus
    from seawall.app.ports import KeyRing, Store
    from seawall.app.rewrap_keys import Progress, RewrapKeys
    from seawall.app.rotate_keys import RotateKeys
    from seawall.app.shred_keys import Shredded, ShredKeys
    from seawall.app.step_up import CodeStepUp, Proof
    from seawall.core.policy.principal import Principal

Access = Mapping[str, Any] | None
"""By which policies an order was allowed, as the entry says it; None at the terminal."""

_FIELDS: Final = {
    "enrol": frozenset({"name"}),
    "rotate": frozenset({"what", "patient", "kind"}),
    "rewrap": frozenset({"drop_damaged"}),
    "shred": frozenset({"patients", "ids", "tenant", "reason", "drop_damaged"}),
    "resume": frozenset({"drop_damaged"}),
    "certificate": frozenset({"entry"}),
}
"""What can be ordered, and which fields each order may have."""

UNPROVEN: Final = frozenset({"enrol", "certificate"})
"""Orders that ask for the second factor themselves, or change nothing."""


class ManageKeys:
    """Carries out orders about one tenant's keys."""

    def __init__(
        self,
        *,
        store: Store,
        ring: KeyRing,
        status: KeyStatus,
        rotating: RotateKeys,
        rewrapping: RewrapKeys,
        shredding: ShredKeys,
        step_up: CodeStepUp,
    ) -> None:
        self._store = store
        self._ring = ring
        self._status = status
        self._rotating = rotating
        self._rewrapping = rewrapping
        self._shredding = shredding
        self._step_up = step_up

    async def status(self, tenant: str) -> dict[str, Any]:
        """Return what there is of a tenant's keys, and whether anybody may change them."""
        said = await self._status.of(tenant)
        return {**said, "operators": await self._step_up.has_operators(tenant)}

    async def prove(
        self, caller: Principal, order: Mapping[str, Any], proof: Proof | None
    ) -> Principal:
        """Return who acts from now on: the operator whom the second factor shows."""
        do = check_order(order)
        return caller if do in UNPROVEN else await self._step_up.require(caller, proof)

    async def enrol(
        self, caller: Principal, order: Mapping[str, Any], proof: Proof | None
    ) -> dict[str, Any]:
        """Enrol an operator of the caller's tenant; return the otpauth URI, shown this once."""
        name = str(order.get("name", ""))
        return {"operator": name, "uri": await self._step_up.enrol(caller, name, proof)}

    async def do(
        self,
        operator: Principal,
        order: Mapping[str, Any],
        progress: Progress | None = None,
        *,
        access: Access = None,
    ) -> dict[str, Any]:
        """Carry out an order of an operator who was shown; return what came of it.

        `access` is by which policies it was allowed, for the entry; None at the terminal.
        """
        do, tenant = check_order(order), operator.tenant
        if do == "rotate":
            return await self._rotate(operator, order, progress, access)
        if do == "rewrap":
            moved = await self._rewrapping.rewrap(
                operator, tenant, progress, drop_damaged=_drops_damaged(order), access=access
            )
            return {"rewrapped": moved}
        if do == "resume":
            done = await self._shredding.resume(
                operator, tenant, progress, drop_damaged=_drops_damaged(order)
            )
            return {"shredded": [_told(one) for one in done]}
        if do == "certificate":
            note = await self._shredding.certificate(tenant, _entry(order))
            told = {"destroyed": _entry(order), "certificate": note}
            return {"shredded": [told]}
        if do == "shred":
            return {"shredded": [_told(await self._shred(operator, order, progress, access))]}
        raise _wrong("this is ordered in another way")

    async def _rotate(
        self,
        operator: Principal,
        order: Mapping[str, Any],
        progress: Progress | None,
        access: Access,
    ) -> dict[str, Any]:
        tenant, what = operator.tenant, order.get("what")
        if what == "root":
            return {"what": what, "version": await self._rotating.root(operator, tenant, access)}
        if what == "tenant":
            version = await self._rotating.tenant(operator, tenant, access)
            moved = await self._rewrapping.rewrap(operator, tenant, progress, access=access)
            return {"what": what, "version": version, "rewrapped": moved}
        if what == "data":
            subject = await self._patient(tenant, str(order.get("patient", "")))
            kind = str(order.get("kind", ""))
            version = await self._rotating.data(operator, tenant, subject, kind, access)
            return {"what": what, "version": version}
        raise _wrong("what is neither root, tenant nor data")

    async def _shred(
        self,
        operator: Principal,
        order: Mapping[str, Any],
        progress: Progress | None,
        access: Access,
    ) -> Shredded:
        tenant, reason = operator.tenant, str(order.get("reason", ""))
        if "tenant" in order:
            # Typed again, so that nobody shreds another tenant than they mean.
            if order["tenant"] != tenant or order.keys() & {"patients", "ids", "drop_damaged"}:
                raise _wrong("the tenant is not the one whose client or operator this is")
            return await self._shredding.tenant(operator, tenant, reason, progress, access=access)
        ids = _texts(order, "ids")
        for reference in _texts(order, "patients"):
            ids.append(await self._patient(tenant, reference))
        return await self._shredding.patients(
            operator,
            tenant,
            ids,
            reason,
            progress,
            drop_damaged=_drops_damaged(order),
            access=access,
        )

    async def _patient(self, tenant: str, reference: str) -> str:
        """Return the ledger id of the patient whom a client calls so; it is recorded nowhere."""
        (term,) = await self._ring.blind(tenant, [f"reference\n{reference}"])
        found = (await self._store.patients(tenant, [term])).get(term, frozenset())
        if len(found) != 1:
            raise Missing(
                "patient-unknown",
                "a reference names no patient that was imported",
                "use the FHIR id or a record number of a patient who was imported",
            )
        return next(iter(found))


def check_order(order: Mapping[str, Any]) -> str:
    """Return what is ordered; `Invalid` unless its fields are those of such an order."""
    do = str(order.get("do"))
    if do not in _FIELDS or not order.keys() - {"do"} <= _FIELDS[do]:
        raise _wrong("the order has fields that no such order has")
    return do


def _texts(order: Mapping[str, Any], name: str) -> list[str]:
    found = order.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _wrong(f"{name} is not a list of texts")
    return list(found)


def _drops_damaged(order: Mapping[str, Any]) -> bool:
    told = order.get("drop_damaged", False)
    if not isinstance(told, bool):
        raise _wrong("drop_damaged is neither true nor false")
    return told


def _entry(order: Mapping[str, Any]) -> int:
    index = order.get("entry")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise _wrong("entry is not the index of an entry")
    return index


def _told(done: Shredded) -> dict[str, Any]:
    return {
        "ordered": done.ordered,
        "destroyed": done.destroyed,
        "certificate": done.certificate,
    }


def _wrong(message: str) -> Invalid:
    return Invalid("order-invalid", message, "docs/reference/http.md has the fields of every order")
