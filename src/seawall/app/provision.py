"""Persons as an identity provider keeps them: joining, roles and leaving by SCIM.

Each change goes the way that every change of a person goes, so nothing here gets round
what is kept to there. Deleting somebody is their leaving; no version is erased. Only
clients come this way, since what a person changes needs a factor of theirs.
RFC 7644; 45 CFR 164.308(a)(3)(ii)(A)-(C), (a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.app.documents import Change
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Conflict, Invalid, Missing, Refused
from seawall.core.identity.scim import (
    ROLES,
    Provisioned,
    changed,
    derived_name,
    group_matches,
    matches,
    patched,
    patched_members,
    provisioned,
    read_members,
    read_role,
    read_user,
)
from seawall.core.identity.scim_reading import read_filter, read_patch
from seawall.core.registers.register import kind_of
from seawall.core.registers.spec import read_spec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.access import Allowed
    from seawall.app.documents import Documents
    from seawall.app.workforce import Workforce
    from seawall.core.registers.spec import Document


class Provision:
    """What an identity provider may see and change of a tenant's persons."""

    def __init__(self, *, documents: Documents, workforce: Workforce) -> None:
        self._documents = documents
        self._workforce = workforce

    # --- persons --------------------------------------------------------------------

    def users(self, allowed: Allowed, filter_: str | None) -> list[Document[UserSpec]]:
        """Return the persons who have what a filter asks for, by name; nobody who left."""
        asked = () if filter_ is None else read_filter(filter_)
        return [one for one in self._here(_tenant(allowed)) if matches(one, asked)]

    def user(self, allowed: Allowed, name: str) -> Document[UserSpec]:
        """Return one person; `Missing` for nobody, and for somebody who left."""
        found = self._workforce.person(_tenant(allowed), name)
        if found.spec.standing == "left":
            raise Missing("person-unknown", "nobody here has this id", "list the resources")
        return found

    def joining(self, tenant: str, body: Any) -> str:
        """Return under which name somebody would join."""
        taken = {one.name for one in self._workforce.persons(tenant)}
        return derived_name(read_user(body, None).user_name, taken)

    async def create(self, allowed: Allowed, body: Any) -> Document[UserSpec]:
        """Let somebody join, under the name that was allowed.

        `Conflict` (`scim-taken`) if the account's name is somebody's.
        """
        said, name = read_user(body, None), allowed.resource.name
        self._check_free(_tenant(allowed), said, "")
        await self._workforce.join(allowed, name, changed(None, said))
        return self.user(allowed, name)

    async def replace(
        self, allowed: Allowed, name: str, body: Any, version: int | None
    ) -> Document[UserSpec]:
        """Put a whole resource in somebody's place; `version` is the one that was seen."""
        held = self._seen(allowed, name, version)
        return await self._keep(allowed, held, read_user(body, provisioned(held)))

    async def patch(
        self, allowed: Allowed, name: str, body: Any, version: int | None
    ) -> Document[UserSpec]:
        """Apply operations to somebody, all or none."""
        held = self._seen(allowed, name, version)
        return await self._keep(allowed, held, patched(provisioned(held), read_patch(body)))

    async def delete(self, allowed: Allowed, name: str, version: int | None) -> None:
        """Let somebody leave: every version of what was recorded of them stays."""
        self._seen(allowed, name, version)
        await self._workforce.leave(allowed, name)

    # --- groups, which are the roles --------------------------------------------------

    def groups(self, allowed: Allowed, filter_: str | None) -> list[Role]:
        """Return the roles that a filter asks for, by name."""
        _tenant(allowed)
        asked = () if filter_ is None else read_filter(filter_)
        return [Role(role) for role in ROLES if group_matches(Role(role), asked)]

    def group(self, allowed: Allowed, name: str) -> Role:
        """Return one role; `Missing` if there is none of this name."""
        _tenant(allowed)
        if name not in ROLES:
            raise Missing("group-unknown", "there is no such group", f"use {', '.join(ROLES)}")
        return Role(name)

    def members(self, allowed: Allowed, role: Role) -> list[Document[UserSpec]]:
        """Return those who hold a role, by name; nobody who left."""
        return self._members(_tenant(allowed), role)

    def _members(self, tenant: str, role: Role) -> list[Document[UserSpec]]:
        return [one for one in self._here(tenant) if role in one.spec.roles]

    def concerned(self, tenant: str, name: str, body: Any, *, is_whole: bool) -> list[str]:
        """Return whom a change of a group gives its role, or takes it from, by name.

        `is_whole` says that the body is the group, and not operations. Of no group nobody is.
        """
        if name not in ROLES:
            return []
        role = Role(name)
        held = frozenset(one.name for one in self._members(tenant, role))
        if is_whole:
            return sorted(held ^ read_members(body, role))
        return sorted(held ^ patched_members(held, read_patch(body), role))

    async def create_group(self, allowed: Allowed, body: Any) -> None:
        """Say that a group is there already, as every role is; no other can be made."""
        _tenant(allowed)
        said = body if isinstance(body, dict) else {}
        fields = {key.lower(): value for key, value in said.items()}
        role = read_role(fields.get("displayname"))
        raise Conflict(
            "scim-taken",
            f"the group {role.value} is there already",
            f'find it by displayName eq "{role.value}", and change its members',
        )

    async def replace_group(self, each: Sequence[Allowed], name: str, body: Any) -> Role:
        """Give a role to exactly these persons; `each` allows it for who gains or loses it."""
        role = self.group(each[0], name)
        return await self._keep_members(each, role, read_members(body, role))

    async def patch_group(self, each: Sequence[Allowed], name: str, body: Any) -> Role:
        """Give and take a role as operations say; `each` is as for `replace_group`."""
        role = self.group(each[0], name)
        held = frozenset(one.name for one in self.members(each[0], role))
        return await self._keep_members(each, role, patched_members(held, read_patch(body), role))

    async def delete_group(self, allowed: Allowed, name: str) -> None:
        """Refuse: a role cannot be deleted, only left without members."""
        self.group(allowed, name)
        raise Refused(
            "scim-mutability", "a group is a role, and stays", "take its members away instead"
        )

    # --- what is the same in several ----------------------------------------------------

    def _here(self, tenant: str) -> list[Document[UserSpec]]:
        found = self._workforce.persons(tenant)
        return [one for one in found if one.spec.standing != "left"]

    def _seen(self, allowed: Allowed, name: str, version: int | None) -> Document[UserSpec]:
        found = self.user(allowed, name)
        if version not in {None, found.version}:
            raise Conflict(
                "version-changed",
                "this resource has another version than the request names",
                "read it again, and make the change to what it says now",
            )
        return found

    def _check_free(self, tenant: str, said: Provisioned, but: str) -> None:
        wanted = said.user_name.casefold()
        for one in self._here(tenant):
            if one.name != but and provisioned(one).user_name.casefold() == wanted:
                raise Conflict(
                    "scim-taken",
                    "somebody here has this userName",
                    "find them by a filter, and change them",
                )

    async def _keep(
        self, allowed: Allowed, held: Document[UserSpec], said: Provisioned
    ) -> Document[UserSpec]:
        self._check_free(_tenant(allowed), said, held.name)
        if said != provisioned(held):
            fields = changed(held.spec, said)
            await self._workforce.change(allowed, held.name, fields, after=held.version)
        return self.user(allowed, held.name)

    async def _keep_members(
        self, each: Sequence[Allowed], role: Role, wanted: frozenset[str]
    ) -> Role:
        allowed, answers = each[0], {one.resource.name: one.answer for one in each}
        held = {one.name: one for one in self.members(allowed, role)}
        here = {one.name: one for one in self._here(_tenant(allowed))}
        if not wanted <= here.keys():
            raise Invalid("scim-value", "a member is nobody here", "create the person first")
        # Who gains comes first, so that a role that somebody must hold can be handed over.
        gain, lose = sorted(wanted - held.keys()), sorted(held.keys() - wanted)
        if not answers.keys() >= {*gain, *lose}:
            raise Conflict(
                "version-changed",
                "the members of this group are others than when it was asked who may change them",
                "send the request again",
            )
        changes = [
            _with(here[name], role, {"access": answers[name].fields()}) for name in (*gain, *lose)
        ]
        await self._documents.keep_each(allowed.caller.principal, changes)
        return role


def _with(document: Document[UserSpec], role: Role, said: Mapping[str, Any]) -> Change:
    """Return the change that gives a role to who lacks it, and takes it from who has it."""
    roles = document.spec.roles ^ {role}
    spec = document.spec.model_copy(update={"roles": roles})
    kind = kind_of(UserSpec)
    made = read_spec(UserSpec, kind, document.name, spec.model_dump())
    return Change(kind, document.name, made, after=document.version, said=said)


def _tenant(allowed: Allowed) -> str:
    """Return whose persons are meant; `Refused` to whoever is no client."""
    principal = allowed.caller.principal
    if principal.kind != "client":
        raise Refused(
            "scim-clients-alone",
            "provisioning is for clients alone",
            "use the pages or `seawall user`; a client needs may_provision: true",
        )
    return principal.tenant
