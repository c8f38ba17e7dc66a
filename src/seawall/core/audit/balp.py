"""The rules of IHE's Basic Audit Log Patterns as tables, and their check.

Made from the FSH of BALP 1.1.5 (github.com/IHE/ITI.BasicAudit, CC BY 4.0): how often an element
or a slice occurs, and which codes it has. What FSH merely recommends ("must support") is no rule
here. The profiles of SAML tokens are left out: Seawall issues none. Whether an event is of FHIR
at all is for a FHIR library to say; `FHIR` holds only what the profiles rest on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.core.audit import codes as c
from seawall.core.audit.codes import Code, interaction, profile_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Count:
    """How often an element occurs."""

    path: str
    least: int = 1
    most: int | None = 1

    def violations(self, node: Any, where: str, _: Mapping[str, Any]) -> Iterator[str]:
        """Yield the violation, if there is one."""
        count = len(list(_values(node, self.path)))
        if count < self.least or (self.most is not None and count > self.most):
            wanted = f"{self.least}..{'*' if self.most is None else self.most}"
            yield f"{_at(where, self.path)} occurs {count} times and not {wanted}"


@dataclass(frozen=True, slots=True)
class Fixed:
    """Which values an element may have, where it occurs."""

    path: str
    allowed: tuple[Any, ...]

    def violations(self, node: Any, where: str, _: Mapping[str, Any]) -> Iterator[str]:
        """Yield one violation for each other value."""
        for value in _values(node, self.path):
            if not any(type(value) is type(one) and value == one for one in self.allowed):
                yield f"{_at(where, self.path)} is not {' or '.join(map(str, self.allowed))}"


@dataclass(frozen=True, slots=True)
class Formed:
    """Which form an element's text has, where it occurs."""

    path: str
    pattern: re.Pattern[str]

    def violations(self, node: Any, where: str, _: Mapping[str, Any]) -> Iterator[str]:
        """Yield one violation for each value of another form."""
        for value in _values(node, self.path):
            if not isinstance(value, str) or not self.pattern.fullmatch(value):
                yield f"{_at(where, self.path)} is not of its form"


@dataclass(frozen=True, slots=True)
class Coded:
    """Which codes an element may have, where it occurs: one of its codings is enough."""

    path: str
    allowed: tuple[Code, ...]

    def violations(self, node: Any, where: str, _: Mapping[str, Any]) -> Iterator[str]:
        """Yield one violation for each element without such a code."""
        for value in _values(node, self.path):
            if not _has_code(value, self.allowed):
                names = " or ".join(code for _, code in self.allowed)
                yield f"{_at(where, self.path)} is not {names}"


@dataclass(frozen=True, slots=True)
class ReferenceTo:
    """What kind of resource a reference leads to."""

    path: str
    kind: str

    def violations(self, node: Any, where: str, _: Mapping[str, Any]) -> Iterator[str]:
        """Yield one violation for each reference that is of no such kind."""
        for value in _values(node, self.path):
            said = value.get("type"), f"/{value.get('reference', '')}"
            if said[0] != self.kind and f"/{self.kind}/" not in said[1]:
                yield f"{_at(where, self.path)} is not a reference to a {self.kind}"


@dataclass(frozen=True, slots=True)
class IsObserver:
    """The agent is the one that recorded the event: invariant val-audit-source."""

    def violations(self, node: Any, where: str, event: Mapping[str, Any]) -> Iterator[str]:
        """Yield the violation, if there is one."""
        observer = list(_values(event, "source.observer"))
        if list(_values(node, "who")) != observer:
            yield f"{where}.who is not source.observer"


