"""Fields of records that say by their name what stands in them: 164.514(b)(2)(i).

"Brandtner" alone is a word; under `family`, `last_name` or `lastName` it is a
name, in whatever case it is written. A name such as `line`, which means many
things, counts only under a parent that says which.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 100
"""Characters up to which a value is one field and no text about something."""

_NAMES: Final = (
    "firstname lastname middlename givenname familyname surname forename fname lname maidenname "
    "mothersmaidenname fullname patientname ptname legalname preferredname nickname membername "
    "subscribername guarantorname insuredname beneficiaryname policyholdername clientname "
    "contactname emergencycontactname guardianname caregivername spousename fathersname "
    "mothersname mothername fathername childname relativename employeename"
)
_PERHAPS_NAMES: Final = (
    "family given patient patients person guarantor subscriber nextofkin nok emergencycontact "
    "guardian caregiver spouse mother father member insured beneficiary policyholder"
)
_PLACES: Final = (
    "street streetaddress streetname street1 street2 address addr address1 address2 addressline "
    "addressline1 addressline2 homeaddress mailingaddress city town hometown village municipality "
    "county district neighborhood birthplace placeofbirth"
)
_POSTAL_CODES: Final = "postalcode postcode zip zipcode zip5 zip4 zipplus4"
_NUMBERS: Final = (
    "mrn medicalrecordnumber medicalrecordno recordnumber chartnumber chartno patientid patientno "
    "patientnumber memberid memberno membernumber subscriberid subscribernumber beneficiaryid "
    "insuranceid insurancenumber policyid policynumber policyno groupnumber account accountid "
    "accountno accountnumber acct acctno acctnumber claimid claimno claimnumber encounterid "
    "encounternumber visitid visitnumber csn licenseno licensenumber driverslicense "
    "driverslicensenumber passport passportnumber mbi hicn medicareid medicarenumber medicaidid "
    "medicaidnumber accession accessionnumber serialnumber vin licenseplate last4 employeeid"
)
_SOCIAL_SECURITY: Final = (
    "ssn ssnlast4 last4ssn socialsecurity socialsecurityno socialsecuritynumber"
)
_PHONES: Final = (
    "phone phoneno phonenumber telephone telephonenumber tel mobile mobilenumber mobilephone cell "
    "cellphone cellnumber homephone workphone contactnumber contactphone pager"
)
_BIRTHS: Final = "birthdate birthday dateofbirth dob deathdate dateofdeath dod deceaseddatetime"

_LABELS: Final[dict[str, Label]] = {
    **dict.fromkeys((*_NAMES.split(), *_PERHAPS_NAMES.split()), Label.NAME),
    **dict.fromkeys((*_PLACES.split(), *_POSTAL_CODES.split()), Label.LOCATION),
    **dict.fromkeys(_NUMBERS.split(), Label.ID),
    **dict.fromkeys(_SOCIAL_SECURITY.split(), Label.SSN),
    **dict.fromkeys(_PHONES.split(), Label.PHONE),
    **dict.fromkeys(str.split("fax faxno faxnumber"), Label.FAX),
    **dict.fromkeys(str.split("email emailaddress emailid"), Label.EMAIL),
    **dict.fromkeys(_BIRTHS.split(), Label.DATE),
}
_ENDINGS: Final = tuple(
    str.split(
        "firstname lastname middlename familyname givenname maidenname surname fullname "
        "postalcode zipcode streetaddress emailaddress phonenumber birthdate dateofbirth"
    )
)
"""What a longer name of a field, such as `guarantor_last_name`, may end in."""
_CAUTIOUS: Final = frozenset(_PERHAPS_NAMES.split())
_CODES: Final = frozenset(_POSTAL_CODES.split())

_PEOPLE: Final = frozenset(
    str.split(
        "patient patients person people contact contacts emergencycontact emergencycontacts "
        "guarantor subscriber member insured beneficiary relative relatives relatedperson spouse "
        "partner wife husband mother father parent parents child children guardian caregiver "
        "nextofkin client subject demographics dependent dependents practitioner provider "
        "physician doctor nurse surgeon policyholder sender author performer individual"
    )
)
_UNDER_PEOPLE: Final = frozenset(str.split("name names first last middle full display"))
_UNDER_NAMES: Final = frozenset(str.split("text full first last middle family given"))
_ADDRESSES: Final = frozenset(
    str.split("address addresses addr homeaddress mailingaddress location residence")
)
_TELECOM: Final = frozenset({"telecom", "telecoms"})
_IDENTIFIERS: Final = frozenset({"identifier", "identifiers"})

_NO_VALUES: Final = frozenset(
    str.split(
        "string number integer boolean object array null none true false yes no unknown n/a na "
        "other any text date optional required redacted self same given refused declined pending"
    )
)
_NAME_SHAPE: Final = re.compile(r"[^\W\d_]+(?:[.,'\u2019 -]+[^\W\d_]+){0,4}[.]?")
_NUMBER_SHAPE: Final = re.compile(r"[#+(]{0,2}[\w./#:()+-]+(?: [\w./#:()+-]+){0,4}")
_YEAR_ONLY: Final = re.compile(r"(?:19|20)\d\d")
_SHORTEST_PHONE: Final = 4
_NOT_ALPHANUMERIC: Final = re.compile(r"[\W_]+")

_QUOTED: Final = Expression(
    r'"([A-Za-z][A-Za-z_ -]{1,30}\d?)"\s{0,4}:\s{0,4}'
    r'("[^"\\\n]{1,100}"|\d[\d.-]{0,30}|\[\s{0,4}"[^\[\]{}]{1,200}\])'
)
_QUOTED_ITEM: Final = Expression(r'"([^"\\\n]{1,100})"|^(\d[\d.-]*)')


def label_of_field(keys: tuple[str, ...], value: str) -> Label | None:
    """Return the class of a value by the keys that lead to it, outermost first, if they tell.

    None also for a value that does not look like what the field holds: a type
    in place of a value, a sentence in place of a name.
    """
    if not keys or not value or len(value) > LONGEST or value.strip().lower() in _NO_VALUES:
        return None
    key = _plain(keys[-1])
    parent = _plain(keys[-2]) if len(keys) > 1 else ""
    label = _label(key, parent, value)
    if label is Label.NAME:
        if key in _CAUTIOUS:
            return _cautious(key, parent, value)
        return label if any(map(str.isalpha, value)) else None
    return label if label is not None and _fits(label, key, value) else None


def find_quoted_fields(text: bytes) -> Iterator[Span]:
    """Yield values of telling fields in JSON that stands within other text."""
    for match in _QUOTED.finditer(text):
        keys = ((match.group(1) or b"").decode(),)
        at = match.span(2)[0]
        for item in _QUOTED_ITEM.finditer(match.group(2) or b""):
            start, end = max(item.span(1), item.span(2))
            label = label_of_field(keys, text[at + start : at + end].decode())
            if label is not None:
                yield Span(at + start, at + end, label, "rule", 1.0)


def _plain(key: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", key).lower()


def _label(key: str, parent: str, value: str) -> Label | None:
    label = _LABELS.get(key)
    if label is not None:
        return label
    if (key in _UNDER_PEOPLE and parent in _PEOPLE) or (key in _UNDER_NAMES and parent == "name"):
        return Label.NAME
    if key in ("line", "lines", "line1", "line2", "text") and parent in _ADDRESSES:
        return Label.LOCATION
    if key == "value" and parent in _IDENTIFIERS:
        return Label.ID
    if key == "value" and parent in _TELECOM:
        return Label.EMAIL if "@" in value else Label.PHONE
    ending = next((each for each in _ENDINGS if key.endswith(each)), None)
    return (
        Label.NAME
        if ending == "surname" or (ending or "").endswith("name")
        else (_LABELS.get(ending) if ending else None)
    )


def _cautious(key: str, parent: str, value: str) -> Label | None:
    """Return what a field holds that may be a person, a reference or words about care."""
    if "history" in parent or (
        key == "given" and parent != "name" and "name" not in parent and " " in value
    ):
        return None
    if _NAME_SHAPE.fullmatch(value.strip()):
        return Label.NAME
    is_number = " " not in value.strip() and any(map(str.isdigit, value))
    return Label.ID if is_number and key in ("patient", "member", "subscriber") else None


def _fits(label: Label, key: str, value: str) -> bool:
    digits = sum(map(str.isdigit, value))
    if label is Label.LOCATION:
        return digits > 0 if key in _CODES else any(map(str.isalnum, value))
    if label is Label.EMAIL:
        return "@" in value
    if label is Label.DATE:
        return digits > 0 and not _YEAR_ONLY.fullmatch(value.strip())
    if label in (Label.PHONE, Label.FAX):
        return digits >= _SHORTEST_PHONE
    is_shaped = _NUMBER_SHAPE.fullmatch(value.strip()) is not None
    return digits > 0 and is_shaped and sum(map(str.isalnum, value)) > 1
