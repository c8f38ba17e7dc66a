"""Who may do what, a second time and in plain Python, written from the prose of the roles.

It shares nothing with the Cedar text but the vocabulary. Where the two differ, one is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.core.access.vocabulary import ACTS, Action, Role
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from seawall.core.access.question import Question

FIVE_MINUTES: Final = 5 * 60 * 1000

# What a person of each role may do, where no purpose matters.
WHATEVER_FOR: Final = {
    Role.PRIVACY_OFFICER: {
        "view-exchanges", "read-ledger", "export-ledger", "read-documents", "view-persons",
        "explain-access", "review-emergency", "apply-agreements", "apply-functions",
        "change-retention", "answer-review",
    },
    Role.SECURITY_OFFICER: {
        "view-persons", "manage-persons", "reset-factors", "explain-access", "run-reviews",
        "apply-clients", "apply-policies", "view-keys", "change-keys", "shred-keys",
        "emergency-mode", "read-ledger", "read-system-ledger", "read-documents",
        "answer-review",
    },
    Role.CLINICIAN: {"answer-review"},
    Role.DEVELOPER: {"view-exchanges", "read-documents", "answer-review"},
    Role.DATA_SCIENTIST: {"answer-review"},
    Role.AUDITOR: {
        "view-exchanges", "read-ledger", "read-system-ledger", "export-ledger",
        "read-documents", "view-persons", "explain-access", "answer-review",
    },
    Role.ADMINISTRATOR: {
        "operate", "record-backup", "view-keys", "read-documents", "answer-review",
    },
}  # fmt: skip
# What a person of a role may do for some purposes alone.
FOR: Final = {
    Role.PRIVACY_OFFICER: ({"open-payload", "export-patient"}, {"operations", "patient-request"}),
    Role.CLINICIAN: (
        {"view-patient", "import-patient", "ask-model", "break-glass"},
        {"treatment"},
    ),
    Role.DATA_SCIENTIST: ({"seal-dataset", "open-dataset"}, {"research", "operations"}),
}
# What a client may do by each power.
BY_POWER: Final = {
    "may_apply": {
        "apply-agreements", "apply-functions", "apply-clients", "apply-policies",
        "change-retention", "read-documents", "record-backup",
    },
    "may_audit": {"read-ledger", "export-ledger"},
    "may_audit_system": {"read-system-ledger"},
    "may_manage_keys": {"view-keys", "change-keys", "shred-keys"},
    "may_provision": {"view-persons", "manage-persons"},
}  # fmt: skip


def model(question: Question) -> str:
    """Return the code of the answer; empty if it is allowed."""
    asker, thing, act = question.asker, question.resource, ACTS[question.action]
    if act.on is not thing.on or asker.principal.kind not in {"user", "client"}:
        return "access-refused"
    if thing.tenant != asker.principal.tenant:
        return "tenant-crossed"
    is_person = asker.principal.kind == "user"
    may = _person_may if is_person else _client_may
    named = [question.purpose] if question.purpose else list(Purpose)
    possible = [
        purpose for purpose in named if may(question, purpose) and _goes_on(question, purpose)
    ]
    if not possible:
        return "access-refused"
    age = asker.factor_age_ms
    is_fresh = age is not None and 0 <= age <= FIVE_MINUTES
    lacking = {
        "second-factor-needed": is_person and not asker.has_second_factor,
        "purpose-needed": act.needs_purpose and question.purpose is None,
        "reason-needed": act.needs_reason and not question.has_reason,
        "step-up-needed": is_person and act.needs_fresh and not is_fresh,
    }
    return next((code for code, is_lacking in lacking.items() if is_lacking), "")


def _person_may(question: Question, purpose: Purpose) -> bool:
    asker, thing, action = question.asker, question.resource, question.action
    if _is_barred(question):
        return False
    if any(action in WHATEVER_FOR[role] for role in asker.roles):
        return True
    limited = [FOR[role] for role in asker.roles & FOR.keys()]
    if any(action in actions and purpose in purposes for actions, purposes in limited):
        return True
    is_treating = action is Action.VIEW_PATIENT and purpose is Purpose.TREATMENT
    has_emergency = bool(thing.name) and asker.emergency_patient == thing.name
    return is_treating and has_emergency and Role.CLINICIAN in asker.roles


def _is_barred(question: Question) -> bool:
    """Whether somebody may not, in whatever role: separation of duties."""
    thing, roles, me = question.resource, question.asker.roles, question.asker.principal.name
    match question.action:
        case Action.OPEN_PAYLOAD if roles & {Role.AUDITOR, Role.DEVELOPER}:
            return True
        case Action.MANAGE_PERSONS | Action.RESET_FACTORS:
            return me in {thing.name, thing.about}
        case Action.ANSWER_REVIEW:
            return me == thing.about or me != thing.reviewer
        case Action.REVIEW_EMERGENCY:
            return me == thing.about or (thing.name != "*" and not thing.about)
        case action:
            return Role.ADMINISTRATOR in roles and ACTS[action].opens_phi


def _client_may(question: Question, purpose: Purpose) -> bool:
    asker = question.asker
    del purpose  # that is the use case's
    if Role.SERVICE not in asker.roles:
        return False
    if question.action is Action.ASK_MODEL:
        return question.resource.name in asker.use_cases
    return any(question.action in BY_POWER.get(power, ()) for power in asker.powers)


def _goes_on(question: Question, purpose: Purpose) -> bool:
    """Whether emergency mode, if it is on, lets it go on."""
    if not question.is_emergency_mode:
        return True
    waits = {"seal-dataset", "open-dataset", "shred-keys", "change-retention"}
    is_research = purpose is Purpose.RESEARCH and (
        question.purpose is Purpose.RESEARCH or ACTS[question.action].needs_purpose
    )
    return question.action not in waits and not is_research