@dataclass(frozen=True, slots=True)
class Slice:
    """The members of a list that have one of these codes: how many, and what each obeys."""

    path: str
    name: str
    allowed: tuple[Code, ...]
    least: int = 1
    most: int | None = 1
    rules: tuple[Rule, ...] = ()
    by: str = "type"
    """Where a member's code is; empty for a list of codes."""

    def violations(self, node: Any, where: str, event: Mapping[str, Any]) -> Iterator[str]:
        """Yield the slice's violations, and those of its members."""
        place = f"{_at(where, self.path)}[{self.name}]"
        members = [member for member in _values(node, self.path) if self.has(member)]
        if len(members) < self.least or (self.most is not None and len(members) > self.most):
            wanted = f"{self.least}..{'*' if self.most is None else self.most}"
            yield f"{place} occurs {len(members)} times and not {wanted}"
        for member in members:
            for rule in self.rules:
                yield from rule.violations(member, place, event)

    def has(self, member: Any) -> bool:
        """Whether a member of the list is one of this slice."""
        coded = _values(member, self.by) if self.by else [member]
        return any(_has_code(value, self.allowed) for value in coded)


@dataclass(frozen=True, slots=True)
class Closed:
    """Each member of a list is one of these slices."""

    path: str
    slices: tuple[Slice, ...]

    def violations(self, node: Any, where: str, event: Mapping[str, Any]) -> Iterator[str]:
        """Yield the violations of the slices, and of members that are of none."""
        for part in self.slices:
            yield from part.violations(node, where, event)
        for member in _values(node, self.path):
            if not any(part.has(member) for part in self.slices):
                yield f"{_at(where, self.path)} has a member of no slice"


@dataclass(frozen=True, slots=True)
class Each:
    """What every member of a list obeys."""

    path: str
    rules: tuple[Rule, ...]

    def violations(self, node: Any, where: str, event: Mapping[str, Any]) -> Iterator[str]:
        """Yield the violations of all members."""
        for place, member in enumerate(_values(node, self.path)):
            for rule in self.rules:
                yield from rule.violations(member, f"{_at(where, self.path)}[{place}]", event)


Rule = Count | Fixed | Formed | Coded | ReferenceTo | IsObserver | Slice | Closed | Each


def violations(event: Mapping[str, Any], *profiles: str) -> list[str]:
    """Return what of an event breaks FHIR's own rules here or those of the profiles, or nothing.

    Without `profiles` they are those that the event claims; one that is not in `PROFILES` is a
    violation. No violation repeats a value of the event.
    """
    claimed = [str(one) for one in _values(event, "meta.profile")]
    found = [said for rule in FHIR for said in rule.violations(event, "", event)]
    for profile in profiles or claimed:
        rules = PROFILES.get(profile.removeprefix(profile_url("")))
        if rules is None:
            found.append("meta.profile is none that is known here")
            continue
        found += [said for rule in rules for said in rule.violations(event, "", event)]
    return found


def _values(node: Any, path: str) -> Iterator[Any]:
    """Yield what lies at a dotted path below a node, the members of lists one by one."""
    name, _, rest = path.partition(".")
    if not isinstance(node, dict) or name not in node:
        return
    held = node[name]
    for value in held if isinstance(held, list) else [held]:
        if rest:
            yield from _values(value, rest)
        else:
            yield value


def _has_code(value: Any, allowed: tuple[Code, ...]) -> bool:
    """Whether a Coding, or one of a CodeableConcept's, is one of these."""
    if not isinstance(value, dict):
        return False
    codings = value.get("coding", [value])
    return any((one.get("system"), one.get("code")) in allowed for one in codings)


def _at(where: str, path: str) -> str:
    return f"{where}.{path}" if where else path


# --- FHIR R4, AuditEvent ------------------------------------------------------

_INSTANT: Final = re.compile(
    r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(\.\d+)?(Z|[+-][01]\d:[0-5]\d)", re.ASCII
)

