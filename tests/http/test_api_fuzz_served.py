"""Every operation of the whole API on a real server, asked as its description allows.

By a person with three roles and a fresh factor, under the shipped policies, so that most
of what is asked gets past them: no answer is a server's error, and each is described.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from clinic import TENANT, served_apart
from seawall.app.ports import SYSTEM_LOG, KeepSession
from seawall.core.policy.principal import Principal
from seawall.http.api.guard import COOKIE, CSRF_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

    from clinic import Clinic, Server

_CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_ROLES: Final = ["clinician", "privacy-officer", "security-officer"]
_PERSON: Final = "vera"
_SESSIONS: Final = 150
_ENDING: Final = "DELETE /session/others"
"""What ends the sessions that the others would be asked in."""
_EXAMPLES: Final = 4
_AT_LEAST: Final = 50
"""So many operations there are at least: fewer would mean that they were not found."""


class Asking:
    """A server, the description of its API, and sessions of a person, one for each operation."""

    def __init__(self, server: Server, sessions: list[str]) -> None:
        self._server = server
        self._sessions = sessions
        reply = server.send("GET", "/api/openapi.json")
        self.url = f"https://localhost:{server.port}"
        described = schemathesis.openapi.from_dict(reply.json())
        found = [one.ok() for one in described.get_all_operations() if isinstance(one, Ok)]
        self.operations: dict[str, Any] = {one.label: one for one in found}
        self.authority = str(server.clinic.folder / "tls" / "authority.pem")

    def headers(self, label: str) -> dict[str, str]:
        """Return the headers of a page at which the person sits, in a session of its own."""
        name = self._sessions.pop(0 if label == _ENDING else -1)
        said = {"Cookie": f"{COOKIE}={name}", "Origin": self.url}
        session = self._server.send("GET", "/api/session", headers=said).json()
        return {**said, CSRF_HEADER: str(session["csrf"]), "Sec-Fetch-Site": "same-origin"}


async def _signed_in(clinic: Clinic) -> list[str]:
    """Let a person with roles join, and begin sessions; return their names."""
    by = Principal("operator", "tests", TENANT)
    # The first two sessions are of persons of their own, since they end all others.
    persons = ["vera-1", "vera-2", *[_PERSON] * (_SESSIONS - 2)]
    spec = {"title": "Vera", "roles": _ROLES}
    users = [{"kind": "User", "name": name, "spec": spec} for name in sorted(set(persons))]
    made = []
    async with clinic.installation.write() as writer:
        await writer.documents.apply(by, users)
        sessions, network = writer.access_room.sessions, writer.people_room.network_of("127.0.0.1")
        for person in persons:
            name, session = sessions.new(TENANT, person, ["hwk", "user", "mfa"], network)
            said = {"v": 1, "at": "2026-11-24T00:00:00.000Z", "action": "tests.begin"}
            said |= {"tenant": TENANT, "actor": by.fields()}
            await writer.ledger.append(SYSTEM_LOG, said, [KeepSession(session)])
            made.append(name)
    return made


@pytest.fixture(scope="module")
def asking(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Serve a copy of the clinic by a process of its own, with a person who is signed in."""
    place = tmp_path_factory.mktemp("fuzzed")
    copy = clinic.copy(place / "data")
    names = asyncio.run(_signed_in(copy))
    with served_apart(copy, place) as server:
        yield Asking(server, names)


def test_every_operation_answers_as_it_is_described(asking: Asking) -> None:
    """Of every room that the server has, whatever is asked."""
    wrong = {
        f"{label} {mode.value}": found
        for label, operation in asking.operations.items()
        for mode in GenerationMode
        if (found := _wrong(asking, operation, mode))
    }
    assert {} == wrong
    assert len(asking.operations) >= _AT_LEAST


def _wrong(asking: Asking, operation: Any, mode: GenerationMode) -> str:
    """Return how an operation's answers differ from its description; empty if they do not."""
    headers = asking.headers(operation.label)

    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        url, authority = f"{asking.url}/api", asking.authority
        case.call_and_validate(base_url=url, headers=headers, checks=_CHECKS, verify=authority)

    try:
        ask()
    except Unsatisfiable:
        return ""  # nothing can be asked of it but what is allowed
    except FailureGroup as found:
        return "; ".join(str(one) for one in found.exceptions)
    return ""
