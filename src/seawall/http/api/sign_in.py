"""Signing in, showing a factor again, and enrolling, for the pages of this server.

These routes are for whoever calls, so each asks that the request comes from a page of
this server's own, takes a small body, and is counted (`seawall.app.try_limits`). A
session's name is in a cookie alone, and so is the browser's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from seawall.app.access import Allowed
from seawall.app.caller import Caller
from seawall.app.enrol import Chosen
from seawall.app.factors import credential_item
from seawall.app.try_limits import Where
from seawall.core.access.vocabulary import Action, On
from seawall.core.errors import Refused
from seawall.core.identity.ticket import LONGEST
from seawall.core.registers.spec import Name
from seawall.http.api.guard import Rules, ruled, session_name, set_session
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.enrol import Enrol
    from seawall.app.own_factors import OwnFactors
    from seawall.app.show_again import ShowAgain
    from seawall.app.sign_in import Begun, SignedIn, SignIn
    from seawall.core.access.question import Resource
    from seawall.http.api.guard import Api, Asked

DEVICE: Final = "__Host-seawall-device"
_DEVICE_SECONDS: Final = 34_560_000
"""400 days, the longest that browsers keep a cookie."""
_MOST: Final = 32_768
_PUBLIC: Final = Rules(is_public=True, most=_MOST)
_UNKEPT: Final = Rules(keeps=False, most=_MOST)
_ENROL_PATH: Final = "/enrol#"

TicketText = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
Short = Annotated[str, StringConstraints(max_length=200)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Words = Annotated[str, StringConstraints(max_length=1_000)]


class PasswordBody(Body):
    """The first of two steps."""

    user: Short
    """NAME, or TENANT/NAME where there are several tenants."""
    password: Words


class CodeBody(Body):
    """A code, after a password."""

    ticket: TicketText
    code: Short


class PasskeyBody(Body):
    """What `navigator.credentials.get` gave, as its `toJSON` writes it."""

    ticket: TicketText
    credential: dict[str, Any]


class AgainBody(Body):
    """A one-time code, in a session."""

    code: Short


class LinkBody(Body):
    """What stands behind the `#` of an enrolment link."""

    link: Short


class EnrolBody(LinkBody):
    """What is enrolled; what is left out is not."""

    ticket: TicketText
    password: Words = ""
    passkey: dict[str, Any] | None = None
    passkey_name: Short = ""
    code: Short = ""


class NamedPasskeyBody(Body):
    """What `navigator.credentials.create` gave, and what its owner calls it."""

    ticket: TicketText
    credential: dict[str, Any]
    name: Short = ""


class PersonBody(Body):
    """Whom a new link is for."""

    person: Name


class BegunShown(BaseModel):
    """What was begun, and what a browser asks an authenticator."""

    ticket: str
    options: dict[str, Any]


class SignedInShown(BaseModel):
    """Who is signed in; the session's name is in the cookie alone."""

    tenant: str
    user: str


class RecoveredShown(BaseModel):
    """Where another factor is enrolled, for a quarter of an hour."""

    path: str


class EnrollingShown(BegunShown):
    """What a browser needs to enrol."""

    tenant: str
    user: str
    title: str
    keeps_password: bool
    secret: str
    """What an authenticator app takes for one-time codes."""
    uri: str
    """The same as an otpauth URI."""


class EnrolledShown(BaseModel):
    """The recovery codes, which are shown this once."""

    recovery_codes: list[str]


class LinkShown(BaseModel):
    """A new enrolment link, which is shown this once."""

    url: str
    until_ms: int


class PasskeyShown(BaseModel):
    """A passkey, by the SHA-256 of its id."""

    id: str
    name: str
    made_ms: int
    synced: bool


class FactorsShown(BaseModel):
    """Which factors the caller has."""

    factors: list[str]
    passkeys: list[PasskeyShown]
    recovery_codes: int
    """How many are left."""


