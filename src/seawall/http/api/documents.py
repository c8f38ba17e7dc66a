"""Documents: read as they stand and as they were, and applied while the server runs.

Which action applying is, its kind says; every document of a batch must be allowed,
or none is applied. Persons are read by those who may see who may do what.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from seawall.app.access import Allowed, together
from seawall.app.documents import Change
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import ACTS, APPLYING, Action
from seawall.core.errors import Invalid, Missing, Refused
from seawall.core.registers.register import KINDS, read_document
from seawall.core.registers.spec import Document, Spec
from seawall.core.registers.user import UserSpec
from seawall.http.api.conditions import CHANGED, READ, check_match, versioned
from seawall.http.api.paging import After, Limit
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.app.documents import Documents
    from seawall.http.api.guard import Api, Asked

MOST: Final = 1_000
"""How many documents are applied at once."""
_PERSONS: Final = "User"

Kind = Annotated[str, Path(max_length=40, pattern="^[A-Za-z]+$", examples=["Agreement"])]
Name = Annotated[str, Path(max_length=63, pattern="^[a-z0-9._-]+$", examples=["sandbox-baa"])]


class DocumentGiven(Body):
    """A document to be applied."""

    kind: str = Field(max_length=40, examples=["Retention"])
    name: str = Field(max_length=63, examples=["tenant"])
    spec: dict[str, Any] = Field(examples=[{"years": 6}])


class SpecGiven(Body):
    """The content of the document that the path names."""

    spec: dict[str, Any] = Field(examples=[{"years": 6}])


class AppliedShown(BaseModel):
    """What applying one document did; `entry` is null where nothing changed."""

    kind: str
    name: str
    version: int
    change: str
    entry: int | None


class DocumentListed(BaseModel):
    """A document as lists have it."""

    kind: str
    name: str
    version: int
    digest: str


class DocumentShown(DocumentListed):
    """A document whole."""

    spec: dict[str, Any]


class DocumentsPage(BaseModel):
    """Documents, and where there is more."""

    items: list[DocumentListed]
    next: str | None


class VersionsPage(BaseModel):
    """Versions of a document, oldest first, and where there is more."""

    items: list[DocumentShown]
    next: str | None


def documents_room(api: Api, documents: Documents) -> APIRouter:
    """Return the routes of documents."""
    room = api.router("documents", prefix="/documents")
    _add_reading(room, api, documents)

    def applying(asked: Asked) -> Iterator[tuple[Action, Resource]]:
        return _applying(asked, documents)

    def replacing(asked: Asked) -> Iterator[tuple[Action, Resource]]:
        spec = asked.body.get("spec") if isinstance(asked.body, dict) else None
        return _acts(asked, documents, asked.path["kind"], asked.path["name"], spec)

    @room.post("", summary="Apply documents", response_model=list[AppliedShown])
    async def apply(
        given: Annotated[list[DocumentGiven], Field(max_length=MOST)],
        allowed: list[Allowed] = Depends(api.allow_each(applying)),
    ) -> Response:
        """Apply documents in the order of their kinds; none, if one is invalid or refused."""
        principal = allowed[0].caller.principal
        found = [one.model_dump() for one in given]
        applied = await documents.apply(principal, found, _said(allowed))
        return json_response([asdict(one) for one in applied])

    @room.put(
        "/{kind}/{name}", summary="Apply one document", response_model=AppliedShown, **CHANGED
    )
    async def replace(
        request: Request,
        kind: Kind,
        name: Name,
        given: SpecGiven,
        allowed: list[Allowed] = Depends(api.allow_each(replacing)),
    ) -> Response:
        """Make a document, or change the version that If-Match names."""
        principal = allowed[0].caller.principal
        held = _find(documents, principal.tenant, kind, name)
        check_match(request, held.version if held else None)
        read = read_document({"kind": kind, "name": name, "spec": given.spec})
        said = {"access": together(allowed).answer.fields()}
        change = Change(*read, after=held.version if held else 0, said=said)
        (applied,) = await documents.keep_each(by=principal, changes=[change])
        status = 201 if applied.change == "created" else 200
        return versioned(request, asdict(applied), applied.version, status=status)

    return room


def _add_reading(room: APIRouter, api: Api, documents: Documents) -> None:
    @room.get("", summary="List documents", response_model=DocumentsPage)
    async def listed(
        request: Request,
        kind: Annotated[str | None, Query(max_length=40, description="Of this kind.")] = None,
        limit: Limit = 100,
        after: After = None,  # noqa: ARG001  the pages read it from the request
        allowed: list[Allowed] = Depends(api.allow_each(_reading)),
    ) -> Response:
        """List documents as they stand: persons alone where they are asked for."""
        caller = allowed[0].caller
        held = [
            one
            for one in documents.register(caller.principal.tenant)
            if one.kind in KINDS and (kind == one.kind or (kind is None and one.kind != _PERSONS))
        ]
        shown, position = api.pages.of_list(
            request, caller, held, lambda one: f"{one.kind}/{one.name}", limit
        )
        page = api.pages.page(request, caller, [_listed(one) for one in shown], position)
        return json_response(page.content(), headers=page.headers())

    @room.get("/{kind}/{name}", summary="Show a document", response_model=DocumentShown, **READ)
    async def shown(
        request: Request,
        kind: Kind,
        name: Name,
        allowed: list[Allowed] = Depends(api.allow_each(_reading)),
    ) -> Response:
        """Show a document as it stands; its ETag is its version."""
        found = _find(documents, allowed[0].caller.principal.tenant, kind, name)
        if found is None:
            raise _unknown()
        return versioned(request, _shown(found), found.version)

    @room.get("/{kind}/{name}/history", summary="Show every version", response_model=VersionsPage)
    async def history(
        request: Request,
        kind: Kind,
        name: Name,
        limit: Limit = 50,
        after: After = None,  # noqa: ARG001  the pages read it from the request
        allowed: list[Allowed] = Depends(api.allow_each(_reading)),
    ) -> Response:
        """Show every version of a document, oldest first."""
        caller = allowed[0].caller
        versions = await documents.history(caller.principal.tenant, kind, name)
        items, position = api.pages.of_list(
            request, caller, versions, lambda one: f"{one.version:012d}", limit
        )
        page = api.pages.page(request, caller, [_shown(one) for one in items], position)
        return json_response(page.content(), headers=page.headers())


def _said(allowed: list[Allowed]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what entries say of the policies, by the kind and name of each document."""
    found: dict[tuple[str, str], list[Allowed]] = {}
    for one in allowed:
        found.setdefault((one.resource.kind, one.resource.name), []).append(one)
    return {whose: {"access": together(each).answer.fields()} for whose, each in found.items()}


