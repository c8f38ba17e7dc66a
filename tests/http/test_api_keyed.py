"""Requests with an idempotency key: done once, answered again, never another's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api_scene import PERSON, TENANT, Scene, code_of
from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.app.access import Allowed
from seawall.app.caller import Caller
from seawall.core.access.vocabulary import Action
from seawall.core.errors import Conflict, Unavailable
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.spec import Document
from seawall.core.registers.user import UserSpec
from seawall.http.api.guard import Api, Rules, hide, ruled
from seawall.http.api.keyed import Turns
from seawall.http.api.shapes import Body
from seawall.http.errors import json_response

if TYPE_CHECKING:
    import httpx

KEY = "a1b2c3d4-0000"
NO_ROLES = Document("User", PERSON, 2, UserSpec(title="Ada"))


class Word(Body):
    """What is to be counted."""

    word: str = ""


class Counter:
    """Counts how often each route did its work."""

    def __init__(self, api: Api) -> None:
        self.done = 0
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.api = api

    def room(self) -> APIRouter:
        """Return routes that count."""
        api, room = self.api, self.api.router("trial")

        @room.post("/count")
        async def count(
            given: Word, _allowed: Allowed = Depends(api.allow(Action.APPLY_AGREEMENTS))
        ) -> Response:
            """Count, once a key is claimed."""
            self.reached.set()
            await self.gate.wait()
            self.done += 1
            if given.word == "conflict":
                raise Conflict("version-exists", "it exists", "look")
            if given.word == "down":
                raise Unavailable("ledger-down", "it is down", "wait")
            content = {"done": self.done}
            return json_response(content, 201, {"ETag": '"7"', "Location": "/api/count/1"})

        @room.post("/secret")
        @ruled(Rules(needs_key=True, keeps=False))
        async def secret(
            _allowed: Allowed = Depends(api.allow(Action.APPLY_AGREEMENTS)),
        ) -> Response:
            """Answer with a secret."""
            self.done += 1
            return json_response({"secret": "hunter2"}, headers={"Seawall-Entry": "41"})

        @room.post("/sometimes")
        async def sometimes(
            request: Request, _allowed: Allowed = Depends(api.allow(Action.APPLY_AGREEMENTS))
        ) -> Response:
            """Fail the first time."""
            hide(request)
            return json_response({"secret": "hunter2"})

        for path, action in (("asking", Action.BREAK_GLASS), ("standing", None)):

            @room.post(f"/{path}")
            async def asks_itself(
                _caller: Caller = Depends(api.asking(action, Purpose.TREATMENT)),
            ) -> Response:
                """Ask for itself."""
                self.done += 1
                return json_response({"done": self.done})

        return room


class Keyed:
    """A scene with a counter behind it."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.counter = Counter(self.scene.api)

    async def begin(self) -> Keyed:
        """Serve the counting routes."""
        await self.scene.begin(self.counter.room())
        return self

    async def count(self, word: str = "x", key: str = KEY, **more: Any) -> httpx.Response:
        """Ask for a count as the person."""
        headers = {**self.scene.person(), "Idempotency-Key": key, **more}
        return await self.scene.send("POST", "/api/count", headers, {"word": word})


@pytest.fixture
async def keyed() -> Keyed:
    """Return a scene whose routes count what they do."""
    return await Keyed().begin()


async def test_the_same_request_is_done_once(keyed: Keyed) -> None:
    """The second answer is the first one, and says so."""
    first, second = await keyed.count(), await keyed.count()
    assert (1, 201, first.content) == (keyed.counter.done, second.status_code, second.content)
    assert (None, "true", '"7"', "/api/count/1") == (
        first.headers.get("Idempotent-Replay"),
        second.headers["Idempotent-Replay"],
        second.headers["ETag"],
        second.headers["Location"],
    )


async def test_another_request_with_the_key_is_refused(keyed: Keyed) -> None:
    """A key is for one request, with the very same body."""
    await keyed.count()
    other = await keyed.count("y")
    assert (422, "key-reused", 1) == (other.status_code, code_of(other), keyed.counter.done)


async def test_another_path_with_the_key_is_another_request(keyed: Keyed) -> None:
    """The path and what it is asked with belong to the request."""
    await keyed.count()
    headers = {**keyed.scene.person(), "Idempotency-Key": KEY}
    other = await keyed.scene.send("POST", "/api/count?a=b", headers, {"word": "x"})
    assert "key-reused" == code_of(other)


async def test_two_at_once_are_done_once(keyed: Keyed) -> None:
    """The second one is told that the first is under way."""
    keyed.counter.gate.clear()
    first = asyncio.create_task(keyed.count())
    await keyed.counter.reached.wait()
    second = await keyed.count()
    keyed.counter.gate.set()
    assert (201, 409, "key-under-way", 1) == (
        (await first).status_code,
        second.status_code,
        code_of(second),
        keyed.counter.done,
    )


async def test_of_many_at_once_one_is_done(keyed: Keyed) -> None:
    """Whoever claims the key first does it; every other one is told, or gets the answer."""
    replies = await asyncio.gather(*(keyed.count() for _ in range(8)))
    assert 1 == keyed.counter.done
    assert {201, 409} >= {one.status_code for one in replies}


async def test_a_day_later_the_key_is_new(keyed: Keyed) -> None:
    """It counts for 24 hours; the session does not last so long, so a client asks."""
    headers = {**keyed.scene.client(), "Idempotency-Key": KEY}
    await keyed.scene.send("POST", "/api/count", headers, {"word": "x"})
    keyed.scene.clock.advance(86_399)
    await keyed.scene.send("POST", "/api/count", headers, {"word": "x"})
    before = keyed.counter.done
    keyed.scene.clock.advance(1)
    await keyed.scene.send("POST", "/api/count", headers, {"word": "x"})
    assert (1, 2) == (before, keyed.counter.done)


