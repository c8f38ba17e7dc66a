"""A patient becomes known: identifiers sealed, search terms blinded, the act recorded.

From a FHIR R4 bundle, or a Patient resource alone. What is kept is what makes
detection certain for this patient; the rest of the bundle is not stored.
Importing a patient again replaces the identifiers under the same ledger id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seawall.app.entries import entry
from seawall.app.ports import KeepPatient, KeepSealed
from seawall.app.recall import IDENTIFIERS
from seawall.core.errors import Invalid
from seawall.core.phi.known import KnownIdentifiers
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.app.ports import Clock, KeyRing, Ledger, Random, Store
    from seawall.core.policy.principal import Principal


@dataclass(frozen=True, slots=True)
class ImportedPatient:
    """A patient's random ledger id, and the entry that recorded the import."""

    patient: str
    entry: int


class ImportPatient:
    """Makes patients known to one tenant."""

    def __init__(
        self, *, ledger: Ledger, store: Store, keys: KeyRing, clock: Clock, random: Random
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._keys = keys
        self._clock = clock
        self._random = random

    async def import_patient(
        self, principal: Principal, resource: Mapping[str, Any]
    ) -> ImportedPatient:
        """Import the one Patient of a bundle; `Invalid` if there is none or more than one."""
        fhir = _the_patient(resource)
        known = KnownIdentifiers.from_fhir(fhir)
        tenant = principal.tenant
        references = [str(fhir.get("id", "")), *known.record_numbers]
        blinded = await self._keys.blind(
            tenant, [f"reference\n{reference}" for reference in references if reference]
        )
        if not blinded:
            raise Invalid(
                "patient-unnamed",
                "the Patient has neither an id nor a record number",
                "give the resource an id, so that Seawall-Patient can name it",
            )
        patient = await self._same(tenant, blinded[0]) or self._random.bytes(12).hex()
        sealed = await self._keys.seal(
            known.to_json(), Context(tenant, IDENTIFIERS, patient, patient)
        )
        terms = await self._keys.blind(
            tenant, [f"{kind}\n{value}" for kind, value in known.index_terms()]
        )
        receipt = await self._ledger.append(
            tenant,
            entry(
                "patient.import",
                principal,
                self._clock,
                patients=[patient],
                identifiers=sealed.digest(),
            ),
            [KeepSealed(sealed), KeepPatient(tenant, patient, tuple({*blinded, *terms}))],
        )
        return ImportedPatient(patient, receipt.index)

    async def _same(self, tenant: str, term: str) -> str | None:
        """Return the ledger id under which this patient is known already."""
        found = (await self._store.patients(tenant, [term])).get(term, frozenset())
        return next(iter(found)) if len(found) == 1 else None


def _the_patient(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    if resource.get("resourceType") == "Patient":
        return resource
    patients = [
        held
        for item in resource.get("entry") or ()
        if isinstance(item, dict)
        and isinstance(held := item.get("resource"), dict)
        and held.get("resourceType") == "Patient"
    ]
    if len(patients) != 1:
        raise Invalid(
            "bundle-patients",
            f"the resource holds {len(patients)} Patient resources where one is needed",
            "import a FHIR R4 Patient, or a Bundle about one patient",
        )
    return patients[0]
