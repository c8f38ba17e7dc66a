"""Roles, actions and what they act on: the closed lists that policies, routes and entries use.

An action says what it asks for besides a permission: a fresh factor, a reason, a
purpose. 45 CFR 164.308(a)(3)-(4), 164.312(a)(1), 164.514(d)(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What somebody of the workforce is there to do. A person may hold several."""

    PRIVACY_OFFICER = "privacy-officer"
    SECURITY_OFFICER = "security-officer"
    CLINICIAN = "clinician"
    DEVELOPER = "developer"
    DATA_SCIENTIST = "data-scientist"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"
    """A registered client; no person holds it."""


HUMAN_ROLES: Final = frozenset(Role) - {Role.SERVICE}
"""The roles that a person may hold."""


class On(StrEnum):
    """What an action acts on."""

    EXCHANGE = "Exchange"
    """The exchanges of a use case; its name is the use case's."""
    PAYLOAD = "Payload"
    """The sealed text of one exchange or record."""
    PATIENT = "Patient"
    LOG = "Log"
    """A ledger: `tenant` or `system`."""
    DOCUMENT = "Document"
    PERSON = "Person"
    KEYS = "Keys"
    DATASET = "Dataset"
    REVIEW = "Review"
    """An access review, or the review of an emergency access; it names whom it is about."""
    INSTALLATION = "Installation"


class Action(StrEnum):
    """What somebody wants to do."""

    ASK_MODEL = "ask-model"
    VIEW_EXCHANGES = "view-exchanges"
    OPEN_PAYLOAD = "open-payload"
    VIEW_PATIENT = "view-patient"
    IMPORT_PATIENT = "import-patient"
    EXPORT_PATIENT = "export-patient"
    BREAK_GLASS = "break-glass"
    REVIEW_EMERGENCY = "review-emergency"
    READ_LEDGER = "read-ledger"
    READ_SYSTEM_LEDGER = "read-system-ledger"
    EXPORT_LEDGER = "export-ledger"
    READ_DOCUMENTS = "read-documents"
    APPLY_AGREEMENTS = "apply-agreements"
    APPLY_FUNCTIONS = "apply-functions"
    APPLY_CLIENTS = "apply-clients"
    APPLY_POLICIES = "apply-policies"
    CHANGE_RETENTION = "change-retention"
    VIEW_PERSONS = "view-persons"
    MANAGE_PERSONS = "manage-persons"
    RESET_FACTORS = "reset-factors"
    RUN_REVIEWS = "run-reviews"
    ANSWER_REVIEW = "answer-review"
    EXPLAIN_ACCESS = "explain-access"
    VIEW_KEYS = "view-keys"
    CHANGE_KEYS = "change-keys"
    SHRED_KEYS = "shred-keys"
    SEAL_DATASET = "seal-dataset"
    OPEN_DATASET = "open-dataset"
    RECORD_BACKUP = "record-backup"
    OPERATE = "operate"
    EMERGENCY_MODE = "emergency-mode"


@dataclass(frozen=True, slots=True)
class Act:
    """What an action acts on, and what it asks for besides a permission."""

    on: On
    title: str
    opens_phi: bool = False
    """Whether it shows PHI; nobody without a second factor does such a thing."""
    needs_fresh: bool = False
    """Whether a person must have shown a factor within the last five minutes (RFC 9470)."""
    needs_reason: bool = False
    """Whether a reason must be given, which is recorded sealed."""
    needs_purpose: bool = False
    """Whether it is done for a purpose of the Privacy Rule, which decides too."""


