"""Entries of the ledger as FHIR R4 AuditEvents, in the patterns of IHE's BALP.

An event says nothing that its entry does not say, and so holds no PHI: a patient is a
reference by the random ledger id. The patterns have one patient, so an entry that concerns
several makes an event for each. The same entry makes the same events, ids included. An action
that is not known here makes an event of a general kind; none is left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.core.audit import codes as c
from seawall.core.audit.agents import agents_of, purposes_of
from seawall.core.audit.balp import violations
from seawall.core.audit.codes import Code, interaction, profile_url
from seawall.core.audit.names import Names, coding, reference, text
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.facets import moment_of, moment_text
from seawall.core.ledger.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from seawall.core.audit.agents import Shape

_PATIENT_ID: Final = re.compile(r"[0-9a-f]{24}")
_ACTION: Final = re.compile(r"[a-z][a-z-]*(\.[a-z][a-z-]*)*")
_DETAILS: Final = 64
_CREDENTIALS: Final = base64.b64encode(b"grant_type=client_credentials").decode()
_EXCHANGE: Final = base64.b64encode(
    b"grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
).decode()
"""What a client sent for a token of its own, and for one by which it acts for a person."""
_ELSEWHERE: Final = frozenset({"v", "at", "action", "tenant", "actor", "patients", "grant"})
"""Fields of an entry that are said in other places; a grant's subjects are patients."""

_ENDS: Final = (
    *("exchange.outcome", "ledger.pruned", "dataset.opened"),
    *("keys.rotated", "keys.rewrapped", "operator.verified"),
    *("sign-in.outcome", "step-up.outcome", "enrol.outcome"),
)
"""Actions that are how something ended."""

_OUTCOMES: Final = {
    "answered": "0",
    "opened": "0",
    "pruned": "0",
    "rotated": "0",
    "rewrapped": "0",
    "accepted": "0",
    "half": "0",
    "recovered": "0",
    "begun": "0",
    "enrolled": "0",
    "refused": "8",
    "waiting": "8",
    "abandoned": "4",
    "blocked": "8",
    "failed": "8",
    "not-sent": "8",
    "unrecorded": "12",
    "unknown": "12",
}
"""How severe the end of what was begun is; what is not listed is a serious failure."""


_ALWAYS: Final = {
    "access.refused": "8",
    "exchange.refuse": "8",
    "session.refused": "8",
    "ledger.alarm": "12",
}
"""How severe it is that an action was recorded at all."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How entries of one action are said; `profiles` without a patient, and with one."""

    kind: Code
    letter: str
    shape: Shape
    subtypes: tuple[Code, ...] = ()
    profiles: tuple[str | None, str | None] = (None, None)
    thing: Callable[[Mapping[str, Any], Names], dict[str, Any] | None] = lambda _, __: None
    """The entity that the action is about, beside the patient."""


def audit_events(
    origin: str, index: int, raw: bytes, patient: str | None = None
) -> list[dict[str, Any]]:
    """Return the AuditEvents of an entry of the log `origin`; `Tampered` if it was changed.

    With `patient` only the event that concerns this patient, of an entry that does.
    """
    entry, place = decode(raw), _Place(origin, index, leaf_hash(raw).hex())
    concerned: list[str | None] = list(patients_of(entry))
    if patient is not None:
        concerned = [one for one in concerned if one == patient]
    return [_event(entry, place, one) for one in concerned or [None]]


def patients_of(entry: Mapping[str, Any]) -> list[str]:
    """Return the ledger ids of the patients that an entry concerns, each once.

    For a reading of the ledger that is the patient who was asked for.
    """
    named = entry.get("patients")
    if named is None and isinstance(entry.get("query"), dict):
        named = [entry["query"].get("patient")]
    found = named if isinstance(named, list) else []
    return list(
        dict.fromkeys(one for one in found if isinstance(one, str) and _PATIENT_ID.fullmatch(one))
    )


def severity_of(entry: Mapping[str, Any]) -> str:
    """Return AuditEvent.outcome: 0 success, 4 minor, 8 serious, 12 major failure."""
    if entry.get("action") in _ENDS:
        return _OUTCOMES.get(str(entry.get("outcome")), "8")
    return _ALWAYS.get(str(entry.get("action")), "0")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry is, and what it hashes to."""

    origin: str
    index: int
    leaf: str

    def event_id(self, patient: str | None) -> str:
        """Return an event's id, which follows from the place and the patient alone."""
        said = f"{self.origin}\n{self.index}\n{patient or ''}".encode()
        return hashlib.sha256(said).hexdigest()[:40]


