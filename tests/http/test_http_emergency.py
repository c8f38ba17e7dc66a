"""Emergencies over the API: by the policies that ship, as pages of ours ask."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
import pyotp
import pytest

from api_scene import OneToken, code_of
from emergency_scene import NETWORK, TYPED, EmergencyScene
from key_scene import ANN, CLINIC
from seawall.app.ports import SYSTEM_LOG, KeepSession
from seawall.http.api.application import api_application
from seawall.http.api.emergency import emergency_room, offline_room
from seawall.http.api.guard import COOKIE, CSRF_HEADER, Api
from seawall.http.api.patients import patients_room

ORIGIN: Final = "https://seawall.test"
ASKED: Final = {
    "patient": "MRN-1",
    "code": "patient-unconscious",
    "reason": TYPED,
    "purpose": "treatment",
    "acknowledged": "1",
}
WHY: Final = {"reason": "the provider is down, and so is the line to it"}


class Desk:
    """The rooms of emergencies over a clinic, and whoever asks there."""

    def __init__(self, scene: EmergencyScene) -> None:
        self.scene = scene
        replica = scene.one
        self.api = Api(
            access=replica.access,
            tokens=OneToken(),
            sessions=replica.sessions,
            store=scene.keys.store,
            ledger=scene.ledger,
            clock=scene.clock,
            random=scene.keys.random,
            key=bytes(32),
            origin=lambda: ORIGIN,
            network_of=lambda _: NETWORK,
        )
        rooms = [
            emergency_room(self.api, replica.glass, replica.mode, replica.reviews),
            offline_room(self.api, replica.offline),
            patients_room(self.api, replica.viewing),
        ]
        self.app = api_application(rooms)

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """Send a request as a page does, for a person who just signed in; nobody for ""."""
        said = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", **headers}
        if who:
            methods = ("mfa", "otp", "pwd")
            name, session = self.scene.one.sessions.new(CLINIC, who, methods, NETWORK)
            begin = {"v": 1, "action": "begin"}
            await self.scene.ledger.append(SYSTEM_LOG, begin, [KeepSession(session)])
            caller = await self.scene.one.sessions.identify(name, NETWORK)
            said |= {"Cookie": f"{COOKIE}={name}", CSRF_HEADER: self.api.csrf(caller)}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            said["Content-Type"] = "application/json"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.request(method, path, headers=said, content=content)


@pytest.fixture
async def desk() -> Desk:
    """Return a clinic in which no emergency is under way."""
    return Desk(await EmergencyScene().open())


async def test_an_emergency_from_the_warning_to_the_review(desk: Desk) -> None:
    """A clinician breaks the glass and ends it; a privacy officer sees, reads and reviews."""
    warned = (await desk.ask("carla", "GET", "/emergencies/warning")).json()
    asked = {**ASKED, "acknowledged": warned["version"]}
    begun = (await desk.ask("carla", "POST", "/emergencies", asked)).json()
    place = f"/emergencies/{begun['id']}"
    await desk.scene.act("carla", ANN)
    desk.scene.clock.advance(60)
    ended = await desk.ask("carla", "POST", f"{place}/end", {})
    [told] = (await desk.ask("pia", "GET", "/emergencies?open=true")).json()["items"]
    texts = await desk.ask("pia", "POST", f"{place}/texts")
    reviewed = await desk.ask("pia", "POST", f"{place}/review", {"finding": "appropriate", **WHY})
    after = (await desk.ask("pia", "GET", "/emergencies?open=true")).json()["items"]
    assert [200, 200, 200] == [one.status_code for one in (ended, texts, reviewed)]
    assert ("ended", ANN, {"phi.open": 1}) == (told["state"], told["patient"], told["did"])
    assert ({"begin": TYPED}, []) == (texts.json()["texts"], after)


async def test_the_glass_opens_the_patients_record(desk: Desk) -> None:
    """Nothing of it before, all of it while it lasts, and nothing of another's."""
    body = {"patient": "MRN-1", "purpose": "treatment"}
    await desk.scene.answer([ANN], ANN, "An answer about Ann.")
    before = await desk.ask("carla", "POST", "/patients/view", body)
    await desk.ask("carla", "POST", "/emergencies", ASKED)
    seen = await desk.ask("carla", "POST", "/patients/view", body)
    other = await desk.ask("carla", "POST", "/patients/view", {**body, "patient": "MRN-2"})
    assert ["no-role-scope", "answered", "no-role-scope"] == [
        code_of(one) for one in (before, seen, other)
    ]
    assert ["MRN-1"] == seen.json()["identifiers"]["record_numbers"]
    assert ["An answer about Ann."] == [one["text"] for one in seen.json()["answers"]]


