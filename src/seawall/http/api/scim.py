"""SCIM 2.0 for identity providers, at /scim/v2: its own shapes, the same guard.

Every request goes through what all routes below /api go through: a client's token, a
bounded body, the policies. Errors are said in SCIM's own form (RFC 7644, section 3.12),
and hold no value of the request. RFC 7643, RFC 7644.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, FastAPI, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Error, Invalid, Missing
from seawall.core.identity.scim import (
    ERROR,
    etag,
    group_resource,
    list_response,
    shown,
    user_resource,
)
from seawall.core.identity.scim_described import (
    LARGEST_PAGE,
    resource_types,
    schemas,
    service_provider_config,
)
from seawall.http.api.guard import asked_of
from seawall.http.errors import error_headers, status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence

    from seawall.app.provision import Provision
    from seawall.core.access.question import Resource
    from seawall.core.access.vocabulary import Role
    from seawall.core.registers.spec import Document
    from seawall.core.registers.user import UserSpec
    from seawall.http.api.guard import Api, Asked

PREFIX: Final = "/scim/v2"
MEDIA: Final = "application/scim+json"

_SCIM_TYPE: Final = {
    "scim-filter": "invalidFilter",
    "scim-path": "invalidPath",
    "scim-syntax": "invalidSyntax",
    "scim-value": "invalidValue",
    "scim-role": "invalidValue",
    "scim-target": "noTarget",
    "scim-many": "tooMany",
    "scim-taken": "uniqueness",
    "account-taken": "uniqueness",
    "scim-mutability": "mutability",
    "last-administrator": "mutability",
    "body-invalid": "invalidSyntax",
    "document-invalid": "invalidValue",
}
"""SCIM's own words for our codes (RFC 7644, table 9)."""
_STATUS: Final = {"scim-mutability": 400, "last-administrator": 400}
"""What is not compatible with the state that there is: table 9 has it as a bad request."""
_PRECONDITION: Final = 412
_LEAST_ERROR: Final = 400
_VERSION: Final = re.compile(r'(?:W/)?"([1-9][0-9]{0,8})"', re.ASCII)
_COUNT: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)

Id = Annotated[str, Path(max_length=63, pattern="^[a-z0-9._-]+$")]


def scim_application(api: Api, provision: Provision, origin: Callable[[], str]) -> FastAPI:
    """Return the application that is mounted at `PREFIX`; `origin` is the server's own."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _no_door, Exception: _bug},
    )
    app.include_router(scim_room(api, provision, origin))
    return app


def scim_room(api: Api, provision: Provision, origin: Callable[[], str]) -> APIRouter:
    """Return the routes of SCIM, whose errors have SCIM's shape."""
    room = api.router("scim")
    guarded: Any = room.route_class

    class ScimRoute(guarded):  # type: ignore[misc]  # the guard makes a class of its own for an Api
        """A guarded route whose errors are said in SCIM's form."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """Return what answers a request."""
            work: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

            async def handle(request: Request) -> Response:
                """Answer, and say an error again in SCIM's form."""
                return _again(request, await work(request))

            return handle

    room.route_class = ScimRoute
    _add_users(room, api, provision, origin)
    _add_groups(room, api, provision, origin)
    _add_described(room, api, origin)
    return room


