"""The door to identity providers: cookies, what a browser gets, and what it never gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from federation_scene import Federation, Visitor
from seawall.core.errors import Refused
from seawall.http.api.guard import COOKIE

if TYPE_CHECKING:
    from starlette.applications import Starlette


@pytest.fixture
async def scene() -> Federation:
    """Return a clinic whose Ann has an account at a provider."""
    return await Federation().begin()


@pytest.fixture
def app(scene: Federation) -> Starlette:
    """Return the door."""
    return scene.door()


def state(scene: Federation) -> str:
    """Return the state of the flow that was begun last."""
    return scene.there["home"].asked[-1].state


async def test_what_is_under_way_is_in_a_cookie_of_this_host(app: Starlette) -> None:
    """No script and no other host gets it; it is sealed, so that it tells nothing."""
    answer = await Visitor(app).get("/sign-in/openid/home")
    (cookie,) = answer.headers.get_list("set-cookie")
    said = set(cookie.split("; ")[1:])

    assert 303 == answer.status_code
    assert {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax", "Secure"} == said


async def test_who_comes_back_gets_a_cookie_and_no_token(scene: Federation, app: Starlette) -> None:
    """The session's name is in a strict cookie; what the provider issued stays at the server."""
    visitor = Visitor(app)
    await visitor.get("/sign-in/openid/home?return=/x")
    answer = await visitor.get(f"/sign-in/openid/home/callback?code=c-1&state={state(scene)}")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if COOKIE + "=" in one)

    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} == set(cookie.split("; ")[1:])
    assert visitor.cookies[COOKIE] not in answer.text
    assert "c-1" not in answer.text + str(answer.headers)
    assert scene.there["home"].asked[-1].verifier not in answer.text + str(answer.headers)


async def test_an_answer_without_ones_own_flow_begins_nothing(
    scene: Federation, app: Starlette
) -> None:
    """Another browser's state and code, sent to somebody, sign nobody in (login CSRF)."""
    attacker, victim = Visitor(app), Visitor(app)
    await attacker.get("/sign-in/openid/home")
    link = f"/sign-in/openid/home/callback?code=c&state={state(scene)}"
    bare = await victim.get(link)
    await victim.get("/sign-in/openid/home")
    mixed = await victim.get(link)

    assert [403, 403] == [bare.status_code, mixed.status_code]
    assert COOKIE not in victim.cookies
    assert [] == scene.there["home"].codes


async def test_an_answer_counts_once(scene: Federation, app: Starlette) -> None:
    """The same address with the same cookies signs nobody in again."""
    visitor = Visitor(app)
    await visitor.get("/sign-in/openid/home")
    cookies = dict(visitor.cookies)
    link = f"/sign-in/openid/home/callback?code=c&state={state(scene)}"
    first = await visitor.get(link)
    again = Visitor(app)
    again.cookies = cookies
    second = await again.get(link)

    assert ([200, 403], False) == ([first.status_code, second.status_code], COOKIE in again.cookies)


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/%5Cevil.example"])
async def test_the_way_on_leads_nowhere_else(scene: Federation, app: Starlette, path: str) -> None:
    """Who is signed in goes on to a path of this server (open redirect)."""
    visitor = Visitor(app)
    await visitor.get(f"/sign-in/openid/home?return={path}")
    answer = await visitor.get(f"/sign-in/openid/home/callback?code=c&state={state(scene)}")

    assert (200, False) == (answer.status_code, "evil" in answer.text)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_sites_page_sends_nobody_to_sign_in(
    scene: Federation, app: Starlette, site: str
) -> None:
    """A session begins by an act of the person, also where the provider asks nothing."""
    visitor = Visitor(app)
    answer = await visitor.get("/sign-in/openid/home", Sec_Fetch_Site=site)

    assert (403, {}, []) == (answer.status_code, visitor.cookies, scene.there["home"].asked)


async def test_signing_in_there_ends_the_browsers_session(
    scene: Federation, app: Starlette
) -> None:
    """The new session has another name, and the one before is worth nothing."""
    visitor, names = Visitor(app), []
    for _ in range(2):
        await visitor.get("/sign-in/openid/home")
        await visitor.get(f"/sign-in/openid/home/callback?code=c&state={state(scene)}")
        names.append(visitor.cookies[COOKIE])

    assert "ann" == (await scene.sessions.identify(names[1], "net-1")).principal.name
    with pytest.raises(Refused, match="session-ended"):
        await scene.sessions.identify(names[0], "net-1")


async def test_a_code_of_one_provider_is_not_sent_to_another(
    scene: Federation, app: Starlette
) -> None:
    """What came back to one provider's address is no answer of another's (RFC 9700, 4.4)."""
    visitor = Visitor(app)
    await visitor.get("/sign-in/openid/other")
    said = scene.there["other"].asked[-1].state
    answer = await visitor.get(f"/sign-in/openid/home/callback?code=of-home&state={said}")

    assert (403, []) == (answer.status_code, scene.there["other"].codes)