def sign_in_room(api: Api, sign_in: SignIn) -> APIRouter:
    """Return the routes by which persons sign in."""
    room = api.router("sign-in", "/sign-in")

    @room.post("/passkey/options", summary="Begin to sign in with a passkey")
    @ruled(_PUBLIC)
    async def begun(request: Request) -> BegunShown:
        """Answer what a browser asks any passkey of this server."""
        api.check_origin(request, is_needed=True)
        return _begun(sign_in.begin_passkey())

    @room.post("/passkey", summary="Sign in with a passkey", response_model=SignedInShown)
    @ruled(_PUBLIC)
    async def by_passkey(request: Request, body: PasskeyBody) -> Response:
        """Begin a session, once a passkey verified its user."""
        where = _where(api, request)
        done = await sign_in.passkey(where, body.ticket, body.credential, _old(request))
        return _signed_in(done)

    @room.post("/password", summary="Begin to sign in with a password")
    @ruled(_PUBLIC)
    async def by_password(request: Request, body: PasswordBody) -> BegunShown:
        """Ask for a second factor, whether the password was right or not."""
        return _begun(await sign_in.password(_where(api, request), body.user, body.password))

    @room.post("/totp", summary="Sign in with a code", response_model=SignedInShown)
    @ruled(_PUBLIC)
    async def by_code(request: Request, body: CodeBody) -> Response:
        """Begin a session, once a one-time code fits after a password."""
        where = _where(api, request)
        return _signed_in(await sign_in.code(where, body.ticket, body.code, _old(request)))

    @room.post(
        "/password-passkey",
        summary="Sign in with a passkey after a password",
        response_model=SignedInShown,
    )
    @ruled(_PUBLIC)
    async def by_both(request: Request, body: PasskeyBody) -> Response:
        """Begin a session, once a passkey of the same person was shown after a password."""
        where = _where(api, request)
        done = await sign_in.password_passkey(where, body.ticket, body.credential, _old(request))
        return _signed_in(done)

    @room.post("/recovery", summary="Use a recovery code")
    @ruled(_PUBLIC)
    async def recovered(request: Request, body: CodeBody) -> RecoveredShown:
        """Answer where another factor is enrolled; no session begins."""
        link = await sign_in.recovery(_where(api, request), body.ticket, body.code)
        return RecoveredShown(path=_ENROL_PATH + link)

    return room


def step_up_room(api: Api, again: ShowAgain) -> APIRouter:
    """Return the routes by which a person shows a factor again (RFC 9470)."""
    room = api.router("sign-in", "/step-up")

    @room.post("/passkey/options", summary="Begin to show a passkey again")
    @ruled(_UNKEPT)
    async def begun(caller: Caller = Depends(api.caller)) -> BegunShown:
        """Answer what the browser asks a passkey of the session's own person."""
        return _begun(again.begin(caller))

    @room.post("/passkey", summary="Show a passkey again", status_code=204)
    @ruled(_UNKEPT)
    async def by_passkey(
        request: Request, body: PasskeyBody, caller: Caller = Depends(api.caller)
    ) -> Response:
        """Give the session a new name, once a passkey was shown."""
        where = _where(api, request)
        name = await again.passkey(caller, where, body.ticket, body.credential)
        return _renamed(name)

    @room.post("/totp", summary="Show a code again", status_code=204)
    @ruled(_UNKEPT)
    async def by_code(
        request: Request, body: AgainBody, caller: Caller = Depends(api.caller)
    ) -> Response:
        """Give the session a new name, once a one-time code was shown."""
        return _renamed(await again.code(caller, _where(api, request), body.code))

    return room


def enrol_room(api: Api, enrol: Enrol, origin: Callable[[], str]) -> APIRouter:
    """Return the routes by which persons enrol, and get links to do so.

    `origin` tells the server's own, such as https://seawall.example.org.
    """
    room = api.router("sign-in", "/enrol")

    @room.post("/begin", summary="Begin to enrol by a link")
    @ruled(_PUBLIC)
    async def begun(request: Request, body: LinkBody) -> EnrollingShown:
        """Answer what a browser needs; the link works until something was enrolled."""
        made = await enrol.begin(_where(api, request), body.link)
        return EnrollingShown(
            ticket=made.ticket,
            options=made.options,
            tenant=made.person.tenant,
            user=made.person.name,
            title=made.title,
            keeps_password=made.keeps_password,
            secret=made.secret,
            uri=made.uri,
        )

    @room.post("/finish", summary="Enrol what was chosen")
    @ruled(_PUBLIC)
    async def finished(request: Request, body: EnrolBody) -> EnrolledShown:
        """Replace the person's factors, and answer with the recovery codes."""
        chosen = Chosen(body.password, body.passkey, body.passkey_name, body.code)
        codes = await enrol.finish(_where(api, request), body.link, body.ticket, chosen)
        return EnrolledShown(recovery_codes=list(codes))

    def whom(asked: Asked) -> Resource:
        """Name the person whose factors are reset."""
        return asked.resource(On.PERSON, asked.text("person"), about=asked.text("person"))

    @room.post("/links", summary="Give somebody a new enrolment link", status_code=201)
    @ruled(_UNKEPT)
    async def invited(
        body: PersonBody, allowed: Allowed = Depends(api.allow(Action.RESET_FACTORS, whom))
    ) -> LinkShown:
        """Take a person's factors and sessions away, and answer with the link to new ones."""
        by, access = allowed.caller.principal, allowed.answer.fields()
        made = await enrol.invite(by, body.person, access)
        return LinkShown(url=enrol_url(origin(), made.link), until_ms=made.until_ms)

    return room


