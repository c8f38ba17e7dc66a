"""What every route below /api goes through, in one order, before its own work begins.

1. The parameters have a form that any could have.
2. Who calls: a token, or a person's session by its cookie, and never both.
3. A browser's request is one of our own pages' (cross-site request forgery).
4. The body is read, bounded, as JSON that has one meaning.
5. The policies allow the act (`Api.allow`); a refusal is an entry.
6. An idempotency key is claimed, or answered with what was answered before.

A route that asks for none of `Api.allow`, `Api.allow_each` and `Api.caller`, and is
not said to be `public`, cannot be made. Nothing of a request's headers says where it
came from or which method it is: no proxy is believed. 45 CFR 164.312(a)(1), 164.312(d).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request

from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import ACTS, Action, On
from seawall.core.errors import Conflict, Error, Invalid, Refused
from seawall.core.policy.purpose import Purpose
from seawall.http.api.bodies import invalid, is_json, read_json
from seawall.http.api.keyed import Replay, Turns
from seawall.http.api.paging import Pages
from seawall.http.errors import respond
from seawall.http.requests import MAX_BODY_BYTES, bearer, read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from fastapi.dependencies.models import Dependant
    from starlette.responses import Response
    from starlette.types import Message

    from seawall.app.access import Access, Allowed
    from seawall.app.caller import Caller
    from seawall.app.issue_token import Presented
    from seawall.app.ports import Clock, Ledger, Random, Store
    from seawall.app.sessions import Sessions
    from seawall.http.api.keyed import Turn

COOKIE: Final = "__Host-seawall"
CSRF_HEADER: Final = "Seawall-Csrf"
LONGEST_REASON: Final = 2_000
_LONGEST_PARAMETER: Final = 1_000
_OF_EVERY_ANSWER: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What no answer of the API is without: none is kept by a cache, or taken for another kind."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ASKED: Final = "seawall.asked"
_TURN: Final = "seawall.turn"
_HIDDEN: Final = "seawall.hidden"
_RULES: Final = "seawall_rules"
_GUARDS: Final = "seawall_guards"
_ACTION: Final = "seawall_action"
_Endpoint = TypeVar("_Endpoint", bound="Callable[..., Any]")


class Tokens(Protocol):
    """What tells who a token speaks for."""

    async def identify_whole(self, presented: Presented) -> Caller:
        """Return the caller; `Refused` if the token is not one for all of a client's powers."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What is particular about a route."""

    is_public: bool = False
    """Whether it is for whoever calls, such as signing in."""
    needs_key: bool = False
    """Whether it needs an idempotency key: it makes something each time that it is asked."""
    keeps: bool = True
    """Whether its answer may be kept for a repeated request; off if it shows PHI or a secret."""
    most: int = MAX_BODY_BYTES
    """How many bytes its body may have."""
    is_form: bool = False
    """Whether it reads its body itself, as a form, and not as JSON."""


def ruled(rules: Rules) -> Callable[[_Endpoint], _Endpoint]:
    """Say what is particular about a route; it stands below the router's own decorator."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        """Remember the rules with the function."""
        setattr(endpoint, _RULES, rules)
        return endpoint

    return mark


def public(endpoint: _Endpoint) -> _Endpoint:
    """Say that a route is for whoever calls, such as signing in."""
    return ruled(Rules(is_public=True))(endpoint)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks, as it came: nothing of it is believed but the caller."""

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    """The parsed body; None without one."""
    raw: bytes

    def text(self, name: str) -> str:
        """Return a text field of the body; empty if there is none."""
        found = self.body.get(name) if isinstance(self.body, dict) else None
        return found if isinstance(found, str) else ""

    def resource(self, on: On, name: str = "*", **more: str) -> Resource:
        """Return what is to be acted on, of the caller's own tenant."""
        return Resource(on, self.caller.principal.tenant, name, **more)

    def purpose(self) -> Purpose | None:
        """Return the body's purpose of use; `Invalid` if it is none that there is."""
        said = self.text("purpose")
        if not said:
            return None
        if said not in set(Purpose):
            raise Invalid(
                "purpose-unknown",
                "purpose is not a purpose of use",
                f"use one of {', '.join(Purpose)}",
            )
        return Purpose(said)

    def has_reason(self) -> bool:
        """Whether the body says why, in words."""
        said = self.text("reason").strip()
        return 0 < len(said) <= LONGEST_REASON


