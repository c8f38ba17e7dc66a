"""Identifiers of the patient at hand: what makes detection certain for this patient.

They are read from a FHIR R4 Patient, sealed as JSON, and never shown: a
`KnownIdentifiers` has a `repr` without a value. Each strong one (record number,
Social Security number, phone, e-mail, full name) has a normal form, by which a
text's identifiers are matched to an index of known patients.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from seawall.core.errors import Invalid
from seawall.core.phi.identifiers import Label
from seawall.core.phi.shadow import fold
from seawall.core.phi.words import NAME_TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TermKind = Literal["mrn", "ssn", "phone", "email", "name"]

_INDEX_KINDS: Final[dict[Label, TermKind]] = {
    Label.ID: "mrn",
    Label.SSN: "ssn",
    Label.PHONE: "phone",
    Label.FAX: "phone",
    Label.EMAIL: "email",
    Label.NAME: "name",
}

_SSN_SYSTEMS: Final = frozenset({"http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1"})
_MOTHERS_MAIDEN: Final = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
_BIRTH_PLACE: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
_PHONE_DIGITS: Final = 10


@dataclass(frozen=True, slots=True, repr=False)
class PersonName:
    """A name as FHIR's HumanName holds it."""

    given: tuple[str, ...] = ()
    family: str = ""
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "PersonName(…)"

    def full_forms(self) -> Iterator[str]:
        """Yield the full name with and without middle names; nothing if a part is missing."""
        if self.given and self.family:
            yield f"{self.given[0]} {self.family}"
            if len(self.given) > 1:
                yield f"{' '.join(self.given)} {self.family}"


@dataclass(frozen=True, slots=True, repr=False)
class PostalAddress:
    """An address without its state and country, which stay."""

    lines: tuple[str, ...] = ()
    city: str = ""
    postal_code: str = ""

    def __repr__(self) -> str:
        return "PostalAddress(…)"


@dataclass(frozen=True, slots=True, repr=False)
class KnownIdentifiers:
    """Everything by which one patient, or a relative, may be named in a text."""

    names: tuple[PersonName, ...] = ()
    birth_date: dt.date | None = None
    record_numbers: tuple[str, ...] = ()
    ssns: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    faxes: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    addresses: tuple[PostalAddress, ...] = ()
    other_ids: tuple[str, ...] = ()
    relatives: tuple[PersonName, ...] = field(default=())
    logical_id: str = ""
    """The resource's `id`, by which references name the patient; empty if it has none."""

    def __repr__(self) -> str:
        return "KnownIdentifiers(…)"

    @classmethod
    def from_fhir(cls, patient: Mapping[str, Any]) -> KnownIdentifiers:
        """Return the identifiers in a FHIR R4 Patient; elements it does not know are ignored.

        Raises `Invalid` when the resource is of another type or an element is malformed.
        """
        if patient.get("resourceType") != "Patient":
            raise Invalid(
                "wrong-resource-type",
                "the resource is not a FHIR R4 Patient",
                "send a resource whose resourceType is Patient",
            )
        try:
            return _from_patient(patient)
        except (AttributeError, TypeError, ValueError, KeyError):
            # Without the cause: its text may hold a value.
            raise Invalid(
                "malformed-patient",
                "an element of the Patient resource is not of the type that FHIR R4 gives it",
                "validate the resource against FHIR R4 and send it again",
            ) from None

    def to_json(self) -> bytes:
        """Return canonical JSON for sealing; it holds PHI in the clear."""
        fields = asdict(self)
        fields["birth_date"] = self.birth_date.isoformat() if self.birth_date else None
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> KnownIdentifiers:
        """Return what `to_json` wrote; raises `Invalid` for anything else."""
        try:
            fields = json.loads(raw)
            born = fields.pop("birth_date")
            addresses = tuple(PostalAddress(**_tuples(each)) for each in fields.pop("addresses"))
            return cls(
                birth_date=dt.date.fromisoformat(born) if born else None,
                addresses=addresses,
                names=_people(fields.pop("names")),
                relatives=_people(fields.pop("relatives")),
                **_tuples(fields),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Invalid(
                "malformed-known-identifiers",
                "the stored identifiers of a patient cannot be read",
                "restore the record from a backup, or load the patient again",
            ) from None

    def index_terms(self) -> list[tuple[str, str]]:
        """Return kind and normal form of each strong identifier, without repetitions."""
        values: list[tuple[TermKind, str]] = [
            *(("mrn", value) for value in (*self.record_numbers, self.logical_id)),
            *(("ssn", value) for value in self.ssns),
            *(("phone", value) for value in (*self.phones, *self.faxes)),
            *(("email", value) for value in self.emails),
            *(("name", form) for name in self.names for form in name.full_forms()),
        ]
        terms = ((kind, normalise_term(kind, value)) for kind, value in values)
        return list(dict.fromkeys((kind, term) for kind, term in terms if term))


def index_kind(label: Label) -> TermKind | None:
    """Return under which kind an identifier found in a text stands in the index, if any."""
    return _INDEX_KINDS.get(label)


def normalise_term(kind: str, text: str) -> str:
    """Return the form in which an identifier is indexed and looked up; empty if nothing is left.

    Names lose case, accents, titles and order ("Koepp, Abdul" is "Abdul Koepp");
    numbers lose punctuation, and phones their country code.
    """
    folded = fold(text).lower()
    if kind == "name":
        words = "".join(char if char.isalnum() else " " for char in folded.replace("'", ""))
        return " ".join(sorted(word for word in words.split() if word not in NAME_TITLES))
    if kind == "email":
        return folded.strip()
    if kind in ("ssn", "phone"):
        digits = "".join(char for char in folded if char.isdigit())
        return digits[-_PHONE_DIGITS:] if kind == "phone" else digits
    return "".join(char for char in folded if char.isalnum())


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }


