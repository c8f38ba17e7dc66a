"""Two paths for browsers: away to an OpenID provider, and back from it.

The ticket lies in a cookie of its own, for ten minutes: the provider's answer comes from
another site, to which no strict cookie would be sent. The way on is a page and not a
redirect, since a browser would not send the new session's cookie along with one.
OpenID Connect Core 1.0, section 3.1; RFC 9207.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response

from seawall.core.errors import Error, Refused
from seawall.http.api.guard import session_name, set_session
from seawall.http.errors import respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from seawall.app.federate import Federate
    from seawall.app.sessions import Sessions

TICKET: Final = "__Host-seawall-openid"
_LONGEST: Final = 4_096
_OWN: Final[tuple[list[str], ...]] = ([], ["none"], ["same-origin"])
"""What browsers say of a request that nobody else's page made; old ones say nothing."""
_ON: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Signed in</title>'
    '<meta http-equiv="refresh" content="0;url={path}"></head>'
    '<body><p>You are signed in. <a href="{path}">Go on</a>.</p></body></html>'
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class OpenIdDoor:
    """The paths below /sign-in/openid/{provider}."""

    def __init__(
        self, *, federate: Federate, sessions: Sessions, network_of: Callable[[Request], str]
    ) -> None:
        self._federate = federate
        self._sessions = sessions
        self._network_of = network_of

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider; with `again=1`, to show factors for its session."""
        try:
            if request.headers.getlist("sec-fetch-site") not in _OWN:
                raise Refused(
                    "origin-foreign",
                    "another site sends you to sign in",
                    "open the address of this server yourself",
                )
            network = self._network_of(request)
            session, is_again = None, request.query_params.get("again") == "1"
            name = session_name(request)
            if name is not None or is_again:
                try:
                    session = (await self._sessions.identify(name or "", network)).session
                except Refused:
                    if is_again:
                        raise
            going = await self._federate.begin(
                str(request.path_params["provider"]),
                request.query_params.get("return", "/"),
                network,
                session,
                is_again=is_again,
            )
        except Error as error:
            return respond(error)
        answer = RedirectResponse(going.address, 303, _HEADERS)
        answer.set_cookie(
            TICKET, going.ticket, max_age=600, secure=True, httponly=True, samesite="lax"
        )
        return answer

    async def back(self, request: Request) -> Response:
        """Take the provider's answer, and let the person in."""
        given = request.query_params
        try:
            if any(len(value) > _LONGEST for value in given.values()) or "code" not in given:
                raise Refused(
                    "provider-refused",
                    "the identity provider let nobody in",
                    "sign in there, and let it tell Seawall who you are",
                )
            back = await self._federate.finish(
                request.cookies.get(TICKET, ""),
                provider=str(request.path_params["provider"]),
                state=given.get("state", ""),
                code=given["code"],
                issuer=given.get("iss"),
                network=self._network_of(request),
            )
            answer = Response(
                _ON.format(path=escape(back.path, quote=True)), 200, _HEADERS, "text/html"
            )
            set_session(answer, back.session)
        except Error as error:
            answer = respond(error)
        answer.delete_cookie(TICKET, secure=True, httponly=True, samesite="lax")
        return answer