def _event(entry: Mapping[str, Any], place: _Place, patient: str | None) -> dict[str, Any]:
    names = Names.of(place.origin)
    action = str(entry.get("action"))
    pattern = PATTERNS.get(action, _GENERAL)
    if action == "exchange.intent" and patient is None and not entry.get("unattributed"):
        pattern = _WITHOUT_PHI
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": place.event_id(patient),
        "meta": {"source": f"https://{text(place.origin)}#{place.index}"},
        "type": coding(pattern.kind),
        "subtype": [coding(one) for one in pattern.subtypes],
        "action": pattern.letter,
        "recorded": moment_text(moment_of(entry)),
        "outcome": severity_of(entry),
        "agent": agents_of(entry, pattern.shape, names),
        "source": {
            "site": names.host,
            "observer": names.server(),
            "type": [coding((c.SOURCE_TYPE, "4"))],
        },
        "entity": list(_entities(entry, place, pattern, patient, names)),
    }
    if pattern is not _TOKEN:
        # A code of ours beside the standard's: which action it was, for whoever wants to know.
        known = action if _ACTION.fullmatch(action) else "unknown"
        event["subtype"].append({"system": names.system("action"), "code": known[:64]})
    if event["outcome"] != "0" and (why := _why(entry)):
        event["outcomeDesc"] = text(why)
    if purposes := purposes_of(entry):
        event["purposeOfEvent"] = purposes
    return _claiming(event, pattern.profiles[patient is not None])


def _why(entry: Mapping[str, Any]) -> Any:
    """Return our code of what did not succeed, as far as the entry has one."""
    access = entry.get("access")
    answered = access.get("code") if isinstance(access, dict) else None
    return entry.get("code") or entry.get("outcome") or answered


def _claiming(event: dict[str, Any], profile: str | None) -> dict[str, Any]:
    """Return the event with its profile in `meta`, if it keeps the profile's rules."""
    if profile is not None and not violations(event, profile):
        event["meta"]["profile"] = [profile_url(profile)]
    return event


def _entities(
    entry: Mapping[str, Any],
    place: _Place,
    pattern: Pattern,
    patient: str | None,
    names: Names,
) -> Iterator[dict[str, Any]]:
    pointer = [
        {"type": "log", "valueString": text(place.origin)},
        {"type": "index", "valueString": str(place.index)},
        {"type": "leaf", "valueString": place.leaf},
        *_details(entry),
    ]
    if pattern is _TOKEN:
        # IUA allows this one entity. What the client sent held a secret, and is in no entry.
        sent = _EXCHANGE if "person" in entry else _CREDENTIALS
        request = {"type": coding(c.SYSTEM_OBJECT), "role": coding(c.QUERY), "query": sent}
        yield {**request, "detail": pointer}
        return
    if patient is not None:
        who = {"type": "Patient", "identifier": names.identifier("patient", patient)}
        yield {"what": who, "type": coding(c.PERSON), "role": coding(c.PATIENT)}
    if (thing := pattern.thing(entry, names)) is not None:
        yield thing
    if (item := entry.get("item")) is not None:
        yield {"what": {"identifier": {"value": text(item)}}, "type": coding(c.REQUEST_ID)}
    yield {
        "what": {"identifier": names.identifier("entry", f"{place.origin}#{place.index}")},
        "type": coding(c.OTHER),
        "role": coding(c.SECURITY_RESOURCE),
        "name": "ledger entry",
        "detail": pointer,
    }


