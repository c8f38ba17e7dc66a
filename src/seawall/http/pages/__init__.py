"""The pages to sign in and to enrol without any console: files, and how they are served.

Nothing of another server, no script or style within a page, nothing in a frame. A page
says nothing that depends on who asks; what does, its script fetches below /api.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

PAGES: Final = ("sign-in", "enrol", "step-up")
"""The pages, by their paths."""
_ASSETS: Final = {
    "seawall.css": "text/css; charset=utf-8",
    **{f"{name}.js": "text/javascript; charset=utf-8" for name in ("seawall", *PAGES)},
}
_LONGEST_RETURN: Final = 500
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    # Without its script a form sends nothing: a password must not end up in an address.
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
)
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What goes with every page and every file of one."""


class PagesDoor:
    """The paths /sign-in, /enrol and /step-up, and their files below /pages."""

    def __init__(self) -> None:
        folder = files("seawall.http.pages")
        self._pages = {name: (folder / f"{name}.html").read_bytes() for name in PAGES}
        self._assets = {name: (folder / name).read_bytes() for name in _ASSETS}

    def routes(self) -> list[Route]:
        """Return the routes."""
        pages = [Route(f"/{name}", self.page, methods=["GET"]) for name in PAGES]
        return [
            *pages,
            *(Route(f"/pages/{name}", self.asset, methods=["GET"]) for name in _ASSETS),
        ]

    async def page(self, request: Request) -> Response:
        """Answer with a page; where it is to go on to another place than ours, without that."""
        path = request.url.path
        back = request.query_params.getlist("return")
        if back and (len(back) > 1 or not is_own_path(back[0])):
            return RedirectResponse(quote(path), 303, HEADERS)
        content = self._pages[path.removeprefix("/")]
        return Response(content, headers=HEADERS, media_type="text/html; charset=utf-8")

    async def asset(self, request: Request) -> Response:
        """Answer with a script or the style."""
        name = request.url.path.removeprefix("/pages/")
        return Response(self._assets[name], headers=HEADERS, media_type=_ASSETS[name])


def is_own_path(said: str) -> bool:
    """Whether a text is an absolute path of this server, however browsers read it.

    Browsers take a backslash for a slash, and leave out tabs and newlines.
    """
    plain = unquote_to_bytes(said).decode(errors="replace")
    return (
        len(said) <= _LONGEST_RETURN
        and said.startswith("/")
        and not any(text.startswith("//") for text in (said, plain))
        and "\\" not in plain
        and plain.isprintable()
    )
