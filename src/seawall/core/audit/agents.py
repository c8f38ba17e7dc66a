"""Who took part in what an entry records: the agents of an AuditEvent.

Which agents there are, and under which roles, is the shape of the event's pattern. The ledger
keeps no address of a client, so where a pattern asks for one the event says that it is unknown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from seawall.core.audit import codes as c
from seawall.core.audit.names import concept, reference, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seawall.core.audit.codes import Code
    from seawall.core.audit.names import Names

Shape = Literal["write", "read", "use", "disclose", "token"]
"""What the agents do: change, read, use, disclose to another, or ask for a token."""

_ROLES: Final[dict[str, tuple[Code, Code, Code]]] = {
    "write": (c.SOURCE, c.DESTINATION, c.AUTHOR),
    "read": (c.DESTINATION, c.SOURCE, c.RECIPIENT),
    "use": (c.SOURCE, c.DESTINATION, c.RECIPIENT),
    "disclose": (c.APPLICATION, c.SOURCE, c.RECIPIENT),
    "token": (c.APPLICATION, c.OAUTH_SERVICE, c.RECIPIENT),
}
"""By shape: the types of the client, of Seawall, and of a person."""

_PERSONS: Final = {"operator": "operator", "user": "person"}
"""Which actors are persons, and the naming system of each."""
_POLICIES: Final = 32
_HL7: Final = re.compile(r"[A-Z]{1,20}")
_UNKNOWN: Final = {
    "_address": {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                "valueCode": "unknown",
            }
        ]
    }
}
_DOMAIN_NAME: Final = "1"


def agents_of(entry: Mapping[str, Any], shape: Shape, names: Names) -> list[dict[str, Any]]:
    """Return the agents: the client, Seawall, whom it disclosed to, and the person if there is one.

    Exactly one of them is who asked for it. Who acts for a person is who asked; the person is an
    agent besides, as a human user.
    """
    actor = entry.get("actor") if isinstance(entry.get("actor"), dict) else {}
    kind, name = str((actor or {}).get("kind")), (actor or {}).get("name")
    whose, (client, server, user) = text(entry.get("tenant")), _ROLES[shape]
    asking: dict[str, Any] = {"requestor": True}
    if purposes := purposes_of(entry):
        asking["purposeOfUse"] = purposes
    if policies := _policies(entry, names):
        asking["policy"] = policies
    if str(entry.get("action")).startswith("token.") and "token" in entry:
        # RFC 3553, as BALP writes the JWT ID.
        asking["policy"] = [f"urn:ietf:params:oauth:jti:{text(entry['token'])}"]
    is_person, here = kind in _PERSONS, {"address": names.host, "type": _DOMAIN_NAME}
    who = {
        "operator": reference(names.identifier("program", "seawall"), "the terminal"),
        "user": reference(names.identifier("program", "browser"), "a browser"),
        "system": names.server(),
    }.get(kind, reference(names.identifier("client", f"{whose}/{text(name)}"), text(name)))
    agents = [
        {
            "type": concept(client),
            "who": who,
            **({"requestor": False} if is_person else asking),
            "network": here if kind == "system" else _UNKNOWN,
        },
        {
            "type": concept(server),
            "who": names.server(),
            "requestor": False,
            "network": here,
        },
    ]
    if shape == "disclose":
        agents += _receiving(entry, whose, names)
    if is_person:
        person = reference(names.identifier(_PERSONS[kind], f"{whose}/{text(name)}"), text(name))
        agents.append({"type": concept(user), "who": person, "name": text(name), **asking})
    # The profile of a token has no place for another agent: there it is said in the details.
    elif shape != "token" and isinstance(acted := entry.get("for_user"), str):
        person = reference(names.identifier("person", f"{whose}/{text(acted)}"), text(acted))
        said = {"who": person, "name": text(acted), "requestor": False}
        agents.append({"type": concept(c.HUMAN_USER), **said})
    return agents


def purposes_of(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the purposes of use that an entry names, in HL7's codes.

    The decision's; and of what is done under an emergency access emergency treatment and
    the breaking of the glass, which is a kind of it: who knows one of the two finds it.
    """
    decision = entry.get("decision")
    purpose = decision.get("purpose") if isinstance(decision, dict) else None
    code = purpose.get("hl7") if isinstance(purpose, dict) else None
    found = []
    if isinstance(code, str) and _HL7.fullmatch(code):
        found.append(concept((c.ACT_REASON, code)))
    if _is_under_emergency(entry):
        found += [concept(c.EMERGENCY_TREATMENT), concept(c.BREAK_THE_GLASS)]
    return found


def _is_under_emergency(entry: Mapping[str, Any]) -> bool:
    """Whether an entry tells of the beginning of an emergency access, or of an act under one."""
    if not isinstance(entry.get("emergency"), str):
        return False
    action = str(entry.get("action"))
    # Ending, renewing and reviewing are no treatment; nor is a mode, or a way to sign in.
    is_about = action.startswith("emergency.")
    return not is_about or (action == "emergency.begin" and entry.get("what") == "access")


def _receiving(entry: Mapping[str, Any], whose: str, names: Names) -> list[dict[str, Any]]:
    """Return the endpoint of the vendor that gets the request, and whose record it is."""
    documents = _documents(entry)
    endpoint = next((one for one in documents if one.startswith("Endpoint/")), "unknown")
    return [
        {
            "type": concept(c.DESTINATION),
            "who": reference(names.identifier("document", endpoint)),
            "requestor": False,
            "network": _UNKNOWN,
        },
        {
            "type": concept(c.RECORD_KEEPER),
            "who": reference(names.identifier("tenant", whose)),
            "requestor": False,
        },
    ]


def _policies(entry: Mapping[str, Any], names: Names) -> list[str]:
    """Return what determined the decision, as addresses in our naming systems.

    The documents, and the policies of access.
    """
    documents = [f"{names.system('document')}/{one}" for one in _documents(entry)]
    policies = [f"{names.system('policy')}/{one}" for one in _decided_by(entry, "policies")]
    return documents + policies


def _documents(entry: Mapping[str, Any]) -> list[str]:
    return _decided_by(entry, "documents")


def _decided_by(entry: Mapping[str, Any], what: str) -> list[str]:
    decision = entry.get("decision")
    named = decision.get(what) if isinstance(decision, dict) else None
    found = named if isinstance(named, list) else []
    return [text(one).replace(" ", "%20") for one in found[:_POLICIES]]
