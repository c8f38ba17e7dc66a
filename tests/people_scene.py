"""A clinic's persons over fakes: real limits, real tickets, real WebAuthn; hashing is counted."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

import pyotp

from authenticator import Authenticator
from fake_keys import MemoryKeyRing
from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.adapters.passkeys import WebPasskeys
from seawall.adapters.rates import MovingRates
from seawall.adapters.second_factor import TimeCodes
from seawall.app.documents import Documents
from seawall.app.enrol import Chosen, Enrol, Enrolling
from seawall.app.factors import Accounts
from seawall.app.own_factors import OwnFactors
from seawall.app.ports import SYSTEM_LOG
from seawall.app.reset_factors import ResetFactors
from seawall.app.sessions import Sessions
from seawall.app.show_again import ShowAgain
from seawall.app.show_factors import ShowFactors
from seawall.app.sign_in import Begun, SignedIn, SignIn
from seawall.app.try_limits import Devices, TryLimits, Where
from seawall.core.errors import Error, Unavailable
from seawall.core.identity.session import SessionLimits
from seawall.core.policy.principal import Principal

CLINIC: Final = "riverside"
ORIGIN: Final = "https://localhost:8443"
TERMINAL: Final = Principal("operator", "operator", CLINIC)
PASSWORD: Final = "four horses under one bridge"
HOME: Final = Where("a" * 32)
AWAY: Final = Where("b" * 32)
KEY: Final = bytes(range(32))


class CountedPasswords:
    """The Passwords port without the cost: it counts, and takes so many at once and no more."""

    def __init__(self, most: int = 4) -> None:
        self.verified = 0
        self.at_once = self.highest = 0
        self.outdated: set[str] = set()
        self.most = most

    async def hash(self, password: str) -> str:
        """Hash quickly."""
        return "fake$" + hashlib.sha256(password.encode()).hexdigest()

    async def verify(self, kept: str, password: str, *, is_known: bool) -> bool:
        """Compare, one turn of the loop later."""
        if self.at_once >= self.most and not is_known:
            raise Unavailable("sign-in-busy", "too many sign in at this moment", "later")
        self.at_once += 1
        self.highest = max(self.highest, self.at_once)
        self.verified += 1
        await asyncio.sleep(0)
        self.at_once -= 1
        return kept == await self.hash(password)

    def is_outdated(self, kept: str) -> bool:
        """Whether the test said so."""
        return kept in self.outdated


class Yielding:
    """A port that lets others go first at each call, as one over a network does."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def called(*given: Any, **named: Any) -> Any:
            """Wait until whoever else is there had a turn, then do it."""
            await asyncio.sleep(0)
            return await getattr(self._port, name)(*given, **named)

        return called