FHIR: Final[tuple[Rule, ...]] = (
    Fixed("resourceType", ("AuditEvent",)),
    Formed("id", re.compile(r"[A-Za-z0-9.-]{1,64}")),
    *(Count("resourceType"), Count("type"), Count("type.code"), Count("recorded")),
    *(Count("source"), Count("source.observer"), Count("agent", 1, None)),
    Formed("recorded", _INSTANT),
    *(Fixed("action", ("C", "R", "U", "D", "E")), Fixed("outcome", ("0", "4", "8", "12"))),
    Each(
        "agent",
        (
            Count("requestor"),
            Fixed("requestor", (True, False)),
            Fixed("network.type", ("1", "2", "3", "4", "5")),
        ),
    ),
    Each(
        "entity",
        (
            *(Count("what", 0), Count("query", 0), Count("name", 0)),
            Each("detail", (Count("type"), Count("valueString", 0), Count("valueBase64Binary", 0))),
        ),
    ),
)

# --- BALP ---------------------------------------------------------------------

_WHO: Final = (Count("type"), Count("who"))
_NO_NETWORK: Final = (Count("media", 0, 0), Count("network", 0, 0))
_NETWORK: Final = (Count("network"), Count("media", 0, 0))
_SUCCESS: Final = (Fixed("outcome", ("0",)), Count("outcome"))
_AUTHORS: Final = (c.AUTHOR, c.INFORMANT, c.CUSTODIAN)
_DATA_ROLES: Final = (c.DOMAIN_RESOURCE, c.REPORT, c.JOB)

_REQUEST_ID: Final = Slice(
    "entity", "transaction", (c.REQUEST_ID,), 0, 1, (Count("type"), Count("what.identifier.value"))
)
_PATIENT: Final = Slice(
    "entity",
    "patient",
    (c.PERSON,),
    rules=(
        Coded("role", (c.PATIENT,)),
        Count("role"),
        Count("what"),
        ReferenceTo("what", "Patient"),
    ),
)


def _user(*allowed: Code) -> Slice:
    rules = (*_WHO, Fixed("requestor", (True,)), *_NO_NETWORK)
    return Slice("agent", "user", allowed, 0, 1, rules)


def _data(*more: Rule) -> Slice:
    rules = (Count("type"), Coded("role", _DATA_ROLES), Count("what"), *more)
    return Slice("entity", "data", (c.SYSTEM_OBJECT,), rules=rules)


def _rest(action: str, subtype: Slice, client: Code, server: Code, *more: Rule) -> tuple[Rule, ...]:
    """Return the rules of a RESTful profile without a patient."""
    return (
        *(Coded("type", (c.REST,)), Count("subtype", 1, None), subtype),
        *(Fixed("action", (action,)), Count("action"), Count("recorded"), *_SUCCESS),
        Count("agent", 2, None),
        Slice("agent", "client", (client,), rules=(*_WHO, *_NETWORK)),
        Slice("agent", "server", (server,), rules=(*_WHO, *_NETWORK)),
        *(Count("entity", 1, None), _REQUEST_ID, *more),
    )


def _any(name: str, *interactions: str) -> Slice:
    return Slice("subtype", f"any{name}", tuple(map(interaction, interactions)), by="")


_CREATE: Final = _rest(
    "C", _any("Create", "create"), c.SOURCE, c.DESTINATION, _user(*_AUTHORS), _data(Count("role"))
)
_READ: Final = _rest(
    "R", _any("Read", "read", "vread"), c.DESTINATION, c.SOURCE, _user(c.RECIPIENT), _data()
)
_UPDATE: Final = _rest(
    "U",
    _any("Update", "update", "patch"),
    c.SOURCE,
    c.DESTINATION,
    _user(*_AUTHORS),
    _data(Count("role")),
)
_DELETE: Final = _rest(
    "D",
    _any("Delete", "delete"),
    c.APPLICATION,
    c.PROVENANCE_CUSTODIAN,
    _user(*_AUTHORS),
    _data(Count("role")),
)
_QUERY: Final = _rest(
    "E",
    _any("Search", "search", "search-type", "search-system"),
    c.SOURCE,
    c.DESTINATION,
    _user(c.RECIPIENT),
    Slice(
        "entity",
        "query",
        (c.SYSTEM_OBJECT,),
        rules=(
            *(Count("type"), Coded("role", (c.QUERY,)), Count("role"), Count("what", 0, 0)),
            *(Count("lifecycle", 0, 0), Count("description", 0), Count("query")),
            Count("detail", 0, 0),
        ),
    ),
)
_OF_A_PATIENT: Final = (Count("entity", 2, None), _PATIENT)


