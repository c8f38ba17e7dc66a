"""A person as identity providers see them by SCIM 2.0, and what they may change of one.

Kept are the name, the account's name and id, whether they may sign in, and their roles.
Everything else that a provider sends is let go of: no more is held of somebody than is
needed. Roles come as `roles`, or as members of groups, which are the roles.
RFC 7643; 45 CFR 164.308(a)(3)(ii)(A)-(C), (a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.core.access.vocabulary import HUMAN_ROLES, Role
from seawall.core.errors import Invalid, Refused
from seawall.core.identity.scim_reading import Path, read_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from seawall.core.identity.scim_reading import Comparison, Operation
    from seawall.core.registers.spec import Document
    from seawall.core.registers.user import UserSpec

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
ACCOUNT: Final = "urn:seawall:params:scim:schemas:extension:account:1.0:User"
"""Our extension: `issuer` and `subject`, by which a person signs in at an OpenID provider."""
LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"

ROLES: Final = tuple(sorted(role.value for role in HUMAN_ROLES))
"""The roles that a person may hold, by name: the groups."""

MOST_MEMBERS: Final = 5_000
_LONGEST_NAME: Final = 255
_LONGEST_TITLE: Final = 2_000
_LONGEST_DERIVED: Final = 56
_LONGEST_SUBJECT: Final = 400
_OF_ACCOUNT: Final = {f"{ACCOUNT.lower()}:{name}": name for name in ("issuer", "subject")}


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What a provider says of a person, and what it may change."""

    user_name: str
    external_id: str | None
    title: str
    active: bool
    roles: frozenset[Role]
    issuer: str | None = None
    subject: str | None = None


def provisioned(document: Document[UserSpec]) -> Provisioned:
    """Return a person as a provider sees them."""
    spec = document.spec
    name = spec.user_name or document.name
    issuer, subject = (None, None)
    if spec.account is not None:
        issuer, subject = spec.account.issuer, spec.account.subject
    is_active, roles = spec.standing == "active", frozenset(spec.roles)
    return Provisioned(name, spec.external_id, spec.title, is_active, roles, issuer, subject)


def changed(spec: UserSpec | None, said: Provisioned) -> dict[str, Any]:
    """Return the fields of the document that a provider's word makes of it.

    Who may not sign in is suspended: that they left, a deletion says, or a person. Whom a
    person suspended, a provider does not bring back, whatever it says with the rest.
    """
    fields = {} if spec is None else {"by_provider": False, **spec.model_dump()}
    account = {"issuer": said.issuer, "subject": said.subject}
    if None in account.values() and account != {"issuer": None, "subject": None}:
        raise Invalid(
            "scim-value", "an account has no issuer, or no subject", "send both of them, or none"
        )
    was_suspended = spec is not None and spec.standing == "suspended"
    by_person = was_suspended and not fields["by_provider"]
    is_active = said.active and not by_person
    return {
        **fields,
        "account": None if said.issuer is None else account,
        "user_name": said.user_name,
        "external_id": said.external_id,
        "title": said.title,
        "standing": "active" if is_active else "suspended",
        "by_provider": not is_active and not by_person,
        "roles": said.roles,
    }


# --- reading ---------------------------------------------------------------------


def read_user(body: Any, held: Provisioned | None) -> Provisioned:
    """Return what a whole resource says, in place of `held`; `Invalid` unless it is one.

    What it does not mention stays: providers that keep roles by groups send resources without
    them, and nobody who is suspended comes back because a word is missing.
    """
    if not isinstance(body, dict):
        raise Invalid("scim-syntax", "the body is not a resource", "send a JSON object")
    names = {key.lower() for key in body}
    if "username" not in names:
        raise Invalid("scim-value", "userName is missing", "send it with every resource")
    blank = Provisioned("", None, "", active=True, roles=frozenset())
    found = _merged(blank if held is None else held, body, "replace")
    return found if found.title else replace(found, title=found.user_name)


def patched(held: Provisioned, operations: Iterable[Operation]) -> Provisioned:
    """Return what operations make of a person, one after the other."""
    for one in operations:
        if one.path is None:
            held = _merged(held, one.value, one.op)
        else:
            held = _applied(held, one.path, one.value, one.op)
    return held


def patched_members(
    held: frozenset[str], operations: Iterable[Operation], role: Role
) -> frozenset[str]:
    """Return the members that operations make of a group, by their ids.

    A group's name is its role's, and stays (`Refused`, `scim-mutability`).
    """
    for one in operations:
        pairs = [(one.path, one.value)] if one.path is not None else _pairs(one.value)
        for path, value in pairs:
            if path.attribute == "members":
                held = _members(held, path, value, one.op)
            elif path.attribute == "displayname":
                check_group_name(value, role)
    return held


def read_members(body: Any, role: Role) -> frozenset[str]:
    """Return the members that a whole group says; one that mentions none has none."""
    if not isinstance(body, dict):
        raise Invalid("scim-syntax", "the body is not a resource", "send a JSON object")
    fields = {key.lower(): value for key, value in body.items()}
    if "displayname" in fields:
        check_group_name(fields["displayname"], role)
    return frozenset(_ids(fields.get("members") or []))


