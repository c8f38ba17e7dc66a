"""Why PHI is used: the purposes of the Privacy Rule, and their HL7 codes.

A purpose of use is one of a closed list, so that an entry, an accounting of
disclosures and a FHIR AuditEvent say the same thing. Codes are from the HL7
v3 code system ActReason, value set PurposeOfUse.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Purpose(StrEnum):
    """The reason for a use or disclosure, as documents and entries name it."""

    TREATMENT = "treatment"
    PAYMENT = "payment"
    OPERATIONS = "operations"
    PATIENT_REQUEST = "patient-request"
    RESEARCH = "research"


HL7_CODES: Final[dict[Purpose, str]] = {
    Purpose.TREATMENT: "TREAT",
    Purpose.PAYMENT: "HPAYMT",
    Purpose.OPERATIONS: "HOPERAT",
    Purpose.PATIENT_REQUEST: "PATRQT",
    Purpose.RESEARCH: "HRESCH",
}
"""HL7 PurposeOfUse code of each purpose."""

PARAGRAPHS: Final[dict[Purpose, str]] = {
    Purpose.TREATMENT: "45 CFR 164.506(c)(1)",
    Purpose.PAYMENT: "45 CFR 164.506(c)(1)",
    Purpose.OPERATIONS: "45 CFR 164.506(c)(1)",
    Purpose.PATIENT_REQUEST: "45 CFR 164.502(a)(1)(i)",
    Purpose.RESEARCH: "45 CFR 164.512(i)",
}
"""The paragraph that permits each purpose; research needs its own documents besides."""
