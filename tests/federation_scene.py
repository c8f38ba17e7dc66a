"""Two providers of one tenant, and one of another, over fakes; and the door that leads to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.adapters.rates import MovingRates
from seawall.app.documents import Documents
from seawall.app.federate import Federate, Known
from seawall.app.ports import SYSTEM_LOG, AskedThere
from seawall.app.sessions import Sessions
from seawall.core.identity.provider import Demanded
from seawall.core.identity.session import SessionLimits
from seawall.core.policy.principal import Principal
from seawall.http.openid import OpenIdDoor

if TYPE_CHECKING:
    from collections.abc import Mapping

ORIGIN: Final = "https://seawall.test"
HOME: Final = "https://id.clinic.example"
OTHER: Final = "https://id.other.example"
PROVIDERS: Final = {
    "home": ("clinic", HOME),
    "other": ("clinic", OTHER),
    "school": ("school", HOME),
}
"""By name: whose persons, and which issuer."""


class SaysSo:
    """The OpenIdProvider port: whoever a test names has just shown two factors there."""

    def __init__(self, clock: FakeClock, issuer: str) -> None:
        self._clock = clock
        self._issuer = issuer
        self.subject = "ann"
        self.extra: dict[str, Any] = {}
        self.asked: list[AskedThere] = []
        self.codes: list[str] = []

    async def address(self, asked: AskedThere) -> str:
        """Return where the browser goes."""
        self.asked.append(asked)
        return f"{self._issuer}/authorize?state={asked.state}"

    async def check(self) -> None:
        """Answer."""

    async def claims(self, code: str, asked: AskedThere, issuer: str | None) -> Mapping[str, Any]:
        """Return who came back."""
        assert issuer is None
        assert asked in self.asked
        self.codes.append(code)
        now = self._clock.now_ms() // 1000
        return {"sub": self.subject, "amr": ["mfa", "otp"], "auth_time": now, **self.extra}


class Federation:
    """Ann of the clinic has an account at `home`; the school has nobody but a guest."""

    def __init__(self) -> None:
        self.clock, self.random = FakeClock(), FakeRandom()
        self.ledger = MemoryLedger()
        store, parts = MemoryStore(self.ledger), {"clock": self.clock, "ledger": self.ledger}
        self.documents = Documents(store=store, **parts)  # type: ignore[arg-type]  # by name
        self.there = {name: SaysSo(self.clock, issuer) for name, (_, issuer) in PROVIDERS.items()}
        shared: dict[str, Any] = {
            **parts,
            "store": store,
            "documents": self.documents,
            "random": self.random,
        }
        self.sessions = Sessions(limits=SessionLimits(), **shared)
        known = {
            name: Known(tenant, issuer, Demanded(), self.there[name])
            for name, (tenant, issuer) in PROVIDERS.items()
        }
        self.federate = Federate(
            providers=known,
            sessions=self.sessions,
            notifier=RecordingNotifier(),
            rates=MovingRates(self.clock),
            key=bytes(32),
            **shared,
        )

    async def begin(self) -> Federation:
        """Open the logs, and let Ann and the guest join."""
        for log in (SYSTEM_LOG, "clinic", "school"):
            await self.ledger.open_log(log, f"x/{log}")
        await self.join("clinic", "ann", HOME)
        await self.join("school", "guest", OTHER)
        return self

    async def join(self, tenant: str, name: str, issuer: str) -> None:
        """Let somebody join whose account at a provider has their own name."""
        account = {"issuer": issuer, "subject": name}
        spec = {"title": name, "roles": ["auditor"], "account": account}
        by = Principal("operator", "operator", tenant)
        await self.documents.apply(by, [{"kind": "User", "name": name, "spec": spec}])

    def door(self) -> Starlette:
        """Return the two paths, as the server has them."""
        door = OpenIdDoor(
            federate=self.federate, sessions=self.sessions, network_of=lambda _: "net-1"
        )
        return Starlette(
            routes=[
                Route("/sign-in/openid/{provider}", door.begin),
                Route("/sign-in/openid/{provider}/callback", door.back),
            ]
        )


class Visitor:
    """A browser that goes to a provider and comes back, and keeps cookies."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a path, and keep the cookies of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            named["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        transport = httpx.ASGITransport(self._app, client=("10.1.2.3", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            answer = await client.get(path, headers=named)
        self.cookies |= dict(answer.cookies)
        return answer