class Api:
    """Identifies, guards and authorises for every room of the API."""

    def __init__(
        self,
        *,
        access: Access,
        tokens: Tokens,
        sessions: Sessions,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        key: bytes,
        origin: Callable[[], str],
        network_of: Callable[[str], str],
    ) -> None:
        self.access = access
        self._tokens = tokens
        self._sessions = sessions
        self._turns = Turns(store=store, ledger=ledger, clock=clock, random=random, key=key)
        self.pages = Pages(key)
        """Marks of pages of lists."""
        self._csrf_key = hmac.digest(key, b"seawall csrf", hashlib.sha256)
        self.origin = origin
        """The server's own origin, such as https://seawall.example.org: of the settings."""
        self._network_of = network_of

    def router(self, tag: str, prefix: str = "") -> APIRouter:
        """Return a room's router: each of its routes goes through the guard."""
        guard = type("GuardedRoute", (_GuardedRoute,), {"api": self})
        return APIRouter(prefix=prefix, tags=[tag], route_class=guard, strict_content_type=False)

    # --- what a route depends on ----------------------------------------------------

    def allow(
        self,
        action: Action,
        of: Callable[[Asked], Resource] | None = None,
        elements: Callable[[Asked], frozenset[str]] | None = None,
    ) -> Callable[[Request], Awaitable[Allowed]]:
        """Return the dependency that asks the policies once, and yields `Allowed`.

        `of` tells what is acted on: every one of the tenant's, unless it says. The
        reason and the purpose are the body's `reason` and `purpose`.
        """

        async def allowed(request: Request) -> Allowed:
            """Ask, then claim the request's key."""
            asked = asked_of(request)
            resource = asked.resource(ACTS[action].on) if of is None else of(asked)
            found = await self.access.require(
                asked.caller,
                action,
                resource,
                purpose=asked.purpose(),
                has_reason=asked.has_reason(),
                elements=frozenset() if elements is None else elements(asked),
            )
            await self._claim(request, asked)
            return found

        allowed.__dict__[_ACTION] = action
        return _guarding(allowed)

    def allow_each(
        self,
        acts: Callable[[Asked], Iterable[tuple[Action, Resource]]],
        has_reason: Callable[[Asked], bool] = Asked.has_reason,
    ) -> Callable[[Request], Awaitable[list[Allowed]]]:
        """Return the dependency that asks for each of several acts; all must be allowed.

        `acts` tells them from the request, and must tell at least one. `has_reason` tells
        whether it is said why, where that is not the body's `reason`.
        """

        async def allowed(request: Request) -> list[Allowed]:
            """Ask for each, then claim the request's key."""
            asked = asked_of(request)
            purpose, is_reasoned = asked.purpose(), has_reason(asked)
            found = [
                await self.access.require(
                    asked.caller, action, resource, purpose=purpose, has_reason=is_reasoned
                )
                for action, resource in acts(asked)
            ]
            if not found:
                raise Refused("access-refused", "nothing was asked for", "say what is to be done")
            await self._claim(request, asked)
            return found

        return _guarding(allowed)

    async def caller(self, request: Request) -> Caller:
        """Return who calls, for acts on nothing but the caller's own session."""
        asked = asked_of(request)
        await self._claim(request, asked)
        return asked.caller

    caller.__dict__[_GUARDS] = "caller"

    def asking(
        self, action: Action | None, purpose: Purpose | None = None
    ) -> Callable[[Request], Awaitable[Caller]]:
        """Return the dependency of a route whose own work asks the policies, and that yields who.

        What was answered before is shown again only to whom the policies allow the action
        still, of any thing of its kind; without one, to who has a role or a power at all.
        """

        async def calls(request: Request) -> Caller:
            """Claim the request's key; of a repeated request, ask first whether it still may be."""
            asked = asked_of(request)
            try:
                await self._claim(request, asked)
            except (Replay, Conflict):
                await self._still_may(asked, action, purpose)
                raise
            return asked.caller

        calls.__dict__[_GUARDS] = "caller"
        return calls

    async def _still_may(
        self, asked: Asked, action: Action | None, purpose: Purpose | None
    ) -> None:
        asker = self.access.asker(asked.caller)
        if action is None:
            if not (asker.roles or asker.powers):
                raise Refused("access-refused", "you have no role any more", "ask who gives roles")
            return
        # An emergency access opens its one patient, and no other.
        name = (asker.emergency_patient if action is Action.VIEW_PATIENT else None) or "*"
        await self.access.require(
            asked.caller,
            action,
            asked.resource(ACTS[action].on, name),
            purpose=purpose or asked.purpose(),
            has_reason=True,
        )

    async def _claim(self, request: Request, asked: Asked) -> None:
        if request.method in _SAFE:
            return
        rules: Rules = request.scope[_RULES]
        request.scope[_TURN] = await self._turns.claim(
            request,
            asked.caller.principal,
            asked.raw,
            is_needed=rules.needs_key,
        )

    async def done(self, turn: Turn, response: Response, *, keeps: bool) -> None:
        """Keep what was answered to a request with a key, or that it was."""
        await self._turns.done(turn, response, keeps=keeps)

    # --- who calls --------------------------------------------------------------------

    async def identify(self, request: Request) -> Caller:
        """Return who calls: by a token, or by a session's cookie; `Refused` by neither.

        `Invalid` by both, since it could not be told who is meant.
        """
        name = session_name(request)
        has_token = "authorization" in request.headers
        if name is not None and has_token:
            raise Invalid(
                "credentials-two",
                "the request has a token and a session's cookie",
                "send one of them",
            )
        if name is not None:
            caller = await self._sessions.identify(name, self.network_of(request))
            if request.method not in _SAFE:
                self._check_page(request, caller)
            return caller
        return await self._tokens.identify_whole(bearer(request))

    def network_of(self, request: Request) -> str:
        """Return the address class of the connection itself; no header tells it."""
        return self._network_of(request.client.host if request.client else "")

    def csrf(self, caller: Caller) -> str:
        """Return what a page sends in `Seawall-Csrf`; empty for who has no session."""
        if caller.session is None:
            return ""
        return hmac.new(self._csrf_key, caller.session.digest.encode(), hashlib.sha256).hexdigest()

    def check_origin(self, request: Request, *, is_needed: bool) -> None:
        """Refuse what another site's page sends, as browsers say it."""
        origins = request.headers.getlist("origin")
        sites = request.headers.getlist("sec-fetch-site")
        is_ours = origins == [self.origin()] or (not origins and not is_needed)
        if not is_ours or sites not in ([], ["same-origin"]):
            raise Refused(
                "origin-foreign",
                "the request does not come from a page of this server",
                "use the pages of this server; a program uses a token, and no cookie",
            )

    def _check_page(self, request: Request, caller: Caller) -> None:
        self.check_origin(request, is_needed=True)
        said = request.headers.getlist(CSRF_HEADER)
        expected = self.csrf(caller).encode()
        if len(said) != 1 or not hmac.compare_digest(said[0].encode("latin-1"), expected):
            raise Refused(
                "csrf-missing",
                f"the header {CSRF_HEADER} is not the session's",
                "send what GET /api/session says",
            )