def check_group_name(said: Any, role: Role) -> None:
    """Refuse another name for a group than its role's."""
    if _role_name(said) != role.value:
        raise Refused("scim-mutability", "a group is a role, and keeps its name", "leave it")


def read_role(said: Any) -> Role:
    """Return the role that a text names, such as `Privacy Officer`; `Invalid` for none."""
    name = _role_name(said)
    if name not in ROLES:
        raise Invalid("scim-role", "a role is none that there is", f"use {', '.join(ROLES)}")
    return Role(name)


def _role_name(said: Any) -> str:
    text = said.get("value") if isinstance(said, dict) else said
    return re.sub(r"[ _]+", "-", text.strip().lower()) if isinstance(text, str) else ""


def _pairs(value: Mapping[str, Any]) -> list[tuple[Path, Any]]:
    """Return what an object says, by path: its keys are paths, or schemas with more of them."""
    found: list[tuple[Path, Any]] = []
    for key, one in value.items():
        name = key.lower()
        if name.startswith("urn:") and isinstance(one, dict):
            if name in {USER.lower(), GROUP.lower()}:
                found += [(read_path(inner), held) for inner, held in one.items()]
            elif name == ACCOUNT.lower():
                found += [(read_path(f"{name}:{inner}"), held) for inner, held in one.items()]
        elif name not in {"schemas", "id", "meta"}:
            found.append((read_path(key), one))
    return found


def _merged(held: Provisioned, value: Mapping[str, Any], op: str) -> Provisioned:
    # The name for display is said last, so that it counts where another name is said too.
    pairs = sorted(_pairs(value), key=lambda one: one[0].attribute == "displayname")
    for path, one in pairs:
        held = _applied(held, path, one, op)
    return held


def _applied(held: Provisioned, path: Path, value: Any, op: str) -> Provisioned:
    """Return a person after one operation; what is not kept of anybody changes nothing."""
    value = None if op == "remove" and path.attribute != "roles" else value
    is_empty = value is None or value == ""
    fields: dict[str, Any] = {}
    match path.attribute:
        case "username":
            fields = {"user_name": _text(value, _LONGEST_NAME, "userName")}
        case "externalid":
            said = None if is_empty else _text(value, _LONGEST_NAME, "externalId")
            fields = {"external_id": said}
        case "displayname" | "name.formatted" if not is_empty:
            fields = {"title": _text(value, _LONGEST_TITLE, "displayName")}
        case "name":
            fields = {"title": _formatted(value) or held.title}
        case "active":
            fields = {"active": _boolean(value)}
        case "roles":
            fields = {"roles": _roles(held.roles, path, value, op)}
        case attribute if attribute in _OF_ACCOUNT:
            said = None if is_empty else _text(value, _LONGEST_SUBJECT, "an account's attribute")
            fields = {_OF_ACCOUNT[attribute]: said}
    return replace(held, **fields)


def _roles(held: frozenset[Role], path: Path, value: Any, op: str) -> frozenset[Role]:
    named = [one.value for one in path.where if one.attribute == "value"]
    if op == "remove":
        if path.where and not named:
            raise Invalid("scim-target", "no role has what the path asks for", "name it by value")
        gone = named or ([] if value is None else _listed(value))
        return held - {read_role(one) for one in gone} if gone else frozenset()
    said = frozenset(read_role(one) for one in _listed(value))
    # A filter such as `primary eq "True"` means one role of several: the others stay.
    return held | said if op == "add" or path.where else said


def _members(held: frozenset[str], path: Path, value: Any, op: str) -> frozenset[str]:
    named = [one.value for one in path.where if one.attribute == "value"]
    if path.where and (not named or op != "remove"):
        raise Invalid("scim-target", "no member has what the path asks for", "name it by value")
    if op == "remove":
        gone = {one for one in named if isinstance(one, str)}
        if not path.where and value is not None:
            gone = set(_ids(value))
            return held - gone
        return held - gone if path.where else frozenset()
    said = frozenset(_ids(value))
    return held | said if op == "add" else said


def _ids(value: Any) -> list[str]:
    found = [one.get("value") if isinstance(one, dict) else one for one in _listed(value)]
    if not all(isinstance(one, str) and 0 < len(one) <= _LONGEST_NAME for one in found):
        raise Invalid("scim-value", "a member has no id", "send the id as `value`")
    return [str(one) for one in found]


