"""The Payloads port in memory, with faults on demand, and a payload to keep in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seawall.adapters.payloads.objects import fitting, missing, path_of, untrusted, verified
from seawall.app.ports import HeldPayload
from seawall.core.seal.envelope import Context, Sealed, seal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from seawall.app.ports import Clock
    from seawall.core.errors import Error


OWNER: Final = "sha256:" + "1" * 64
KEY: Final = bytes(32)


def a_payload(item: str = "x1", plaintext: bytes = b"a visit", key: bytes = KEY) -> Sealed:
    """Return a sealed request of an exchange."""
    context = Context("clinic", "exchange.request", "p1", item)
    return seal(plaintext, key=key, key_id="k1", key_version=1, nonce=bytes(12), context=context)


class MemoryPayloads:
    """Sealed values in a dictionary, by the digest of their ciphertext."""

    def __init__(self, clock: Clock, journal: list[str] | None = None) -> None:
        self._clock = clock
        self.kept: dict[str, tuple[bytes, datetime]] = {}
        self.owner: str | None = None
        self.down: Error | None = None
        """When set, every put raises it."""
        self.journal: list[str] = journal if journal is not None else []
        """`put` for each value; share it with a `MemoryLedger` to see the order."""

    async def self_test(self, owner: str) -> None:
        """Claim the store; `Refused` if it is another's."""
        if self.owner not in {None, owner}:
            raise untrusted("is another installation's")
        self.owner = owner

    async def put(self, sealed: Sealed) -> None:
        """Keep a sealed value."""
        if self.down is not None:
            raise self.down
        self.journal.append("put")
        self.kept.setdefault(sealed.digest(), (fitting(sealed), self._clock.now()))

    async def get(self, digest: str) -> Sealed:
        """Return the value that has this digest."""
        path_of(digest)
        if digest not in self.kept:
            raise missing()
        return verified(self.kept[digest][0], digest)

    async def delete(self, digests: Sequence[str]) -> None:
        """Delete values."""
        for digest in digests:
            self.kept.pop(digest, None)

    async def held(self) -> AsyncIterator[HeldPayload]:
        """Yield what lies there."""
        for digest, (raw, at) in list(self.kept.items()):
            yield HeldPayload(digest, len(raw), at)

    async def close(self) -> None:
        """Do nothing."""
