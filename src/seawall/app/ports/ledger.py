"""The one way to commit, and the one way to delete what retention no longer asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.app.ports.writes import Fact, Write
    from seawall.core.policy.grant import Receipt


SYSTEM_LOG = "system"
"""The name of the log that belongs to no tenant."""

SUCCEEDED = "~"
"""Between a log's name and a number: a log that another one of its tenant succeeded.

Nobody appends to it, and no tenant can be called so.
"""


def whose(log: str) -> str:
    """Return whose log this is: a tenant's name or `SYSTEM_LOG`, also of one that was succeeded."""
    return log.partition(SUCCEEDED)[0]


class Ledger(Protocol):
    """The one way to commit: entries, and the writes that go with them."""

    async def open_log(self, log: str, origin: str) -> None:
        """Begin a log under an origin (host/log/random id); nothing changes if it exists."""
        ...

    async def append(
        self, log: str, entry: Mapping[str, Any], writes: Sequence[Write] = ()
    ) -> Receipt:
        """Make an entry and its writes durable, then return the receipt.

        `log` is a tenant's name or `SYSTEM_LOG`. Raises `Unavailable` when that
        cannot be done within the ledger's time limit; the caller must then
        behave as if nothing was recorded.
        """
        ...

    async def remember(self, facts: Sequence[Fact]) -> None:
        """Make facts durable, all of them or none; `Unavailable` as for an append."""
        ...


class Pruner(Protocol):
    """Deletes what retention no longer asks for; the service itself has no such right."""

    async def prune(self, log: str, minimum: int) -> None:
        """Delete the entries and full level-0 tiles below `minimum`, a multiple of 256.

        C2SP tlog-tiles, "Pruning": the minimum never goes back. `Refused` by the
        database itself unless two archives hold every bundle below it.
        """
        ...
