"""What showing who somebody is asks of the world: hashing, authenticators, counting tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seawall.core.identity.account import Passkey


class Passwords(Protocol):
    """Hashes passwords slowly; never more at once than the machine has cores."""

    async def hash(self, password: str) -> str:
        """Return a new salted hash, which says how it was made."""
        ...

    async def verify(self, kept: str, password: str, *, is_known: bool) -> bool:
        """Whether a password is the one of a hash; as slow if it is not.

        `is_known` tells somebody from a place of theirs, who does not wait behind strangers.
        `Unavailable` (`sign-in-busy`) while too many wait.
        """
        ...

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made otherwise than new ones are."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What an authenticator showed: by which credential, how often it says that it signed."""

    credential: str
    count: int
    is_user_verified: bool
    """Whether it verified its user, by a PIN or a finger, and not only that somebody is there."""
    is_synced: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A credential that was made, without its name and time, and whether its user was verified."""

    passkey: Passkey
    is_user_verified: bool


class Passkeys(Protocol):
    """Web authentication (WebAuthn level 3), for one relying party."""

    def creation_options(
        self, *, handle: bytes, user: str, title: str, challenge: bytes, held: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return what `navigator.credentials.create` is asked; `held` are not made again."""
        ...

    def made(self, response: Mapping[str, Any], challenge: bytes) -> Made:
        """Return the credential that a response registers; `Refused` if it registers none."""
        ...

    def request_options(self, challenge: bytes, *, must_verify_user: bool) -> dict[str, Any]:
        """Return what `navigator.credentials.get` is asked: any credential of ours."""
        ...

    def named(self, response: Mapping[str, Any]) -> tuple[str, bytes]:
        """Return which credential a response says to be of, and its user handle, unverified.

        `Invalid` (`passkey-invalid`) if it has another form.
        """
        ...

    def shown(self, response: Mapping[str, Any], challenge: bytes, passkey: Passkey) -> Shown:
        """Return what a response shows; `Refused` (`passkey-refused`) unless its signature holds.

        Its count is compared by the caller.
        """
        ...


class Rates(Protocol):
    """Counts in moving windows what may be done so often only."""

    def take(self, limit: str, *who: str) -> bool:
        """Count one more if that is within the limit, and say whether it was."""
        ...

    def forget(self, limit: str, *who: str) -> None:
        """Forget what was counted, such as wrong passwords before the right one."""
        ...