def _disclosure(kind: Code, action: str, itself: str) -> tuple[Rule, ...]:
    """Return the rules of a disclosure as its source or its recipient records it."""

    def side(name: str, code: Code) -> Slice:
        """Return one of the two, of which one is the recorder."""
        seen = (IsObserver(),) if name == itself else ()
        return Slice("agent", name, (code,), rules=(*_WHO, Count("network"), *seen))

    return (
        *(Count("modifierExtension", 0, 0), Coded("type", (kind,)), Count("type")),
        *(Fixed("action", (action,)), Count("action")),
        Slice("subtype", "disclosure", (c.DISCLOSE,), by=""),
        *(Count("recorded"), Count("outcome"), Count("agent", 2, None)),
        *(side("source", c.SOURCE), side("recipient", c.DESTINATION)),
        Slice("agent", "custodian", (c.RECORD_KEEPER,), 0, 1, (Count("who"),)),
        Slice("agent", "authorizer", (c.PATIENT_ADVOCATE,), 0, 1, _WHO),
        *_OF_A_PATIENT,
    )


def _token_use(*rules: Rule) -> tuple[Rule, ...]:
    held = (Count("type"), Fixed("requestor", (True,)), Count("policy"), *rules)
    return (Slice("agent", "oUser", (c.OAUTH_USER,), 1, None, held),)


_COMPREHENSIVE: Final = (
    Slice(
        "agent",
        "oClient",
        (c.APPLICATION,),
        rules=(
            *(*_WHO, Count("who.identifier"), Count("who.identifier.value")),
            *(Count("network", 0), Count("media", 0, 0)),
        ),
    ),
    Slice(
        "agent",
        "oUser",
        (c.RECIPIENT,),
        0,
        1,
        (
            *(*_WHO, Count("who.identifier"), Fixed("requestor", (True,)), Count("policy")),
            *_NO_NETWORK,
        ),
    ),
)
_GET_TOKEN: Final = (
    *(Coded("type", (c.USER_AUTHENTICATION,)), Count("type"), Count("subtype")),
    *(Coded("subtype", (c.GET_ACCESS_TOKEN,)), Fixed("action", ("E",)), Count("action")),
    *(Count("recorded"), *_SUCCESS, Count("agent", 2, 3)),
    Closed(
        "agent",
        (
            Slice("agent", "client", (c.APPLICATION,), rules=(*_WHO, *_NETWORK)),
            Slice("agent", "auth-server", (c.OAUTH_SERVICE,), rules=(*_WHO, *_NETWORK)),
            Slice(
                "agent",
                "user",
                (c.RECIPIENT,),
                0,
                1,
                (*_WHO, Fixed("requestor", (True,)), Count("altId", 0, 0), *_NO_NETWORK),
            ),
        ),
    ),
    Count("entity"),
    Closed(
        "entity",
        (
            Slice(
                "entity",
                "token-request",
                (c.QUERY,),
                rules=(
                    *(Coded("type", (c.SYSTEM_OBJECT,)), Count("type"), Count("role")),
                    *(Count("what", 0, 0), Count("query")),
                ),
                by="role",
            ),
            Slice(
                "entity",
                "token-response",
                (c.SECURITY_RESOURCE,),
                0,
                1,
                (
                    *(Coded("type", (c.SYSTEM_OBJECT,)), Count("type"), Count("role")),
                    *(Count("what"), Count("detail", 1, None)),
                ),
                by="role",
            ),
        ),
    ),
)


