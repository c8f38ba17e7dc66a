"""Every route of the whole application: which asks the policies, and which is for whoever calls.

A route that is in neither list fails here: whoever adds one decides which it is.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from seawall.core.access.vocabulary import Action
from seawall.http.api.guard import guards_of, is_guarded, is_public

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.routing import BaseRoute

    from clinic import Clinic
    from seawall.core.phi.detection import Detector

PUBLIC: Final = {
    "/healthz": "whether the process runs",
    "/readyz": "whether exchanges can be carried",
    "/metrics": "counters, without a name of anybody",
    "/oauth2/token": "a client shows itself here",
    "/oauth2/revoke": "a client shows itself here",
    "/.well-known/oauth-authorization-server": "where that is (RFC 8414)",
    "/api/openapi.json": "the description of the API, the same for all",
    "/sign-in": "a page without anything of anybody",
    "/enrol": "as the page before",
    "/step-up": "as the page before",
    "/pages/seawall.css": "as the page before",
    "/pages/seawall.js": "as the page before",
    "/pages/sign-in.js": "as the page before",
    "/pages/enrol.js": "as the page before",
    "/pages/step-up.js": "as the page before",
    "/sign-in/openid/{provider}": "a person is sent to where they show themselves",
    "/sign-in/openid/{provider}/callback": "and comes back from there",
    "/api/sign-in/passkey/options": "a person shows themselves here",
    "/api/sign-in/passkey": "a person shows themselves here",
    "/api/sign-in/password": "a person shows themselves here",
    "/api/sign-in/totp": "a person shows themselves here",
    "/api/sign-in/password-passkey": "a person shows themselves here",
    "/api/sign-in/recovery": "a person shows themselves here",
    "/api/sign-in/offline": "a person shows themselves here",
    "/api/enrol/begin": "the link that was given shows whose enrolment it is",
    "/api/enrol/finish": "as before",
}
"""What is for whoever calls, and why."""

OWN: Final = {
    "GET /api/session": "the caller's own session",
    "DELETE /api/session": "as before",
    "GET /api/factors": "the caller's own factors",
    "POST /api/factors/passkeys/options": "as before",
    "POST /api/factors/passkeys": "as before",
    "DELETE /api/factors/passkeys/{digest}": "as before",
    "POST /api/factors/recovery-codes": "as before",
    "GET /api/session/others": "the caller's own other sessions",
    "DELETE /api/session/others": "as before",
    "POST /api/step-up/passkey/options": "as before",
    "POST /api/step-up/passkey": "as before",
    "POST /api/step-up/totp": "as before",
    "POST /api/offline-factors": "a factor of the caller's own",
    "POST /api/person-tokens": "the caller lets a client act for the caller",
    "GET /api/emergencies/mine": "the caller's own",
    "GET /api/emergencies/warning": "the same text for all",
    "GET /api/emergency-mode": "whether it is on, which everybody must know",
    "GET /api/reviewed-grants": "what the caller is asked",
    "GET /scim/v2/Schemas": "the same for all",
    "GET /scim/v2/Schemas/{id}": "the same for all",
    "GET /scim/v2/ResourceTypes": "the same for all",
    "GET /scim/v2/ResourceTypes/{id}": "the same for all",
    "GET /scim/v2/ServiceProviderConfig": "the same for all",
}
"""What is for whoever has a session or a token, and why nothing else is asked."""

ASK_THEMSELVES: Final = {
    "POST /api/emergencies": "break-glass: the patient is found by a reference",
    "POST /api/emergencies/{id}/end": "review-emergency, unless it is the caller's own",
    "POST /api/emergencies/{id}/review": "review-emergency: of the person whose it is",
    "POST /api/emergencies/{id}/texts": "review-emergency: of the person whose it is",
    "POST /api/emergency-mode": "emergency-mode",
    "POST /api/emergency-mode/renew": "emergency-mode",
    "POST /api/emergency-mode/end": "emergency-mode",
    "POST /api/patients/view": "view-patient: the patient is found by a reference",
}
"""What asks the policies where the resource is known, and for which action."""

BY_TOKEN: Final = {
    "/v1/chat/completions": "POST",
    "/v1/models": "GET",
    "/log/{log}/checkpoint": "GET",
    "/log/{log}/tile/{path:path}": "GET",
}
"""What is not below /api, and asks for a client's token itself."""


def _walk(routes: Iterable[BaseRoute], below: str = "") -> Iterator[tuple[str, Route]]:
    """Yield every route with its whole path; what this does not know fails."""
    for route in routes:
        if isinstance(route, Route):
            yield below + route.path, route
        elif isinstance(route, Mount):
            yield from _walk(route.routes, below + route.path)
        else:
            # What FastAPI makes of an included router.
            yield from _walk(route.original_router.routes, below)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def application(
    clinic: Clinic, detector: Detector, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Return the application as a server has it, over a copy of the clinic."""
    copy = clinic.copy(tmp_path_factory.mktemp("routes") / "data")

    async def made() -> Any:
        """Make the application."""
        async with copy.installation.write(detector=detector) as writer:
            return writer.application()

    return asyncio.run(made())


def test_every_route_is_decided_on_or_said_to_be_public(application: Any) -> None:
    """And no path of a list is gone."""
    found = list(_walk(application.routes))
    rooms = [(path, route) for path, route in found if isinstance(route, APIRoute)]
    decided = {path for path, route in rooms if is_guarded(route.dependant)}
    said = {path for path, route in rooms if is_public(route.endpoint)}
    rest = {path for path, _ in found} - decided
    assert {*PUBLIC, *BY_TOKEN} == rest
    assert said <= PUBLIC.keys()


def test_what_the_guard_does_not_ask_for_says_why(application: Any) -> None:
    """A route that only identifies its caller is in one of two lists, with its reason."""
    unasked = {
        f"{method} {path}"
        for path, route in _walk(application.routes)
        if isinstance(route, APIRoute) and not is_public(route.endpoint)
        for method in route.methods or ()
        if "policies" not in guards_of(route.dependant)
    }
    assert {*OWN, *ASK_THEMSELVES} == unasked
    named = {why.partition(":")[0].partition(",")[0] for why in ASK_THEMSELVES.values()}
    assert named <= set(Action)


async def test_nobody_gets_anything_else(application: Any) -> None:
    """Without a credential every other path answers that there is none, by every method."""
    transport = httpx.ASGITransport(application)
    answers = {}
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as nobody:
        for path, route in _walk(application.routes):
            if path in PUBLIC:
                continue
            for method in route.methods or ():
                reply = await nobody.request(method, re.sub(r"\{[^}]*\}", "1", path))
                answers[method, path] = reply.status_code
    assert {401} == set(answers.values()), answers
    assert len(answers) > len(BY_TOKEN)


async def test_no_path_leads_to_another_host(application: Any) -> None:
    """A slash too many or too few is no path of ours: the Host header names no address."""
    paths = {path for path, _ in _walk(application.routes)}
    tried = ["/api", "/scim/v2", *(f"{re.sub('{[^}]*}', 'x', path)}/" for path in sorted(paths))]
    sent = []
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="https://evil.example") as client:
        for path in tried:
            for method in ("GET", "POST"):
                reply = await client.request(method, path)
                if reply.is_redirect or "evil.example" in str(reply.headers):
                    sent.append(f"{method} {path}")
    assert [] == sent