def _applying(asked: Asked, documents: Documents) -> Iterator[tuple[Action, Resource]]:
    """Tell which acts applying a body's documents is."""
    given = asked.body
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise Invalid(
            "documents-not-list",
            "the body is not a list of documents",
            'send [{"kind": ..., "name": ..., "spec": {...}}]',
        )
    if not 0 < len(given) <= MOST:
        raise Invalid(
            "documents-not-list",
            "the list has no document, or too many",
            f"send 1 to {MOST:,} documents at once",
        )
    for one in given:
        yield from _acts(asked, documents, one.get("kind"), one.get("name"), one.get("spec"))


def _acts(
    asked: Asked, documents: Documents, kind: Any, name: Any, spec: Any
) -> Iterator[tuple[Action, Resource]]:
    """Tell what applying a document is: by another account of a person, a reset of factors too."""
    action, resource = _act(asked, kind, name)
    yield action, resource
    held = documents.register(asked.caller.principal.tenant).find(UserSpec, resource.name)
    if kind == _PERSONS and held is not None:
        said = spec.get("account") if isinstance(spec, dict) else None
        if said != (held.spec.account.model_dump() if held.spec.account else None):
            yield Action.RESET_FACTORS, resource


def _act(asked: Asked, kind: Any, name: Any) -> tuple[Action, Resource]:
    if not isinstance(kind, str) or kind not in KINDS or not isinstance(name, str):
        raise Invalid(
            "document-envelope",
            "a document needs exactly the fields kind, name and spec, and a kind that exists",
            f"kinds are {', '.join(KINDS)}",
        )
    action = APPLYING.get(kind)
    if action is None:
        raise Refused("access-refused", "documents of this kind are applied by nobody", "")
    about = name if kind == _PERSONS else ""
    return action, asked.resource(ACTS[action].on, name, kind=kind, about=about)


def _reading(asked: Asked) -> Iterator[tuple[Action, Resource]]:
    kind = asked.path.get("kind") or asked.query.get("kind", "")
    if kind and kind not in KINDS:
        raise _unknown()
    name = asked.path.get("name", "*")
    action = Action.VIEW_PERSONS if kind == _PERSONS else Action.READ_DOCUMENTS
    yield action, asked.resource(ACTS[action].on, name, kind=kind)


def _find(documents: Documents, tenant: str, kind: str, name: str) -> Document[Spec] | None:
    register = documents.register(tenant)
    return next((one for one in register if (one.kind, one.name) == (kind, name)), None)


def _listed(document: Document[Spec]) -> dict[str, Any]:
    return {
        "kind": document.kind,
        "name": document.name,
        "version": document.version,
        "digest": document.digest(),
    }


def _shown(document: Document[Spec]) -> dict[str, Any]:
    return {**_listed(document), "spec": document.spec.model_dump(mode="json")}


def _unknown() -> Missing:
    return Missing(
        "document-unknown",
        "there is no document of this kind and name",
        "GET /api/documents lists what there is",
    )