def _none(*names: str) -> tuple[Rule, ...]:
    return tuple(Count(name, 0, 0) for name in names)


_CONSENT_DECISION: Final = (
    *(Count("modifierExtension", 0, 0), Coded("type", (c.SECURITY_ALERT,)), Count("type")),
    *(Coded("subtype", (c.AUTHORIZED_BY_CONSENT, c.AUTHORIZED_BY_ROLE)), Count("subtype", 1, None)),
    *(Fixed("action", ("E",)), Count("action"), Count("recorded"), Count("outcome")),
    Count("agent", 2, None),
    Slice(
        "agent",
        "client",
        (c.APPLICATION,),
        rules=(
            *(*_WHO, Count("network")),
            *_none("role", "altId", "name", "location", "media", "purposeOfUse"),
        ),
    ),
    Slice(
        "agent",
        "user",
        (c.RECIPIENT,),
        rules=(
            *(*_WHO, Fixed("requestor", (True,))),
            *_none("altId", "location", "media", "network"),
        ),
    ),
    Slice(
        "agent",
        "userorg",
        (c.PROVIDER,),
        rules=(
            *(*_WHO, Fixed("requestor", (False,))),
            *_none("role", "altId", "name", "location", "policy", "media", "network"),
        ),
    ),
    Slice(
        "agent",
        "authorizer",
        (c.AUTHORIZATION_SERVER,),
        rules=(
            *(*_WHO, IsObserver(), Fixed("requestor", (False,))),
            *_none("role", "altId", "name", "location", "policy", "media", "network"),
            Count("purposeOfUse", 0, 0),
        ),
    ),
    Count("entity", 2, None),
    Closed(
        "entity",
        (
            _PATIENT,
            Slice("entity", "consent", (c.CONSENT,), 1, None, (Count("what"),)),
            Slice(
                "entity",
                "token",
                (c.OAUTH_USER,),
                0,
                1,
                (
                    *(Count("type"), Count("what"), Count("what.identifier")),
                    Count("what.identifier.value"),
                ),
            ),
        ),
    ),
)

PROFILES: Final[dict[str, tuple[Rule, ...]]] = {
    "IHE.BasicAudit.Create": _CREATE,
    "IHE.BasicAudit.PatientCreate": (*_CREATE, *_OF_A_PATIENT),
    "IHE.BasicAudit.Read": _READ,
    "IHE.BasicAudit.PatientRead": (*_READ, *_OF_A_PATIENT),
    "IHE.BasicAudit.Update": _UPDATE,
    "IHE.BasicAudit.PatientUpdate": (*_UPDATE, *_OF_A_PATIENT),
    "IHE.BasicAudit.Delete": _DELETE,
    "IHE.BasicAudit.PatientDelete": (*_DELETE, *_OF_A_PATIENT),
    "IHE.BasicAudit.Query": _QUERY,
    "IHE.BasicAudit.PatientQuery": (*_QUERY, _PATIENT),
    "IHE.BasicAudit.PrivacyDisclosure.Source": _disclosure(c.EXPORT, "R", "source"),
    "IHE.BasicAudit.PrivacyDisclosure.Recipient": _disclosure(c.IMPORT, "C", "recipient"),
    "IHE.BasicAudit.OAUTHaccessTokenUse.Opaque": _token_use(),
    "IHE.BasicAudit.OAUTHaccessTokenUse.Minimal": _token_use(*_NO_NETWORK),
    "IHE.BasicAudit.OAUTHaccessTokenUse.Comprehensive": _COMPREHENSIVE,
    "IHE.BasicAudit.AuthZconsent": _CONSENT_DECISION,
    "IHE.IUA.71": _GET_TOKEN,
}
"""The rules of each profile, by its id."""