def _add_users(room: APIRouter, api: Api, provision: Provision, origin: Callable[[], str]) -> None:
    one = api.allow(Action.MANAGE_PERSONS, _person)
    see_one, see = api.allow(Action.VIEW_PERSONS, _person), api.allow(Action.VIEW_PERSONS)

    def joining(asked: Asked) -> Iterator[tuple[Action, Resource]]:
        """Tell what letting somebody join is: a change of persons, and of this one."""
        yield Action.MANAGE_PERSONS, asked.resource(On.PERSON)
        name = provision.joining(asked.caller.principal.tenant, asked.body)
        yield Action.MANAGE_PERSONS, asked.resource(On.PERSON, name, about=name)

    def answer(request: Request, user: Document[UserSpec], code: int = 200) -> Response:
        """Answer with a person."""
        resource, version = user_resource(user, origin() + PREFIX), etag(user.version)
        headers = {"ETag": version, "Location": str(resource["meta"]["location"])}
        is_known = request.headers.get("if-none-match") == version
        if request.method == "GET" and is_known:
            return Response(status_code=304, headers=headers)
        return _scim(_shown(request, resource), code, headers)

    @room.get("/Users")
    async def users(request: Request, allowed: Allowed = Depends(see)) -> Response:
        """Answer a page of persons, or those whom a filter finds."""
        found = provision.users(allowed, request.query_params.get("filter"))
        return _page(request, found, lambda held: user_resource(held, origin() + PREFIX))

    @room.post("/Users")
    async def create(
        request: Request, allowed: list[Allowed] = Depends(api.allow_each(joining))
    ) -> Response:
        """Let somebody join."""
        return answer(request, await provision.create(allowed[1], asked_of(request).body), 201)

    @room.get("/Users/{id}")
    async def user(request: Request, id: Id, allowed: Allowed = Depends(see_one)) -> Response:  # noqa: A002  SCIM's word
        """Answer one person."""
        return answer(request, provision.user(allowed, id))

    @room.put("/Users/{id}")
    async def replace(request: Request, id: Id, allowed: Allowed = Depends(one)) -> Response:  # noqa: A002  as above
        """Put a whole resource in somebody's place."""
        body, version = asked_of(request).body, _version(request)
        return answer(request, await provision.replace(allowed, id, body, version))

    @room.patch("/Users/{id}")
    async def patch(request: Request, id: Id, allowed: Allowed = Depends(one)) -> Response:  # noqa: A002  as above
        """Apply operations to somebody."""
        body, version = asked_of(request).body, _version(request)
        return answer(request, await provision.patch(allowed, id, body, version))

    @room.delete("/Users/{id}")
    async def delete(request: Request, id: Id, allowed: Allowed = Depends(one)) -> Response:  # noqa: A002  as above
        """Let somebody leave."""
        await provision.delete(allowed, id, _version(request))
        return Response(status_code=204)


def _add_groups(room: APIRouter, api: Api, provision: Provision, origin: Callable[[], str]) -> None:
    many, see = api.allow(Action.MANAGE_PERSONS), api.allow(Action.VIEW_PERSONS)

    def replacing(asked: Asked) -> Iterator[tuple[Action, Resource]]:
        return _members(asked, provision, is_whole=True)

    def patching(asked: Asked) -> Iterator[tuple[Action, Resource]]:
        return _members(asked, provision, is_whole=False)

    def resource(allowed: Allowed, role: Role) -> dict[str, Any]:
        """Return a role as a group."""
        return group_resource(role, provision.members(allowed, role), origin() + PREFIX)

    @room.get("/Groups")
    async def groups(request: Request, allowed: Allowed = Depends(see)) -> Response:
        """Answer a page of roles, or those that a filter finds."""
        found = provision.groups(allowed, request.query_params.get("filter"))
        return _page(request, found, lambda role: resource(allowed, role))

    @room.post("/Groups")
    async def create(request: Request, allowed: Allowed = Depends(many)) -> Response:
        """Say that the group is there already."""
        await provision.create_group(allowed, asked_of(request).body)
        raise RuntimeError("no group is ever made")

    @room.get("/Groups/{id}")
    async def group(request: Request, id: Id, allowed: Allowed = Depends(see)) -> Response:  # noqa: A002  as above
        """Answer one role."""
        role = provision.group(allowed, id)
        return _scim(_shown(request, resource(allowed, role)))

    @room.put("/Groups/{id}")
    async def replace(
        request: Request,
        id: Id,  # noqa: A002  as above
        allowed: list[Allowed] = Depends(api.allow_each(replacing)),
    ) -> Response:
        """Give a role to exactly these persons."""
        role = await provision.replace_group(allowed, id, asked_of(request).body)
        return _scim(_shown(request, resource(allowed[0], role)))

    @room.patch("/Groups/{id}")
    async def patch(
        request: Request,
        id: Id,  # noqa: A002  as above
        allowed: list[Allowed] = Depends(api.allow_each(patching)),
    ) -> Response:
        """Give and take a role."""
        role = await provision.patch_group(allowed, id, asked_of(request).body)
        return _scim(_shown(request, resource(allowed[0], role)))

    @room.delete("/Groups/{id}")
    async def delete(id: Id, allowed: Allowed = Depends(many)) -> Response:  # noqa: A002  as above
        """Refuse: a role stays."""
        await provision.delete_group(allowed, id)
        return Response(status_code=204)