def _people(names: list[dict[str, Any]]) -> tuple[PersonName, ...]:
    return tuple(PersonName(**_tuples(name)) for name in names)


def _from_patient(patient: Mapping[str, Any]) -> KnownIdentifiers:
    telecom = [(point.get("system"), str(point["value"])) for point in _with_value(patient)]
    ids = [(_identifier_kind(each), str(each["value"])) for each in _identifiers(patient)]
    born = patient.get("birthDate")
    logical_id = (str(patient["id"]),) if patient.get("id") else ()
    return KnownIdentifiers(
        names=tuple(map(_name, patient.get("name", ()))),
        birth_date=dt.date.fromisoformat(born) if born and len(born) > len("1956-08") else None,
        record_numbers=_unique(value for kind, value in ids if kind == "MR"),
        ssns=_unique(value for kind, value in ids if kind == "SS"),
        phones=_unique(value for system, value in telecom if system in ("phone", "sms", "pager")),
        faxes=_unique(value for system, value in telecom if system == "fax"),
        emails=_unique(value for system, value in telecom if system == "email"),
        addresses=tuple(map(_address, (*patient.get("address", ()), *_birth_place(patient)))),
        other_ids=_unique(
            (*(value for kind, value in ids if kind not in ("MR", "SS")), *logical_id)
        ),
        relatives=tuple(_relatives(patient)),
        logical_id="".join(logical_id),
    )


def _with_value(patient: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for holder in (patient, *patient.get("contact", ())):
        yield from (point for point in holder.get("telecom", ()) if point.get("value"))


def _identifiers(patient: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in patient.get("identifier", ()) if each.get("value"))


def _identifier_kind(identifier: Mapping[str, Any]) -> str:
    if identifier.get("system") in _SSN_SYSTEMS:
        return "SS"
    codes = [coding.get("code", "") for coding in identifier.get("type", {}).get("coding", ())]
    return str(codes[0]) if codes else ""


def _unique(values: Iterator[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def _name(name: Mapping[str, Any]) -> PersonName:
    given, family = tuple(map(str, name.get("given", ()))), str(name.get("family") or "")
    if not given and not family and name.get("text"):
        return _name_from_text(str(name["text"]))
    return PersonName(
        given=given,
        family=family,
        prefix=tuple(map(str, name.get("prefix", ()))),
        suffix=tuple(map(str, name.get("suffix", ()))),
    )


def _name_from_text(text: str) -> PersonName:
    words = [word for word in text.split() if word.rstrip(".,").lower() not in NAME_TITLES]
    if words and words[0].endswith(","):
        return PersonName(given=tuple(words[1:]), family=words[0].rstrip(","))
    return PersonName(given=tuple(words[:-1]), family=words[-1] if words else "")


def _address(address: Mapping[str, Any]) -> PostalAddress:
    return PostalAddress(
        lines=tuple(map(str, address.get("line", ()))),
        city=str(address.get("city") or ""),
        postal_code=str(address.get("postalCode") or ""),
    )


def _birth_place(patient: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for extension in patient.get("extension", ()):
        if extension.get("url") == _BIRTH_PLACE and "valueAddress" in extension:
            yield extension["valueAddress"]


def _relatives(patient: Mapping[str, Any]) -> Iterator[PersonName]:
    for contact in patient.get("contact", ()):
        if contact.get("name"):
            yield _name(contact["name"])
    for extension in patient.get("extension", ()):
        if extension.get("url") == _MOTHERS_MAIDEN and extension.get("valueString"):
            yield _name_from_text(str(extension["valueString"]))