def _details(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rest of an entry, a pair of texts for each field; no patient among them."""
    said = {name: value for name, value in entry.items() if name not in _ELSEWHERE}
    said["tenant"] = entry.get("tenant", "unknown")
    if isinstance(grant := entry.get("grant"), dict):
        said |= {f"grant.{name}": grant[name] for name in ("kinds", "until") if name in grant}
    return [
        {"type": text(name), "valueString": text(_compact(value))}
        for name, value in sorted(said.items())[:_DETAILS]
    ]


def _compact(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


# --- what an action is about --------------------------------------------------


def _object(role: Code, what: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"what": what, "type": coding(c.SYSTEM_OBJECT), "role": coding(role), **more}


def _document(entry: Mapping[str, Any], names: Names) -> dict[str, Any]:
    held = reference(names.identifier("document", entry.get("document")))
    return _object(c.DOMAIN_RESOURCE, held)


def _identifiers(entry: Mapping[str, Any], names: Names) -> dict[str, Any]:
    held = reference(names.identifier("sealed", entry.get("identifiers")), "patient.identifiers")
    return _object(c.DOMAIN_RESOURCE, held)


def _opened(entry: Mapping[str, Any], _: Names) -> dict[str, Any]:
    grant = entry.get("grant")
    kinds = grant.get("kinds") if isinstance(grant, dict) else None
    said = " ".join(map(str, kinds)) if isinstance(kinds, list) else "unknown"
    return _object(c.DOMAIN_RESOURCE, {"display": text(said)})


def _request(entry: Mapping[str, Any], names: Names) -> dict[str, Any]:
    held = reference(names.identifier("sealed", entry.get("request")), "exchange.request")
    return _object(c.DOMAIN_RESOURCE, held)


def _answer(entry: Mapping[str, Any], names: Names) -> dict[str, Any] | None:
    if "answer" not in entry:
        return None
    held = reference(names.identifier("sealed", entry["answer"]), "exchange.answer")
    return _object(c.DOMAIN_RESOURCE, held)


def _dataset(entry: Mapping[str, Any], names: Names) -> dict[str, Any]:
    held = reference(names.identifier("dataset", entry.get("dataset")), "data set")
    return _object(c.DOMAIN_RESOURCE, held)


def _log(entry: Mapping[str, Any], names: Names) -> dict[str, Any]:
    held = {"identifier": names.address(entry.get("log", names.origin))}
    return _object(c.SECURITY_RESOURCE, held, name="Security Audit Log")


# --- which action is said how: docs/reference/audit-events.md has the reasons ---

_TOKEN: Final = Pattern(
    c.USER_AUTHENTICATION, "E", "token", (c.GET_ACCESS_TOKEN,), ("IHE.IUA.71", None)
)
_GENERAL: Final = Pattern(c.APPLICATION_ACTIVITY, "E", "use")
_OPERATION: Final = (interaction("operation"),)
_CONFIGURED: Final = (c.SECURITY_CONFIGURATION,)
_ATTRIBUTES: Final = (c.USER_ATTRIBUTES_CHANGED,)
_WITHOUT_PHI: Final = Pattern(c.REST, "E", "use", _OPERATION, thing=_request)
"""A request that concerns nobody known, and in which no identifier was found."""

PATTERNS: Final[dict[str, Pattern]] = {
    "document.apply": Pattern(
        c.REST,
        "U",
        "write",
        (interaction("update"),),
        ("IHE.BasicAudit.Update", "IHE.BasicAudit.PatientUpdate"),
        _document,
    ),
    "patient.import": Pattern(
        c.REST,
        "U",
        "write",
        (interaction("update"),),
        ("IHE.BasicAudit.Update", "IHE.BasicAudit.PatientUpdate"),
        _identifiers,
    ),
    "phi.open": Pattern(
        c.REST,
        "R",
        "read",
        (interaction("read"),),
        ("IHE.BasicAudit.Read", "IHE.BasicAudit.PatientRead"),
        _opened,
    ),
    "patient.view": Pattern(
        c.REST,
        "R",
        "read",
        (interaction("read"),),
        ("IHE.BasicAudit.Read", "IHE.BasicAudit.PatientRead"),
        _opened,
    ),
    "dataset.seal": Pattern(
        c.REST,
        "C",
        "write",
        (interaction("create"),),
        ("IHE.BasicAudit.Create", None),
        _dataset,
    ),
    "dataset.open": Pattern(
        c.REST,
        "R",
        "read",
        (interaction("read"),),
        ("IHE.BasicAudit.Read", None),
        _dataset,
    ),
    "dataset.opened": Pattern(c.REST, "E", "use", _OPERATION, thing=_dataset),
    "exchange.intent": Pattern(
        c.EXPORT,
        "R",
        "disclose",
        (c.DISCLOSE,),
        (None, "IHE.BasicAudit.PrivacyDisclosure.Source"),
        _request,
    ),
    "exchange.outcome": Pattern(c.REST, "E", "use", _OPERATION, thing=_answer),
    "exchange.refuse": Pattern(c.SECURITY_ALERT, "E", "use", (c.RESTRICTED_FUNCTION,)),
    "access.refused": Pattern(c.SECURITY_ALERT, "E", "use", (c.RESTRICTED_FUNCTION,)),
    "payload.open": Pattern(
        c.REST,
        "R",
        "read",
        (interaction("read"),),
        ("IHE.BasicAudit.Read", "IHE.BasicAudit.PatientRead"),
        _opened,
    ),
    "session.begin": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGIN,)),
    "session.again": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGIN,)),
    "session.refused": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGIN,)),
    "session.end": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGOUT,)),
    "token.issue": _TOKEN,
    "token.person": Pattern(c.USER_AUTHENTICATION, "E", "use"),
    "token.revoke": Pattern(c.USER_AUTHENTICATION, "D", "use"),
    "ledger.read": Pattern(c.AUDIT_LOG_USED, "R", "read", thing=_log),
    "ledger.archive": Pattern(c.EXPORT, "R", "use", (c.ARCHIVE,), thing=_log),
    "ledger.retain": Pattern(c.AUDIT_LOG_USED, "U", "use", thing=_log),
    "ledger.prune": Pattern(c.AUDIT_LOG_USED, "E", "use", (c.DESTROY,), thing=_log),
    "ledger.pruned": Pattern(c.AUDIT_LOG_USED, "D", "use", (c.DESTROY,), thing=_log),
    "ledger.alarm": Pattern(c.SECURITY_ALERT, "E", "use", thing=_log),
    "backup.make": Pattern(c.EXPORT, "R", "use", (c.ARCHIVE,)),
    "backup.drill": Pattern(c.APPLICATION_ACTIVITY, "E", "use"),
    "backup.restore": Pattern(c.IMPORT, "C", "use"),
    "log.successor": Pattern(c.AUDIT_LOG_USED, "C", "use"),
    "keys.rotate": Pattern(c.SECURITY_ALERT, "E", "use", _CONFIGURED),
    "keys.rotated": Pattern(c.SECURITY_ALERT, "U", "use", _CONFIGURED),
    "keys.rewrap": Pattern(c.SECURITY_ALERT, "E", "use", _CONFIGURED),
    "keys.rewrapped": Pattern(c.SECURITY_ALERT, "U", "use", _CONFIGURED),
    "keys.claim": Pattern(c.SECURITY_ALERT, "E", "use", _CONFIGURED),
    "keys.shred": Pattern(c.SECURITY_ALERT, "D", "use", (c.DESTROY,)),
    "keys.renew": Pattern(c.SECURITY_ALERT, "E", "use", _CONFIGURED),
    "keys.drop": Pattern(c.SECURITY_ALERT, "D", "use", _CONFIGURED),
    "keys.destroy": Pattern(c.SECURITY_ALERT, "E", "use", (c.DESTROY,)),
    "keys.destroyed": Pattern(c.SECURITY_ALERT, "D", "use", (c.DESTROY,)),
    "emergency.begin": Pattern(
        c.SECURITY_ALERT, "E", "use", (c.EMERGENCY_STARTED,), thing=_document
    ),
    "emergency.renew": Pattern(
        c.SECURITY_ALERT, "E", "use", (c.EMERGENCY_STARTED,), thing=_document
    ),
    "emergency.end": Pattern(c.SECURITY_ALERT, "E", "use", (c.EMERGENCY_STOPPED,), thing=_document),
    "emergency.review": Pattern(c.AUDIT_LOG_USED, "R", "use", thing=_document),
    "offline.enrol": Pattern(c.SECURITY_ALERT, "C", "use", (c.USER_ATTRIBUTES_CHANGED,)),
    "offline.end": Pattern(c.SECURITY_ALERT, "D", "use", (c.USER_ATTRIBUTES_CHANGED,)),
    "person.join": Pattern(c.SECURITY_ALERT, "C", "use", _ATTRIBUTES, thing=_document),
    "person.change": Pattern(c.SECURITY_ALERT, "U", "use", _ATTRIBUTES, thing=_document),
    "person.leave": Pattern(c.SECURITY_ALERT, "D", "use", _ATTRIBUTES, thing=_document),
    "review.begin": Pattern(c.APPLICATION_ACTIVITY, "E", "use", thing=_document),
    "review.answer": Pattern(c.SECURITY_ALERT, "U", "use", _ATTRIBUTES, thing=_document),
    "review.lapse": Pattern(c.SECURITY_ALERT, "U", "use", _ATTRIBUTES, thing=_document),
    "review.move": Pattern(c.APPLICATION_ACTIVITY, "U", "use", thing=_document),
    "review.close": Pattern(c.APPLICATION_ACTIVITY, "E", "use", thing=_document),
    "sign-in.attempt": Pattern(c.USER_AUTHENTICATION, "E", "use"),
    "sign-in.outcome": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGIN,)),
    "sign-in.limited": Pattern(c.SECURITY_ALERT, "E", "use", (c.LOGIN,)),
    "step-up.attempt": Pattern(c.USER_AUTHENTICATION, "E", "use"),
    "step-up.outcome": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGIN,)),
    "enrol.invite": Pattern(c.SECURITY_ALERT, "U", "use", _ATTRIBUTES),
    "enrol.attempt": Pattern(c.USER_AUTHENTICATION, "E", "use"),
    "enrol.outcome": Pattern(c.SECURITY_ALERT, "U", "use", _ATTRIBUTES),
    "enrol.view": Pattern(c.SECURITY_ALERT, "R", "use", _ATTRIBUTES),
    "enrol.decoy": Pattern(c.SECURITY_ALERT, "C", "use", _ATTRIBUTES),
    "operator.enrol": Pattern(c.SECURITY_ALERT, "C", "use", (c.USER_ATTRIBUTES_CHANGED,)),
    "operator.verify": Pattern(c.USER_AUTHENTICATION, "E", "use"),
    "operator.verified": Pattern(c.USER_AUTHENTICATION, "E", "use", (c.LOGIN,)),
}
"""How each action is said."""