def factors_room(api: Api, own: OwnFactors) -> APIRouter:
    """Return the routes by which a person sees and changes factors of their own."""
    room = api.router("sign-in", "/factors")

    @room.get("", summary="The caller's own factors")
    async def shown(request: Request, caller: Caller = Depends(api.caller)) -> FactorsShown:
        """Answer which factors there are, and no secret of them."""
        account = await own.shown(caller, _place(api, request))
        return FactorsShown(
            factors=list(account.factors),
            passkeys=[
                PasskeyShown(
                    id=credential_item(one.id),
                    name=one.name,
                    made_ms=one.made_ms,
                    synced=one.is_synced,
                )
                for one in account.passkeys
            ],
            recovery_codes=len(account.recovery),
        )

    @room.post("/passkeys/options", summary="Begin to add a passkey")
    @ruled(_UNKEPT)
    async def begun(caller: Caller = Depends(api.caller)) -> BegunShown:
        """Answer what the browser asks an authenticator; needs a fresh factor."""
        return _begun(own.begin(caller))

    @room.post("/passkeys", summary="Add a passkey", status_code=204)
    @ruled(_UNKEPT)
    async def added(
        request: Request, body: NamedPasskeyBody, caller: Caller = Depends(api.caller)
    ) -> Response:
        """Add it; needs a fresh factor."""
        where = _place(api, request)
        await own.add(caller, where, body.ticket, body.credential, body.name)
        return Response(status_code=204)

    @room.delete("/passkeys/{digest}", summary="Remove a passkey", status_code=204)
    async def removed(
        request: Request, digest: Digest, caller: Caller = Depends(api.caller)
    ) -> Response:
        """Remove it, and end the person's other sessions; needs a fresh factor."""
        await own.remove(caller, _place(api, request), digest)
        return Response(status_code=204)

    @room.post("/recovery-codes", summary="Make other recovery codes")
    @ruled(_UNKEPT)
    async def renewed(request: Request, caller: Caller = Depends(api.caller)) -> EnrolledShown:
        """Answer with ten new codes, which are shown this once; needs a fresh factor."""
        codes = await own.renew_codes(caller, _place(api, request))
        return EnrolledShown(recovery_codes=list(codes))

    return room


def enrol_url(origin: str, link: str) -> str:
    """Return where somebody enrols: what is secret stands behind `#`, so that no log has it."""
    return f"{origin}{_ENROL_PATH}{link}"


def _begun(begun: Begun) -> BegunShown:
    return BegunShown(ticket=begun.ticket, options=begun.options)


def _where(api: Api, request: Request) -> Where:
    """Return where a request comes from, once it is one of our own pages'."""
    api.check_origin(request, is_needed=True)
    return _place(api, request)


def _place(api: Api, request: Request) -> Where:
    return Where(api.network_of(request), request.cookies.get(DEVICE, "")[:200])


def _old(request: Request) -> str | None:
    """Return the session that a browser had; of two names none is believed."""
    try:
        return session_name(request)
    except Refused:
        return None


def _signed_in(done: SignedIn) -> Response:
    response = json_response({"tenant": done.tenant, "user": done.user})
    set_session(response, done.session)
    response.set_cookie(
        DEVICE,
        done.device,
        max_age=_DEVICE_SECONDS,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return response


def _renamed(name: str) -> Response:
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    set_session(response, name)
    return response