def _add_described(room: APIRouter, api: Api, origin: Callable[[], str]) -> None:
    caller = api.caller

    @room.get("/ServiceProviderConfig", dependencies=[Depends(caller)])
    async def config() -> Response:
        """Answer what is supported."""
        return _scim(service_provider_config(origin() + PREFIX))

    @room.get("/ResourceTypes", dependencies=[Depends(caller)])
    async def types(request: Request) -> Response:
        """Answer which sorts of resources there are."""
        return _page(request, resource_types(origin() + PREFIX), lambda held: held)

    @room.get("/ResourceTypes/{id}", dependencies=[Depends(caller)])
    async def type_(id: Annotated[str, Path(max_length=100)]) -> Response:  # noqa: A002  as above
        """Answer one sort of resources."""
        return _scim(_named(resource_types(origin() + PREFIX), id))

    @room.get("/Schemas", dependencies=[Depends(caller)])
    async def described(request: Request) -> Response:
        """Answer which attributes are kept."""
        return _page(request, schemas(origin() + PREFIX), lambda held: held)

    @room.get("/Schemas/{id}", dependencies=[Depends(caller)])
    async def schema(id: Annotated[str, Path(max_length=100)]) -> Response:  # noqa: A002  as above
        """Answer one schema."""
        return _scim(_named(schemas(origin() + PREFIX), id))


def _person(asked: Asked) -> Resource:
    return asked.resource(On.PERSON, asked.path["id"], about=asked.path["id"])


def _members(
    asked: Asked, provision: Provision, *, is_whole: bool
) -> Iterator[tuple[Action, Resource]]:
    """Tell what a change of members is: one of each who gains the role, or loses it."""
    yield Action.MANAGE_PERSONS, asked.resource(On.PERSON)
    tenant, group = asked.caller.principal.tenant, asked.path["id"]
    for name in provision.concerned(tenant, group, asked.body, is_whole=is_whole):
        yield Action.MANAGE_PERSONS, asked.resource(On.PERSON, name, about=name)


def _named(resources: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    for one in resources:
        if one["id"] == name:
            return one
    raise Missing("no-such-door", "there is no such resource", "list them")


def _page(
    request: Request, found: Sequence[Any], made: Callable[[Any], dict[str, Any]]
) -> Response:
    """Answer a page of what was found (RFC 7644, section 3.4.2.4): never more than the largest."""
    start = max(1, _number(request, "startIndex", 1))
    count = min(LARGEST_PAGE, max(0, _number(request, "count", LARGEST_PAGE)))
    page = found[start - 1 : start - 1 + count]
    resources = [_shown(request, made(one)) for one in page]
    return _scim(list_response(resources, len(found), start))


def _number(request: Request, name: str, otherwise: int) -> int:
    said = request.query_params.get(name)
    if said is None:
        return otherwise
    if not _COUNT.fullmatch(said):
        raise Invalid("scim-value", f"{name} is not a number", "send a whole number")
    return int(said)


def _shown(request: Request, resource: dict[str, Any]) -> dict[str, Any]:
    attributes, excluded = (
        frozenset(one.strip().lower() for one in request.query_params.get(name, "").split(","))
        - {""}
        for name in ("attributes", "excludedAttributes")
    )
    return shown(resource, attributes, excluded)


def _version(request: Request) -> int | None:
    """Return the version that If-Match names; None without one, or for `*`."""
    said = request.headers.getlist("if-match")
    if not said or said == ["*"]:
        return None
    match = _VERSION.fullmatch(said[0]) if len(said) == 1 else None
    # A version that nothing has: the request names one, and it is another.
    return int(match[1]) if match else 0


# --- answers, and errors in SCIM's form ---------------------------------------------


def _scim(content: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    named = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(content), code, named, MEDIA)


def _again(request: Request, response: Response) -> Response:
    """Return an error of ours in SCIM's form; an answer as it is."""
    code = response.status_code
    if code < _LEAST_ERROR or response.media_type == MEDIA:
        return response
    told = orjson.loads(bytes(response.body))["error"]
    if told["code"] == "version-changed":
        code = _PRECONDITION if "if-match" in request.headers else 409
    kept = ("seawall-entry", "www-authenticate", "retry-after")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    return _error(_STATUS.get(told["code"], code), told["code"], told["message"], headers)


def _error(code: int, ours: str, message: str, headers: dict[str, str]) -> Response:
    said = {"schemas": [ERROR], "status": str(code), "detail": f"{message} [{ours}]"}
    if ours in _SCIM_TYPE:
        said["scimType"] = _SCIM_TYPE[ours]
    return _scim(said, code, headers)


def _of(error: Error) -> Response:
    code = _STATUS.get(error.code, status(error))
    return _error(code, error.code, error.message, error_headers(error))


async def _no_door(_request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 404
    if code == 405:  # noqa: PLR2004  RFC 9110, 15.5.6
        return _error(code, "no-such-door", "there is no such method here", {})
    return _of(Missing("no-such-door", "there is no such path", "see the resource types"))


async def _bug(_request: Request, _bug: Exception) -> Response:
    return _error(500, "internal", "Seawall failed on its own side", {})