async def test_a_key_is_its_callers_own(keyed: Keyed) -> None:
    """The same word of another caller is another key."""
    await keyed.count()
    headers = {**keyed.scene.client(), "Idempotency-Key": KEY}
    reply = await keyed.scene.send("POST", "/api/count", headers, {"word": "x"})
    assert (201, 2) == (reply.status_code, keyed.counter.done)


async def test_a_body_that_is_wrong_is_not_kept(keyed: Keyed) -> None:
    """Whoever repairs it may use the key."""
    headers = {**keyed.scene.person(), "Idempotency-Key": KEY}
    wrong = await keyed.scene.send("POST", "/api/count", headers, {"word": 7})
    assert (400, 201) == (wrong.status_code, (await keyed.count()).status_code)


async def test_what_contradicts_is_not_kept(keyed: Keyed) -> None:
    """Nothing was done, and a repeated request is looked at anew."""
    codes = [code_of(await keyed.count("conflict")) for _ in range(2)]
    assert (["version-exists"] * 2, 2) == (codes, keyed.counter.done)


async def test_what_nobody_knows_is_not_done_again(keyed: Keyed) -> None:
    """It may have happened; whoever asks has to look."""
    codes = [code_of(await keyed.count("down")) for _ in range(2)]
    assert (["ledger-down", "key-under-way"], 1) == (codes, keyed.counter.done)


async def test_a_refusal_is_decided_anew(keyed: Keyed) -> None:
    """Who may no longer do it is not shown the answer either."""
    await keyed.count()
    keyed.scene.policies.forbidden.add(Action.APPLY_AGREEMENTS)
    assert 403 == (await keyed.count()).status_code


@pytest.mark.parametrize("path", ["asking", "standing"])
async def test_what_asks_itself_is_decided_anew_too(keyed: Keyed, path: str) -> None:
    """The answer is shown again only to who may still do it: of a kind, or anything at all."""
    headers = {**keyed.scene.person(), "Idempotency-Key": KEY}
    first, second = [
        await keyed.scene.send("POST", f"/api/{path}", headers, {"x": 1}) for _ in range(2)
    ]
    keyed.scene.policies.forbidden.add(Action.BREAK_GLASS)
    if path == "standing":
        register = keyed.scene.documents.register(TENANT)
        keyed.scene.documents._registers[TENANT] = register.having([NO_ROLES])
    third = await keyed.scene.send("POST", f"/api/{path}", headers, {"x": 1})
    assert (first.content, 403, 1) == (second.content, third.status_code, keyed.counter.done)


async def test_a_secret_is_not_kept(keyed: Keyed) -> None:
    """Repeated, the answer names the entry and does not show it; the store does not hold it."""
    headers = {**keyed.scene.person(), "Idempotency-Key": KEY}
    first = await keyed.scene.send("POST", "/api/secret", headers)
    again = await keyed.scene.send("POST", "/api/secret", headers)
    assert (200, 409, "answer-not-kept", "41") == (
        first.status_code,
        again.status_code,
        code_of(again),
        again.headers["Seawall-Entry"],
    )
    assert b"hunter2" not in b"".join(
        one.body for one in keyed.scene.ledger.people.answers.values()
    )


async def test_an_answer_that_turns_out_secret_is_not_kept(keyed: Keyed) -> None:
    """A route that shows one in some answers says so in those."""
    headers = {**keyed.scene.person(), "Idempotency-Key": KEY}
    await keyed.scene.send("POST", "/api/sometimes", headers)
    again = await keyed.scene.send("POST", "/api/sometimes", headers)
    assert "answer-not-kept" == code_of(again)


async def test_a_route_may_need_a_key(keyed: Keyed) -> None:
    """Without one nothing is done."""
    reply = await keyed.scene.send("POST", "/api/secret", keyed.scene.person())
    assert (400, "key-needed", 0) == (reply.status_code, code_of(reply), keyed.counter.done)


@pytest.mark.parametrize("key", ["", "short", "x" * 200, "with space 12", "12345678,9"])
async def test_a_key_has_a_form(keyed: Keyed, key: str) -> None:
    """Whatever else is sent is no key."""
    reply = await keyed.count(key=key)
    assert (400, "key-invalid") == (reply.status_code, code_of(reply))


async def test_the_key_itself_is_nowhere(keyed: Keyed) -> None:
    """The store has a digest of it and of whose it is."""
    await keyed.count()
    (digest,) = keyed.scene.ledger.people.answers
    assert KEY not in digest
    assert KEY not in str(keyed.scene.ledger.bodies(TENANT))


async def test_what_was_asked_cannot_be_guessed_from_what_is_kept() -> None:
    """A body may name a patient: its digest is keyed, and another installation's is another."""
    kept = []
    for name in (b"one", b"two"):
        ledger = MemoryLedger()
        turns = Turns(
            store=MemoryStore(ledger),
            ledger=ledger,
            clock=FakeClock(),
            random=FakeRandom(),
            key=name * 11,
        )
        headers = [(b"idempotency-key", b"same-key")]
        scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b""}
        request = Request({**scope, "headers": headers})
        await turns.claim(request, Principal("user", "ann", "clinic"), b"{}", is_needed=False)
        kept.append({digest: one.asked for digest, one in ledger.people.answers.items()})
    assert set(kept[0]).isdisjoint(kept[1])
    assert set(kept[0].values()).isdisjoint(kept[1].values())
