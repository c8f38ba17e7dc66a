"""Witnesses in memory: the real rule over a book that is a dictionary, and faults on demand."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from cosigners import Cosigner, ed25519
from seawall.app.cosign import Cosign, CosignerKey
from seawall.app.ports import Posted
from seawall.app.publish_checkpoints import OutsideWitness
from seawall.core.errors import Error, Unavailable
from seawall.core.ledger.checkpoint import parse_vkey
from seawall.core.ledger.witness import SIZE_TYPE, Stale, origin_hash
from seawall.http.errors import status

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes import FakeClock
    from seawall.core.ledger.witness import Latest


class MemoryBook:
    """The WitnessBook port in memory."""

    def __init__(self) -> None:
        self.vkeys: dict[str, list[str]] = defaultdict(list)
        self.kept: dict[str, Latest] = {}

    def trust(self, vkey: str) -> None:
        """Trust a log's key."""
        self.vkeys[parse_vkey(vkey).name].append(vkey)

    async def trusted(self, origin: str) -> list[str]:
        """Return the verifier keys that are trusted for a log; none if it is unknown."""
        return list(self.vkeys.get(origin, ()))

    async def latest(self, origin: str) -> Latest | None:
        """Return the latest checkpoint of a log that was cosigned, or None."""
        return self.kept.get(origin)

    async def latest_by_hash(self, hashed: str) -> Latest | None:
        """Return it by the SHA-256 of the origin, in hex."""
        found = [latest for origin, latest in self.kept.items() if origin_hash(origin) == hashed]
        return found[0] if found else None

    async def replace(self, before: Latest | None, after: Latest) -> bool:
        """Keep `after` if `before` is still the latest; say whether it was."""
        if self.kept.get(after.origin) != before:
            return False
        self.kept[after.origin] = after
        return True


class FakeWitness:
    """The Post port to a witness of C2SP tlog-witness, in memory."""

    def __init__(self, name: str, clock: FakeClock, *vkeys: str) -> None:
        self.book = MemoryBook()
        for vkey in vkeys:
            self.book.trust(vkey)
        self.cosigner: Cosigner = ed25519(name)
        key = CosignerKey(self.cosigner.key, self.cosigner.sign)
        self._cosign = Cosign(keys=[key], book=self.book, clock=clock)
        self.is_down = False
        self.is_hanging = False
        self.changing: Callable[[Posted], Posted] | None = None
        """When set, what becomes of each answer on its way."""
        self.bodies: list[bytes] = []
        """What was submitted."""

    def outside(self) -> OutsideWitness:
        """Return it as a log knows it."""
        return OutsideWitness(self.cosigner.key, self)

    async def __call__(self, body: bytes) -> Posted:
        """Answer a submission as a real witness would."""
        self.bodies.append(body)
        if self.is_down:
            raise Unavailable("outside-unreachable", "down", "start it")
        if self.is_hanging:
            await asyncio.Event().wait()
        answer = await self._answer(body)
        return self.changing(answer) if self.changing else answer

    async def _answer(self, body: bytes) -> Posted:
        try:
            said = await self._cosign.add_checkpoint(body)
        except Error as error:
            return Posted(status(error), "text/plain", str(error).encode())
        if isinstance(said, Stale):
            return Posted(409, SIZE_TYPE, f"{said.size}\n".encode())
        return Posted(200, "text/plain", said.encode())
