"""What a provider of the key manager does, on a thread: the ports without `async`.

A provider turns its library's exceptions into the errors of the KeyManager
port and bounds the time of each of its own calls. `guarded` puts threads, a
time limit over all and a circuit breaker around any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from seawall.app.ports import Destruction, RootVersion, Secret


class Provider(Protocol):
    """A key manager with the service's credentials."""

    @property
    def provider(self) -> str:
        """`file`, `openbao` or `aws`."""
        ...

    def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap 32 bytes under the newest version of a root key."""
        ...

    def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped."""
        ...

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        ...


class Operator(Protocol):
    """A key manager with an operator's credentials."""

    def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one."""
        ...

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        ...

    def rotate(self, name: str) -> int:
        """Make a new version of a root key; return it."""
        ...

    def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy the versions of a root key below one, or the whole key, for good."""
        ...
