"""The guard of the API: who calls, from which page, and whether the policies allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, Depends
from starlette.responses import Response

from api_scene import NETWORK, ORIGIN, PERSON, TENANT, Scene, code_of
from seawall.app.access import Allowed
from seawall.app.caller import Caller
from seawall.core.access.vocabulary import Action
from seawall.core.policy.principal import Principal
from seawall.http.api.guard import COOKIE, CSRF_HEADER, Api, public, set_session
from seawall.http.api.session import session_room
from seawall.http.api.shapes import Body, Reasoned

if TYPE_CHECKING:
    from collections.abc import Mapping


class Note(Body):
    """A body for a change that needs nothing."""

    text: str = ""


def _room(api: Api) -> APIRouter:
    room = api.router("trial")

    @room.get("/things/{name}")
    async def thing(
        name: str, allowed: Allowed = Depends(api.allow(Action.VIEW_PERSONS))
    ) -> dict[str, Any]:
        return {"name": name, "by": allowed.caller.principal.name}

    @room.post("/things")
    async def change(
        note: Note, allowed: Allowed = Depends(api.allow(Action.APPLY_AGREEMENTS))
    ) -> dict[str, Any]:
        return {"length": len(note.text), "by": allowed.caller.principal.name}

    @room.post("/mode")
    async def mode(
        _reasoned: Reasoned, allowed: Allowed = Depends(api.allow(Action.EMERGENCY_MODE))
    ) -> dict[str, Any]:
        return {"policies": allowed.answer.policies}

    @room.post("/open")
    @public
    async def opened(note: Note) -> dict[str, Any]:
        return {"length": len(note.text)}

    return room


@pytest.fixture
async def scene() -> Scene:
    """Return a scene with a room of trial routes, and that of the session."""
    made = Scene()
    room = session_room(made.api, made.sessions, made.clock)
    return await made.begin(_room(made.api), room)


def _without(headers: Mapping[str, str], *names: str, **changed: str) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name not in names}
    return {**kept, **{name.replace("_", "-"): value for name, value in changed.items()}}


async def test_a_person_and_a_client_are_identified(scene: Scene) -> None:
    """One by the session's cookie, one by a token."""
    person = await scene.send("GET", "/api/things/x", scene.person())
    client = await scene.send("GET", "/api/things/x", scene.client())
    assert ["ada", "portal"] == [one.json()["by"] for one in (person, client)]


async def test_nobody_is_let_in(scene: Scene) -> None:
    """Without a credential the answer says how to get one."""
    reply = await scene.send("GET", "/api/things/x")
    assert (401, "token-missing", "Bearer") == (
        reply.status_code,
        code_of(reply),
        reply.headers["WWW-Authenticate"],
    )


async def test_two_credentials_at_once_are_refused(scene: Scene) -> None:
    """It could not be told who is meant."""
    reply = await scene.send("GET", "/api/things/x", {**scene.person(), **scene.client()})
    assert (400, "credentials-two") == (reply.status_code, code_of(reply))


async def test_two_sessions_at_once_are_none(scene: Scene) -> None:
    """A second cookie of the name cannot take the first one's place."""
    cookie = f"{COOKIE}={scene.cookie}; {COOKIE}={scene.cookie}"
    reply = await scene.send("GET", "/api/things/x", _without(scene.person(), Cookie=cookie))
    assert (401, "session-ended") == (reply.status_code, code_of(reply))


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x1c", "\x1f"])
async def test_a_cookie_after_another_kind_of_space_is_another(scene: Scene, space: str) -> None:
    """A browser sees no `__Host-` prefix there, so a neighbour could set it: it is not ours."""
    alone = f"{space}{COOKIE}={scene.cookie}".encode("latin-1")
    beside = f"{COOKIE}={scene.cookie}; {space}{COOKIE}=evil".encode("latin-1")
    codes = []
    for cookie in (alone, beside):
        headers: Any = {**_without(scene.person(), "Cookie"), "Cookie": cookie}
        codes.append((await scene.send("GET", "/api/things/x", headers)).status_code)
    assert [401, 200] == codes


async def test_no_answer_is_kept_by_a_cache(scene: Scene) -> None:
    """Nor is one whose model the framework turns into JSON, nor an error."""
    done = await scene.send("GET", "/api/things/x", scene.person())
    refused = await scene.send("GET", "/api/things/x")
    expected = [("no-store", "nosniff")] * 2
    assert expected == [
        (one.headers["Cache-Control"], one.headers["X-Content-Type-Options"])
        for one in (done, refused)
    ]