class _GuardedRoute(APIRoute):
    """A route that goes through the guard, and that cannot be made without one."""

    api: Api

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request: the guard around the route's own work."""
        rules = rules_of(self.endpoint)
        if not rules.is_public and not is_guarded(self.dependant):
            raise RuntimeError(f"the route {self.path} asks for no authorisation")
        work, api = super().get_route_handler(), self.api

        async def handle(request: Request) -> Response:
            """Guard, then work, then keep the answer."""
            request.scope[_RULES] = rules
            try:
                _check_parameters(request)
                whole = await _whole(api, request, rules)
                response = await work(whole)
            except Replay as replay:
                return replay.response
            except Error as error:
                response = respond(error)
            except RequestValidationError as error:
                response = respond(invalid(error))
            for name, value in _OF_EVERY_ANSWER.items():
                response.headers.setdefault(name, value)
            turn: Turn | None = request.scope.get(_TURN)
            if turn is not None:
                await api.done(turn, response, keeps=rules.keeps and _HIDDEN not in request.scope)
            return response

        return handle


def asked_of(request: Request) -> Asked:
    """Return what a request asks, of a route that is not public."""
    found: Asked = request.scope[_ASKED]
    return found


def hide(request: Request) -> None:
    """Say that this answer shows a secret, so that it is not kept for a repeated request."""
    request.scope[_HIDDEN] = True


