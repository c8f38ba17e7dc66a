"""The administration API over fakes: in this process, without a socket.

A person and a client of one tenant; policies that allow what the vocabulary's own
needs allow, unless a test forbids an action.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.app.access import Access
from seawall.app.caller import Caller
from seawall.app.documents import Documents
from seawall.app.ports import SYSTEM_LOG, KeepSession
from seawall.app.sessions import Sessions
from seawall.core.access.question import FRESH_MS, Answer
from seawall.core.access.vocabulary import ACTS, Action
from seawall.core.errors import Refused
from seawall.core.identity.session import SessionLimits
from seawall.core.policy.principal import Principal
from seawall.http.api.application import api_application
from seawall.http.api.guard import COOKIE, CSRF_HEADER, Api

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import APIRouter, FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from seawall.app.issue_token import Presented
    from seawall.core.access.question import Question

TENANT: Final = "riverside"
ORIGIN: Final = "https://seawall.test"
PERSON: Final = "ada"
CLIENT: Final = "portal"
TOKEN: Final = "a-token-of-the-portal"
NETWORK: Final = "network of 127"


class NeedsAlone:
    """Policies that allow whatever has what the vocabulary asks for, but what is forbidden."""

    def __init__(self) -> None:
        self.forbidden: set[Action] = set()
        self.asked: list[Question] = []

    def of(self, tenant: str) -> NeedsAlone:
        """Return the policies, which are every tenant's."""
        assert tenant
        return self

    def decide(self, question: Question) -> Answer:
        """Answer by the needs of the action."""
        self.asked.append(question)
        act, asker = ACTS[question.action], question.asker
        is_person = asker.principal.kind == "user"
        is_fresh = asker.factor_age_ms is not None and asker.factor_age_ms <= FRESH_MS
        if question.action in self.forbidden or not (asker.roles or asker.powers):
            return Answer(False, code="access-refused")
        if act.needs_fresh and is_person and not is_fresh:
            return Answer(False, code="step-up-needed")
        if act.needs_reason and not question.has_reason:
            return Answer(False, code="reason-needed")
        if act.needs_purpose and question.purpose is None:
            return Answer(False, code="purpose-needed")
        return Answer(True, ("needs-alone",))


class OneToken:
    """Tells who the one token that there is speaks for."""

    async def identify_whole(self, presented: Presented) -> Caller:
        """Return the client, or refuse."""
        if presented.token != TOKEN:
            raise Refused("token-foreign", "this token was not issued for Seawall", "get another")
        return Caller(Principal("client", CLIENT, TENANT))


@dataclass
class Scene:
    """The parts of the API, and who calls it."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    clock: FakeClock = field(default_factory=FakeClock)
    random: FakeRandom = field(default_factory=FakeRandom)
    policies: NeedsAlone = field(default_factory=NeedsAlone)

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.ledger)
        self.documents = Documents(store=self.store, ledger=self.ledger, clock=self.clock)
        self.sessions = Sessions(
            store=self.store,
            ledger=self.ledger,
            documents=self.documents,
            clock=self.clock,
            random=self.random,
            limits=SessionLimits(),
        )
        self.access = Access(
            documents=self.documents,
            policies=self.policies,
            emergencies=None,
            ledger=self.ledger,
            clock=self.clock,
        )
        self.api = Api(
            access=self.access,
            tokens=OneToken(),
            sessions=self.sessions,
            store=self.store,
            ledger=self.ledger,
            clock=self.clock,
            random=self.random,
            key=bytes(32),
            origin=lambda: ORIGIN,
            network_of=lambda address: f"network of {address.partition('.')[0]}",
        )
        self.cookie = ""
        self.csrf = ""
        self.app: FastAPI | None = None

    async def begin(self, *rooms: APIRouter) -> Scene:
        """Open the logs, register the two callers, sign the person in; serve these rooms."""
        await self.ledger.open_log(SYSTEM_LOG, "seawall.test/log/system")
        await self.ledger.open_log(TENANT, "seawall.test/log/riverside")
        by = Principal("operator", "terminal", TENANT)
        user = {"title": "Ada", "roles": ["administrator", "privacy-officer", "security-officer"]}
        key = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
        powers = {"may_apply": True, "may_audit": True, "may_manage_keys": True}
        client = {"title": "Portal", "public_key": key, **powers}
        await self.documents.apply(
            by,
            [
                {"kind": "User", "name": PERSON, "spec": user},
                {"kind": "Client", "name": CLIENT, "spec": client},
            ],
        )
        self.cookie, session = self.sessions.new(TENANT, PERSON, ["hwk", "user", "mfa"], NETWORK)
        await self.ledger.append(SYSTEM_LOG, {"v": 1, "action": "begin"}, [KeepSession(session)])
        caller = Caller(Principal("user", PERSON, TENANT), session)
        self.csrf = self.api.csrf(caller)
        self.app = api_application(rooms)
        return self

    def person(self) -> dict[str, str]:
        """Return the headers that a page of ours sends."""
        return {
            "Cookie": f"{COOKIE}={self.cookie}",
            "Origin": ORIGIN,
            "Sec-Fetch-Site": "same-origin",
            CSRF_HEADER: self.csrf,
        }

    def client(self) -> dict[str, str]:
        """Return the headers that the client sends."""
        return {"Authorization": f"Bearer {TOKEN}"}

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        address: str = "127.0.0.1",
        raw: bytes | None = None,
    ) -> httpx.Response:
        """Send one request below /api; a body goes as JSON."""
        said = dict(headers or {})
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
            said.setdefault("Content-Type", "application/json")
        if self.app is None:
            raise RuntimeError("the scene has not begun")
        transport = httpx.ASGITransport(
            Mounted(self.app), raise_app_exceptions=False, client=(address, 4711)
        )
        async with httpx.AsyncClient(transport=transport, base_url="https://elsewhere.test") as one:
            return await one.request(method, path, headers=said, content=content)


class Mounted:
    """The API where the server has it: below /api."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app({**scope, "root_path": "/api"}, receive, send)


def code_of(response: httpx.Response) -> str:
    """Return the code of an error, or "answered"."""
    parsed = response.json() if response.content else {}
    return str(parsed["error"]["code"]) if "error" in parsed else "answered"