class PeopleScene:
    """Everything that shows who somebody is, for one clinic; Ada and Ben may be enrolled."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.random = FakeRandom()
        self.ledger = MemoryLedger()
        self.store = MemoryStore(self.ledger)
        self.notifier = RecordingNotifier()
        self.passwords = CountedPasswords()
        self.keys = MemoryKeyRing(self.clock, self.random)
        self.codes = TimeCodes(self.random, "Seawall")
        self.rates = MovingRates(self.clock)
        self.devices = Devices(self.random, KEY)
        self.passkeys = WebPasskeys(name="localhost", origin=ORIGIN)
        ports: dict[str, Any] = {"ledger": Yielding(self.ledger), "clock": self.clock}
        store: Any = Yielding(self.store)
        provisioners = frozenset({f"{CLINIC}/okta"})
        self.documents = Documents(store=store, provisioners=provisioners, **ports)
        self.sessions = Sessions(
            store=store,
            documents=self.documents,
            random=self.random,
            limits=SessionLimits(),
            **ports,
        )
        self.accounts = Accounts(
            store=store,
            keys=self.keys,
            documents=self.documents,
            passwords=self.passwords,
            codes=self.codes,
            notifier=self.notifier,
            random=self.random,
            key=KEY,
            **ports,
        )
        resets = ResetFactors(accounts=self.accounts, notifier=self.notifier)
        self.documents.resets = lambda: resets
        self.limits = TryLimits(
            rates=self.rates, accounts=self.accounts, devices=self.devices, **ports
        )
        self._make(ports)
        self.devices_of: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.keys_of: dict[str, Authenticator] = {}

    def _make(self, ports: dict[str, Any]) -> None:
        """Make the intents over the ports."""
        shared: dict[str, Any] = {
            **ports,
            "accounts": self.accounts,
            "limits": self.limits,
            "passkeys": self.passkeys,
            "random": self.random,
            "key": KEY,
        }
        showing = ShowFactors(
            accounts=self.accounts,
            passkeys=self.passkeys,
            codes=self.codes,
            notifier=self.notifier,
            clock=self.clock,
        )
        self.sign_in = SignIn(
            sessions=self.sessions,
            devices=self.devices,
            passwords=self.passwords,
            showing=showing,
            notifier=self.notifier,
            **shared,
        )
        self.again = ShowAgain(sessions=self.sessions, showing=showing, **shared)
        without_limits = {name: port for name, port in shared.items() if name != "limits"}
        self.own = OwnFactors(notifier=self.notifier, **without_limits)
        self.enrol = Enrol(
            documents=self.documents,
            passwords=self.passwords,
            codes=self.codes,
            notifier=self.notifier,
            **shared,
        )

    async def begin(self) -> None:
        """Open the logs and make the first person, Ada, and a colleague, Ben."""
        await self.ledger.open_log(SYSTEM_LOG, "localhost/log/1")
        await self.ledger.open_log(CLINIC, "localhost/log/2")
        await self.keys.prepare(CLINIC)
        await self.documents.load()
        self.first_link = (await self.enrol.first(TERMINAL, "ada", "Ada Byron")).link
        await self.change("ben", title="Ben Okri", roles=["clinician"])

    async def change(self, name: str, **spec: Any) -> None:
        """Apply a person's document."""
        await self.documents.apply(TERMINAL, [{"kind": "User", "name": name, "spec": spec}])

    async def enrolled(self, link: str, **more: Any) -> tuple[str, ...]:
        """Enrol a password, codes and a passkey by a link; return the recovery codes."""
        begun = await self.enrol.begin(HOME, link)
        name = begun.person.name
        self.secrets[name] = begun.secret
        self.keys_of[name] = Authenticator()
        chosen = {
            "password": PASSWORD,
            "passkey": self.keys_of[name].create(begun.options),
            "code": self.code(begun),
            **more,
        }
        return await self.enrol.finish(HOME, link, begun.ticket, Chosen(**chosen))

    def code(self, begun: Enrolling | str, steps: int = 0) -> str:
        """Return the code that a device shows, so many steps from now."""
        secret = self.secrets[begun] if isinstance(begun, str) else begun.secret
        return pyotp.TOTP(secret).at(self.clock.now_ms() // 1000 + 30 * steps)

    async def half(self, name: str = "ada", password: str = PASSWORD, where: Where = HOME) -> Begun:
        """Take the first step: a password."""
        return await self.sign_in.password(where, name, password)

    async def signed_in(self, name: str = "ada", where: Where = HOME) -> SignedIn:
        """Sign in with a password and the next code."""
        self.clock.advance(60)
        half = await self.half(name, where=where)
        return await self.sign_in.code(where, half.ticket, self.code(name))

    def said(self, action: str) -> list[dict[str, Any]]:
        """Return the entries of an action in the system's log."""
        return [body for body in self.ledger.bodies(SYSTEM_LOG) if body["action"] == action]

    def outcomes(self, action: str = "sign-in.outcome") -> list[str]:
        """Return how tries ended: the outcome, or why not."""
        return [body.get("because", body["outcome"]) for body in self.said(action)]


async def code_of(asked: Any) -> str:
    """Return the code of the error that something raises; empty if it raises none."""
    try:
        await asked
    except Error as error:
        return error.code
    return ""
