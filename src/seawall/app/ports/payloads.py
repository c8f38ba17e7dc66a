"""Where large sealed values are kept outside the database: ciphertext, by its own digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from seawall.core.seal.envelope import Sealed


@dataclass(frozen=True, slots=True)
class HeldPayload:
    """A sealed value that lies in a payload store, as the store itself lists it."""

    digest: str
    size: int
    at: datetime
    """When the store took it, by the clock that it lists by."""


class Payloads(Protocol):
    """A folder or a bucket of sealed values, each under the SHA-256 of its ciphertext.

    What lies there is opened by nothing but the key ring: whoever reads the store gets
    ciphertext, whose context (tenant, kind, random ids) is readable as in the database.
    `Unavailable` (`payloads-unavailable`) if no answer comes in time.
    """

    async def self_test(self, owner: str) -> None:
        """Claim the store for one installation; try whether it keeps and deletes what it should.

        `Refused` (`payloads-untrusted`) if it does not, or is another installation's: a
        sweep would delete what that one keeps.
        """
        ...

    async def put(self, sealed: Sealed) -> None:
        """Keep a sealed value durably; the same one again changes nothing.

        `Tampered` (`payload-tampered`) if something else lies under its digest,
        `Invalid` (`payload-too-large`) beyond what any exchange may have.
        """
        ...

    async def get(self, digest: str) -> Sealed:
        """Return the value that has this digest.

        `Missing` (`payload-missing`) if it is not there, `Tampered` (`payload-tampered`)
        if what is there has another digest.
        """
        ...

    async def delete(self, digests: Sequence[str]) -> None:
        """Delete values; one that is not there is no error."""
        ...

    def held(self) -> AsyncIterator[HeldPayload]:
        """Yield what lies there, in no order; what was put meanwhile may be left out."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...
