"""The codes that audit events are said in, each with its code system.

FHIR R4 AuditEvent takes them from DICOM PS3.16, from HL7's terminology, and from IHE's
Basic Audit Log Patterns (BALP).
"""

from __future__ import annotations

from typing import Final

Code = tuple[str, str]
"""A code system's address, and a code of it."""

_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_BALP: Final = "https://profiles.ihe.net/ITI/BALP"

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
ENTITY_TYPE: Final = f"{_TERMINOLOGY}/audit-entity-type"
OBJECT_ROLE: Final = f"{_TERMINOLOGY}/object-role"
PARTICIPATION: Final = f"{_TERMINOLOGY}/v3-ParticipationType"
ACT_REASON: Final = f"{_TERMINOLOGY}/v3-ActReason"
LIFECYCLE: Final = f"{_TERMINOLOGY}/iso-21089-lifecycle"
SOURCE_TYPE: Final = f"{_TERMINOLOGY}/security-source-type"
AGENT_TYPES: Final = f"{_BALP}/CodeSystem/UserAgentTypes"

REST: Final[Code] = (f"{_TERMINOLOGY}/audit-event-type", "rest")

APPLICATION_ACTIVITY: Final[Code] = (DCM, "110100")
AUDIT_LOG_USED: Final[Code] = (DCM, "110101")
EXPORT: Final[Code] = (DCM, "110106")
IMPORT: Final[Code] = (DCM, "110107")
SECURITY_ALERT: Final[Code] = (DCM, "110113")
USER_AUTHENTICATION: Final[Code] = (DCM, "110114")
LOGIN: Final[Code] = (DCM, "110122")
LOGOUT: Final[Code] = (DCM, "110123")
EMERGENCY_STARTED: Final[Code] = (DCM, "110127")
SECURITY_CONFIGURATION: Final[Code] = (DCM, "110129")
RESTRICTED_FUNCTION: Final[Code] = (DCM, "110132")
USER_ATTRIBUTES_CHANGED: Final[Code] = (DCM, "110137")
EMERGENCY_STOPPED: Final[Code] = (DCM, "110138")

EMERGENCY_TREATMENT: Final[Code] = (ACT_REASON, "ETREAT")
BREAK_THE_GLASS: Final[Code] = (ACT_REASON, "BTG")

APPLICATION: Final[Code] = (DCM, "110150")
DESTINATION: Final[Code] = (DCM, "110152")
SOURCE: Final[Code] = (DCM, "110153")

AUTHOR: Final[Code] = (PARTICIPATION, "AUT")
INFORMANT: Final[Code] = (PARTICIPATION, "INF")
CUSTODIAN: Final[Code] = (PARTICIPATION, "CST")
RECIPIENT: Final[Code] = (PARTICIPATION, "IRCP")
PROVENANCE_CUSTODIAN: Final[Code] = (f"{_TERMINOLOGY}/provenance-participant-type", "custodian")
PROVIDER: Final[Code] = (f"{_TERMINOLOGY}/v3-RoleClass", "PROV")
RECORD_KEEPER: Final[Code] = ("http://snomed.info/sct", "159541003")
PATIENT_ADVOCATE: Final[Code] = ("http://snomed.info/sct", "429577009")
OAUTH_USER: Final[Code] = (AGENT_TYPES, "UserOauthAgent")
OAUTH_SERVICE: Final[Code] = (AGENT_TYPES, "AuthzOauthService")
HUMAN_USER: Final[Code] = (f"{_TERMINOLOGY}/extra-security-role-type", "humanuser")
AUTHORIZATION_SERVER: Final[Code] = (
    f"{_TERMINOLOGY}/extra-security-role-type",
    "authserver",
)

PERSON: Final[Code] = (ENTITY_TYPE, "1")
SYSTEM_OBJECT: Final[Code] = (ENTITY_TYPE, "2")
OTHER: Final[Code] = (ENTITY_TYPE, "4")
REQUEST_ID: Final[Code] = (f"{_BALP}/CodeSystem/BasicAuditEntityType", "XrequestId")
CONSENT: Final[Code] = ("http://hl7.org/fhir/resource-types", "Consent")

PATIENT: Final[Code] = (OBJECT_ROLE, "1")
REPORT: Final[Code] = (OBJECT_ROLE, "3")
DOMAIN_RESOURCE: Final[Code] = (OBJECT_ROLE, "4")
SECURITY_RESOURCE: Final[Code] = (OBJECT_ROLE, "13")
JOB: Final[Code] = (OBJECT_ROLE, "20")
QUERY: Final[Code] = (OBJECT_ROLE, "24")

DISCLOSE: Final[Code] = (LIFECYCLE, "disclose")
ARCHIVE: Final[Code] = (LIFECYCLE, "archive")
DESTROY: Final[Code] = (LIFECYCLE, "destroy")

GET_ACCESS_TOKEN: Final[Code] = ("urn:ihe:event-type-code", "ITI-71")
AUTHORIZED_BY_CONSENT: Final[Code] = (f"{_BALP}/CodeSystem/AuthZsubType", "AuthZ-Consent")
AUTHORIZED_BY_ROLE: Final[Code] = (f"{_BALP}/CodeSystem/AuthZsubType", "AuthZ-Role")


def interaction(name: str) -> Code:
    """Return the code of a RESTful interaction."""
    return INTERACTION, name


def profile_url(identifier: str) -> str:
    """Return the address of a profile of BALP, as `meta.profile` says it."""
    return f"{_BALP}/StructureDefinition/{identifier}"