ACTS: Final[dict[Action, Act]] = {
    Action.ASK_MODEL: Act(On.EXCHANGE, "send a request to a model", needs_purpose=True),
    Action.VIEW_EXCHANGES: Act(On.EXCHANGE, "see the shape of exchanges, and no text of them"),
    Action.OPEN_PAYLOAD: Act(
        On.PAYLOAD,
        "open the sealed text of an exchange",
        opens_phi=True,
        needs_fresh=True,
        needs_reason=True,
        needs_purpose=True,
    ),
    Action.VIEW_PATIENT: Act(
        On.PATIENT, "see elements of a patient's record", opens_phi=True, needs_purpose=True
    ),
    Action.IMPORT_PATIENT: Act(On.PATIENT, "import a patient's record", needs_purpose=True),
    Action.EXPORT_PATIENT: Act(
        On.PATIENT,
        "export a patient's record",
        opens_phi=True,
        needs_fresh=True,
        needs_reason=True,
        needs_purpose=True,
    ),
    Action.BREAK_GLASS: Act(
        On.PATIENT,
        "open one patient's record in an emergency",
        opens_phi=True,
        needs_fresh=True,
        needs_reason=True,
        needs_purpose=True,
    ),
    Action.REVIEW_EMERGENCY: Act(
        On.REVIEW, "review an emergency access", needs_fresh=True, needs_reason=True
    ),
    Action.READ_LEDGER: Act(On.LOG, "read the tenant's ledger"),
    Action.READ_SYSTEM_LEDGER: Act(On.LOG, "read the system's ledger"),
    Action.EXPORT_LEDGER: Act(On.LOG, "export a ledger", needs_fresh=True, needs_reason=True),
    Action.READ_DOCUMENTS: Act(On.DOCUMENT, "read the registers' documents"),
    Action.APPLY_AGREEMENTS: Act(On.DOCUMENT, "apply agreements"),
    Action.APPLY_FUNCTIONS: Act(On.DOCUMENT, "apply use cases and endpoints"),
    Action.APPLY_CLIENTS: Act(On.DOCUMENT, "register services", needs_fresh=True),
    Action.APPLY_POLICIES: Act(On.DOCUMENT, "add the tenant's own prohibitions", needs_fresh=True),
    Action.CHANGE_RETENTION: Act(
        On.DOCUMENT, "change retention, and place or lift a legal hold", needs_fresh=True
    ),
    Action.VIEW_PERSONS: Act(On.PERSON, "see who may do what"),
    Action.MANAGE_PERSONS: Act(
        On.PERSON, "let somebody join, change roles or leave", needs_fresh=True
    ),
    Action.RESET_FACTORS: Act(On.PERSON, "give somebody a new enrolment link", needs_fresh=True),
    Action.RUN_REVIEWS: Act(On.REVIEW, "begin and close an access review", needs_fresh=True),
    Action.ANSWER_REVIEW: Act(On.REVIEW, "confirm or revoke a grant under review"),
    Action.EXPLAIN_ACCESS: Act(On.PERSON, "ask why somebody may do something, or not"),
    Action.VIEW_KEYS: Act(On.KEYS, "see which keys there are"),
    Action.CHANGE_KEYS: Act(On.KEYS, "rotate and re-wrap keys", needs_fresh=True),
    Action.SHRED_KEYS: Act(
        On.KEYS, "shred a patient's or a tenant's keys", needs_fresh=True, needs_reason=True
    ),
    Action.SEAL_DATASET: Act(On.DATASET, "seal a data set", needs_purpose=True),
    Action.OPEN_DATASET: Act(
        On.DATASET,
        "open a sealed data set",
        opens_phi=True,
        needs_fresh=True,
        needs_reason=True,
        needs_purpose=True,
    ),
    Action.RECORD_BACKUP: Act(On.INSTALLATION, "make, check and record backups"),
    Action.OPERATE: Act(On.INSTALLATION, "run the system: state, settings, obligations"),
    Action.EMERGENCY_MODE: Act(
        On.INSTALLATION,
        "begin and end emergency mode",
        needs_fresh=True,
        needs_reason=True,
    ),
}
"""Every action; the matrix in docs/reference/access-matrix.md has a row for each."""

APPLYING: Final[dict[str, Action]] = {
    "Agreement": Action.APPLY_AGREEMENTS,
    "UseCase": Action.APPLY_FUNCTIONS,
    "RoleScope": Action.APPLY_FUNCTIONS,
    "Endpoint": Action.APPLY_FUNCTIONS,
    "Client": Action.APPLY_CLIENTS,
    "Policy": Action.APPLY_POLICIES,
    "Retention": Action.CHANGE_RETENTION,
    "LegalHold": Action.CHANGE_RETENTION,
    "User": Action.MANAGE_PERSONS,
}
"""Which action applying a document of each kind is."""
