"""Every operation of signing in, asked with what its description allows, and what it does not.

As a page of ours with a person's session, and as one without: no answer is a server's
error, and every answer is one that the description has.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api_scene import Mounted
from people_api import Browser, people_rooms
from people_scene import ORIGIN, PASSWORD, PeopleScene
from seawall.http.api.guard import COOKIE

if TYPE_CHECKING:
    from schemathesis import Case

_CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_EXAMPLES: Final = 6


class Fuzzed:
    """The rooms of signing in, whose person stays signed in whatever is asked."""

    def __init__(self) -> None:
        self.scene = PeopleScene()
        app = Mounted(people_rooms(self.scene))
        browser = Browser(app, "testclient")
        self.csrf = asyncio.run(self._sign_in(browser))
        self.cookie = browser.cookies[COOKIE]
        self._sessions = dict(self.scene.ledger.people.sessions)
        self._kept = dict(self.scene.ledger.kept)
        schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
        found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        self.operations: dict[str, Any] = {one.label: one for one in found}

    async def _sign_in(self, browser: Browser) -> str:
        scene = self.scene
        await scene.begin()
        await scene.enrolled(scene.first_link)
        scene.clock.advance(60)
        half = await browser.post("/sign-in/password", {"user": "ada", "password": PASSWORD})
        body = {"ticket": half["ticket"], "code": scene.code("ada")}
        await browser.post("/sign-in/totp", body)
        return await browser.csrf()

    def headers(self, who: str) -> dict[str, str]:
        """Return what a page of ours sends, once everything is as it was."""
        self.scene.ledger.kept.update(self._kept)
        # So long apart that no limit is reached, and the session as fresh as at first.
        self.scene.clock.advance(900)
        now_ms = self.scene.clock.now_ms()
        for digest, session in self._sessions.items():
            self.scene.ledger.people.sessions[digest] = replace(
                session, began_ms=now_ms, seen_ms=now_ms, factor_ms=now_ms
            )
        said = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
        if who == "person":
            said |= {"Cookie": f"{COOKIE}={self.cookie}", "Seawall-Csrf": self.csrf}
        return said


@cache
def _fuzzed() -> Fuzzed:
    return Fuzzed()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("who", ["person", "nobody"])
@pytest.mark.parametrize("label", sorted(_fuzzed().operations))
def test_every_answer_is_described(label: str, who: str, mode: GenerationMode) -> None:
    """Whatever is asked of whichever operation, by whoever."""
    fuzzed = _fuzzed()

    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=fuzzed.operations[label].as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        # Who calls is said below, and by nothing that was made up; keys have tests of their own.
        for made_up in ("Authorization", "Idempotency-Key"):
            case.headers.pop(made_up, None)
        case.cookies.clear()
        case.call_and_validate(headers=fuzzed.headers(who), checks=_CHECKS)

    # Of an operation that takes nothing, nothing can be asked that is not allowed.
    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        ask()


def test_every_room_is_asked() -> None:
    """So that a test without operations does not pass."""
    assert 18 <= len(_fuzzed().operations)


def test_the_person_is_let_in() -> None:
    """So that what is asked as the person is not refused for another reason."""
    fuzzed = _fuzzed()
    answer = fuzzed.operations["GET /factors"].Case().call(headers=fuzzed.headers("person"))

    assert 200 == answer.status_code