async def test_a_session_from_another_network_is_none(scene: Scene) -> None:
    """Whatever a header says of where the request came from."""
    headers = {**scene.person(), "X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    reply = await scene.send("GET", "/api/things/x", headers, address="192.0.2.7")
    assert (401, "session-ended") == (reply.status_code, code_of(reply))


async def test_a_change_of_our_own_page_is_done(scene: Scene) -> None:
    """With the origin, the site and the session's header."""
    reply = await scene.send("POST", "/api/things", scene.person(), {"text": "abc"})
    assert (200, 3) == (reply.status_code, reply.json()["length"])


@pytest.mark.parametrize(
    ("dropped", "changed", "code"),
    [
        (("Origin",), {}, "origin-foreign"),
        ((), {"Origin": "https://evil.test"}, "origin-foreign"),
        ((), {"Origin": "https://elsewhere.test"}, "origin-foreign"),
        ((), {"Origin": "null"}, "origin-foreign"),
        ((), {"Sec_Fetch_Site": "same-site"}, "origin-foreign"),
        ((), {"Sec_Fetch_Site": "none"}, "origin-foreign"),
        ((CSRF_HEADER,), {}, "csrf-missing"),
        ((), {"Seawall_Csrf": "0" * 64}, "csrf-missing"),
        ((), {"Seawall_Csrf": ""}, "csrf-missing"),
    ],
)
async def test_a_change_of_another_page_is_refused(
    scene: Scene, dropped: tuple[str, ...], changed: dict[str, str], code: str
) -> None:
    """Each of the three alone refuses; the Host header, which is elsewhere, says nothing."""
    headers = _without(scene.person(), *dropped, **changed)
    reply = await scene.send("POST", "/api/things", headers, {"text": "abc"})
    assert (403, code) == (reply.status_code, code_of(reply))


async def test_another_sessions_header_is_refused(scene: Scene) -> None:
    """What a page sends is of one session: that of another one counts not here."""
    _, session = scene.sessions.new(TENANT, PERSON, ["pwd"], NETWORK)
    other = scene.api.csrf(Caller(Principal("user", PERSON, TENANT), session))
    headers = _without(scene.person(), Seawall_Csrf=other)
    reply = await scene.send("POST", "/api/things", headers, {"text": ""})
    assert (403, "csrf-missing") == (reply.status_code, code_of(reply))


async def test_reading_needs_no_page(scene: Scene) -> None:
    """A link that a person follows has neither an origin nor our header."""
    headers = {"Cookie": f"{COOKIE}={scene.cookie}"}
    assert 200 == (await scene.send("GET", "/api/things/x", headers)).status_code


async def test_a_public_route_is_no_other_sites(scene: Scene) -> None:
    """A foreign page signs nobody in; a program without an origin may."""
    foreign = {"Origin": "https://evil.test"}
    replies = [
        await scene.send("POST", "/api/open", headers, {"text": ""})
        for headers in (foreign, {"Sec-Fetch-Site": "cross-site"}, {"Origin": ORIGIN}, {})
    ]
    assert [403, 403, 200, 200] == [one.status_code for one in replies]


async def test_a_refusal_of_the_policies_is_an_entry(scene: Scene) -> None:
    """The answer names it, and it says what was asked for."""
    scene.policies.forbidden.add(Action.VIEW_PERSONS)
    reply = await scene.send("GET", "/api/things/x", scene.person())
    entry = scene.ledger.bodies(TENANT)[int(reply.headers["Seawall-Entry"])]
    assert (403, "access-refused", "view-persons") == (
        reply.status_code,
        code_of(reply),
        entry["what"],
    )


async def test_a_factor_that_is_too_old_is_asked_for_again(scene: Scene) -> None:
    """As RFC 9470 says it; what needs none goes on."""
    scene.clock.advance(301)
    body = {"reason": "the hurricane"}
    reply = await scene.send("POST", "/api/mode", scene.person(), body)
    other = await scene.send("GET", "/api/things/x", scene.person())
    assert (401, "step-up-needed", 200) == (reply.status_code, code_of(reply), other.status_code)
    assert (
        'Bearer error="insufficient_user_authentication", max_age="300"'
        == reply.headers["WWW-Authenticate"]
    )


@pytest.mark.parametrize("reason", ["", "   ", None, 7, "x" * 2001])
async def test_a_reason_is_words(scene: Scene, reason: Any) -> None:
    """Whatever is none is asked for, and the policies were asked once."""
    scene.policies.asked.clear()
    reply = await scene.send("POST", "/api/mode", scene.person(), {"reason": reason})
    assert ("reason-needed", 1) == (code_of(reply), len(scene.policies.asked))


async def test_the_policies_are_asked_once(scene: Scene) -> None:
    """An act is one question, with what the body says."""
    scene.policies.asked.clear()
    reply = await scene.send("POST", "/api/mode", scene.person(), {"reason": "the hurricane"})
    (question,) = scene.policies.asked
    assert (200, True) == (reply.status_code, question.has_reason)


async def _forgotten() -> dict[str, str]:
    return {}


def test_a_route_without_a_guard_cannot_be_made() -> None:
    """Forgetting it is an error when the program starts, and no open door."""
    api = Scene().api
    room = api.router("trial")
    with pytest.raises(RuntimeError, match="asks for no authorisation"):
        room.add_api_route("/forgotten", _forgotten)


async def test_signing_out_ends_the_session_at_once(scene: Scene) -> None:
    """The cookie is taken back, and counts no more if it is sent again."""
    reply = await scene.send("DELETE", "/api/session", scene.person())
    again = await scene.send("GET", "/api/session", scene.person())
    assert (204, 401) == (reply.status_code, again.status_code)
    assert reply.headers["Set-Cookie"].startswith(f'{COOKIE}=""; ')


async def test_other_sessions_are_listed_and_ended(scene: Scene) -> None:
    """None is there but the caller's own, which goes on."""
    seen = (await scene.send("GET", "/api/session/others", scene.person())).json()
    ended = await scene.send("DELETE", "/api/session/others", scene.person())
    again = await scene.send("GET", "/api/session", scene.person())
    assert ({"items": []}, 204, 200) == (seen, ended.status_code, again.status_code)
    assert ended.headers["Seawall-Entry"].isdecimal()


async def test_the_session_says_what_its_pages_send(scene: Scene) -> None:
    """And who the person is."""
    said = (await scene.send("GET", "/api/session", scene.person())).json()
    assert (PERSON, scene.csrf, 0) == (said["name"], said["csrf"], said["factor_age_seconds"])


def test_the_cookie_is_for_this_host_alone() -> None:
    """No other host, no plain connection, no script and no other site gets it."""
    response = Response()
    set_session(response, "f00")
    expected = f"{COOKIE}=f00; HttpOnly; Path=/; SameSite=strict; Secure"
    assert expected == response.headers["Set-Cookie"]
