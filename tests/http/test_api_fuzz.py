"""Every operation of the API, asked with what its description allows, and what it does not.

As a person who may do everything, as a client, and as nobody: no answer is a server's
error, and every answer is one that the description has.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api_rooms import Rooms
from api_scene import Mounted

if TYPE_CHECKING:
    from schemathesis import Case

_CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
_EXAMPLES: Final = 12
"""So many of each operation, caller and mode: about a minute in all."""


class Fuzzed:
    """The API with all its rooms, whose person stays signed in whatever is asked."""

    def __init__(self) -> None:
        self.rooms = asyncio.run(Rooms().begin())
        self._sessions = dict(self.rooms.scene.ledger.people.sessions)
        if self.rooms.scene.app is None:
            raise RuntimeError("the scene has not begun")
        schema = schemathesis.openapi.from_asgi("/api/openapi.json", Mounted(self.rooms.scene.app))
        found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        self.operations: dict[str, Any] = {one.label: one for one in found}

    def headers(self, who: str) -> dict[str, str]:
        """Return what a caller sends."""
        self.rooms.scene.ledger.people.sessions.update(self._sessions)
        made = {"person": self.rooms.scene.person, "client": self.rooms.scene.client}
        return made[who]() if who in made else {}


@cache
def _fuzzed() -> Fuzzed:
    return Fuzzed()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("who", ["person", "client", "nobody"])
@pytest.mark.parametrize("label", sorted(_fuzzed().operations))
def test_every_answer_is_one_that_the_description_has(
    label: str, who: str, mode: GenerationMode
) -> None:
    """Whatever is asked of whichever operation, by whoever."""
    fuzzed = _fuzzed()

    @settings(
        max_examples=_EXAMPLES if who == "person" else 3,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=fuzzed.operations[label].as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(headers=fuzzed.headers(who), checks=_CHECKS)

    ask()
