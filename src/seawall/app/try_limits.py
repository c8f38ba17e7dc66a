"""How often somebody may try to be shown, so that nobody can lock another person out.

Wrong passwords are counted for a person and a place together: a device that the
person signed in on, else the network. Strangers to a person are counted together
besides, so that guesses from many networks are few (NIST SP 800-63B, section 3.2.2), and
all strangers together, so that they cannot fill the ledger. Neither count stops whoever
comes on a device of theirs. A network is many people's: on one that somebody signed in
from, that person's tries are as few a day, by a count that no other network fills.
45 CFR 164.308(a)(5)(ii)(C).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from seawall.app.entries import entry
from seawall.app.factors import SIGN_IN
from seawall.app.ports import SYSTEM_LOG
from seawall.core.errors import Refused

if TYPE_CHECKING:
    from seawall.app.factors import Accounts, Person
    from seawall.app.ports import Clock, Ledger, Random, Rates, Write

_NAME_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Where:
    """Where a request comes from, as far as the connection and our own cookies tell."""

    network: str
    """The keyed digest of the network of the connection's address."""
    device: str = ""
    """The browser's name, if this installation gave it one; it is checked before it counts."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A try that may be made: from which place, counted for whom."""

    place: str
    who: str
    is_known: bool
    """Whether the place is a device that the person signed in on before."""
    day: tuple[str, str] = ("", "")
    """By which limit, and as whom, the tries of a day are counted, unless the device is known."""


class Devices:
    """Names that browsers are given, so that a person's own device can be told from others."""

    def __init__(self, random: Random, key: bytes) -> None:
        self._random = random
        self._key = key

    def new(self) -> str:
        """Return a new name, which nobody else can make."""
        name = self._random.bytes(_NAME_BYTES).hex()
        return f"{name}.{self._proof(name)}"

    def place(self, said: str) -> str:
        """Return the place that a name stands for; empty if the name is none of ours."""
        name, _, proof = said.partition(".")
        if not re.fullmatch(r"[0-9a-f]{32}", name) or not re.fullmatch(r"[0-9a-f]{64}", proof):
            return ""
        if not hmac.compare_digest(proof, self._proof(name)):
            return ""
        return "device-" + hashlib.sha256(said.encode()).hexdigest()[:32]

    def _proof(self, name: str) -> str:
        return hmac.digest(self._key, f"device/{name}".encode(), hashlib.sha256).hex()


class TryLimits:
    """Lets tries in, or refuses them before anything is opened."""

    def __init__(
        self, *, rates: Rates, accounts: Accounts, devices: Devices, ledger: Ledger, clock: Clock
    ) -> None:
        self._rates = rates
        self._accounts = accounts
        self._devices = devices
        self._ledger = ledger
        self._clock = clock

    async def admit(
        self, where: Where, person: Person | None, said: str, step: str = "first"
    ) -> Admitted:
        """Count a try for whom `said` names; `Refused` (`sign-in-limited`) if it is one too many.

        A name that nobody has is counted as one that somebody has, however it is written.
        """
        admitted = await self._place(where, person, self._accounts.item_of(said))
        if not admitted.is_known:
            await self._take("network", where, person, where.network)
            await self._take("strangers", where, person, "")
        await self._take("person-place", where, person, f"{admitted.who}/{admitted.place}/{step}")
        if not admitted.is_known:
            limit, who = admitted.day
            await self._take(limit, where, person, f"{who}/{step}")
        return admitted

    async def admit_passkey(self, where: Where, credential: str, *, is_ours: bool) -> None:
        """Count a try by a passkey: one that exists cannot be guessed, and waits for nobody."""
        if is_ours:
            await self._take("person-place", where, None, f"{_digest(credential)}/{where.network}")
            return
        await self._take("network", where, None, where.network)
        await self._take("strangers", where, None, "")

    async def admit_link(self, where: Where, person: Person | None = None) -> None:
        """Count a try by a secret that cannot be guessed: a link, or a code of a paper.

        So strangers who guess at passwords stop nobody here, and strangers who guess at these
        stop nobody who is on a device or a network of theirs: those count for themselves.
        """
        await self._take("network", where, person, where.network)
        network = f"network-{where.network}"
        places = [place for place in (self._devices.place(where.device), network) if place]
        known = [place for place in places if await self._accounts.knows_place(person, place)]
        if person is None or not known:
            await self._take("links", where, person, "")
        else:
            who = f"{_digest(person.item)}/{known[0]}/link"
            await self._take("person-place", where, person, who)

    async def marking(self, person: Person, network: str) -> list[Write]:
        """Return what lets a person be known on a network from now on."""
        place = f"network-{network}"
        is_known = await self._accounts.knows_place(person, place)
        return [] if is_known else [await self._accounts.marking(person, place)]

    async def admit_session(self, where: Where, digest: str) -> None:
        """Count a try to show a factor again, for one session."""
        await self._take("person-place", where, None, f"session/{digest}")

    def forgive(self, admitted: Admitted) -> None:
        """Forget the wrong tries of whoever was shown at last."""
        for step in ("first", "second"):
            self._rates.forget("person-place", f"{admitted.who}/{admitted.place}/{step}")
            for limit, who in _days(admitted.who, admitted.place):
                self._rates.forget(limit, f"{who}/{step}")

    def forgive_passkey(self, where: Where, credential: str) -> None:
        """Forget what was counted for a passkey that was right."""
        self._rates.forget("person-place", f"{_digest(credential)}/{where.network}")

    def forgive_session(self, digest: str) -> None:
        """Forget what was counted for a session whose person was shown."""
        self._rates.forget("person-place", f"session/{digest}")

    async def _place(self, where: Where, person: Person | None, item: str) -> Admitted:
        who, network = _digest(item), f"network-{where.network}"
        device = self._devices.place(where.device)
        # As much is read for a name that nobody has.
        if device and await self._accounts.knows_place(person, device):
            return Admitted(device, who, is_known=True)
        of_strangers, of_network = _days(who, network)
        is_theirs = await self._accounts.knows_place(person, network)
        return Admitted(network, who, False, of_network if is_theirs else of_strangers)

    async def _take(self, limit: str, where: Where, person: Person | None, who: str) -> None:
        if self._rates.take(limit, who):
            return
        # Once in a while it is an entry: a refusal costs a stranger nothing, and must cost us so.
        if self._rates.take("told", limit, who):
            told = {"person": "unknown"}
            if person is not None:
                told = {"person": person.name, "for": person.tenant}
            said = {**told, "limit": limit, "network": where.network}
            await self._ledger.append(
                SYSTEM_LOG, entry("sign-in.limited", SIGN_IN, self._clock, **said)
            )
        raise Refused(
            "sign-in-limited",
            "there were too many tries",
            "wait a quarter of an hour, or sign in with a passkey or on a device of yours",
        )


def _days(who: str, place: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return by which limits a day's tries for somebody are counted: strangers', a network's."""
    return ("person-strangers", who), ("person-network", f"{who}/{place}")


def _digest(said: str) -> str:
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()