def is_guarded(dependant: Dependant) -> bool:
    """Whether a route depends on something that identifies its caller."""
    return bool(guards_of(dependant))


def guards_of(dependant: Dependant) -> frozenset[str]:
    """Return what a route depends on: `policies`, which also identify, or `caller` alone."""
    own = {getattr(one.call, _GUARDS, "") for one in dependant.dependencies} - {""}
    return frozenset(own).union(*(guards_of(one) for one in dependant.dependencies))


def rules_of(endpoint: Callable[..., Any]) -> Rules:
    """Return what is particular about a route."""
    rules: Rules = getattr(endpoint, _RULES, Rules())
    return rules


def action_of(dependant: Dependant) -> Action | None:
    """Return the one action that a route asks for; None for none, and for those of its body."""
    found: Action | None
    for one in dependant.dependencies:
        if (found := getattr(one.call, _ACTION, None) or action_of(one)) is not None:
            return found
    return None


def is_public(endpoint: Callable[..., Any]) -> bool:
    """Whether a route was said to be for whoever calls."""
    return rules_of(endpoint).is_public


def session_name(request: Request) -> str | None:
    """Return the name of the session that a request's cookie says; `Refused` if it says two."""
    pairs = (
        # Of spaces and tabs alone (RFC 6265, 5.2): a name after another kind of space is another.
        pair.strip(" \t").partition("=")
        for line in request.headers.getlist("cookie")
        for pair in line.split(";")
    )
    found = [value for name, _, value in pairs if name == COOKIE]
    if len(found) > 1:
        raise Refused("session-ended", "there is no such session, or it has ended", "sign in again")
    return found[0] if found else None


def set_session(response: Response, name: str) -> None:
    """Let the browser keep a session's name, for this host's own pages and no script."""
    response.set_cookie(COOKIE, name, path="/", secure=True, httponly=True, samesite="strict")


def clear_session(response: Response) -> None:
    """Let the browser forget a session's name."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


async def _whole(api: Api, request: Request, rules: Rules) -> Request:
    """Return the request with its body read, and what it asks remembered."""
    is_safe = request.method in _SAFE
    caller = None
    if not rules.is_public:
        caller = await api.identify(request)
    elif not is_safe:
        api.check_origin(request, is_needed=False)
    raw = b"" if is_safe else await read_body(request, rules.most)
    body = None
    if raw and not rules.is_form:
        # A program may leave out what its body is; a browser never does, and is not believed.
        is_program = caller is not None and caller.session is None
        if not is_json(request) and not (is_program and "content-type" not in request.headers):
            raise Invalid(
                "body-kind", "the body is not said to be JSON", "send Content-Type application/json"
            )
        body = read_json(raw)
    if caller is not None:
        request.scope[_ASKED] = Asked(
            caller, request.path_params, dict(request.query_params), body, raw
        )
    is_sent = False

    async def again() -> Message:
        """Give the body that was read, once; then nothing until the caller hangs up."""
        nonlocal is_sent
        if is_sent:
            return await request.receive()
        is_sent = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return Request(request.scope, again)


def _check_parameters(request: Request) -> None:
    """Refuse parameters that are too long, said twice, or of characters that no name has."""
    given = request.query_params.multi_items()
    texts = [*map(str, request.path_params.values()), *(text for pair in given for text in pair)]
    if len({name for name, _ in given}) != len(given):
        raise Invalid("parameter-twice", "a parameter is given twice", "give each one once")
    if not all(len(text) <= _LONGEST_PARAMETER and text.isprintable() for text in texts):
        raise Invalid(
            "parameter-invalid",
            "a parameter is too long or not printable",
            f"use at most {_LONGEST_PARAMETER} printable characters",
        )


def _guarding(dependency: _Endpoint) -> _Endpoint:
    dependency.__dict__[_GUARDS] = "policies"
    return dependency