async def test_a_list_is_a_reading_of_the_ledger(desk: Desk) -> None:
    """Recorded before it is answered; a clinician sees their own alone."""
    await desk.ask("carla", "POST", "/emergencies", ASKED)
    everybodys = await desk.ask("cyrus", "GET", "/emergencies")
    own = await desk.ask("cyrus", "GET", "/emergencies/mine")
    hers = await desk.ask("carla", "GET", "/emergencies/mine")
    assert (403, [], 1) == (
        everybodys.status_code,
        own.json()["items"],
        len(hers.json()["items"]),
    )
    assert 2 == len(desk.scene.said("ledger.read", SYSTEM_LOG))


@pytest.mark.parametrize(
    ("who", "changed", "expected"),
    [
        ("carla", {}, (201, "answered")),
        ("carla", {"acknowledged": ""}, (400, "emergency-unacknowledged")),
        ("carla", {"reason": "now"}, (400, "emergency-reason")),
        ("carla", {"code": "curiosity"}, (400, "request-invalid")),
        ("carla", {"purpose": "research"}, (400, "request-invalid")),
        ("carla", {"patients": ["MRN-2"]}, (400, "request-invalid")),
        ("carla", {"patient": "MRN-9"}, (404, "patient-unknown")),
        ("dora", {}, (403, "access-refused")),
        ("", {}, (401, "token-missing")),
    ],
)
async def test_breaking_the_glass_needs_everything(
    desk: Desk, who: str, changed: dict[str, Any], expected: tuple[int, str]
) -> None:
    """One patient, a reason of the list and a typed one, and the warning."""
    reply = await desk.ask(who, "POST", "/emergencies", {**ASKED, **changed})
    assert expected == (reply.status_code, code_of(reply))


async def test_a_second_patient_is_a_conflict(desk: Desk) -> None:
    """While the first access is under way."""
    await desk.ask("carla", "POST", "/emergencies", ASKED)
    reply = await desk.ask("carla", "POST", "/emergencies", {**ASKED, "patient": "MRN-2"})
    assert (409, "emergency-under-way") == (reply.status_code, code_of(reply))


async def test_misuse_is_told_as_what_it_may_be(desk: Desk) -> None:
    """With the paragraphs that then apply."""
    begun = (await desk.ask("carla", "POST", "/emergencies", ASKED)).json()
    desk.scene.clock.advance(3600)
    body = {"finding": "inappropriate", **WHY}
    reply = await desk.ask("pia", "POST", f"/emergencies/{begun['id']}/review", body)
    assert "45 CFR 164.308(a)(6)(ii)" in reply.json()["incident"]


async def test_nobody_reviews_their_own_over_the_api(desk: Desk) -> None:
    """The policies forbid it."""
    begun = (await desk.ask("paul", "POST", "/emergencies", ASKED)).json()
    desk.scene.clock.advance(3600)
    body = {"finding": "appropriate", **WHY}
    reply = await desk.ask("paul", "POST", f"/emergencies/{begun['id']}/review", body)
    assert (403, "access-refused") == (reply.status_code, code_of(reply))


async def test_emergency_mode_is_turned_on_renewed_and_off(desk: Desk) -> None:
    """By a security officer; everybody sees it."""
    seen = []
    for path in ("", "/renew", "/end"):
        body = {**WHY, "code": "disaster"} if not path else WHY
        reply = await desk.ask("sam", "POST", f"/emergency-mode{path}", body)
        assert reply.status_code in {200, 201}, reply.text
        seen.append((await desk.ask("dora", "GET", "/emergency-mode")).json()["on"])
    refused = await desk.ask("carla", "POST", "/emergency-mode", {**WHY, "code": "disaster"})
    assert ([True, True, False], 403) == (seen, refused.status_code)


async def test_a_person_signs_in_while_the_provider_is_down(desk: Desk) -> None:
    """By a factor that was made over the API; the session's name is in a cookie alone."""
    kit = (await desk.ask("carla", "POST", "/offline-factors")).json()
    device = pyotp.parse_uri(kit["uri"])
    assert isinstance(device, pyotp.TOTP)
    shown = device.at(desk.scene.clock.now_ms() // 1000)
    body = {"user": "clinic/carla", "code": kit["codes"][0], "device_code": shown}
    closed = await desk.ask("", "POST", "/sign-in/offline", body)
    desk.scene.down.add(CLINIC)
    opened = await desk.ask("", "POST", "/sign-in/offline", body)
    again = await desk.ask("", "POST", "/sign-in/offline", body)
    assert ["offline-closed", "answered", "sign-in-refused"] == [
        code_of(reply) for reply in (closed, opened, again)
    ]
    assert {"tenant": CLINIC, "user": "carla", "left": 4} == opened.json()
    caller = await desk.scene.one.sessions.identify(opened.cookies[COOKIE], NETWORK)
    assert "carla" == caller.principal.name


async def test_another_sites_page_signs_nobody_in(desk: Desk) -> None:
    """As at every sign-in."""
    body = {"user": "clinic/carla", "code": "a", "device_code": "1"}
    reply = await desk.ask("", "POST", "/sign-in/offline", body, Origin="https://evil.example")
    assert (403, "origin-foreign") == (reply.status_code, code_of(reply))
