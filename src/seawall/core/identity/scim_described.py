"""What this server says of itself to identity providers (RFC 7643, sections 5 to 7)."""

from __future__ import annotations

from typing import Any, Final

from seawall.core.identity.scim import ACCOUNT, GROUP, ROLES, USER

LARGEST_PAGE: Final = 200
_CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_TYPE: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"


def service_provider_config(base: str) -> dict[str, Any]:
    """Return what is supported: PATCH, filters and ETags, and no bulk, sorting or passwords."""
    off = {"supported": False}
    return {
        "schemas": [_CONFIG],
        "patch": {"supported": True},
        "bulk": {**off, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": LARGEST_PAGE},
        "changePassword": off,
        "sort": off,
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "OAuth Bearer Token",
                "description": "A token of a client whose document says may_provision.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": _meta("ServiceProviderConfig", f"{base}/ServiceProviderConfig"),
    }


def resource_types(base: str) -> list[dict[str, Any]]:
    """Return the two sorts of resources that there are."""
    return [
        {
            "schemas": [_TYPE],
            "id": name,
            "name": name,
            "endpoint": f"/{name}s",
            "description": told,
            "schema": schema,
            "schemaExtensions": extensions,
            "meta": _meta("ResourceType", f"{base}/ResourceTypes/{name}"),
        }
        for name, schema, told, extensions in (
            (
                "User",
                USER,
                "A person of the workforce.",
                [{"schema": ACCOUNT, "required": False}],
            ),
            ("Group", GROUP, "A role; its members are those who hold it.", []),
        )
    ]


def schemas(base: str) -> list[dict[str, Any]]:
    """Return the attributes of both sorts, as far as they are kept."""
    user = [
        _attribute("userName", required=True, uniqueness="server"),
        _complex("name", [_attribute("formatted")]),
        _attribute("displayName"),
        _attribute("active", kind="boolean"),
        _complex("roles", [_attribute("value", canonical=ROLES)], many=True),
        _complex("groups", _member("readOnly"), many=True, mutability="readOnly"),
    ]
    group = [
        _attribute("displayName", required=True, mutability="immutable", canonical=ROLES),
        _complex("members", _member("immutable"), many=True),
    ]
    account = [_attribute("issuer"), _attribute("subject")]
    return [
        {
            "schemas": [_SCHEMA],
            "id": schema,
            "name": name,
            "description": told,
            "attributes": attributes,
            "meta": _meta("Schema", f"{base}/Schemas/{schema}"),
        }
        for schema, name, told, attributes in (
            (USER, "User", "A person of the workforce.", user),
            (GROUP, "Group", "A role.", group),
            (ACCOUNT, "Account", "An account at an OpenID provider.", account),
        )
    ]


def _meta(kind: str, location: str) -> dict[str, str]:
    return {"resourceType": kind, "location": location}


def _attribute(
    name: str,
    *,
    kind: str = "string",
    required: bool = False,
    mutability: str = "readWrite",
    uniqueness: str = "none",
    canonical: tuple[str, ...] = (),
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": name,
        "type": kind,
        "multiValued": False,
        "required": required,
        "mutability": mutability,
        "returned": "default",
    }
    if kind == "string":
        said |= {"caseExact": False, "uniqueness": uniqueness}
    return {**said, "canonicalValues": list(canonical)} if canonical else said


def _complex(
    name: str,
    inner: list[dict[str, Any]],
    *,
    many: bool = False,
    mutability: str = "readWrite",
) -> dict[str, Any]:
    said = _attribute(name, kind="complex", mutability=mutability)
    return {**said, "multiValued": many, "subAttributes": inner}


def _member(mutability: str) -> list[dict[str, Any]]:
    return [_attribute(one, mutability=mutability) for one in ("value", "display", "type")]