def _listed(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    if len(found) > MOST_MEMBERS:
        raise Invalid("scim-many", f"more than {MOST_MEMBERS:,} values", "send fewer at once")
    return found


def _text(value: Any, longest: int, name: str) -> str:
    said = value.strip() if isinstance(value, str) else ""
    if not 0 < len(said) <= longest or not said.isprintable():
        raise Invalid(
            "scim-value",
            f"{name} is missing, too long or not printable",
            f"send at most {longest:,} printable characters",
        )
    return said


def _formatted(value: Any) -> str:
    """Return a name's own form, or its parts in one order; empty if there is none."""
    fields = {key.lower(): one for key, one in value.items()} if isinstance(value, dict) else {}
    if fields.get("formatted"):
        return _text(fields["formatted"], _LONGEST_TITLE, "name")
    parts = [fields.get("givenname"), fields.get("familyname")]
    said = " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip())
    return _text(said, _LONGEST_TITLE, "name") if said else ""


def _boolean(value: Any) -> bool:
    """Return a truth value; one provider writes it as the text `False`."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise Invalid("scim-value", "active is not true or false", "send one of them")
    return value


# --- names, and what is asked for ---------------------------------------------------


def derived_name(user_name: str, taken: Collection[str]) -> str:
    """Return a document's name for an account's name: what stands before an @, in narrow letters.

    The same account and the same names that are taken give the same name; a name that
    anybody ever had is taken.
    """
    local = unicodedata.normalize("NFKD", user_name.partition("@")[0] or user_name)
    plain = re.sub(r"[^a-z0-9._-]+", "-", local.encode("ascii", "ignore").decode().lower())
    stem = plain[:_LONGEST_DERIVED].strip("._-") or "person"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def matches(document: Document[UserSpec], asked: Iterable[Comparison]) -> bool:
    """Whether a person has what a filter asks for; `Invalid` for what nobody can be asked.

    Account names are compared without their case (RFC 7643, section 4.1.1), ids with it.
    """
    said = provisioned(document)
    held: dict[str, Any] = {
        "username": said.user_name.casefold(),
        "externalid": said.external_id,
        "id": document.name,
        "displayname": said.title.casefold(),
        "active": said.active,
    }
    return _all(held, asked, {"username": str.casefold, "displayname": str.casefold})


def group_matches(role: Role, asked: Iterable[Comparison]) -> bool:
    """Whether a group has what a filter asks for."""
    held = {"displayname": role.value, "id": role.value}
    return _all(held, asked, {"displayname": _role_name})


def _all(
    held: Mapping[str, Any],
    asked: Iterable[Comparison],
    alike: Mapping[str, Callable[[str], str]],
) -> bool:
    """Whether all comparisons hold, each text after what makes it alike; every one is looked at."""
    found = True
    for one in asked:
        if one.attribute not in held:
            raise Invalid(
                "scim-filter",
                "the filter asks for an attribute that is not found by here",
                f"use {', '.join(sorted(held))}",
            )
        wanted, has = one.value, held[one.attribute]
        if isinstance(wanted, str):
            wanted = alike.get(one.attribute, str)(wanted)
        if isinstance(wanted, str) and isinstance(has, bool):
            wanted = wanted.lower() == "true"
        found = found and (has is not None if one.value is None else wanted == has)
    return found


# --- writing -----------------------------------------------------------------------


def etag(version: int) -> str:
    """Return a version as SCIM says it: a weak ETag (RFC 7644, section 3.14)."""
    return f'W/"{version}"'


def user_resource(document: Document[UserSpec], base: str) -> dict[str, Any]:
    """Return a person as a resource below a base address."""
    said = provisioned(document)
    roles = sorted(role.value for role in said.roles)
    fields: dict[str, Any] = {
        "schemas": [USER],
        "id": document.name,
        "userName": said.user_name,
        "name": {"formatted": said.title},
        "displayName": said.title,
        "active": said.active,
        "roles": [{"value": role} for role in roles],
        "groups": [
            {"value": role, "display": role, "type": "direct", "$ref": f"{base}/Groups/{role}"}
            for role in roles
        ],
        "meta": {
            "resourceType": "User",
            "location": f"{base}/Users/{document.name}",
            "version": etag(document.version),
        },
    }
    if said.external_id is not None:
        fields["externalId"] = said.external_id
    if said.issuer is not None:
        fields["schemas"] = [USER, ACCOUNT]
        fields[ACCOUNT] = {"issuer": said.issuer, "subject": said.subject}
    return fields


def group_resource(role: Role, members: Iterable[Document[UserSpec]], base: str) -> dict[str, Any]:
    """Return a role as a group, with those who hold it."""
    return {
        "schemas": [GROUP],
        "id": role.value,
        "displayName": role.value,
        "members": [
            {
                "value": one.name,
                "display": one.spec.title,
                "type": "User",
                "$ref": f"{base}/Users/{one.name}",
            }
            for one in members
        ],
        "meta": {"resourceType": "Group", "location": f"{base}/Groups/{role.value}"},
    }


def shown(
    resource: dict[str, Any], attributes: Collection[str], excluded: Collection[str]
) -> dict[str, Any]:
    """Return what of a resource was asked for; `schemas` and `id` are always shown."""
    always = {"schemas", "id"}
    named = {one.partition(".")[0] for one in attributes}
    return {
        key: value
        for key, value in resource.items()
        if key in always or ((not named or key.lower() in named) and key.lower() not in excluded)
    }


def list_response(resources: list[dict[str, Any]], total: int, start: int) -> dict[str, Any]:
    """Return a page of a list (RFC 7644, section 3.4.2)."""
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }
